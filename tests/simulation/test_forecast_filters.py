"""Forecasters one by one: steady states, innovations, gaps, irregular samples, and what they say of processes that are theirs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.forecast.arx import Arx
from gateway.simulation.forecast.kalman import local_level, local_trend, steady_state
from gateway.simulation.forecast.ou import ornstein_uhlenbeck
from gateway.simulation.forecast.persistence import Persistence
from support.given import Given

RATE = st.floats(1e-3, 1e4)


def feed(forecaster, y, dt_s=1.0):
    """y (tags, n); NaN where there is no sample."""
    for column in y.T:
        good = ~np.isnan(column)
        forecaster.update(np.full(len(y), dt_s), np.where(good, column, 0.0), good)
    return forecaster


@pytest.mark.parametrize(("q", "r", "p", "k"), [(1, 1, 1.618034, 0.618034), (1469.1, 15099, 5501.26, 0.267048)])
def test_k1_local_level_settles_at_its_closed_form(q, r, p, k):
    assert steady_state(q, r) == pytest.approx((p, k), rel=1e-6)
    level = feed(local_level(1, fixed=(q, r)), np.zeros((1, 300)))
    assert level.p00[0, 0] + q == pytest.approx(p, rel=1e-6)


@given(ratio=RATE, r=RATE)
@settings(max_examples=25, deadline=None)
def test_k1_holds_for_any_noises(ratio, r):
    q = ratio * r
    p, k = steady_state(q, r)
    level = local_level(1, fixed=(q, r))
    for _ in range(100):
        before = level.p00[0, 0]
        feed(level, np.zeros((1, 20)))
        if math.isclose(before, level.p00[0, 0], rel_tol=1e-13):
            break
    assert level.p00[0, 0] + q == pytest.approx(p, rel=1e-6)
    assert level.p00[0, 0] / r == pytest.approx(k, rel=1e-6)  # the filtered variance is K r


@pytest.mark.parametrize(("q", "r"), [(1.0, 1.0), (0.02, 3.0), (9.0, 0.4)])
def test_k3_mean_nis_of_a_correct_filter_lies_in_its_band_19_times_in_20(q, r):
    """dim y = 1, 100 samples: chi-square(100)/100 lies between .7422 and 1.2956 with probability .95."""
    tags, rng = 600, np.random.default_rng(8)
    y = np.cumsum(rng.normal(0, math.sqrt(q), (tags, 160)), axis=1) + rng.normal(0, math.sqrt(r), (tags, 160))
    level, nis = local_level(tags, fixed=(q, r)), []
    for column in y.T:
        level.update(np.ones(tags), column, np.ones(tags, bool))
        nis.append(level.nis)
    mean = np.mean(nis[-100:], axis=0)
    assert ((mean > 0.7422) & (mean < 1.2956)).mean() == pytest.approx(0.95, abs=0.03)
    assert mean.mean() == pytest.approx(1.0, abs=3 * math.sqrt(2 / 100 / tags) + 0.01)


def test_noises_are_found_by_likelihood_and_innovations():
    rng = np.random.default_rng(6)
    y = np.cumsum(rng.normal(0, 0.1, (20, 3000)), axis=1) + rng.normal(0, 1.0, (20, 3000))
    level = feed(local_level(20), y)
    row, best = np.arange(20), level.best()
    assert np.median(np.sqrt(level.sigma2()[row, best])) == pytest.approx(1.0, abs=0.08)
    sd = level.predict(np.array([1.0, 400.0])).sd
    assert np.median(sd[:, 1]) == pytest.approx(math.sqrt(1 + 0.01 * 400), rel=0.35)
    assert np.nanmean(level.nis) == pytest.approx(1.0, abs=0.9)


def test_a_gap_is_time_passed_however_it_is_told():
    """Ten steps of one second without samples and one of ten seconds leave the same state."""
    y = np.random.default_rng(1).normal(20, 1, (3, 60))
    for make in (local_level, local_trend, lambda tags: ornstein_uhlenbeck(tags, 500, 1)):
        told, jumped = feed(make(3), y), feed(make(3), y)
        feed(told, np.full((3, 9), np.nan))
        feed(told, np.full((3, 1), 20.0))
        feed(jumped, np.full((3, 1), 20.0), 10.0)
        horizon = np.array([1.0, 50.0])
        assert told.predict(horizon).mean == pytest.approx(jumped.predict(horizon).mean, rel=1e-7)
        assert told.predict(horizon).sd == pytest.approx(jumped.predict(horizon).sd, rel=1e-6)


def test_bands_grow_while_samples_are_missing():
    y = np.cumsum(np.random.default_rng(1).normal(0, 1, (2, 200)), axis=1)
    for forecaster in (local_level(2), local_trend(2), ornstein_uhlenbeck(2, 500, 1), Persistence.of(2, np.array([1.0, 10.0]))):
        before = feed(forecaster, y).predict(np.array([5.0])).sd
        after = feed(forecaster, np.full((2, 30), np.nan)).predict(np.array([5.0])).sd
        assert (after > before).all(), forecaster.name


def test_nothing_is_said_of_a_tag_without_a_sample():
    y = np.array([[1.0] * 50, [np.nan] * 50])
    for forecaster in (
        local_level(2),
        ornstein_uhlenbeck(2, 500, 1),
        Persistence.of(2, np.array([1.0, 10.0])),
        Arx.of(2, 1.0),
        Given.of(2, 1.0),
    ):
        assert np.isnan(feed(forecaster, y).predict(np.array([5.0])).mean[1]).all()


@given(theta=st.floats(0.004, 0.2), dt_s=st.sampled_from([0.5, 1.0, 4.0]))
@settings(max_examples=8, deadline=None)
def test_ou_finds_mean_rate_and_spread_from_irregular_samples(theta, dt_s):
    tags, n, rng = 16, 4000, np.random.default_rng(3)
    ou = ornstein_uhlenbeck(tags, 1000, 1)
    x = rng.normal(size=tags)
    for _ in range(n):
        step = dt_s * rng.uniform(0.5, 1.5, tags)
        phi = np.exp(-theta * step)
        x = phi * x + np.sqrt(1 - phi * phi) * rng.standard_normal(tags)
        ou.update(step, 30 + 2 * x, np.ones(tags, bool))
    far = ou.predict(np.array([20 / theta]))
    assert np.median(far.sd) == pytest.approx(2.0, rel=0.35)
    assert np.median(far.mean) == pytest.approx(30.0, abs=1.5)
    near = ou.predict(np.array([1e-6, 1.0])).mean - far.mean
    assert 0.3 < np.median(-np.log(near[:, 1] / near[:, 0])) / theta < 3.0


def test_a_trend_is_carried_on():
    y = 10 + 0.02 * np.arange(600) + np.random.default_rng(2).normal(0, 0.1, (4, 600))
    ahead = feed(local_trend(4), y).predict(np.array([100.0]))
    assert ahead.mean[:, 0] == pytest.approx(10 + 0.02 * 699, abs=0.3)


def test_arx_learns_a_first_order_process_with_its_input():
    """D5 without noise: a = e^-.1, b = K(1 - a); the prediction of a step of the input follows the exact response."""
    a, gain = math.exp(-0.1), 2.0
    arx, rng, y = Arx.of(1, 10.0, order=2, inputs=1), np.random.default_rng(7), 0.0
    u = np.repeat(rng.normal(size=80), 5)
    for drive in u:
        arx.update(np.array([10.0]), np.array([y]), np.array([True]))
        arx.drive(np.array([[drive]]))
        y = a * y + gain * (1 - a) * drive
    arx.update(np.array([10.0]), np.array([y]), np.array([True]))
    arx.drive(np.array([[3.0]]))
    h = np.array([10.0, 100.0, 400.0])
    assert arx.predict(h).mean[0] == pytest.approx(gain * 3 + (y - gain * 3) * np.exp(-h / 100), abs=0.02)


def test_arx_with_planned_inputs_follows_the_plan():
    arx, rng, y = Arx.of(1, 1.0, order=1, inputs=1), np.random.default_rng(7), 0.0
    for drive in rng.normal(size=400):
        arx.update(np.ones(1), np.array([y]), np.array([True]))
        arx.drive(np.array([[drive]]))
        y = 0.8 * y + 0.5 * drive
    arx.update(np.ones(1), np.array([y]), np.array([True]))
    plan = np.concatenate([np.zeros(5), np.ones(5)])
    arx.drive(np.zeros((1, 1)), plan[None, :, None])
    expected = []
    for drive in plan:
        y = 0.8 * y + 0.5 * drive
        expected.append(y)
    assert arx.predict(np.arange(1.0, 11.0)).mean[0] == pytest.approx(expected, abs=0.01)


def test_arx_stays_finite_over_a_long_idle_run_and_silent_where_it_is_not_stable():
    arx = feed(Arx.of(2, 1.0), np.vstack([np.full(20_000, 5.0), 5 + 1e-3 * np.random.default_rng(1).standard_normal(20_000)]))
    ahead = arx.predict(np.array([600.0]))
    assert ahead.mean[:, 0] == pytest.approx(5.0, abs=0.01)
    assert np.isfinite(arx.cov).all()
    arx.theta[1] = [0.5, 1.5, 0.0, 0.0, 0.0]
    assert np.isnan(arx.predict(np.array([600.0])).mean[1, 0])


def test_a_given_trajectory_is_read_at_its_age_and_ends():
    model = Given.of(1, 1.0)
    model.put(np.array([[1.0, 2.0, 3.0, 4.0]]), np.full((1, 4), 0.5), 10.0)
    assert model.predict(np.array([10.0, 25.0, 40.0])).mean[0].tolist() == [1.0, 2.5, 4.0]
    model.update(np.array([10.0]), np.zeros(1), np.zeros(1, bool))
    assert model.predict(np.array([10.0])).mean[0, 0] == 2.0
    assert np.isnan(model.predict(np.array([40.0])).mean[0, 0])
    with pytest.raises(ValueError, match="trajectory of shape"):
        model.put(np.zeros((2, 4)), np.zeros((2, 4)), 1.0)


def test_a_jump_leaves_the_slope_and_the_noise_as_they_were_however_many_there_were_before():
    """A stock that falls steadily and is filled up: the trend goes on from there at once, also where small jumps were spent before."""
    rng, n = np.random.default_rng(6), 600
    y = 900 - 0.05 * np.arange(n) + 0.001 * rng.standard_normal(n)
    y[300:310] += rng.choice([-1.0, 1.0], 10)
    y[-1] += 600
    trend, one = local_trend(1, 1.0), np.ones(1)
    for at in range(n - 1):
        trend.update(one, y[at : at + 1], np.ones(1, bool))
    before = trend.predict(np.array([1.0])).sd[0, 0]
    trend.update(one, y[-1:], np.ones(1, bool))
    ahead = trend.predict(np.array([1.0, 10.0]))
    assert ahead.mean[0] == pytest.approx(y[-1] - np.array([0.05, 0.5]), abs=0.5)
    assert ahead.sd[0, 0] < 3 * before
