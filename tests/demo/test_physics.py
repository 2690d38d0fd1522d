"""The virtual plant obeys its balances, whatever happens to it."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demo.disturbances import SCRIPT, SLOW, disturbed, pushed
from gateway.demo.faults import Fault, Faults
from gateway.demo.physics import MACHINES, Inputs, MachineState, Parameters, step
from gateway.demo.virtual import VirtualPlant

PARAMETERS = Parameters()


def run(seconds, *, dt=0.1, seed=1, inputs=None, script=False):
    """Every state of a run from the start."""
    plant, inputs = VirtualPlant(seed), inputs or Inputs()
    steps = (plant.step(disturbed(inputs, plant.state.time_s) if script else inputs, dt) for _ in range(round(seconds / dt)))
    return [plant.state, *steps]


inputs_of = st.builds(
    Inputs,
    temperature_setpoint=st.floats(15, 35),
    speed_setpoint=st.lists(st.floats(0, 120), min_size=len(MACHINES), max_size=len(MACHINES)).map(np.array),
    heat=st.floats(-30, 30),
    plate=st.floats(0, 20),
    loss=st.sampled_from([0.0, 60.0, 5000.0]),
    faulty=st.lists(st.booleans(), min_size=len(MACHINES), max_size=len(MACHINES)).map(np.array),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(inputs_of, st.floats(0.05, 30.0)), min_size=1, max_size=20), st.integers(0, 2**32))
def test_modules_and_materials_are_neither_made_nor_lost(moments, seed):
    """Whatever setpoints and faults come: what entered the line left it or is inside, inventory = start + delivered - consumed."""
    plant = VirtualPlant(seed)
    first = plant.state
    for inputs, dt in moments:
        before, now = plant.state, plant.step(inputs, dt)
        for register in ("energy", "consumed", "waste", "delivered"):
            assert (getattr(now, register) >= getattr(before, register)).all(), register
        for register in ("produced", "rejected", "work"):
            assert (getattr(now.machines, register) >= getattr(before.machines, register) - 1e-9).all(), register
        assert now.line_energy >= before.line_energy
    layout, now = plant.machines.layout, plant.state
    books = layout.books
    inside = sum(part.units for part in layout.inside())
    assert books.at_start + books.entered == books.good_units + books.scrap_units + inside
    np.testing.assert_allclose(now.inventory, first.inventory + now.delivered - now.consumed, atol=1e-9)
    assert (now.inventory >= 0).all()
    assert ((now.machines.buffer >= 0) & (now.machines.buffer <= [12, 12, 12, 12, 60])).all()


def test_material_drawn_is_half_a_wafer_and_a_fifth_of_a_glass_per_module():
    plant = VirtualPlant(1)
    before = plant.state.machines.work
    for _ in range(600):
        plant.step(Inputs(), 0.1)
    np.testing.assert_allclose(plant.state.consumed, (plant.state.machines.work - before)[:2] * [0.5, 0.2])
    assert plant.state.machines.produced[0] >= 7


def test_energy_is_the_integral_of_power_and_a_stopped_machine_draws_none():
    stopped = run(60, inputs=Inputs(speed_setpoint=np.zeros(len(MACHINES))))
    assert stopped[-1].power.sum() == 0.0
    running = run(60, seed=3)
    integral = sum(state.power for state in running[1:]) * 0.1 / 3600.0
    np.testing.assert_allclose(running[-1].energy, integral)


def test_a_machine_draws_what_its_state_asks_for():
    """Standing by, at work at full speed, and at half of it."""
    half = np.full(len(MACHINES), 50.0)
    for inputs, share in ((Inputs(), 1.0), (Inputs(speed_setpoint=half), 0.5), (Inputs(faulty=np.ones(len(MACHINES), bool)), 0.0)):
        drawn = np.mean([state.power for state in run(60, seed=2, inputs=inputs)[300:]], axis=0)
        np.testing.assert_allclose(drawn, PARAMETERS.standby_kw + share * PARAMETERS.running_kw, rtol=0.15)


def test_the_same_seed_gives_the_same_run():
    assert repr(run(20, seed=5, script=True)[-1]) == repr(run(20, seed=5, script=True)[-1])
    assert run(20, seed=5)[-1].temperature != run(20, seed=6)[-1].temperature


@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_temperature_noise_does_not_depend_on_the_step(dt):
    """0.1 of the distance and a noise of 0.1 per second: stationary variance 0.0526316 at any step (the exact discretisation)."""
    seen = np.array([state.temperature for state in run(2000, dt=dt, seed=2)][200:])
    assert seen.mean() == pytest.approx(22.5, abs=0.05)
    assert seen.var() == pytest.approx(0.0526316, rel=0.2)


def test_from_25_degrees_ten_seconds_lead_to_a_mean_of_23_37_and_a_variance_of_0_0462():
    first = VirtualPlant(9).state
    rng, warm = np.random.default_rng(9), replace(first, temperature=25.0)
    ends = []
    for _ in range(2000):
        now = warm
        for _ in range(10):
            now = step(now, first.machines, Inputs(), 1.0, rng, PARAMETERS)
        ends.append(now.temperature)
    standard_error = math.sqrt(0.0462328 / len(ends))
    assert np.mean(ends) == pytest.approx(23.371696, abs=3 * standard_error)
    assert np.var(ends) == pytest.approx(0.0462328, rel=0.1)


def test_a_new_setpoint_is_approached_by_half_a_degree_per_second():
    states = run(10, inputs=Inputs(temperature_setpoint=30.0))
    assert states[50].target == pytest.approx(25.0)
    assert states[100].target == pytest.approx(27.5)


def test_within_20_seconds_alarms_come_and_go():
    """HI of the hall's temperature and a fault begin and end within the first 20 s, for any seed."""
    for seed in range(20):
        states = run(20, seed=seed, script=True)
        for breached in (
            [state.temperature > 27.0 for state in states],
            [bool((state.machines.state == MachineState.FAULT).any()) for state in states],
        ):
            assert any(breached)
            assert not breached[-1]
        assert states[-1].temperature < 26.0


def test_the_troubles_leave_an_operator_time():
    """In any ten minutes at most three of them begin, and never two at once (IEC 62682, 16)."""
    begins = sorted(trouble.begin_s + turn * trouble.every_s for trouble in SCRIPT for turn in range(6))
    inside = [begin for begin in begins if begin < 3000.0]
    assert all(sum(begin <= other < begin + 600.0 for other in inside) <= 3 for begin in inside)
    assert all(later - begin > 5.0 for begin, later in pairwise(inside))
    assert disturbed(Inputs(), 604.0).heat == disturbed(Inputs(), 4.0).heat > 0.0


@pytest.mark.parametrize("dt", [0.0, -1.0, math.nan])
def test_a_step_of_no_length_is_refused(dt):
    plant = VirtualPlant(1)
    with pytest.raises(ValueError, match="longer than nothing"):
        plant.step(Inputs(), dt)
    with pytest.raises(ValueError, match="longer than nothing"):
        step(plant.state, plant.state.machines, Inputs(), dt, np.random.default_rng(1), PARAMETERS)


@pytest.mark.parametrize(
    ("kind", "shown", "limit"),
    [
        (Fault.WARM_HALL, lambda s: s.temperature, 27.0),
        (Fault.WORN_SEAL, lambda s: s.vacuum + s.leak, 3.0),
        (Fault.HOT_PLATE, lambda s: s.heat[2], 155.0),
        (Fault.DRY_AIR, lambda s: s.draught - s.humidity, -30.0),
        (Fault.NO_WAFERS, lambda s: -s.inventory[0], -250.0),
    ],
)
def test_a_slow_fault_grows_over_its_time_and_passes_its_limit_late_in_it(kind, shown, limit):
    faults, plant = Faults(), VirtualPlant(3)
    faults.inject(kind, 0.0, 240.0)
    assert [faults.grown(kind, at_s) for at_s in (0.0, 120.0, 240.0)] == [0.0, 0.5, 0.0]
    passed_s = None
    for at_s in range(240):
        now = plant.step(pushed(Inputs(), [(SLOW[kind], faults.grown(kind, float(at_s)))]), 1.0)
        if passed_s is None and shown(now) > limit:
            passed_s = at_s
    assert 90 <= passed_s <= 220


def test_a_slow_fault_without_an_end_stays_grown():
    faults = Faults()
    faults.inject(Fault.WARM_HALL, 10.0)
    assert [faults.grown(Fault.WARM_HALL, at_s) for at_s in (10.0, 160.0, 310.0, 9999.0)] == [0.0, 0.5, 1.0, 1.0]
