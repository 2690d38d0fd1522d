"""A line's machines tied to tags, and the figures that come of it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.line import Line, MachineState


@dataclass(frozen=True, slots=True)
class TiedMachine:
    """tag_ids of a machine; None where it has no such tag. states, words: what a value of the state's tag (a text) means; of others nothing
    is known. rollover: how many values the counters have, None for as many as it takes.

    produced, rejected: counters of items made, and of those of them that were rejected. energy: a counter in kW.h; power: in kW.
    """

    name: str
    state: int
    states: Mapping[float, MachineState] = field(default_factory=dict)
    words: Mapping[str, MachineState] = field(default_factory=dict)
    produced: int | None = None
    rejected: int | None = None
    energy: int | None = None
    power: int | None = None
    rollover: float | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """How the rest of a shift is foretold. minimum_s: how long a machine waits at least before it is called starved or blocked;
    probability, clear: from which on that is told as a condition, and down to which it stands; issues: so many forecasts in a row."""

    every_s: float = 60.0
    replications: int = 200
    minimum_s: float = 60.0
    probability: float = 0.7
    clear: float = 0.3
    issues: int = 2
    severity: int = 200


@dataclass(frozen=True, slots=True)
class LineSite:
    """The line of a site: as it is simulated, its machines in the order of the line, the tag of each buffer's content by its edge, and the
    forecast (None: none is made). Of machines that are not tied nothing is known."""

    line: Line
    machines: tuple[TiedMachine, ...]
    buffers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    ahead: Ahead | None = None


@dataclass(frozen=True, slots=True)
class KpiValue:
    """One figure. name: its path, as `stringer/OEE`; value: NaN where there is nothing to divide by; unit: UCUM.

    coverage: the share of the time so far in which the inputs were Good; at_ns: the instant up to which it counts.
    """

    name: str
    value: float | str
    unit: str
    coverage: float
    at_ns: int
