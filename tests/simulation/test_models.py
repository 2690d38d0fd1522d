"""Process models against their closed forms (anchors D1-D5), at the listed and at other parameters; what they keep, they keep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.process.arrhenius import ArrheniusConversion, rate
from gateway.simulation.process.arx import Arx, NamedArx
from gateway.simulation.process.balance import EnergyRegister, Integrator, Inventory, MaterialBalance
from gateway.simulation.process.linear import FirstOrder, FirstOrderDeadTime, Linear, OrnsteinUhlenbeck, SecondOrder
from gateway.simulation.process.model import ModelError
from gateway.simulation.process.power import StatePower
from gateway.simulation.process.thermal import NewtonCooling, Room, cooling_time_s

quick = settings(max_examples=30, deadline=None)
positive = st.floats(0.01, 1000.0)
level = st.floats(-100.0, 100.0)


def final(model, x0, inputs, dt_s, steps, **options):
    """The last true output of one run."""
    return simulate(model, x0, inputs, dt_s, steps, chance(1), process_noise=False, **options).y[0, -1, 0]


def moments(model, x, dt_s):
    """Mean and standard deviation of one step from x, of the model's own coefficients: z = 0 and z = 1."""
    start = np.full((1, 1), x)
    u = np.zeros((1, len(model.inputs)))
    still = model.step(start, u, dt_s, np.zeros((1, 1)))[0, 0]
    return still, model.step(start, u, dt_s, np.ones((1, 1)))[0, 0] - still


@pytest.mark.parametrize(
    ("theta", "s", "h", "phi", "sd", "stationary"),
    [(0.1, 0.1, 1, 0.904837, 0.095202, 0.223607), (0.5, 1, 0.25, 0.882497, 0.470318, 1.0)],
)
def test_d1_ornstein_uhlenbeck_is_exact(theta, s, h, phi, sd, stationary):
    model = OrnsteinUhlenbeck({"mean": 0, "theta": theta, "s": s})
    mean, spread = moments(model, 1.0, h)
    assert mean == pytest.approx(phi, abs=1e-6)
    assert spread == pytest.approx(sd, abs=1e-6)
    assert moments(model, 1.0, 1e4)[1] == pytest.approx(stationary, abs=1e-6)


@quick
@given(theta=st.floats(0.001, 10), s=st.floats(0, 10), mean=level, x=level, h=st.floats(0.01, 100), n=st.integers(2, 6))
def test_one_step_of_a_first_order_is_as_good_as_many(theta, s, mean, x, h, n):
    """Mean and variance after h do not depend on how h is cut."""
    model = OrnsteinUhlenbeck({"mean": mean, "theta": theta, "s": s})
    once, spread = moments(model, x, h)
    cut, variance = x, 0.0
    for _ in range(n):
        keep = math.exp(-theta * h / n)
        cut, sd = moments(model, cut, h / n)
        variance = variance * keep**2 + sd**2
    assert once == pytest.approx(cut, rel=1e-9, abs=1e-9)
    assert spread == pytest.approx(math.sqrt(variance), rel=1e-9, abs=1e-7)


def test_d2_autoregression_towards_its_target_has_its_mean_and_variance():
    """phi 0.9 and sigma 0.1 a step, from 25 towards 22.5: mean and variance after ten steps, and at rest."""
    model = Arx([0.9], [0.1], 1.0, parameters={"process_noise": 0.1})
    runs = simulate(model, {"y": 25.0}, {"u": 22.5}, 1.0, 10, chance(2), 40_000, antithetic=True).of("y")[:, -1]
    assert final(model, {"y": 25.0}, {"u": 22.5}, 1.0, 10) == pytest.approx(23.371696, abs=1e-6)
    assert runs.var() == pytest.approx(0.0462328, rel=0.02)
    long = simulate(model, {"y": 22.5}, {"u": 22.5}, 1.0, 100, chance(3), 20_000).of("y")[:, -1]
    assert long.var() == pytest.approx(0.0526316, rel=0.03)


def test_d3_newton_cooling():
    model = NewtonCooling({"k": 0.05})
    assert final(model, {"temperature": 90}, {"ambient": 22}, 10, 1) == pytest.approx(63.24408, abs=1e-5)
    assert final(model, {"temperature": 90}, {"ambient": 22}, 1, 60) == pytest.approx(25.38552, abs=1e-5)
    assert cooling_time_s(90, 22, 0.05, 40) == pytest.approx(26.582719, abs=1e-6)
    assert cooling_time_s(90, 22, 0.05, 22) == math.inf


@quick
@given(start=level, ambient=level, k=st.floats(0.001, 1), heating=st.floats(-1, 1), t=st.floats(0.1, 100))
def test_newton_cooling_is_its_closed_form(start, ambient, k, heating, t):
    rest = ambient + heating / k
    expected = rest + (start - rest) * math.exp(-k * t)
    assert final(NewtonCooling({"k": k}), {"temperature": start}, {"ambient": ambient, "heating": heating}, t / 3, 3) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


def test_d4_first_order_with_dead_time():
    model = FirstOrderDeadTime({"K": 2, "tau": 100, "theta": 20})
    assert final(model, {"y": 0}, {"u": 1}, 1, 120) == pytest.approx(1.264241, abs=1e-6)
    assert final(model, {"y": 0}, {"u": 1}, 10, 22) == pytest.approx(1.729329, abs=1e-6)
    step = simulate(model, {"y": 0}, {"u": 1}, 0.1, 1500, chance(1)).of("y")[0]
    times = np.interp([0.283 * 2, 2 * (1 - math.exp(-1))], step, np.arange(1501) * 0.1)
    assert times == pytest.approx([53.2679, 120.0], abs=2e-3)


@quick
@given(tau=positive, theta=st.floats(0, 50), dt_s=st.floats(0.5, 20), gain=st.floats(-5, 5), n=st.integers(1, 40))
def test_a_dead_time_is_exact_whatever_the_step(tau, theta, dt_s, gain, n):
    """The response to a step of the input, also where the dead time is no multiple of the step."""
    t = n * dt_s
    expected = gain * (1 - math.exp(-(t - theta) / tau)) if t > theta else 0.0
    model = FirstOrderDeadTime({"K": gain, "tau": tau, "theta": theta})
    assert final(model, {"y": 0.0, "u": 0.0}, {"u": 1}, dt_s, n) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_dead_times_may_differ_between_runs():
    model = FirstOrderDeadTime({"K": 2, "tau": 100}).with_parameters({"theta": np.array([0.0, 7.0, 20.0])})
    y = simulate(model, {"y": 0}, {"u": 1}, 2, 30, chance(1), 3).of("y")[:, -1]
    assert y == pytest.approx([2 * (1 - math.exp(-(60 - theta) / 100)) for theta in (0, 7, 20)])


def test_a_dead_time_starts_from_rest_where_the_past_is_not_known():
    """The output stays where it is for the dead time, also with a gain and a bias."""
    model = FirstOrderDeadTime({"K": 2, "tau": 5, "theta": 10, "bias": 3})
    assert simulate(model, {"y": 7}, {"u": 50}, 1, 10, chance(1)).of("y")[0] == pytest.approx(np.full(11, 7.0))


def test_d5_zero_order_hold_arx_is_d4_sampled_at_ten_seconds():
    a = math.exp(-0.1)
    b = 2 * (1 - a)
    assert (a, b) == (pytest.approx(0.90483742, abs=1e-8), pytest.approx(0.19032516, abs=1e-8))
    arx, plant = Arx([a], [b], 10, delay=2), FirstOrderDeadTime({"K": 2, "tau": 100, "theta": 20})
    u = np.random.default_rng(4).choice([0.0, 1.0], 60)
    one = simulate(arx, {"y": 0, "u": 0}, {"u": u}, 10, 60, chance(1)).y
    assert one == pytest.approx(simulate(plant, {"y": 0, "u": 0}, {"u": u}, 10, 60, chance(1)).y, abs=1e-12)
    named = NamedArx({"a1": a, "b1": b, "period": 10, "delay": 2})
    assert simulate(named, {"y": 0, "u": 0}, {"u": u}, 10, 60, chance(1)).y == pytest.approx(one)
    with pytest.raises(ModelError, match="makes no steps of 5 s"):
        simulate(arx, {}, {}, 5, 1, chance(1))


@quick
@given(tau=st.floats(0.1, 50), zeta=st.floats(0, 3), t=st.floats(0.1, 100))
def test_second_order_is_its_closed_form(tau, zeta, t):
    w = np.sqrt(complex(zeta**2 - 1)) / tau
    decay = zeta / tau
    if abs(w) * tau < 1e-3:
        return
    slow, fast = np.exp((w - decay) * t), np.exp((-w - decay) * t)
    expected = 1 - ((slow + fast) / 2 + decay / w * (slow - fast) / 2).real
    assert final(SecondOrder({"tau": tau, "zeta": zeta}), {}, {"u": 1}, t / 4, 4) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_noise_of_a_linear_system_is_that_of_its_parts():
    """Two uncoupled Ornstein-Uhlenbeck processes in one matrix: mean, variance and no covariance."""
    model = Linear(["a", "b"], [[-0.1, 0], [0, -0.5]], noise=[0.1, 1.0])
    x = simulate(model, {"a": 1, "b": 1}, {}, 1.0, 1, chance(5), 40_000, antithetic=True).y[:, -1]
    assert x.mean(axis=0) == pytest.approx([math.exp(-0.1), math.exp(-0.5)], rel=1e-9)
    assert x.std(axis=0) == pytest.approx([0.095202, math.sqrt(1 - math.exp(-1))], rel=0.02)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.02


def test_noise_is_finite_however_long_the_step():
    """A thousand time constants in one step: the stationary spread."""
    model = Linear(["a"], [[-10.0]], noise=2.0)
    assert simulate(model, {}, {}, 1000.0, 1, chance(1), 20_000).y[:, -1].var() == pytest.approx(0.2, rel=0.04)


def test_second_order_noise_has_its_stationary_variance():
    """Of y: s^2 tau^3 / (4 zeta)."""
    model = SecondOrder({"tau": 2, "zeta": 0.5, "process_noise": 0.3})
    y = simulate(model, {}, {}, 5.0, 30, chance(6), 20_000).of("y")[:, -1]
    assert y.var() == pytest.approx(0.09 * 8 / 2, rel=0.04)


@quick
@given(p=st.floats(0, 1), k=st.floats(0, 5), temperature=st.floats(-50, 400), dt_s=st.floats(0.01, 1000))
def test_conversion_is_exact_and_never_passes_one(p, k, temperature, dt_s):
    model = ArrheniusConversion({"k_ref": k})
    after = final(model, {"conversion": p}, {"temperature": temperature}, dt_s, 1)
    law = float(rate(temperature, k, model.parameters["activation"], 20.0))
    assert after == pytest.approx(1 - (1 - p) * math.exp(-law * dt_s), abs=1e-12)
    assert p - 1e-12 <= after <= 1.0


def test_the_default_activation_grows_as_the_tenth_of_a_kelvin():
    model = ArrheniusConversion()
    near = rate(20.01, 1.0, model.parameters["activation"], 20.0)
    assert math.log(float(near)) / 0.01 == pytest.approx(0.1, rel=1e-3)


@quick
@given(
    start=st.floats(0, 50),
    flows=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=20),
    draw=st.floats(0.1, 5),
    good=st.floats(0, 1),
    dt_s=st.floats(0.1, 10),
)
def test_material_closes_and_is_never_below_zero(start, flows, draw, good, dt_s):
    model = MaterialBalance(("wafer", "glass"), {"wafer_draw": draw, "glass_draw": 0.2, "yield_ratio": good})
    rates, feeds, defects = (np.array(column) for column in zip(*flows, strict=True))
    inputs = {"rate": rates, "wafer_feed": feeds, "defects": defects}
    runs = simulate(model, {"wafer": start, "glass": 20}, inputs, dt_s, len(flows), chance(1))
    wafer, glass, units = runs.of("wafer")[0], runs.of("glass")[0], runs.of("good")[0] + runs.of("scrap")[0]
    assert wafer.min() >= 0
    assert glass.min() >= 0
    assert start + runs.of("wafer_fed")[0] == pytest.approx(wafer + runs.of("wafer_consumed")[0])
    assert runs.of("wafer_consumed")[0] == pytest.approx(draw * units, abs=1e-9)
    assert runs.of("glass_consumed")[0] == pytest.approx(0.2 * units, abs=1e-9)


@quick
@given(st.lists(st.tuples(st.floats(-1, 10), st.floats(-1, 10)), min_size=1, max_size=20), st.floats(0, 30), st.floats(1, 30))
def test_an_inventory_closes_within_its_bounds(flows, start, capacity):
    start = min(start, capacity)
    inflow, outflow = (np.array(column) for column in zip(*flows, strict=True))
    model = Inventory({"capacity": capacity})
    runs = simulate(model, {"level": start}, {"inflow": inflow, "outflow": outflow}, 1, len(flows), chance(1))
    stored, out, spilled = runs.y[0].T
    assert stored.min() >= 0
    assert stored.max() <= capacity + 1e-9
    assert start + np.maximum(inflow, 0).sum() == pytest.approx(stored[-1] + out[-1] + spilled[-1])


def test_an_energy_register_never_runs_backwards():
    power = np.array([100.0, -50.0, 0.0, 36.0])
    energy = simulate(EnergyRegister(), {"energy": 5}, {"power": power}, 100, 4, chance(1)).of("energy")[0]
    assert energy == pytest.approx([5, 5 + 100 / 36, 5 + 100 / 36, 5 + 100 / 36, 6 + 100 / 36])


def test_power_is_that_of_the_state_and_energy_is_its_integral():
    model = StatePower(("stopped", "running"), {"running": 60.0, "per_rate": 2.0})
    runs = simulate(model, {}, {"state": np.array([0, 1, 1, 0.0]), "rate": 10.0}, 360, 4, chance(1))
    assert runs.of("energy")[0] == pytest.approx([0, 2, 10, 18, 20])
    with pytest.raises(ModelError, match="did you mean running"):
        model.with_parameters({"runing": 1})


def test_the_energy_of_an_hour_does_not_depend_on_the_step():
    """Mean and spread of the register after an hour of a fluctuating power, at 5 s and at 30 s."""
    model = StatePower(parameters={"running": 100.0, "wobble": 0.1, "wobble_tau": 120.0})
    fine, coarse = (
        simulate(model, {}, {"state": 1.0}, dt_s, round(3600 / dt_s), chance(9), 2000).of("energy")[:, -1] for dt_s in (5.0, 30.0)
    )
    assert fine.mean() == pytest.approx(100, rel=0.01)
    assert fine.std() == pytest.approx(coarse.std(), rel=0.1)


def test_a_room_returns_to_its_targets_and_humidity_stays_a_share():
    room = Room({"humidity_noise": 20.0})
    runs = simulate(room, {"temperature": 30, "humidity": 95}, {}, 600, 60, chance(1), 50)
    assert runs.of("temperature")[:, -1].mean() == pytest.approx(22.0, abs=0.3)
    assert runs.of("humidity").min() >= 0
    assert runs.of("humidity").max() <= 100


def test_an_integrator_counts_its_input():
    assert final(Integrator({"K": 0.5}), {"y": 1}, {"u": np.array([1.0, 3.0])}, 2, 2) == pytest.approx(5.0)


def test_parameters_that_cannot_be_are_refused_by_name():
    with pytest.raises(ModelError, match="tau is 0 and must be positive"):
        FirstOrder({"tau": 0})
    with pytest.raises(ModelError, match=r"no parameter 'tua' \(did you mean tau\?\)"):
        FirstOrder({"tua": 1})
    with pytest.raises(ModelError, match="K is nan"):
        FirstOrder({"K": math.nan})
    with pytest.raises(ModelError, match="made ready"):
        FirstOrderDeadTime().step(np.zeros((1, 1)), np.zeros((1, 1)), 1.0, None)
