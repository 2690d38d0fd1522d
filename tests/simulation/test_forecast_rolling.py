"""Rolling forecasts as a whole: chosen, honest, scored, bounded, and the same bytes for the same samples."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from gateway.simulation.forecast.choose import Choice
from gateway.simulation.forecast.persistence import Persistence
from gateway.simulation.forecast.rolling import Rolling, forecasters, knots
from support.given import Given

EACH = 3


def processes(n, rng):
    """name -> (EACH, n) samples at 1 s."""
    e = rng.standard_normal((7, EACH, n))
    ou, phi = np.zeros((EACH, n)), np.exp(-1 / 60)
    for at in range(1, n):
        ou[:, at] = phi * ou[:, at - 1] + np.sqrt(1 - phi * phi) * e[0, :, at]
    return {
        "ou": 20 + ou + 0.1 * e[1],
        "random walk": 50 + np.cumsum(0.1 * e[2], axis=1),
        "trend": 10 + 0.002 * np.arange(n) + 0.1 * e[3],
        "white noise": 5 + e[4],
        "sine": 3 * np.sin(2 * np.pi * np.arange(n) / 400) + 0.1 * e[5],
        "change of regime": 50 + np.cumsum(np.where(np.arange(n) < n // 2, 0.1, 0.4) * e[6], axis=1),
        "still": np.full((EACH, n), 7.0),
    }


def rolled(y, horizon_s, *, every_s=10.0, **options):
    rolling = Rolling.of(len(y), horizon_s, 1.0, every_s=every_s, **options)
    for at, column in enumerate(y.T):
        rolling.step(float(at), column, np.ones(len(y), bool))
    return rolling


@pytest.fixture(scope="module")
def long_run():
    made = processes(7200, np.random.default_rng(20))
    return rolled(np.concatenate(list(made.values())), 60.0), list(made)


def part(long_run, values, name):
    place = long_run[1].index(name) * EACH
    return values[place : place + EACH]


def test_what_is_published_never_loses_to_persistence(long_run):
    """MASE <= 1.02 at every horizon of every tag."""
    assert long_run[0].scores().mase.max() <= 1.02


@pytest.mark.parametrize("name", ["ou", "random walk", "trend", "white noise", "sine", "change of regime"])
def test_the_90_percent_band_covers_87_to_93_percent_per_horizon(long_run, name):
    coverage = part(long_run, long_run[0].scores().coverage, name).mean(axis=0)
    assert ((coverage > 0.87) & (coverage < 0.93)).all(), coverage


def test_models_win_where_they_are_right(long_run):
    mase = long_run[0].scores().mase
    assert (part(long_run, mase, "white noise")[:, :-2] < 0.8).all()  # 1/sqrt(2) is the best
    assert (part(long_run, mase, "white noise")[:, -2:] < 0.95).all()  # proof takes longer where horizons overlap
    assert (part(long_run, mase, "trend") < 0.8).all()
    assert (part(long_run, mase, "sine") < 0.9).all()
    names = [long_run[0].names[number] for number in np.unique(part(long_run, long_run[0].scores().model, "random walk"))]
    assert "persistence" in names


def test_crps_comes_near_the_best_that_can_be(long_run):
    """White noise of sd 1: 1/sqrt(pi); a random walk: sd(h)/sqrt(pi)."""
    scores = long_run[0].scores()
    assert part(long_run, scores.crps, "white noise").mean() * np.sqrt(np.pi) == pytest.approx(1.0, abs=0.08)
    walk = part(long_run, scores.crps, "random walk").mean(0) * np.sqrt(np.pi) / (0.1 * np.sqrt(scores.horizon_s))
    assert walk == pytest.approx(1.0, abs=0.15)


def test_pit_counts_are_even_and_pinball_losses_belong_to_the_crps(long_run):
    scores = long_run[0].scores()
    share = part(long_run, scores.pit, "random walk").sum((0, 1)) / part(long_run, scores.n, "random walk").sum()
    assert share == pytest.approx(0.1, abs=0.04)
    assert part(long_run, scores.pinball[0.5], "ou") == pytest.approx(part(long_run, scores.error, "ou") / 2)


def test_a_tag_that_stands_still_has_a_band_without_width_that_covers(long_run):
    scores = long_run[0].scores()
    assert (part(long_run, scores.coverage, "still") == 1.0).all()
    assert (part(long_run, scores.mase, "still") == 1.0).all()


def test_a_forecast_is_continuous_ordered_and_begins_one_step_ahead(long_run):
    forecast = long_run[0].forecast(1_000)
    assert forecast.mean.shape == (7 * EACH, 60)
    assert forecast.horizon_s[[0, -1]].tolist() == [1.0, 60.0]
    assert (forecast.quantiles[0.05] <= forecast.quantiles[0.5]).all()
    assert forecast.quantiles[0.95] - forecast.quantiles[0.5] == pytest.approx(1.644854 * forecast.sd)
    walk = part(long_run, forecast.mean, "sine")
    assert np.abs(np.diff(walk, axis=1)).max() < 0.5
    assert forecast.name(0) in forecast.models


def test_bad_samples_and_gaps_teach_nothing_and_score_nothing():
    y = processes(900, np.random.default_rng(3))["ou"]
    whole, holed = Rolling.of(EACH, 30.0, 1.0, every_s=5.0), Rolling.of(EACH, 30.0, 1.0, every_s=5.0)
    for at, column in enumerate(y.T):
        whole.step(float(at), column, np.ones(EACH, bool))
        bad = 300 <= at < 500
        holed.step(float(at), np.where(bad, np.nan, column), np.full(EACH, True))
    assert (holed.scores().n < whole.scores().n).all()
    assert np.isfinite(holed.forecast(0).sd).all()
    assert np.isfinite(holed.scores().crps).all()


def test_a_model_that_falls_silent_between_two_issues_leaves_no_hole():
    """ARX has nothing to say after a gap: what is asked for before the next issue is persistence's."""
    rolling = rolled(processes(400, np.random.default_rng(3))["sine"], 30.0, every_s=50.0)
    rolling.model[:] = rolling.names.index("arx")
    for at in (401.0, 402.0, 403.0):
        rolling.step(at, np.zeros(EACH), np.zeros(EACH, bool))
    rolling.members[-1].run[:] = 0
    rolling.model[:] = rolling.names.index("arx")
    forecast = rolling.forecast(0)
    assert (forecast.mean == rolling.last[:, None]).all()
    assert (forecast.sd > 0).all()


def test_a_tag_without_any_sample_has_no_forecast_and_disturbs_none():
    rolling = Rolling.of(2, 10.0, 1.0)
    for at in range(200):
        rolling.step(float(at), np.array([float(at % 7), np.nan]), np.array([True, False]))
    forecast = rolling.forecast(0)
    assert np.isfinite(forecast.mean[0]).all()
    assert np.isnan(forecast.mean[1]).all()
    assert (rolling.scores().n[1] == 0).all()


def test_a_jump_of_time_and_time_that_goes_back():
    rolling = rolled(np.cumsum(np.random.default_rng(1).standard_normal((1, 300)), axis=1), 20.0)
    rolling.step(1e6, np.array([3.0]), np.array([True]))
    assert np.isfinite(rolling.forecast(0).sd).all()
    with pytest.raises(ValueError, match="time goes back"):
        rolling.step(5.0, np.array([3.0]), np.array([True]))


def test_memory_does_not_grow():
    rolling = rolled(np.random.default_rng(1).standard_normal((2, 300)), 60.0, every_s=1.0)
    assert max(len(waiting) for waiting in rolling.waiting) <= 18


def test_a_model_that_is_better_is_chosen_and_one_that_falls_silent_is_replaced():
    """A physics model that knows the future wins at every horizon; without a new trajectory persistence speaks again."""
    n, given = 600, Given.of(1, 1.0)
    at_knots = knots(60.0, 1.0)
    rolling = Rolling.of(1, 60.0, 1.0, every_s=1.0, members=(Persistence.of(1, at_knots), given))
    y = np.cumsum(np.random.default_rng(5).standard_normal(n + 60))
    for at in range(n):
        rolling.step(float(at), y[at : at + 1], np.ones(1, bool))
        given.put(y[None, at + 1 : at + 61], np.full((1, 60), 0.1), 1.0)
    given.update(np.zeros(1), y[:1], np.zeros(1, bool))
    assert rolling.names[rolling.model[0, -2]] == "model"
    assert rolling.scores().mase[0, 0] < 1.0
    for at in range(n, n + 60):
        rolling.step(float(at), y[at : at + 1], np.ones(1, bool))
    assert rolling.names[rolling.model[0, -1]] == "persistence"
    assert np.isfinite(rolling.forecast(0).mean).all()


def test_a_model_with_better_crps_that_loses_in_absolute_error_is_not_chosen():
    choice = Choice.of(2, 1, np.ones(1))
    rng = np.random.default_rng(2)
    for _ in range(200):
        error = np.abs(rng.normal(1.0, 0.1))
        choice.learn(0, np.array([[1.0], [0.5]]), np.array([[error], [error * 1.1]]), np.array([True]))
    assert choice.chosen()[0, 0] == 0


def test_refused_horizons_and_members():
    with pytest.raises(ValueError, match="a horizon of"):
        Rolling.of(1, 1.0, 2.0)
    with pytest.raises(ValueError, match="persistence"):
        Rolling.of(1, 60.0, 1.0, members=forecasters(1, 60.0, 1.0)[1:])


SAME = """
import hashlib, sys
import numpy as np
from gateway.simulation.forecast.rolling import Rolling
rolling = Rolling.of(4, 60.0, 1.0, every_s=5.0)
for at, column in enumerate(np.cumsum(np.random.default_rng(7).standard_normal((4, 400)), axis=1).T):
    rolling.step(float(at), column, np.ones(4, bool))
forecast, scores = rolling.forecast(0), rolling.scores()
print(hashlib.sha256(forecast.mean.tobytes() + forecast.sd.tobytes() + scores.crps.tobytes() + scores.pit.tobytes()).hexdigest())
"""


def test_same_seed_same_bytes_in_two_processes():
    said = {subprocess.run([sys.executable, "-c", SAME], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(said) == 1
    assert len(said.pop().strip()) == hashlib.sha256().digest_size * 2
