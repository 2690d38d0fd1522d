"""A line as plain values: written, read back, and told apart by its digest."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from gateway.model.distribution import Distribution, between, constant
from gateway.model.line_document import digest, document, line_of
from support.random_lines import lines


@settings(max_examples=15, deadline=None)
@given(lines())
def test_a_line_comes_back_from_its_document_as_it_was(line):
    again = line_of(json.loads(json.dumps(document(line))))
    assert again == line
    assert digest(again) == digest(line)
    assert digest(replace(line, seed=line.seed + 1)) != digest(line)


@settings(max_examples=10, deadline=None)
@given(lines())
def test_what_is_no_line_is_refused_with_its_place(line):
    written = document(line)
    written["machines"][0]["servers"] = "two"
    with pytest.raises(ValueError, match=r"line\.machines\[0\]\.servers: 'two' is no int"):
        line_of(written)
    with pytest.raises(ValueError, match=r"line: there is no 'speed' here"):
        line_of({**document(line), "speed": 1})
    with pytest.raises(ValueError, match=r"cycle_time_sec: 3 is no distribution"):
        line_of({**document(line), "machines": [{"name": "m", "cycle_time_sec": 3}]})


@pytest.mark.parametrize(
    ("kind", "numbers", "why"),
    [
        ("exponential", {"mean": 0}, "greater than 0"),
        ("uniform", {"min": 3, "max": 2}, "min is greater than max"),
        ("deterministic", {"value": -1}, "not negative"),
        ("weibull", {"shape": 0, "scale": 1}, "greater than 0"),
        ("triangular", {"min": 1, "mode": 5, "max": 4}, "min <= mode <= max"),
        ("normal", {"mean": 1, "sd": -1}, "sd is not negative"),
        ("lognormal", {"median": float("inf"), "sigma": 1}, "not finite"),
        ("erlang", {"stages": 2.5, "mean": 1}, "whole number"),
        ("geometric", {"probability": 1.5, "step": 1}, "between 0 and 1"),
        ("uniform", {"low": 1, "high": 2}, "takes min, max, not low, high"),
        ("cauchy", {}, "no distribution 'cauchy'|takes values"),
    ],
)
def test_numbers_that_make_no_distribution_are_refused(kind, numbers, why):
    with pytest.raises(ValueError, match=why):
        Distribution.of(kind, **numbers)


def test_values_need_weights_of_their_number():
    with pytest.raises(ValueError, match="one weight"):
        Distribution("empirical", values=(1.0, 2.0), weights=(1.0,))
    with pytest.raises(ValueError, match="needs values"):
        Distribution("empirical")


def test_a_range_of_no_width_is_one_time():
    assert between(3.0, 3.0) == constant(3.0)
