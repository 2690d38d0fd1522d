"""Shifts and days as spans of UTC, and when machines rest by plan, in the site's time zone."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

from gateway.model import instant
from gateway.model.line import Calendar, Line, MachineState
from gateway.settings.sections import Shift
from gateway.simulation.line.calendar import stops
from gateway.simulation.line.measured import STATES, Edge

SHIFT, PREVIOUS, TODAY = "shift", "previous", "today"
NAMES: Final = (SHIFT, PREVIOUS, TODAY)
DAY: Final = "day"
"""The name of the only shift where none is configured."""
_IDLE: Final = STATES.index(MachineState.IDLE)
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A shift, "" for the time between two, or a day: by its name, from begin to end (UTC ns)."""

    name: str
    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Periods:
    """The shift that is on (or the time between two), the last one before it, and the day."""

    shift: Span
    previous: Span
    today: Span

    def spans(self) -> dict[str, tuple[int, int]]:
        """Begin and end by the period's word."""
        return {word: (span.begin_ns, span.end_ns) for word, span in zip(NAMES, (self.shift, self.previous, self.today), strict=True)}

    @property
    def begin_ns(self) -> int:
        return min(span.begin_ns for span in (self.shift, self.previous, self.today))


def periods(shifts: Sequence[Shift], zone: ZoneInfo, now_ns: int) -> Periods:
    """As they are at that instant."""
    local = _local(now_ns, zone).date()
    own = sorted(_around(shifts, zone, local), key=lambda span: span.begin_ns)
    begun = [span for span in own if span.begin_ns <= now_ns]
    running = [span for span in begun if now_ns < span.end_ns]
    before = [span for span in begun if span.end_ns <= (running[-1].begin_ns if running else now_ns)]
    if running:
        shift = running[-1]
    else:
        later = [span.begin_ns for span in own if span.begin_ns > now_ns]
        shift = Span("", max(span.end_ns for span in begun), min(later))
    return Periods(shift, max(before, key=lambda span: span.end_ns), Span(local.isoformat(), _utc(local, zone), _utc(local + _DAY, zone)))


def _around(shifts: Sequence[Shift], zone: ZoneInfo, date: dt.date) -> Iterator[Span]:
    for days in range(-3, 3):
        day = date + dt.timedelta(days=days)
        if not shifts:
            yield Span(DAY, _utc(day, zone), _utc(day + _DAY, zone))
        for shift in shifts:
            start, end = (dt.time.fromisoformat(text) for text in (shift.start, shift.end))
            yield Span(shift.name, _utc(day, zone, start), _utc(day if end > start else day + _DAY, zone, end))


def _utc(day: dt.date, zone: ZoneInfo, at: dt.time = dt.time()) -> int:
    return _ns(dt.datetime.combine(day, at, zone))


def _ns(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000


def _local(at_ns: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ns / 1e9, zone)


def line_seconds(line: Line, zone: ZoneInfo, at_ns: int) -> float:
    """Seconds after the line's start, taken as wall time of the site: what its calendar counts."""
    moment = _local(at_ns, zone)
    return (at_ns + round(_offset(moment) * 1e9) - (instant.parse(line.start) or 0)) / 1e9


def _offset(moment: dt.datetime) -> float:
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def edges(line: Line, machine: str, shifts: Sequence[Shift], zone: ZoneInfo, begin_ns: int, end_ns: int) -> list[Edge]:
    """When the machine's planned state changes between the two instants: the line's calendar, and IDLE outside all shifts."""
    resting = [(begin, end, STATES.index(state)) for begin, end, state in _stops(line.calendar, line, machine, zone, begin_ns, end_ns)]
    worked = sorted((span.begin_ns, span.end_ns) for span in _between(shifts, zone, begin_ns, end_ns)) if shifts else [(begin_ns, end_ns)]
    instants = {begin_ns, *(at for begin, end, _ in resting for at in (begin, end)), *(at for pair in worked for at in pair)}
    found, before = list[Edge](), -2
    for at_ns in sorted(instants):
        planned = next((state for begin, end, state in resting if begin <= at_ns < end), -1)
        if planned < 0 and not any(begin <= at_ns < end for begin, end in worked):
            planned = _IDLE
        if planned != before:
            found.append((at_ns, planned))
            before = planned
    return found


def _between(shifts: Sequence[Shift], zone: ZoneInfo, begin_ns: int, end_ns: int) -> Iterator[Span]:
    day, last = _local(begin_ns, zone).date(), _local(end_ns, zone).date()
    while day <= last:
        yield from (span for span in _around(shifts, zone, day) if span.end_ns > begin_ns and span.begin_ns < end_ns)
        day += 3 * _DAY


def _stops(
    calendar: Calendar, line: Line, machine: str, zone: ZoneInfo, begin_ns: int, end_ns: int
) -> Iterator[tuple[int, int, MachineState]]:
    start = dt.datetime.fromtimestamp((instant.parse(line.start) or 0) / 1e9, dt.UTC).replace(tzinfo=None)
    first_s, last_s = (line_seconds(line, zone, at_ns) for at_ns in (begin_ns, end_ns))
    for begin_s, end_s, state in takewhile(lambda stop: stop[0] < last_s, stops(calendar, machine, first_s)):
        yield (*(_ns((start + dt.timedelta(seconds=at_s)).replace(tzinfo=zone)) for at_s in (begin_s, end_s)), state)  # type: ignore[misc]
