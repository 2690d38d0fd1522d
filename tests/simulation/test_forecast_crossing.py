"""First passage from predictive distributions: the closed forms T1-T3, at the listed and at other parameters, and against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.forecast.crossing import crossing
from gateway.simulation.forecast.forecaster import Normal
from gateway.simulation.passage import brownian, ou

UP = np.array([True])


def drifted(v, s, time_s):
    return Normal(v * time_s[None], s * np.sqrt(time_s)[None])


def returning(x0, theta, s, time_s):
    return Normal(x0 * np.exp(-theta * time_s)[None], np.sqrt(s * s * (1 - np.exp(-2 * theta * time_s)) / (2 * theta))[None])


def through(limit, ahead, time_s, *, start=0.0, upper=UP, theta=0.0, scan_s=0.0):
    return crossing(np.array([start]), ahead, time_s, np.array([[limit]]), upper=upper, rate=np.array([theta]), scan_s=scan_s)


@pytest.mark.parametrize(("t", "expected"), [(20, 0.190862), (40, 0.616163)])
def test_t1_drifted_brownian_motion(t, expected):
    time_s = np.arange(1.0, t + 1)
    assert through(2.0, drifted(0.05, 0.2, time_s), time_s).probability[0, 0] == pytest.approx(expected, abs=1e-6)


def test_t1_mean_and_median_of_the_time_to_a_limit():
    time_s = np.arange(1.0, 601)
    found = through(2.0, drifted(0.05, 0.2, time_s), time_s)
    assert found.expected_s[0, 0] == pytest.approx(40, rel=0.01)
    assert found.median_s[0, 0] == pytest.approx(33.462, rel=0.01)


def test_t2_without_drift():
    time_s = np.arange(1.0, 11)
    assert through(1.0, drifted(0.0, 0.2, time_s), time_s).probability[0, 0] == pytest.approx(0.113846, abs=1e-6)


@pytest.mark.parametrize(("t", "expected"), [(5, 0.306070), (20, 0.854596)])
def test_t2_ou_to_its_mean(t, expected):
    time_s = np.arange(0.05, t + 0.01, 0.05)
    ahead = returning(0.3, 0.1, 0.1, time_s)
    found = through(0.0, ahead, time_s, start=0.3, upper=np.array([False]), theta=0.1)
    assert found.probability[0, 0] == pytest.approx(expected, abs=1e-3)


def test_t3_a_limit_looked_at_every_second():
    time_s = np.arange(1.0, 41)
    assert through(2.0, drifted(0.05, 0.2, time_s), time_s, scan_s=1.0).probability[0, 0] == pytest.approx(0.5761, abs=1e-3)


@given(v=st.floats(-0.2, 0.5), d=st.floats(0.1, 10), s=st.floats(0.05, 2), t=st.integers(5, 400))
@settings(max_examples=60, deadline=None)
def test_what_wanders_agrees_with_the_closed_form_of_the_process_models(v, d, s, t):
    time_s = np.arange(1.0, t + 1)
    expected = float(brownian(d, v, s, float(t)))
    assert through(d, drifted(v, s, time_s), time_s).probability[0, 0] == pytest.approx(expected, abs=1e-9)


@given(x0=st.floats(0.05, 2), theta=st.floats(0.01, 0.5), s=st.floats(0.05, 1), t=st.integers(2, 200))
@settings(max_examples=40, deadline=None)
def test_what_returns_passes_its_mean_as_the_closed_form_says(x0, theta, s, t):
    time_s = np.arange(1.0, 20 * t + 1) / 20
    ahead = returning(x0, theta, s, time_s)
    expected = 2 * 0.5 * math.erfc(ahead.mean[0, -1] / ahead.sd[0, -1] / math.sqrt(2))
    found = through(0.0, ahead, time_s, start=x0, upper=np.array([False]), theta=theta)
    assert found.probability[0, 0] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("limit", "theta"), [(0.6, 0.1), (0.4, 0.05), (0.45, 0.3)])
def test_what_returns_passes_a_limit_off_its_mean_as_often_as_simulated(limit, theta):
    s, dt, t, runs, rng = 0.1, 0.05, 60.0, 20_000, np.random.default_rng(5)
    phi, x, hit = math.exp(-theta * dt), np.full(runs, 0.3), np.zeros(runs, bool)
    sd = s * math.sqrt((1 - phi * phi) / (2 * theta))
    for _ in range(round(t / dt)):
        x = phi * x + sd * rng.standard_normal(runs)
        hit |= x >= limit - 0.5826 * s * math.sqrt(dt)
    time_s = np.arange(1.0, t + 1)
    found = through(limit, returning(0.3, theta, s, time_s), time_s, start=0.3, theta=theta).probability[0, 0]
    assert found == pytest.approx(hit.mean(), abs=0.015)


@given(start=st.floats(-0.5, 0.5), limit=st.floats(-1.0, 1.0), theta=st.floats(0.01, 0.3))
@settings(max_examples=15, deadline=None)
def test_what_returns_agrees_with_the_integral_equation_of_the_process_models(start, limit, theta):
    if abs(limit - start) < 0.02:
        return
    time_s = np.arange(1.0, 601)
    expected = ou(start, 0.0, theta, 0.1, limit, 600.0).probability[-1]
    ahead = returning(start, theta, 0.1, time_s)
    found = through(limit, ahead, time_s, start=start, upper=np.array([limit > start]), theta=theta)
    assert found.probability[0, 0] == pytest.approx(expected, abs=0.015)


def test_a_limit_that_is_passed_already_and_one_that_is_none():
    time_s = np.arange(1.0, 61)
    limits = np.array([[1.0, np.nan, -1.0, 5.0]])
    ahead = Normal(np.full((1, 60), 2.0), 0.1 * np.sqrt(time_s)[None])
    found = crossing(np.array([2.0]), ahead, time_s, limits, upper=np.array([True, True, False, True]), rate=np.zeros(1))
    assert (found.probability[0, 0], found.expected_s[0, 0], found.median_s[0, 0]) == (1.0, 0.0, 0.0)
    assert np.isnan(found.probability[0, 1])
    assert found.probability[0, 2] < 1e-3
    assert np.isnan(found.late_s[0, 3])


@given(sd=st.floats(1e-6, 1e6), mean=st.floats(-1e6, 1e6), limit=st.floats(-1e6, 1e6), theta=st.sampled_from([0.0, 0.01, 10.0]))
@settings(max_examples=60, deadline=None)
def test_probabilities_are_probabilities_whatever_the_numbers(sd, mean, limit, theta):
    time_s = np.arange(1.0, 601)
    ahead = Normal(np.linspace(0, mean, 600)[None], sd * np.sqrt(time_s)[None])
    found = through(limit, ahead, time_s, theta=theta, scan_s=1.0)
    assert 0 <= found.probability[0, 0] <= 1
    assert np.isnan(found.expected_s[0, 0]) or 0 <= found.expected_s[0, 0] <= 600
