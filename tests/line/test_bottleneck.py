"""Which machine holds the line up, by both methods."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.line.bottleneck import common, found, momentary, periods, turning_point
from gateway.simulation.line.run import execute
from support.lines import exponential_line


def test_active_periods_follow_from_the_turns():
    assert periods([2.0, 5.0, 7.0], 0.0, 10.0, active=True) == [(2.0, 5.0), (7.0, 10.0)]
    assert periods([2.0, 5.0, 7.0], 0.0, 10.0, active=False) == [(0.0, 2.0), (5.0, 7.0)]
    assert periods([], 0.0, 10.0, active=True) == [(0.0, 10.0)]
    assert periods([], 0.0, 10.0, active=False) == []


def test_the_bottleneck_of_an_instant_is_the_longest_active_period_and_shifts_where_two_overlap():
    """Roser, Nakano and Tanaka 2002: from 0 to 6 it is a, from 4 to 12 b; between 4 and 6 it shifts."""
    active = {"a": [(0.0, 6.0), (8.0, 9.0)], "b": [(1.0, 3.0), (4.0, 12.0)], "c": [(2.0, 5.0)]}
    assert momentary(active) == [("a", 0.0, 6.0), ("b", 4.0, 12.0)]
    result = found(["a", "b", "c"], active, dict.fromkeys("abc", 0.0), dict.fromkeys("abc", 0.0))
    assert result.sole_s == {"a": 4.0, "b": 6.0, "c": 0.0}
    assert result.shifting_s == {"a": 2.0, "b": 2.0, "c": 0.0}
    assert result.active_period == "b"


def test_places_in_parallel_are_at_their_limit_when_all_are_active():
    assert common([[(0.0, 4.0), (6.0, 9.0)], [(3.0, 7.0)]]) == [(3.0, 4.0), (6.0, 7.0)]


@given(st.lists(st.lists(st.floats(0, 100), max_size=8).map(sorted), min_size=1, max_size=4))
def test_momentary_bottlenecks_cover_every_instant_at_which_a_machine_is_active(turns):
    active = {str(place): [p for p in periods(own, 0.0, 100.0, active=False) if p[0] < p[1]] for place, own in enumerate(turns)}
    chain = momentary(active)
    for own in active.values():
        for start, end in own:
            middle = (start + end) / 2
            assert any(a <= middle <= b for _, a, b in chain)
    assert all(before[2] <= after[2] for before, after in itertools.pairwise(chain))


def test_the_turning_point_is_where_blocking_turns_into_starving():
    assert turning_point("abcd", {"a": 0, "b": 1, "c": 3, "d": 9}, {"a": 8, "b": 7, "c": 2, "d": 0}) == "c"
    assert turning_point("ab", {"a": 0, "b": 9}, {"a": 1, "b": 0}) == "a"
    assert turning_point("ab", {"a": 0, "b": 1}, {"a": 9, "b": 0}) == "b"


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_both_methods_find_a_machine_that_is_clearly_the_slowest(slow):
    rates = [1.3, 1.3, 1.3]
    rates[slow] = 0.9
    found = execute(exponential_line(rates, [3, 3]), 4, events=False).summary["bottleneck"]
    assert found["active_period"] == found["turning_point"] == f"m{slow}"


@pytest.mark.long
def test_the_bottleneck_agrees_with_what_a_faster_machine_would_bring():
    """Brute force over random lines: the machine whose 5 % more speed brings the most, on the same random numbers."""
    import numpy as np

    stream, agree = np.random.default_rng(5), 0
    for _ in range(30):
        rates = stream.uniform(0.8, 1.4, 4)

        def made(faster, rates=rates):
            tried = [rate * (1.05 if place == faster else 1.0) for place, rate in enumerate(rates)]
            return execute(exponential_line(tried, [4, 4, 4], duration_s=20_000.0), 2, events=False).summary

        gains = [made(place)["production"]["good_pallets"] for place in range(4)]
        agree += made(None)["bottleneck"]["turning_point"] == f"m{int(np.argmax(gains))}"
    assert agree >= 27
