"""First passage (anchors T1-T3), at the listed and at other parameters, and against runs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.passage import brownian, brownian_time, exact, of_runs, ou, ou_to_mean
from gateway.simulation.process.balance import Integrator
from gateway.simulation.process.linear import OrnsteinUhlenbeck
from gateway.simulation.process.model import ModelError


def test_t1_drifted_brownian_motion():
    assert brownian(2, 0.05, 0.2, [20, 40]) == pytest.approx([0.190862, 0.616163], abs=1e-6)
    assert brownian_time(2, 0.05, 0.2) == pytest.approx((40, 25.298, 33.462), abs=1e-3)


def test_t2_without_drift_and_to_the_mean():
    assert brownian(1, 0, 0.2, 10) == pytest.approx(0.113846, abs=1e-6)
    assert ou_to_mean(0.3, 0.1, 0.1, [5, 20]) == pytest.approx([0.306070, 0.854596], abs=1e-6)


def test_t3_a_sampled_check_is_met_later():
    assert brownian(2, 0.05, 0.2, 40, scan_s=1) == pytest.approx(0.5761, abs=1e-4)


def test_t3_is_what_sampled_runs_do():
    """20 000 runs that are looked at once a second."""
    runs = simulate(Integrator({"process_noise": 0.2}), {}, {"u": 0.05}, 1.0, 40, chance(1), 20_000)
    seen = of_runs(runs, "y", 2.0)
    assert seen.by(40) == pytest.approx(0.5761, abs=0.012)
    assert seen.low[-1] < 0.5761 < seen.high[-1]


@settings(max_examples=60, deadline=None)
@given(d=st.floats(0.01, 50), v=st.floats(-5, 5), s=st.floats(0.01, 10), t=st.floats(0.01, 1000))
def test_a_passage_is_a_probability_that_grows(d, v, s, t):
    """With time, with drift, and with a nearer limit; far tails do not overflow."""
    p = float(brownian(d, v, s, t))
    assert 0 <= p <= 1
    assert brownian(d, v, s, t * 1.5) >= p - 1e-12
    assert brownian(d, v + 0.1, s, t) >= p - 1e-9
    assert brownian(d * 1.5, v, s, t) <= p + 1e-12
    assert brownian(d, v, s, t, scan_s=1) <= p + 1e-12


@settings(max_examples=40, deadline=None)
@given(x=st.floats(0.05, 3), theta=st.floats(0.02, 2), turns=st.floats(0.2, 5), side=st.sampled_from([-1.0, 1.0]))
def test_the_integral_equation_is_the_closed_form_at_the_mean(x, theta, turns, side):
    """From either side, x stationary deviations away."""
    s = math.sqrt(2 * theta)
    found = ou(5 + side * x, 5.0, theta, s, 5.0, turns / theta)
    assert found.probability[50:] == pytest.approx(ou_to_mean(x, theta, s, found.time_s[50:]), abs=3e-3)


def test_an_ornstein_uhlenbeck_process_meets_a_limit_above_its_mean():
    """Against runs of short steps, at two limits, watched and scanned."""
    model = OrnsteinUhlenbeck({"mean": 0, "theta": 0.1, "s": 0.1})
    runs = simulate(model, {"y": 0}, {}, 0.5, 120, chance(2), 8000)
    for limit in (0.2, -0.3):
        theory = ou(0, 0, 0.1, 0.1, limit, 60, scan_s=0.5)
        assert of_runs(runs, "y", limit, upper=limit > 0).by(60) == pytest.approx(theory.by(60), abs=0.02)


def test_what_is_passed_at_once_and_what_never_is():
    assert brownian([0.0, -1.0], 0, 1, 0.0) == pytest.approx([1, 1])
    assert brownian(1, 0.0, 0.0, 100) == 0
    assert brownian(1, 0.1, 0.0, 10) == 1
    seen = of_runs(simulate(Integrator(), {}, {"u": 1.0}, 1.0, 5, chance(1)), "y", 3.0)
    assert seen.quantile(0.5) == pytest.approx(2.5)
    assert math.isnan(of_runs(simulate(Integrator(), {}, {}, 1.0, 5, chance(1)), "y", 3.0).quantile(0.5))
    with pytest.raises(ModelError, match="no mean time"):
        brownian_time(1, -1, 1)


def test_times_of_a_passage_are_those_of_the_inverse_gaussian():
    t = np.linspace(0.01, 400, 4000)
    passage = exact(t, brownian(2, 0.05, 0.2, t))
    assert passage.quantile(0.5) == pytest.approx(33.462, abs=0.05)
    assert passage.mean_s() == pytest.approx(40, abs=0.1)
