"""A process model as a forecaster: it follows its inputs, is put right by samples, knows how much it errs, and wins where it is right."""

import numpy as np
import pytest

from gateway.model.process import ProcessModel
from gateway.simulation.forecast.modelled import Modelled, fed
from gateway.simulation.forecast.rolling import Rolling, forecasters, knots

HALL = ProcessModel("hall", "first_order", {"y": "t"}, {"u": "sp"}, {"K": 1.0, "tau": 20.0})
TANK = ProcessModel("tank", "integrator", {"y": "level"}, {"u": -0.5}, {"K": 1.0})
EVERY = np.ones(2, bool)


def made(rules=(HALL, TANK), tags=("t", "level"), inputs=("sp",)):
    return Modelled.of(rules, tags, inputs, 1.0, knots(60.0, 1.0))


def test_the_mean_is_the_models_own_way_with_the_input_held():
    model = made()
    model.drive(np.array([30.0]))
    model.update(np.zeros(2), np.array([20.0, 100.0]), EVERY)
    mean = model.predict(np.arange(1.0, 61.0)).mean
    assert mean[0] == pytest.approx(30 - 10 * np.exp(-np.arange(1.0, 61.0) / 20))
    assert mean[1] == pytest.approx(100 - 0.5 * np.arange(1.0, 61.0))


def test_it_says_nothing_of_tags_without_a_model_nor_before_its_input_is_known():
    model = made((HALL,))
    model.update(np.zeros(2), np.array([20.0, 100.0]), EVERY)
    assert np.isnan(model.predict(np.array([1.0])).mean).all()
    model.drive(np.array([30.0]))
    model.update(np.ones(2), np.array([20.0, 100.0]), EVERY)
    assert np.isnan(model.predict(np.array([1.0])).mean[:, 0]).tolist() == [False, True]
    assert Modelled.of((HALL,), ("other",), ("sp",), 1.0, knots(60.0, 1.0)) is None


def test_without_samples_it_goes_on_by_itself_and_after_a_long_gap_begins_anew():
    model = made((HALL,), ("t",))
    model.drive(np.array([30.0]))
    one, none = np.ones(1, bool), np.zeros(1, bool)
    model.update(np.zeros(1), np.array([20.0]), one)
    for _ in range(20):
        model.update(np.ones(1), np.array([np.nan]), none)
    assert model.predict(np.array([1.0])).mean[0, 0] == pytest.approx(30 - 10 * np.exp(-21 / 20))
    model.update(np.full(1, 1e6), np.array([np.nan]), none)
    assert np.isnan(model.predict(np.array([1.0])).mean).all()
    model.update(np.ones(1), np.array([25.0]), one)
    assert model.predict(np.array([1.0])).mean[0, 0] == pytest.approx(30 - 5 * np.exp(-1 / 20))


def test_the_inputs_of_each_tag_are_found_by_its_models():
    other = ProcessModel("b", "first_order", {"y": "level"}, {"u": "power"}, {})
    assert fed((HALL, other), ("x", "t", "level"), ("power", "sp")).tolist() == [[-1], [1], [0]]
    assert fed((TANK,), ("level",), ()).shape == (1, 0)


def test_it_wins_where_a_setpoint_moves_and_its_band_covers():
    """First order with noise, its setpoint stepped every minute, which nobody knows a minute ahead: MASE far below 1, coverage near .9."""
    rng, n = np.random.default_rng(5), 2400
    u = np.repeat(rng.uniform(10, 30, n // 60), 60)
    x, y = 20.0, np.zeros(n)
    for at in range(n):
        x += (u[at] - x) * (1 - np.exp(-1 / 20)) + 0.05 * rng.standard_normal()
        y[at] = x + 0.05 * rng.standard_normal()
    members = (*forecasters(1, 60.0, 1.0)[:3], made((HALL,), ("t",)))
    rolling, feeds = Rolling.of(1, 60.0, 1.0, every_s=5.0, members=members), np.zeros((1, 1), np.intp)
    for at in range(n):
        rolling.drive(u[at : at + 1], feeds)
        rolling.step(float(at), y[at : at + 1], np.ones(1, bool))
    scores = rolling.scores()
    assert [rolling.names[number] for number in scores.model[0]] == ["model"] * (scores.horizon_s.size - 1) + ["persistence"]
    assert (scores.mase[0, :-1] < 0.8).all(), scores.mase
    assert (abs(scores.coverage - 0.9) < 0.03).all(), scores.coverage


def test_a_wrong_model_is_not_chosen():
    """A model that is sure of a way that the plant does not go loses to persistence, and is replaced by it."""
    rng = np.random.default_rng(6)
    wrong = ProcessModel("tank", "integrator", {"y": "t"}, {"u": 5.0}, {"K": 1.0})
    members = (*forecasters(1, 40.0, 1.0)[:1], Modelled.of((wrong,), ("t",), (), 1.0, knots(40.0, 1.0)))
    rolling = Rolling.of(1, 40.0, 1.0, every_s=2.0, members=members)
    for at, value in enumerate(np.cumsum(rng.standard_normal(600))):
        rolling.step(float(at), np.array([value]), np.ones(1, bool))
    assert rolling.model.max() == 0
    assert rolling.scores().mase.max() <= 1.0


def test_arx_learns_what_its_input_does():
    """With the input that moves the tag its errors are far smaller than without."""
    rng, n = np.random.default_rng(7), 1000
    u, x, y = np.repeat(rng.uniform(10, 30, n // 100), 100), 20.0, np.zeros(n)
    for at in range(n):
        x += (u[at] - x) * (1 - np.exp(-1 / 30))
        y[at] = x + 0.02 * rng.standard_normal()
    crps = []
    for inputs in (1, 0):
        family = forecasters(1, 60.0, 1.0, inputs=inputs)
        rolling = Rolling.of(1, 60.0, 1.0, every_s=5.0, members=(family[0], family[4]))
        for at in range(n):
            rolling.drive(u[at : at + 1], np.zeros((1, inputs), np.intp))
            rolling.step(float(at), y[at : at + 1], np.ones(1, bool))
        crps.append(rolling.scores().crps[0, 3])
    assert crps[0] < 0.7 * crps[1]
