"""Charts on white residuals, their run lengths, the filter that makes residuals white, and what explains an alarm."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import chi2

from gateway.model.process import ProcessModel
from gateway.simulation.process.linear import FirstOrderDeadTime
from gateway.simulation.residuals import arl
from gateway.simulation.residuals.charts import Cusum, Ewma, nis_band, shewhart
from gateway.simulation.residuals.monitor import Health, Monitor, named
from gateway.simulation.residuals.whitened import Noise, Whitener, filtered

TRUE = {"K": 2.0, "tau": 20.0, "theta": 4.0, "process_noise": 0.01, "measurement_noise": 0.05}
RULE = ProcessModel("hall", "first_order_dead_time", {"y": "T"}, {"u": "U"}, TRUE)


@pytest.mark.parametrize(("shift", "length"), [(0, 370.398), (1, 43.8947), (2, 6.3030)])
def test_spc1_shewhart(shift, length):
    assert arl.shewhart(shift) == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize(("shift", "length"), [(0, 499.6), (0.5, 31.30), (1, 10.33)])
def test_spc3_ewma(shift, length):
    assert arl.ewma(0.1, 2.814, shift) == pytest.approx(length, rel=5e-4)


@pytest.mark.parametrize(("shift", "length"), [(0, 465.44), (0.5, 38.00), (1, 10.38), (2, 4.01)])
def test_spc4_cusum(shift, length):
    assert arl.cusum(0.5, 5, shift) == pytest.approx(length, rel=5e-4)


def test_k3_the_band_of_the_mean_nis():
    assert nis_band(100) == pytest.approx((0.7422, 1.2956), abs=1e-4)
    for count, dim in ((30, 1), (100, 3), (1000, 2)):
        exact = chi2.ppf((0.025, 0.975), count * dim) / count
        assert nis_band(count, dim) == pytest.approx(exact, rel=1e-3)


def markov(k, h, shift, states=150):
    """One-sided CUSUM by a Markov chain (Brook and Evans 1972): an oracle that shares nothing with the integral equation."""
    w = 2 * h / (2 * states - 1)
    i, j = np.arange(states)[:, None], np.arange(states)[None, :]
    to = ndtr((j - i) * w + w / 2 + k - shift) - np.where(j == 0, 0.0, ndtr((j - i) * w - w / 2 + k - shift))
    return np.linalg.solve(np.eye(states) - to, np.ones(states))[0]


@settings(max_examples=15, deadline=None)
@given(st.floats(0.1, 1.0), st.floats(2.0, 7.0), st.floats(-1.0, 2.0))
def test_run_lengths_of_any_cusum_are_those_of_a_markov_chain(k, h, shift):
    both = 1 / (1 / markov(k, h, shift) + 1 / markov(k, h, -shift))
    assert arl.cusum(k, h, shift) == pytest.approx(both, rel=3e-3)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.2, 1.0), st.floats(10.0, 1e6))
def test_a_limit_is_that_of_its_run_length(k, length):
    assert arl.cusum(k, arl.cusum_limit(k, length)) == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize(("chart", "expected"), [("cusum", 38.0), ("ewma", 31.30), ("shewhart", arl.shewhart(0.5))])
def test_charts_alarm_as_often_as_their_run_length_says(chart, expected):
    """3 000 columns shifted by half a standard deviation: the mean within three standard errors and 5 %."""
    g, size = np.random.default_rng(5), 3000
    made = {"cusum": Cusum.of(np.full(size, 5.0)), "ewma": Ewma.of(size)}.get(chart)
    length, alive, k = np.zeros(size), np.ones(size, bool), 0
    while alive.any() and k < 5000:
        k += 1
        z = g.standard_normal(size) + 0.5
        passed = shewhart(z) if made is None else made.step(z)
        length[alive & passed] = k
        alive &= ~passed
    assert length.mean() == pytest.approx(expected, rel=0.05)
    assert abs(length.mean() - expected) < 3 * length.std() / np.sqrt(size)


def test_a_chart_stands_still_without_a_residual_and_begins_again_where_it_is_reset():
    chart = Cusum.of(np.array([5.0, 5.0]))
    chart.step(np.array([3.0, -3.0]))
    chart.step(np.array([np.nan, np.nan]))
    assert chart.worst.tolist() == [2.5, 2.5]
    chart.step(np.array([-3.0, 0.0]))
    assert (chart.up.tolist(), chart.down.tolist()) == ([0.0, 0.0], [2.5, 2.0])
    chart.reset(np.array([True, False]))
    assert (chart.worst.tolist(), chart.age.tolist()) == ([0.0, 2.0], [0, 3])


def test_the_filter_makes_residuals_white_and_their_nis_one():
    """An AR(1) disturbance and white noise, at gaps too; learned from 1 000 residuals as well as known."""
    g, noise = np.random.default_rng(2), Noise(0.95, 0.02, 0.1)
    d, e = 0.0, np.empty(4000)
    for k in range(4000):
        d = noise.phi * d + math.sqrt(noise.q) * g.standard_normal()
        e[k] = d + math.sqrt(noise.r) * g.standard_normal()
    e[500:520] = np.nan
    z, _ = filtered(e[None], noise)
    whole = z[0][np.isfinite(z[0])]
    assert np.mean(whole**2) == pytest.approx(1.0, abs=0.07)
    assert abs(np.corrcoef(whole[1:], whole[:-1])[0, 1]) < 0.04
    one = Whitener.of([noise])
    assert np.array([one.step(np.array([value]))[0] for value in e[:600]]) == pytest.approx(z[0][:600], nan_ok=True, rel=1e-9)
    learned = Noise.learned(e[:1000], 1.0)
    again = filtered(e[None, 1000:], learned)[0][0]
    assert np.nanmean(again**2) == pytest.approx(1.0, abs=0.15)


def watched(steps, *, change=None, bias=0.0, drift=0.0, at=1000, seed=0, rule=RULE):
    """(the monitor, [(step, causes)]) of a plant that is the model, and something else from `at` on."""
    g, monitor, found = np.random.default_rng(seed), Monitor(rule, 1.0, 604_800), []
    plant = FirstOrderDeadTime(TRUE).at(1.0)
    x = plant.initial({"y": 0.0, "u": 0.0}, 1)
    for k in range(steps):
        if k == at and change:
            plant = FirstOrderDeadTime({**TRUE, **change}).at(1.0)
            wide = np.full((1, len(plant.states)), x[0, -1])
            wide[:, : x.shape[1]] = x[:, : wide.shape[1]]
            x = wide
        u = float(np.sign(np.sin(k / 40)))
        x = plant.step(x, np.array([[u]]), 1.0, g.standard_normal((1, 1)))
        off = bias + drift * (k - at) if k >= at else 0.0
        if monitor.step({"u": u}, {"y": x[0, 0] + 0.05 * g.standard_normal() + off}):
            found.append((k, monitor.causes("y")))
    return monitor, found


def test_a_plant_that_is_its_model_raises_no_alarm_and_its_nis_lies_in_the_band():
    monitor, found = watched(5000)
    low, high = monitor.band
    assert (found, monitor.health) == ([], Health.GOOD)
    assert low < monitor.mean_nis < high
    assert abs(monitor.smoothed) < 2.814


def test_the_band_of_the_mean_nis_is_that_of_the_residuals_that_there_were():
    """Half of the steps without a sample: the band of half as many; the EWMA of a sensor that reads off passes its limit."""
    monitor, _ = watched(1000)
    assert monitor.band == nis_band(100)
    for k in range(200):
        monitor.step({"u": float(np.sign(np.sin((1000 + k) / 40)))}, {"y": math.nan if k % 2 else 5.0})
    assert monitor.band == nis_band(50)
    assert monitor.smoothed > 2.814
    monitor.restart()
    assert np.isnan(monitor.band).all()


@pytest.mark.parametrize("bias", [0.3, -1.0])
def test_a_sensor_that_jumps_is_named_at_once(bias):
    """No change of the plant is as quick; the size of the error comes with it."""
    _, found = watched(1100, bias=bias)
    step, causes = found[0]
    assert (step - 1000 <= 5, named(causes)) == (True, ["sensor"])
    assert causes[0].change == pytest.approx(bias, abs=0.12)


def test_a_sensor_that_drifts_is_among_the_suspects():
    _, found = watched(1400, drift=0.01)
    assert "sensor" in named(found[0][1])


@pytest.mark.parametrize(("name", "value"), [("K", 2.6), ("tau", 30.0), ("theta", 8.0)])
def test_a_parameter_that_changes_is_among_the_suspects_and_no_sensor_alone(name, value):
    _, found = watched(1300, change={name: value})
    suspects = named(found[0][1])
    assert name in suspects
    assert suspects != ["sensor"]


def test_noise_is_learned_where_nobody_says_it():
    """From 300 residuals; before that nothing is judged."""
    rule = ProcessModel("hall", "first_order_dead_time", {"y": "T"}, {"u": "U"}, {"K": 2.0, "tau": 20.0, "theta": 4.0})
    monitor, found = watched(320, rule=rule, bias=1.0, at=100)
    assert (found, monitor.health, monitor.ready) == ([], Health.LEARNING, True)
    assert monitor.learn()
    assert (monitor.health, monitor.ready) == (Health.GOOD, False)
    still = Monitor(rule, 1.0, 604_800)
    for _ in range(300):
        still.step({"u": 1.0}, {"y": 2.0})
    assert not still.learn()


def test_the_model_stands_in_with_the_disturbance_as_it_was_last_known():
    monitor, _ = watched(1000)
    before = monitor.stand_in("y")
    monitor.step({"u": 1.0}, {"y": math.nan})
    assert abs(monitor.stand_in("y") - before) < 0.3
    assert monitor.running
