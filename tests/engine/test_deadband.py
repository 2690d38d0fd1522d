"""The band is held against what was last reported (OPC UA Part 4, 7.22.2)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rig import build, feed, mark, table, tag, text
from gateway.engine.deadband import Deadband
from gateway.model import quality


@pytest.mark.parametrize("band", [-0.1, np.nan])
def test_a_band_is_a_number_of_zero_or_more(band):
    with pytest.raises(ValueError, match="deadband"):
        Deadband.of(np.array([1.0, band]))


def test_a_change_of_status_passes_even_where_the_value_stands_still():
    engine = build(table(tag("a", deadband=1.0)))
    seen = [feed(engine, [0], [5.0], at, status).reported.tolist() for at, status in enumerate([0, quality.BAD, quality.BAD, 0, 0])]
    assert seen == [[True], [True], [False], [True], [False]]


def test_a_text_is_reported_when_it_changes():
    engine = build(table(text("t")))
    words = ["a", "a", "b", "a"]
    assert [feed(engine, [0], [np.nan], at, text={0: word}).reported[0] for at, word in enumerate(words)] == [True, False, True, True]


def test_a_lost_link_is_reported_once():
    engine = build(table(tag("a", deadband=1.0)))
    feed(engine, [0], [5.0], 0)
    assert mark(engine, [0], quality.BAD_NO_COMMUNICATION, 1).reported.tolist() == [True]
    assert mark(engine, [0], quality.BAD_NO_COMMUNICATION, 2).reported.tolist() == []


@given(st.lists(st.lists(st.floats(-1e308, 1e308), min_size=6, max_size=6), min_size=1, max_size=8), st.floats(0, 1e3))
def test_a_slice_an_index_and_one_by_one_decide_alike(rounds, band):
    """The three ways in which numpy is asked, over the same values."""
    by_slice, by_index, by_one = (Deadband.of(np.full(6, band)) for _ in range(3))
    good, order = np.zeros(6, np.uint32), np.array([3, 0, 5, 1, 4, 2])
    for values in rounds:
        value = np.array(values)
        expected = by_slice.report(slice(0, 6), value, good)
        np.testing.assert_array_equal(by_index.report(order, value[order], good), expected[order])
        alone = [by_one.report(np.array([row]), value[row : row + 1], good[:1])[0] for row in range(6)]
        np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(by_slice.value, by_index.value)
