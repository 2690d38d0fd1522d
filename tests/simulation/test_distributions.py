"""Distributions of parameters: as text, between their bounds, and in their shares."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.distributions import Distribution, of_text, relative
from gateway.simulation.process.model import ModelError

FIGURES = st.floats(-1e6, 1e6)
SHARES = np.linspace(1e-9, 1 - 1e-9, 101)


@st.composite
def distributions(draw):
    """One of each kind."""
    low, middle, high = sorted(draw(st.tuples(FIGURES, FIGURES, FIGURES)))
    sd = draw(st.floats(0, 1e3))
    return draw(
        st.sampled_from(
            [
                Distribution("normal", middle, sd),
                Distribution("truncated", middle, sd, low, high),
                Distribution("lognormal", abs(middle) + 1, sd / 1e3),
                Distribution("uniform", low, high),
                Distribution("triangular", low, middle, high),
            ]
        )
    )


@given(distributions())
def test_what_is_read_is_what_was_written(one):
    assert of_text(str(one)) == one


@settings(deadline=None)  # the first value loads scipy
@given(distributions())
def test_values_rise_with_their_shares_and_stay_between_the_bounds(one):
    values = one.inverse(SHARES)
    size = max(1.0, float(np.abs(values).max()))
    assert np.all(np.diff(values) >= -1e-9 * size)
    if one.kind in {"truncated", "uniform", "triangular"}:
        low, high = one.bounds
        assert low - 1e-9 * size <= values.min() <= values.max() <= high + 1e-9 * size


def test_a_truncated_normal_has_the_shares_of_the_formula():
    """F(x) = (Phi(x) - Phi(-1)) / (Phi(2) - Phi(-1)) of the standard normal between -1 and 2, at 0."""
    phi = lambda x: (1 + math.erf(x / math.sqrt(2))) / 2  # noqa: E731  the formula's own letter
    share = (phi(0) - phi(-1)) / (phi(2) - phi(-1))
    assert of_text("truncated(0, 1, -1, 2)").inverse(np.array([share]))[0] == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None)  # as above
@given(st.floats(-1e3, 1e3).filter(lambda value: abs(value) > 1e-3), st.floats(0.01, 1))
def test_a_relative_uncertainty_changes_no_sign_and_keeps_the_middle(value, uncertainty):
    found = relative({"k": value}, uncertainty)["k"].inverse(SHARES)
    assert np.all(np.sign(found) == np.sign(value))
    assert found[50] == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uniform(2, 1)", "uniform distribution of 2, 1 is none: it takes low, high"),
        ("uniform(1, inf)", "no finite numbers"),
        ("normal(1, -1)", "normal distribution of 1, -1 is none"),
        ("truncated(5, 1, 6, 7)", "it takes mean, sd, low, high"),
        ("gamma(1, 2)", "'gamma.1, 2.' is no distribution: write normal"),
        ("uniform(1, b)", "has what is no number"),
        ("uniform(1, 2, 3)", "has 3 numbers"),
        ("5", "is no distribution"),
    ],
)
def test_what_is_no_distribution_is_named(text, words):
    with pytest.raises(ModelError, match=words):
        of_text(text)
