"""Scores, conformal bounds and the normal distribution against closed forms, at the listed and at other parameters."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from gateway.simulation.forecast import conformal, normal, score
from gateway.simulation.forecast.conformal import Adaptive

Z = st.floats(-35, 35)


def one(value):
    return np.array([float(value)])


@given(z=Z)
def test_the_distribution_is_exact_far_into_its_lower_tail(z):
    assert normal.distribution(one(z))[0] == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), rel=1e-9, abs=1e-300)


@given(p=st.floats(1e-9, 1 - 1e-9))
def test_quantiles_of_arrays_are_those_of_the_standard_library(p):
    assert normal.quantiles(one(p))[0] == pytest.approx(NormalDist().inv_cdf(p), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("z", [1.281552, 1.644854, 1.959964])
def test_students_quantile_from_the_normal_one(z):
    freedom = np.array([2.0, 3.5, 10.0, 1e3])
    assert normal.student(z, freedom) == pytest.approx(stdtrit(freedom, NormalDist().cdf(z)), rel=0.035)


@pytest.mark.parametrize(("mean", "sd", "y", "expected"), [(0, 1, 0, 0.233695), (0, 1, 1, 0.602441), (10, 2, 13, 1.988848)])
def test_f1_crps_of_a_normal(mean, sd, y, expected):
    assert score.crps_normal(one(mean), one(sd), one(y))[0] == pytest.approx(expected, abs=1e-6)


@given(mean=st.floats(-50, 50), sd=st.floats(0.1, 20), z=st.floats(-4, 4))
@settings(max_examples=25)
def test_f1_crps_of_a_normal_is_the_integral_of_its_definition(mean, sd, z):
    y = mean + z * sd
    grid = np.linspace(mean - 10 * sd, mean + 10 * sd, 40_001)
    gap = normal.distribution((grid - mean) / sd) - (grid >= y)
    assert score.crps_normal(one(mean), one(sd), one(y))[0] == pytest.approx(float((gap * gap).sum() * (grid[1] - grid[0])), rel=2e-3)


@given(members=st.lists(st.floats(-100, 100), min_size=1, max_size=12), y=st.floats(-100, 100))
def test_f1_crps_of_an_ensemble_is_its_definition_over_all_pairs(members, y):
    x = np.array(members)
    expected = np.abs(x - y).mean() - np.abs(x[:, None] - x).mean() / 2
    assert score.crps_ensemble(x, np.array(y)) == pytest.approx(expected, abs=1e-9)


def test_f1_an_ensemble_drawn_from_a_normal_scores_like_the_normal():
    members = np.random.default_rng(5).normal(10, 2, (3, 200_000))
    y = np.array([10.0, 13.0, 4.0])
    assert score.crps_ensemble(members, y) == pytest.approx(score.crps_normal(np.full(3, 10.0), np.full(3, 2.0), y), rel=0.01)


def test_a_forecast_without_spread_scores_its_absolute_error():
    assert score.crps_normal(one(3), one(0), one(5))[0] == 2.0


def test_the_pinball_loss_is_least_at_the_quantile():
    y = np.random.default_rng(2).exponential(1.0, 200_000)
    losses = [score.pinball(np.full_like(y, q), y, 0.95).mean() for q in (2.5, -math.log(0.05), 3.5)]
    assert losses[1] == min(losses)


def test_mase_of_a_tag_that_persistence_knows_exactly():
    assert score.mase(np.array([0.0, 1.0, np.nan]), np.zeros(3)).tolist()[:2] == [1.0, math.inf]


def test_f2_split_conformal_of_99_scores_takes_the_90th_smallest():
    scores = np.random.default_rng(1).permutation(np.arange(1.0, 100.0))
    assert conformal.rank(99, 0.1) == 90
    assert conformal.split(scores, 0.1) == 90.0


@given(n=st.integers(1, 400), alpha=st.floats(0.01, 0.5))
def test_f2_coverage_lies_between_one_less_alpha_and_one_part_in_n_more(n, alpha):
    k = conformal.rank(n, alpha)
    if k <= n:  # of n + 1 exchangeable scores the last is among the k smallest with probability k / (n + 1)
        assert 1 - alpha - 1e-8 <= k / (n + 1) <= 1 - alpha + 1 / (n + 1) + 1e-8
    else:
        assert conformal.split(np.ones(n), alpha) == math.inf


def test_f2_coverage_of_the_split_interval_is_exactly_90_percent():
    draws = np.random.default_rng(11).exponential(1.0, (40_000, 100))
    bound = np.sort(draws[:, :99], axis=1)[:, conformal.rank(99, 0.1) - 1]
    assert (draws[:, 99] <= bound).mean() == pytest.approx(0.90, abs=3 * math.sqrt(0.09 / 40_000))


def test_bands_begin_with_students_quantile_and_then_are_split_conformal():
    adaptive = Adaptive.of(1, 1)
    scores = np.random.default_rng(3).exponential(1.0, conformal.FIRST)
    row = np.array([0])
    for count, seen in enumerate(scores.tolist()):
        assert adaptive.width[0, 0] == pytest.approx(stdtrit(conformal.FEWEST + count, 0.95), rel=0.02)
        adaptive.learn(0, one(seen), np.array([False]), row)
    assert adaptive.width[0, 0] == pytest.approx(conformal.split(scores, 0.1), rel=1e-6)


def test_alpha_follows_gibbs_and_candes_and_stays_within_its_clamp():
    adaptive = Adaptive.of(1, 1, gamma=0.05)
    row, level = np.array([0]), 0.1
    rng = np.random.default_rng(4)
    for seen in range(300):
        missed = bool(rng.random() < 0.5)
        adaptive.learn(0, one(1.0), np.array([missed]), row)
        if seen >= conformal.FIRST:
            level = min(max(level + 0.05 * (0.1 - missed), conformal.DEEPEST), conformal.HIGHEST)
        assert adaptive.level[0, 0] == pytest.approx(level, abs=1e-12)
    assert np.isfinite(adaptive.width).all()


@pytest.mark.parametrize("change", [0.25, 4.0])
def test_bands_cover_90_percent_before_and_after_a_change_of_regime(change):
    """The scale of errors changes fourfold in the middle and the model's own sd does not follow: 87 to 93 % of a long run, at every tag."""
    tags, steps = 8, 6000
    rng = np.random.default_rng(9)
    scale = np.where(np.arange(steps) < steps // 2, 1.0, change)[:, None]
    error = np.abs(rng.standard_normal((steps, tags)) * scale)
    adaptive, rows = Adaptive.of(tags, 1), np.arange(tags)
    missed = np.empty((steps, tags), bool)
    for step in range(steps):
        missed[step] = error[step] > adaptive.width[:, 0]
        adaptive.learn(0, error[step], missed[step], rows)
    for part in (missed, missed[: steps // 2], missed[steps // 2 :]):
        assert ((1 - part.mean(0) > 0.87) & (1 - part.mean(0) < 0.93)).all()
