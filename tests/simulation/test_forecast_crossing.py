"""Times to a limit from chances at a few instants, against the closed form of drifted Brownian motion (T1), and at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.forecast.crossing import times
from gateway.simulation.passage import brownian

NONE = np.zeros((1, 1), bool)


def walked(time_s, drift=0.05):
    """Chances of T1: a limit 2 away, s 0.2."""
    return brownian(2.0, drift, 0.2, time_s)[None, None]


def test_t1_mean_and_median_of_the_time_to_a_limit():
    time_s = np.geomspace(1.0, 600.0, 60)
    found = times(walked(time_s), time_s, NONE)
    assert (found.expected_s[0, 0], found.median_s[0, 0]) == (pytest.approx(40, rel=0.02), pytest.approx(33.462, rel=0.01))
    assert brownian(2.0, 0.05, 0.2, found.early_s[0, 0]) == pytest.approx(0.05, abs=0.005)
    assert brownian(2.0, 0.05, 0.2, found.late_s[0, 0]) == pytest.approx(0.95, abs=0.005)


def test_what_is_passed_already_takes_no_time_and_what_is_not_within_the_horizon_has_none():
    time_s = np.array([10.0, 20.0])
    chance = np.array([[[1.0, 1.0], [0.01, 0.04], [0.0, 0.6], [np.nan, np.nan]]])
    found = times(chance, time_s, np.array([[True, False, False, False]]))
    assert (found.horizon_s, found.early_s[0, 0], found.median_s[0, 0], found.expected_s[0, 0]) == (20.0, 0.0, 0.0, 0.0)
    assert np.isnan([found.early_s[0, 1], found.median_s[0, 1], found.late_s[0, 2], found.median_s[0, 3]]).all()
    assert (found.median_s[0, 2], found.expected_s[0, 2]) == (pytest.approx(10 + 10 * 0.5 / 0.6), pytest.approx(15.0))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_times_are_in_order_and_within_the_horizon(rises):
    chance = np.minimum(np.cumsum(rises) / max(sum(rises), 1.0), 1.0)[None, None]
    time_s = np.arange(1.0, len(rises) + 1)
    found = times(chance, time_s, NONE)
    known = [at for at in (found.early_s[0, 0], found.median_s[0, 0], found.late_s[0, 0]) if not np.isnan(at)]
    assert known == sorted(known)
    assert all(0 <= at <= time_s[-1] for at in known)
