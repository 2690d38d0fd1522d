"""Shifts and days in the site's time zone, and when machines rest by plan."""

from zoneinfo import ZoneInfo

import pytest

from gateway.kpi.periods import edges, periods
from gateway.model import instant
from gateway.model.line import Calendar, Line, Machine, MachineState, PlannedStop, constant, serial
from gateway.settings.sections import Shift
from gateway.simulation.line.measured import STATES
from support.lines import UNIT

UTC, VILNIUS = ZoneInfo("UTC"), ZoneInfo("Europe/Vilnius")
EARLY, LATE = (
    Shift.model_validate({"name": name, "from": start, "to": end})
    for name, start, end in (("early", "06:00", "14:00"), ("late", "14:00", "22:00"))
)
NIGHT = Shift.model_validate({"name": "night", "from": "22:00", "to": "06:00"})


def at(text):
    return instant.parse(text)


def shown(span):
    return span.name, instant.iso(span.begin_ns)[:16], instant.iso(span.end_ns)[:16]


@pytest.mark.parametrize(
    ("shifts", "now", "shift", "previous"),
    [
        ((EARLY, LATE), "2026-03-02T07:00Z", ("early", "2026-03-02T06:00", "2026-03-02T14:00"), "late"),
        ((EARLY, LATE), "2026-03-02T14:00Z", ("late", "2026-03-02T14:00", "2026-03-02T22:00"), "early"),
        ((EARLY, LATE), "2026-03-02T23:00Z", ("", "2026-03-02T22:00", "2026-03-03T06:00"), "late"),
        ((EARLY, LATE, NIGHT), "2026-03-02T01:00Z", ("night", "2026-03-01T22:00", "2026-03-02T06:00"), "late"),
        ((), "2026-03-02T01:00Z", ("day", "2026-03-02T00:00", "2026-03-03T00:00"), "day"),
    ],
)
def test_the_shift_that_is_on_and_the_one_before(shifts, now, shift, previous):
    found = periods(shifts, UTC, at(now))
    assert shown(found.shift) == shift
    assert found.previous.name == previous
    assert found.previous.end_ns <= found.shift.begin_ns


def test_the_day_on_which_the_clocks_change_has_23_hours():
    found = periods((), VILNIUS, at("2026-03-29T12:00Z"))
    assert found.today.end_ns - found.today.begin_ns == 23 * 3600 * 10**9


def test_breaks_are_in_the_sites_time_and_outside_shifts_machines_idle():
    calendar = Calendar((PlannedStop(36_000.0, 37_800.0, "break"),), 86_400.0)
    line = Line("x", (Machine("m", constant(1.0)),), serial(["m"], []), UNIT, calendar=calendar)
    found = edges(line, "m", (EARLY,), VILNIUS, at("2026-07-01T00:00Z"), at("2026-07-02T00:00Z"))
    words = [(instant.iso(at_ns)[11:16], "" if state < 0 else STATES[state].value) for at_ns, state in found]
    idle = MachineState.IDLE.value
    assert words == [("00:00", idle), ("03:00", ""), ("07:00", "BREAK"), ("07:30", ""), ("11:00", idle)]
