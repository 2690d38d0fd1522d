"""Derived tags follow their inputs, in order, and only where one changed."""

import math

import numpy as np
import pytest

from engine.rig import T0, S, batch, build, derived, feed, manual, mark, rows, rule, table, tag, told
from gateway.engine.derived import CycleError, Derived, ordered
from gateway.model import quality
from gateway.model.derived import DerivedRule

TAGS = table("in.a", "in.b", derived("out.sum"), derived("out.double", eu_range=(0.0, 50.0)), derived("out.other"), derived("out.pi"))
FORMULAS = {"out.double": "out.sum * 2", "out.sum": "in.a + in.b", "out.other": "in.b / in.b", "out.pi": "355 / 113"}


def test_they_stand_after_their_inputs_and_only_those_whose_input_changed():
    engine = build(TAGS, formulas=FORMULAS)
    feed(engine, [0, 1], [1.0, 2.0], 0)
    assert rows(feed(engine, [0], [5.0], 1).rows) == [(0, 5.0, 0, 1.0), (2, 7.0, 0, 1.0), (3, 14.0, 0, 1.0)]


def test_source_time_is_the_newest_input_and_status_the_worst():
    engine = build(TAGS, formulas=FORMULAS)
    feed(engine, [1], [2.0], 3)
    update = feed(engine, [0], [1.0], 1, quality.UNCERTAIN)
    assert rows(update.rows)[1] == (2, 3.0, quality.UNCERTAIN, 3.0)


def test_a_bad_input_keeps_the_value_and_shows_why():
    engine = build(TAGS, formulas=FORMULAS)
    feed(engine, [0, 1], [1.0, 2.0], 0)
    mark(engine, [1], quality.BAD_NO_COMMUNICATION, 1)
    assert engine.view.value[2:5].tolist() == [3.0, 6.0, 1.0]
    assert engine.view.status[2:5].tolist() == [quality.BAD_NO_COMMUNICATION] * 3


def test_a_division_by_zero_is_bad_out_of_range():
    engine = build(TAGS, formulas=FORMULAS)
    update = feed(engine, [0, 1], [1.0, 0.0], 0)
    assert update.rows.status[update.rows.tag_id == 4] == quality.BAD_OUT_OF_RANGE


def test_a_range_and_an_alarm_hold_for_derived_tags_too():
    engine = build(TAGS, [rule(TAGS, "out.double", "HI", 60)], FORMULAS)
    update = feed(engine, [0, 1], [30.0, 2.0], 0)
    assert engine.view.status[3] == quality.UNCERTAIN_EU_EXCEEDED
    assert told(update) == [("out.double", "HI", "active")]


def test_an_expression_without_tags_is_computed_once():
    engine = build(TAGS, formulas=FORMULAS)
    assert (5, 355 / 113, 0, 0.0) in rows(feed(engine, [0], [1.0], 0).rows)
    assert 5 not in feed(engine, [0], [2.0], 1).rows.tag_id


def test_readers_of_an_overridden_derived_tag_see_the_manual_value():
    engine = build(TAGS, formulas=FORMULAS)
    feed(engine, [0, 1], [1.0, 2.0], 0)
    manual(engine, [2], [20.0], 1)
    assert engine.view.value[3] == 40.0
    feed(engine, [0], [3.0], 2)
    assert engine.view.value[2:4].tolist() == [20.0, 40.0]
    engine.release([2], engine.now_ns)
    assert engine.view.value[2:4].tolist() == [5.0, 10.0]


def test_a_source_cannot_write_a_derived_tag():
    engine = build(TAGS, formulas=FORMULAS)
    assert feed(engine, [2], [1.0], 0).counts.refused == 1
    assert math.isnan(engine.view.value[2])


def test_every_sample_of_a_batch_reaches_an_integral():
    """Three samples of one tag in one message: 10 kW for an hour, then 20 kW for an hour, then something else."""
    tags = table("power", derived("energy"))
    engine = build(tags, formulas={"energy": "integral(power)"})
    engine.step(batch([0, 0, 0], [10.0, 20.0, 70.0], [0, 3600, 7200]), T0 + 7200 * S)
    assert engine.view.value[1] == 30.0


def test_a_circle_is_an_error_that_names_the_path():
    with pytest.raises(CycleError, match="a -> b -> c -> a"):
        ordered({"x": ["a"], "a": ["b"], "b": ["in", "c"], "c": ["a"]})
    with pytest.raises(CycleError, match="a -> a"):
        ordered({"a": ["a"]})


def test_a_rule_without_its_tag_brings_the_nearest_name():
    with pytest.raises(ValueError, match=r"did you mean out\.sum"):
        Derived([DerivedRule(1, "out.sun", "in.a")], TAGS)


def test_ten_thousand_tags_are_not_looked_at_for_one():
    """O(batch): only the formula that reads the changed tag runs."""
    tags = table(*(f"in{k}" for k in range(500)), *(derived(f"out{k}") for k in range(500)))
    engine = build(tags, formulas={f"out{k}": f"in{k} + 1" for k in range(500)})
    feed(engine, list(range(500)), np.zeros(500), 0)
    assert feed(engine, [7], [1.0], 1).rows.tag_id.tolist() == [7, 507]


def test_deep_chains_do_not_recurse():
    tags = table("in", *(derived(f"d{k}") for k in range(3000)))
    engine = build(tags, formulas={f"d{k}": f"d{k - 1} + 1" if k else "in + 1" for k in reversed(range(3000))})
    feed(engine, [0], [0.0], 0)
    assert engine.view.value[3000] == 3000.0


def tags_of(update):
    return update.rows.tag_id.tolist()


def test_a_disabled_derived_tag_is_not_computed():
    tags = table("in.a", derived("out.a", enabled=False), derived("out.b"))
    engine = build(tags, formulas={"out.a": "in.a", "out.b": "out.a + in.a"})
    assert tags_of(feed(engine, [0], [1.0], 0)) == [0, 2]
    assert engine.view.status[2] == quality.BAD_OUT_OF_SERVICE


def test_an_unused_tag_feeds_nothing():
    assert tags_of(feed(build(table("a", tag("b"), derived("c")), formulas={"c": "a"}), [1], [1.0], 0)) == [1]
