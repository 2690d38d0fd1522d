"""One run of a line: the same line, seed and replication give the same tables, whatever else runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gateway.model.line import Line, LineState
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.summary import summary
from gateway.simulation.line.tables import Columns, Snapshot, snapshot, telemetry
from gateway.simulation.line.tables import events as events_of
from gateway.simulation.line.topology import checked


@dataclass(frozen=True)
class LineResult:
    """What came of a run. summary: JSON values; telemetry and events: columns, made when asked for (events empty without a log)."""

    line: Line
    seed: int
    replication: int
    summary: dict[str, Any]
    lead_times_s: list[float]
    snapshots: list[Snapshot] = field(repr=False)
    buffers: list[tuple[str, str]] = field(repr=False)
    _events: Callable[[], Columns] = field(repr=False)

    @cached_property
    def telemetry(self) -> Columns:
        return telemetry(self.line, self.snapshots, self.buffers)

    @cached_property
    def events(self) -> Columns:
        return self._events()


def execute(
    line: Line,
    seed: int | None = None,
    *,
    replication: int = 0,
    events: bool = True,
    start: LineState | None = None,
    progress: Callable[[float], None] | None = None,
) -> LineResult:
    """Run the line over its duration, after its warm-up; with `start` from that instant to the end, without warm-up.

    seed: the line's own without one; events: keep their log; progress: told the share that is done. Raises LineError for what is no line
    or no state of it.
    """
    checked(line)
    own = line.seed if seed is None else seed
    begin = start.at_s if start else 0.0
    layout = Layout(line, Chance(own, replication), begin if start else -line.warm_up_s, start)
    layout.advance(begin)
    log: list[float] | None = [] if events else None
    layout.begin(log)
    first = [station.state for station in layout.stations]
    snapshots = [snapshot(layout)]
    for at in _boundaries(begin, line.duration_s, line.telemetry_interval_s):
        layout.advance(at)
        snapshots.append(snapshot(layout))
        if progress is not None:
            progress(at / line.duration_s)
    layout.settle()
    made = summary(line, layout, snapshots)

    def table() -> Columns:
        return events_of(line, layout, first, log, begin) if log is not None else {}

    return LineResult(line, own, replication, made, layout.books.lead, snapshots, list(layout.buffers), table)


def _boundaries(begin: float, end: float, interval: float) -> list[float]:
    """The ends of the intervals: multiples of the interval after begin, and the end."""
    inside, count = list[float](), int(begin // interval) + 1
    while (at := count * interval) < end:
        inside.append(at)
        count += 1
    return [*inside, end]
