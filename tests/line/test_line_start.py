"""A run from a given instant: what is left of what each machine is doing, and what follows from it."""

import json

import numpy as np
import pytest

from gateway.model.distribution import Distribution
from gateway.model.line import (
    Calendar,
    Clock,
    Crew,
    Line,
    LineState,
    Machine,
    MachineStart,
    MachineState,
    Maintenance,
    PlannedStop,
    Reliability,
    Source,
    between,
    constant,
    exponential,
    serial,
)
from gateway.model.line_document import document, state_of
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.lifetimes import mean, residual
from gateway.simulation.line.run import execute
from gateway.simulation.line.sampling import sample
from gateway.simulation.line.standing import standing
from support.lines import UNIT, exponential_line, meets
from support.markov import BLOCKED, STARVED, WORKS, made_within


def one(**more):
    return Line("one", (Machine("m", constant(10.0), **more),), serial("m", ()), UNIT, duration_s=100.0)


def leaves(result):
    """Instants at which the machine went from one state to another."""
    rows = zip(result.events["timestamp"], result.events["state"], result.events["event_type"], strict=True)
    return [(at, state) for at, state, kind in rows if kind == "state_change"]


def test_a_cycle_that_has_run_for_four_of_ten_seconds_ends_after_six():
    state = LineState((MachineStart("m", MachineState.EXECUTE, 4.0),))
    result = execute(one(), start=state)
    assert result.summary["production"]["good_pallets"] == 10  # at 6, 16, ..., 96
    assert result.summary["flow"]["started_with"] == 1.0


def test_a_repair_that_has_run_for_two_of_thirty_seconds_takes_twenty_eight_more():
    line = one(reliability=Reliability(constant(1000.0), constant(30.0)))
    result = execute(line, start=LineState((MachineStart("m", MachineState.DOWN, 2.0),)))
    assert leaves(result)[0] == (28.0, "EXECUTE")
    assert result.summary["production"]["good_pallets"] == 7


def test_a_machine_down_on_the_time_clock_comes_back_and_goes_on():
    line = one(reliability=Reliability(constant(50.0), constant(30.0), "time"))
    result = execute(line, start=LineState((MachineStart("m", MachineState.DOWN, 20.0),)))
    assert leaves(result)[:3] == [(10.0, "EXECUTE"), (60.0, "DOWN"), (90.0, "EXECUTE")]


def test_an_age_brings_the_failure_nearer():
    line = one(reliability=Reliability(constant(50.0), constant(30.0), within_cycle=True))
    result = execute(line, start=LineState((MachineStart("m", MachineState.STARVED, age_s=45.0),)))
    assert (5.0, "DOWN") in leaves(result)


def test_it_begins_at_its_instant_of_the_calendar_and_ends_with_the_line():
    line = Line("c", (Machine("m", constant(1.0)),), serial("m", ()), UNIT, duration_s=100.0, calendar=Calendar((PlannedStop(60.0, 80.0),)))
    result = execute(line, start=LineState(at_s=50.0))
    assert result.summary["duration_s"] == 50.0
    assert result.telemetry["time"] == [100.0]
    assert result.summary["machines"]["m"]["time_in_state_s"]["BREAK"] == 20.0


@pytest.mark.parametrize(
    ("machines", "levels"),
    [
        (((BLOCKED, True), (WORKS, True)), (2,)),
        (((WORKS, True), (STARVED, True)), (0,)),
        (((WORKS, True), (WORKS, False)), (1,)),
        (((WORKS, False), (WORKS, True)), (2,)),
    ],
)
def test_what_is_made_from_a_state_is_what_its_markov_chain_says(machines, levels):
    rates, fail, repair = [1.0, 1.1], [0.03, 0.02], [0.1, 0.08]
    words = {(BLOCKED, True): "BLOCKED", (WORKS, True): "EXECUTE", (STARVED, True): "STARVED", (WORKS, False): "DOWN"}
    starts = tuple(MachineStart(f"m{place}", MachineState(words[machine]), 3.0) for place, machine in enumerate(machines))
    line = exponential_line(rates, [2], duration_s=60.0, fail=fail, repair=repair)
    state = LineState(starts, (("m0", "m1", levels[0]),))
    made = np.array(
        [[execute(line, 9, replication=run, events=False, start=state).summary["production"]["good_pallets"]] for run in range(400)]
    )
    meets(made, made_within(60.0, machines, levels, rates, [2], fail, repair), relative=0.03)


@pytest.mark.parametrize("at", [3.0, 17.25, 41.0, 58.6])
def test_a_line_taken_up_from_its_own_state_ends_as_if_it_had_gone_on(at):
    """Constant times: what is left of each cycle, repair and life is certain, so nothing may differ."""
    machines = (
        Machine("a", constant(1.0), reliability=Reliability(constant(13.5), constant(4.0))),
        Machine("b", constant(1.5), servers=2),
        Machine("c", constant(0.9), reliability=Reliability(constant(9.0), constant(6.0))),
        Machine("d", constant(1.2)),
    )
    line = Line("s", machines, serial("abcd", (2, 3, 1)), UNIT, duration_s=100.0)
    whole = execute(line)
    layout = Layout(line, Chance(0), 0.0, None)
    layout.advance(at)
    before = sum(layout.books.good)
    rest = execute(line, start=standing(layout))
    assert before + rest.summary["production"]["good_pallets"] == whole.summary["production"]["good_pallets"]
    for name in ("a", "c"):
        later = [pytest.approx((when, state)) for when, machine, state in moves(whole) if when > at and machine == name]
        assert [(when, state) for when, machine, state in moves(rest) if machine == name] == later


FITTERS = Crew("fitters", 1)
PACKING = Line(
    "packing",
    (
        Machine("a", constant(1.0), reliability=Reliability(constant(41.5), constant(14.0)), crew="fitters"),
        Machine("b", constant(1.1), reliability=Reliability(constant(44.25), constant(9.0), within_cycle=True), crew="fitters"),
        Machine("c", constant(5.3), batch_in=5, output="case", reliability=Reliability(constant(100.0), constant(7.0), Clock.TIME)),
        Machine("d", constant(20.4), batch_in=4, batch_out=2, output="pallet", maintenance=Maintenance("age", 90.0, constant(3.0))),
        Machine("e", constant(8.2), output="pallet"),
    ),
    serial("abcde", (3, 12, 3, 1)),
    UNIT,
    Source(quantity=420),
    duration_s=700.0,
    calendar=Calendar((PlannedStop(150.0, 171.0), PlannedStop(60.0, 66.0, "maintenance", ("c",))), 230.0),
    crews=(FITTERS,),
)


@pytest.mark.parametrize("at", [12.3, 53.7, 62.9, 88.8, 120.1, 152.2, 170.9, 199.3, 246.4, 300.7, 391.3, 407.9, 512.6, 560.2, 640.4])
def test_batches_halted_cycles_crews_maintenance_and_what_is_supplied_are_taken_up_too(at):
    whole, layout = execute(PACKING), Layout(PACKING, Chance(0), 0.0, None)
    layout.advance(at)
    state = standing(layout)
    before = sum(layout.books.good)
    rest = execute(PACKING, start=state_of(json.loads(json.dumps(document(state)))))
    assert before + rest.summary["production"]["good_pallets"] == whole.summary["production"]["good_pallets"]
    for name in "abcde":
        later = [pytest.approx((when, state)) for when, machine, state in moves(whole) if when > at and machine == name]
        assert [(when, state) for when, machine, state in moves(rest) if machine == name and when > at] == later


def moves(result):
    rows = zip(result.events["timestamp"], result.events["machine"], result.events["state"], result.events["event_type"], strict=True)
    return [(at, machine, state) for at, machine, state, kind in rows if kind == "state_change"]


KINDS = [
    constant(3.0),
    exponential(2.0),
    between(1.0, 5.0),
    Distribution("triangular", 1.0, 2.0, 6.0),
    Distribution("normal", 1.0, 0.8),
    Distribution("lognormal", 2.0, 0.7),
    Distribution("weibull", 1.7, 3.0),
    Distribution("gamma", 2.5, 1.5),
    Distribution("erlang", 3.0, 4.0),
    Distribution("geometric", 0.3, 2.0),
    Distribution("empirical", values=(1.0, 2.0, 7.0), weights=(1.0, 2.0, 3.0)),
]


@pytest.mark.parametrize("distribution", KINDS, ids=[kind.kind for kind in KINDS])
def test_the_mean_is_that_of_the_draws(distribution):
    drawn = sample(distribution, np.random.default_rng(1), 200_000)
    assert drawn.min() >= 0
    assert abs(drawn.mean() - mean(distribution)) <= 4 * drawn.std() / 200_000**0.5 + 1e-12


def test_what_is_left_of_a_weibull_life_has_the_mean_residual_life():
    """Shape 2, scale 1000: 886.2269 when new, 545.6414 more at 500."""
    life, stream = Distribution("weibull", 2.0, 1000.0), np.random.default_rng(3)
    assert mean(life) == pytest.approx(886.2269, abs=1e-4)
    left = np.array([residual(life, 500.0, stream) for _ in range(4000)])
    assert abs(left.mean() - 545.6414) <= 3 * left.std() / 4000**0.5
    soon = np.mean(left <= 168.0)
    assert abs(soon - 0.178172) <= 3 * (0.178172 * 0.822 / 4000) ** 0.5


def test_a_time_beyond_what_its_distribution_knows_begins_anew():
    stream = np.random.default_rng(3)
    assert residual(constant(3.0), 5.0, stream) == 3.0
    assert 1.0 <= residual(between(1.0, 2.0), 9.0, stream) <= 2.0
    assert residual(constant(3.0), 1.0, stream) == 2.0


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (LineState((MachineStart("x"),)), "no machine of the line"),
        (LineState(buffers=(("m", "x", 1),)), "which the line has not|the line has not"),
        (LineState((MachineStart("m", changed_to="q"),)), "no product"),
    ],
)
def test_a_state_of_another_line_is_refused(state, why):
    with pytest.raises(LineError, match=why):
        execute(one(), start=state)


def test_more_parts_than_places_are_refused():
    with pytest.raises(LineError, match="5 parts do not go into its 2 places"):
        execute(exponential_line([1, 1], [2]), start=LineState(buffers=(("m0", "m1", 5),)))
