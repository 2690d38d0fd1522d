"""Models from text: the same language as derived tags, on arrays; solved as exactly as the built-in ones where these are exact."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.expression import parse
from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.process.equations import Equations, from_text
from gateway.simulation.process.model import ModelError
from gateway.simulation.process.vector import VECTOR


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3))
@pytest.mark.parametrize(
    "text",
    [
        "a + b * c - 2",
        "a - b - c",
        "-a * (b + 1)",
        "a < b or not c",
        "a >= b and c",
        "if(a > b, c, a)",
        "clip(a, -1, b)",
        "min(a, b, c) + max(a, 1)",
        "abs(a) == a",
    ],
)
def test_arrays_and_numbers_speak_one_language(text, values):
    """An expression says the same of a column as of each of its numbers."""
    names = {"a", "b", "c"}
    plain, wide = parse(text, names), parse(text, names, stateful=False, algebra=VECTOR)
    by_name = dict(zip("abc", values, strict=True))
    expected, _ = plain.evaluate([by_name[name] for name in plain.names], [0] * len(plain.names))
    columns = [np.full(3, by_name[name]) for name in wide.names]
    assert np.broadcast_to(wide.node(columns, ()), 3) == pytest.approx(np.full(3, expected))


def test_newtons_cooling_written_out_is_newtons_cooling():
    model = Equations({"T": "-k * (T - ambient)"}, parameters={"k": 0.05})
    assert model.inputs == ("ambient",)
    assert model.fastest_s == pytest.approx(20, rel=1e-5)
    end = simulate(model, {"T": 90}, {"ambient": 22}, 10, 6, chance(1)).of("T")[0]
    assert end[1] == pytest.approx(63.24408, abs=1e-3)
    assert end[6] == pytest.approx(25.38552, abs=1e-3)


def test_an_oscillator_keeps_its_energy():
    model = Equations({"x": "v", "v": "-w * w * x"}, {"position": "x", "energy": "v * v / 2 + w * w * x * x / 2"}, parameters={"w": 2.0})
    runs = simulate(model, {"x": 1.0}, {}, 0.5, 40, chance(1))
    assert runs.of("position")[0] == pytest.approx(np.cos(2 * runs.time_s), abs=2e-3)
    assert runs.of("energy")[0] == pytest.approx(np.full(41, 2.0), rel=1e-3)


def test_a_parameter_may_differ_between_runs():
    model = from_text({"states": {"y": "(K * u - y) / tau"}}, {"K": 1.0, "tau": 1.0}).with_parameters({"tau": np.array([10.0, 20.0])})
    y = simulate(model, {}, {"u": 1.0}, 1.0, 10, chance(1), 2).of("y")[:, -1]
    assert y == pytest.approx([1 - math.exp(-1), 1 - math.exp(-0.5)], rel=1e-5)


def test_what_diverges_is_stopped_and_named():
    model = Equations({"y": "y * y"}, parameters={"fastest": 0.5})
    runs = simulate(model, {"y": 1.0}, {}, 0.1, 100, chance(1))
    assert runs.diverged is not None
    assert runs.diverged.state == "y"
    assert "y diverged in step" in runs.partial
    assert 5 < runs.steps < 100
    assert np.isfinite(runs.y).all()


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"y": "a +"}, "the equation of y: character 4: the expression ends too early"),
        ({"y": "integral(y)"}, "integral"),
        ({"y": "__import__('os')"}, "does not continue the expression"),
        ({"y": "exp(1, 2)"}, "exp takes 1 arguments, not 2"),
        ({"exp": "1"}, "'exp' is no name for an equation"),
        ({}, "at least one state"),
    ],
)
def test_equations_that_are_none_are_refused_with_their_place(states, message):
    with pytest.raises(ModelError) as refused:
        Equations(states)
    assert message in str(refused.value)
