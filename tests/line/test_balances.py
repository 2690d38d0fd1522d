"""What holds for every line: mass, time, work in progress and money close, and a seed says everything."""

import math
from collections import defaultdict

from hypothesis import HealthCheck, given, settings

from gateway.simulation.line.run import execute
from support.random_lines import lines

SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(lines())
def test_what_enters_leaves_or_is_inside_and_little_holds(line):
    flow = execute(line, events=False).summary["flow"]
    assert math.isclose(flow["started_with"] + flow["entered"], flow["good"] + flow["scrapped"] + flow["wip_last"], abs_tol=1e-9)
    assert math.isclose(flow["wip_mean"] * line.duration_s, flow["residence_s"], rel_tol=1e-9, abs_tol=1e-7)


@SETTINGS
@given(lines())
def test_the_deltas_of_the_telemetry_sum_to_the_totals_to_the_last_bit(line):
    result = execute(line, events=False)
    telemetry, production, money = result.telemetry, result.summary["production"], result.summary["economics"]
    for name in ("tubes_produced", "cases_produced", "pallets_produced", "good_pallets", "defective_pallets"):
        assert sum(telemetry[name]) == production[name]
    for name in ("defects_created", "defects_detected"):
        assert sum(telemetry[name]) == production[name]
    for name in ("material_cost", "conversion_cost", "revenue", "gross_margin"):
        assert sum(telemetry[name]) == sum(reversed(telemetry[name])) == money[name]
    rows = zip(telemetry["gross_margin"], telemetry["revenue"], telemetry["material_cost"], telemetry["conversion_cost"], strict=True)
    assert all(margin == revenue - material - conversion for margin, revenue, material, conversion in rows)
    assert telemetry["time"][-1] == line.duration_s
    assert all(made == good + bad for made, good, bad in _columns(telemetry, "pallets_produced", "good_pallets", "defective_pallets"))


def _columns(table, *names):
    return zip(*(table[name] for name in names), strict=True)


@SETTINGS
@given(lines())
def test_the_log_tells_each_machines_time_in_state(line):
    """From the log alone: the state of a row lasts until the machine's next row, whose duration says how long."""
    result = execute(line)
    spent, last = defaultdict(lambda: defaultdict(float)), {}
    for machine, state, kind, duration in _columns(result.events, "machine", "state", "event_type", "duration"):
        assert (kind == "start") == (machine not in last)
        if machine in last:
            spent[machine][last[machine]] += duration
            assert kind == "end" or state != last[machine]
        last[machine] = state
    for machine in line.machines:
        places = [machine.name] if machine.servers == 1 else [f"{machine.name}.{place + 1}" for place in range(machine.servers)]
        told = result.summary["machines"][machine.name]["time_in_state_s"]
        assert math.isclose(math.fsum(told.values()), line.duration_s, rel_tol=1e-9)
        for state, seconds in told.items():
            logged = sum(spent[place][state] for place in places) / len(places)
            assert math.isclose(logged, seconds, rel_tol=1e-9, abs_tol=1e-6)


@SETTINGS
@given(lines())
def test_a_seed_says_everything_and_the_log_changes_nothing(line):
    first, again, silent = execute(line), execute(line), execute(line, events=False)
    assert first.summary == again.summary == silent.summary
    assert first.telemetry == again.telemetry == silent.telemetry
    assert first.events == again.events
    assert silent.events == {}


@SETTINGS
@given(lines())
def test_no_buffer_holds_more_than_its_places(line):
    for buffer in execute(line, events=False).summary["buffers"].values():
        assert buffer["capacity"] is None or buffer["max"] <= buffer["capacity"]
        assert 0 <= buffer["mean"] <= buffer["max"] + 1e-9
