"""Intervals, comparisons, warm-up and designs, against SciPy, brute force and textbooks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from gateway.simulation.line.intervals import holm, interval, needed, paired, t_test
from gateway.simulation.line.sweep import MOST, Vary, design
from gateway.simulation.line.warmup import BATCH, mser, welch

FIGURES = arrays(np.float64, st.integers(3, 40), elements=st.floats(-1e3, 1e3, width=32))


@given(FIGURES, st.sampled_from([0.8, 0.95, 0.99]))
def test_an_interval_is_students(values, confidence):
    found = interval(values, confidence)
    if found.sd > 0:
        low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
        assert found.low == pytest.approx(low, abs=1e-9)
        assert found.high == pytest.approx(high, abs=1e-9)


def test_one_replication_has_a_mean_and_no_interval():
    found = interval(np.array([3.0]))
    assert (found.mean, found.half_width, found.low) == (3.0, math.inf, -math.inf)


def test_intervals_of_normal_figures_cover_their_mean_as_often_as_they_say():
    values = np.random.default_rng(1).normal(7.0, 2.0, (4000, 8))
    inside = [found.low <= 7.0 <= found.high for found in (interval(row, 0.9) for row in values)]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.015)


@given(FIGURES)
def test_a_paired_test_is_scipys(values):
    if np.std(values) > 1e-6:
        assert t_test(values) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=1e-9)


def test_holm_adjusts_the_textbook_case_in_the_given_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for p_value, found in zip(p_values, adjusted, strict=True):
        assert p_value <= found <= min(1.0, len(p_values) * p_value) + 1e-12
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(pairs))


def test_many_comparisons_of_nothing_are_seldom_called_significant():
    rng = np.random.default_rng(2)
    families = [paired(np.zeros(12), list(rng.normal(0.0, 1.0, (6, 12)))) for _ in range(600)]
    assert np.mean([any(one.significant for one in family) for family in families]) == pytest.approx(0.05, abs=0.025)
    covered = [all(one.interval.low <= 0 <= one.interval.high for one in family) for family in families]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_a_difference_without_spread_is_certain():
    same, more = paired(np.arange(5.0), [np.arange(5.0), np.arange(5.0) + 1])
    assert (same.p_value, same.significant) == (1.0, False)
    assert (more.p_value, more.significant, more.interval.half_width) == (0.0, True, 0.0)


def test_the_replications_needed_are_the_fewest_that_do():
    pilot = interval(np.random.default_rng(3).normal(0.0, 5.0, 10))
    n = needed(pilot, 0.7)
    half = stats.t.ppf(0.975, n - 1) * pilot.sd / math.sqrt(n)
    assert half <= 0.7
    assert stats.t.ppf(0.975, int(n / 1.03) - 1) * pilot.sd / math.sqrt(int(n / 1.03)) > 0.7
    assert needed(pilot, 100.0) == 10


@given(arrays(np.float64, st.integers(20, 120), elements=st.floats(-50, 50, width=16)))
def test_mser_is_the_least_of_all_truncations(series):
    found = mser(series)
    means = series[: len(series) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    brute = [((means[d:] - means[d:].mean()) ** 2).sum() / len(means[d:]) ** 2 for d in range(len(means) // 2 + 1)]
    assert found.curve == pytest.approx(brute, abs=1e-6)
    assert found.curve[found.delete // BATCH] == pytest.approx(min(brute), abs=1e-6)


def test_mser_deletes_a_ramp_and_nothing_of_a_steady_series():
    rng = np.random.default_rng(4)
    ramp = np.concatenate([np.linspace(0, 10, 60), np.full(340, 10.0)]) + rng.normal(0, 0.5, 400)
    assert 40 <= mser(ramp).delete <= 70
    assert mser(ramp).found
    assert mser(10 + rng.normal(0, 0.5, (8, 400))).delete <= 60
    assert not mser(np.arange(100.0)).found


def test_too_short_a_series_is_refused_in_words():
    with pytest.raises(ValueError, match="19 intervals are too few to find a warm-up in: 20 at least"):
        mser(np.zeros(19))


def test_welch_smooths_with_a_shorter_window_at_the_start():
    series = np.random.default_rng(5).normal(size=(4, 30))
    found, mean = welch(series, 3), series.mean(axis=0)
    brute = [mean[max(0, at - min(at, 3)) : at + min(at, 3) + 1].mean() for at in range(27)]
    assert found.mean == pytest.approx(mean)
    assert found.smooth == pytest.approx(brute)
    with pytest.raises(ValueError, match="window of 8 is none for 30 intervals: 0 to 7"):
        welch(series, 8)


GRID = (Vary("a.b", (1, 2, 3)), Vary("c", ("x", "y")))


def test_a_grid_has_every_combination_once_and_a_list_goes_row_by_row():
    rng = np.random.default_rng(0)
    assert design(GRID, "grid", 0, rng) == [{"a.b": a, "c": c} for a in (1, 2, 3) for c in ("x", "y")]
    assert design((Vary("a", (1, 2)), Vary("b", (3, 4))), "list", 0, rng) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 99))
def test_a_latin_hypercube_puts_one_point_into_each_stratum_of_each_parameter(points, dimensions, seed):
    varied = [Vary(f"p{k}", low=k, high=k + 2.0) for k in range(dimensions)]
    rows = design(varied, "latin", points, np.random.default_rng(seed))
    for one in varied:
        strata = sorted(int((row[one.path] - one.low) / 2.0 * points) for row in rows)
        assert strata == list(range(points))


def test_whole_numbers_are_drawn_with_equal_shares_up_to_both_ends():
    rows = design((Vary("n", low=2, high=5, whole=True),), "random", 8000, np.random.default_rng(6))
    counts = np.bincount([row["n"] for row in rows], minlength=6)
    assert counts[:2].sum() == 0
    assert counts[2:] == pytest.approx(np.full(4, 2000), rel=0.1)


@pytest.mark.parametrize(
    ("varied", "how", "words"),
    [
        (GRID, "list", "a list needs as many values of each parameter, not 3 of a.b, 2 of c"),
        ((Vary("a", low=1, high=2),), "grid", "a: a grid needs values"),
        ((Vary("a", (1,)), Vary("a", (2,))), "grid", "varied twice"),
        ((Vary("a", tuple(range(101))), Vary("b", tuple(range(100)))), "grid", f"10100 parameter sets are not possible: at most {MOST}"),
        ((Vary("a", low=1, high=2),), "latin", "0 parameter sets are not possible"),
    ],
)
def test_designs_that_cannot_be_are_refused_in_words(varied, how, words):
    with pytest.raises(ValueError, match=words):
        design(varied, how, 0, np.random.default_rng(0))
