"""What holds for every line: mass, time, work in progress and money close, and a seed says everything."""

import math
from collections import defaultdict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.line import (
    REJECT,
    SINK,
    SOURCE,
    Calendar,
    Changeover,
    Crew,
    Distribution,
    Edge,
    Line,
    Lot,
    Machine,
    Maintenance,
    Performance,
    PlannedStop,
    Product,
    Quality,
    Rates,
    Reliability,
    Routing,
    Source,
    between,
    constant,
    exponential,
)
from gateway.simulation.line.run import execute

PRODUCTS = (Product("first", material_cost=0.35, selling_price=1.1), Product("second", material_cost=0.7, selling_price=1.9))
TIMES = st.one_of(
    st.floats(0.5, 3.0).map(constant),
    st.floats(0.5, 3.0).map(exponential),
    st.floats(0.5, 2.0).map(lambda low: between(low, 2 * low)),
    st.floats(0.5, 3.0).map(lambda scale: Distribution("weibull", 1.7, scale)),
    st.just(Distribution("empirical", values=(0.5, 1.0, 4.0), weights=(5.0, 3.0, 1.0))),
)
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def machines(draw, name, plain=False):
    reliability = draw(
        st.none()
        | st.builds(Reliability, st.floats(20, 200).map(exponential), TIMES, st.sampled_from(["operation", "time"]), st.booleans())
    )
    return Machine(
        name,
        draw(TIMES),
        batch_in=1 if plain else draw(st.integers(1, 3)),
        batch_out=1 if plain else draw(st.integers(1, 3)),
        output=draw(st.sampled_from(["tube", "case", "pallet"])),
        servers=draw(st.integers(1, 2)),
        reliability=reliability,
        performance=Performance(draw(st.sampled_from([0.0, 0.1])), constant(2.0), draw(st.sampled_from([1.0, 0.8]))),
        quality=Quality(draw(st.sampled_from([0.0, 0.1])), draw(st.sampled_from([0.0, 0.7, 1.0]))),
        changeover=draw(st.none() | st.just(Changeover(constant(3.0), pairs=(("first", "second", constant(1.0)),)))),
        maintenance=draw(st.none() | st.builds(Maintenance, st.sampled_from(["age", "interval"]), st.just(60.0), st.just(constant(5.0)))),
        crew=draw(st.sampled_from(["", "fitters"])),
        routing=draw(st.sampled_from(list(Routing))),
        rates=Rates(draw(st.floats(0, 50)), 3.3, 0.1),
    )


@st.composite
def lines(draw):
    """A row of machines, with a way around the second, a way back from the last, or both."""
    count = draw(st.integers(1, 4))
    names = [f"m{place}" for place in range(count)]
    rooms = st.none() | st.integers(0, 4)
    edges = [Edge(a, b, draw(rooms), weight=draw(st.floats(0.1, 3))) for a, b in zip([SOURCE, *names], [*names, SINK], strict=True)]
    if count > 2 and draw(st.booleans()):
        edges.append(Edge("m0", "m2", draw(rooms)))
    if count > 1 and draw(st.booleans()):
        edges.append(Edge(names[-1], "m0", draw(st.integers(1, 5)), "is_defective and reworks < 2", rework=True))
    if draw(st.booleans()):
        edges.append(Edge(names[-1], REJECT, None, "is_defective"))
    arrivals = draw(st.none() | TIMES)
    source = Source(
        arrivals=arrivals,
        quantity=draw(st.none() | st.integers(0, 60)),
        lots=draw(st.sampled_from([(), (Lot("first", 7), Lot("second", 5))])),
        when_full=draw(st.sampled_from(["wait", "lose"])),
    )
    stops = draw(st.sampled_from([(), (PlannedStop(20.0, 31.0), PlannedStop(50.0, 52.5, "maintenance", ("m0",)))]))
    return Line(
        "random",
        tuple(draw(machines(name, plain=len(edges) > count + 1)) for name in names),
        tuple(edges),
        PRODUCTS[0],
        source,
        duration_s=draw(st.floats(50.0, 260.0)),
        warm_up_s=draw(st.sampled_from([0.0, 33.0])),
        telemetry_interval_s=draw(st.sampled_from([7.0, 25.0, 1000.0])),
        seed=draw(st.integers(0, 10_000)),
        rates=Rates(17.7),
        calendar=Calendar(stops, draw(st.sampled_from([0.0, 80.0]))),
        crews=(Crew("fitters"),),
        products=PRODUCTS[1:],
    )


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
