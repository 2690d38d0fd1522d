"""Planned stops of one machine in the order in which they come."""

from collections.abc import Iterator
from typing import Final

from gateway.model.line import Calendar, MachineState

_STATE: Final = {"break": MachineState.BREAK, "idle": MachineState.IDLE, "maintenance": MachineState.MAINTENANCE}


def stops(calendar: Calendar, machine: str, from_s: float) -> Iterator[tuple[float, float, MachineState]]:
    """(start, end, state) of those that end after from_s, without end where the calendar repeats."""
    own = sorted(
        (stop.start_s, stop.end_s, _STATE[stop.reason]) for stop in calendar.stops if not stop.machines or machine in stop.machines
    )
    if not own:
        return
    period = calendar.repeat_s
    turn = int(from_s // period) - 1 if period else 0
    while True:
        for start, end, state in own:
            if end + turn * period > from_s:
                yield start + turn * period, end + turn * period, state
        if not period:
            return
        turn += 1


def planned_s(calendar: Calendar, machine: str, begin_s: float, end_s: float) -> float:
    """Seconds of planned stops between begin_s and end_s."""
    total = 0.0
    for start, end, _ in stops(calendar, machine, begin_s):
        if start >= end_s:
            break
        total += min(end, end_s) - max(start, begin_s)
    return total
