"""The reacting batch: its documented factors, at any step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.process.arrhenius import Reaction
from gateway.simulation.process.model import ModelError

START = {"temperature": 20.0, "reaction_progress": 0.0, "energy": 0.0, "ambient": 20.0}


def after(start, steps, dt_s=60.0, **parameters):
    """temperature, progress and energy at the end."""
    return simulate(Reaction(parameters), {**START, **start}, {}, dt_s, steps, chance(1)).y[0, -1].tolist()


def test_the_defaults_are_the_documented_factors():
    assert {name: Reaction.defaults[name] for name in ("reaction_rate", "cooling_factor", "energy_factor")} == {
        "reaction_rate": 0.05,
        "cooling_factor": 0.1,
        "energy_factor": 1.5,
    }


def test_one_step_at_20_degrees_converts_as_the_rate_says():
    """1 - e^-0.05, and 1.5 kW.h for a whole batch."""
    share = 1 - math.exp(-0.05)
    assert after({}, 1) == pytest.approx([20.0, share, 1.5 * share])


def test_near_20_degrees_the_rate_grows_as_the_exponential_of_a_tenth_of_a_degree():
    share = 1 - math.exp(-0.05 * math.exp((21 - 20) / 10))
    assert after({"temperature": 21.0, "ambient": 21.0}, 1)[1] == pytest.approx(share, rel=1e-3)


@given(st.floats(-40, 200), st.floats(0, 1), st.integers(1, 50))
def test_no_temperature_converts_more_than_there_is(temperature, progress, steps):
    _, found, energy = after({"temperature": temperature, "reaction_progress": progress}, steps)
    assert progress - 1e-12 <= found <= 1.0
    assert energy == pytest.approx(1.5 * (found - progress), abs=1e-9)


def test_cooling_is_a_tenth_per_step_whatever_the_step_of_the_simulation():
    assert after({"temperature": 60.0}, 1)[0] == pytest.approx(56.0)
    assert after({"temperature": 60.0}, 60, 1.0)[0] == pytest.approx(56.0)
    assert after({"temperature": 60.0}, 2, 30.0)[0] == pytest.approx(56.0)


def test_a_factor_that_cannot_be_is_named():
    with pytest.raises(ModelError, match=r"cooling_factor is 1\.5 and must be below 1"):
        Reaction({"cooling_factor": 1.5})
