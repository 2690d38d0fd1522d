"""A reload keeps rows and state, and tells what it changed with the next call."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rig import T0, S, batch, build, derived, feed, manual, rows, rule, table, tag, told
from gateway.events import said
from gateway.model import quality
from gateway.model.alarm import Action, Change
from gateway.model.derived import DerivedRule
from gateway.model.expression import ExpressionError
from gateway.model.tag import TagType

OUT, WAITING = quality.BAD_OUT_OF_SERVICE, quality.BAD_WAITING_FOR_INITIAL_DATA
OLD = table(tag("a", deadband=1.0), "b", derived("sum"))
RULES = [rule(OLD, "a", "HI", 5), rule(OLD, "b", "HI", 5), rule(OLD, "b", "LO", -5, on_s=10)]


def running():
    engine = build(OLD, RULES, {"sum": "integral(a) + b"})
    feed(engine, [0, 1], [6.0, 7.0], 0)
    feed(engine, [0, 1], [6.0, 7.0], 3600)
    return engine


def later(engine, at_s=3700):
    assert engine.next_deadline() == engine.now_ns
    return engine.tick(T0 + at_s * S)


def test_state_alarms_and_integrals_are_kept_and_the_view_stays():
    engine = running()
    view = engine.view
    new = table(*OLD, "c", derived("twice"))
    engine.retable(new, [*RULES, rule(new, "c", "HI", 1)], [DerivedRule(2, "sum", "integral(a) + b"), DerivedRule(4, "twice", "a * 2")])
    assert engine.view is view
    assert view.tags is new
    update = later(engine)
    assert rows(update.rows) == [
        (3, pytest.approx(np.nan, nan_ok=True), WAITING, -T0 / S),
        (4, pytest.approx(np.nan, nan_ok=True), WAITING, -T0 / S),
        (2, 13.0, 0, 3600.0),
        (4, 12.0, 0, 3600.0),
    ]
    assert told(update) == []
    assert [c.rule.condition for c in view.conditions() if c.active] == ["a/Alarms/HI", "b/Alarms/HI"]
    assert told(feed(engine, [3], [2.0], 3701)) == [("c", "HI", "active")]
    assert feed(engine, [0], [6.5], 7200).reported.tolist() == [False, True, True]


def test_a_name_that_went_is_out_of_service_and_its_alarm_ends():
    engine = running()
    engine.retable(table(OLD[0], tag("b", enabled=False), OLD[2]), RULES[:1], [DerivedRule(2, "sum", "integral(a) + b")])
    update = later(engine)
    assert rows(update.rows) == [(1, 7.0, OUT, 3600.0), (2, 13.0, OUT, 3600.0)]
    assert [(t.rule.condition, t.change.value, t.active, t.acknowledged) for t in update.transitions] == [
        ("b/Alarms/HI", "inactive", False, True)
    ]
    assert feed(engine, [1], [1.0], 3701).counts.refused == 1
    assert engine.next_deadline() != engine.now_ns


def test_a_tag_that_comes_back_waits_for_data():
    engine = running()
    engine.retable(table(OLD[0], tag("b", enabled=False), OLD[2]), [], [])
    later(engine)
    engine.retable(OLD, RULES, [])
    assert rows(later(engine, 3701).rows) == [(1, 7.0, WAITING, 3600.0)]
    assert rows(feed(engine, [1], [1.0], 3702).rows) == [(1, 1.0, 0, 3702.0)]


def test_a_limit_that_moved_is_judged_at_once():
    engine = running()
    engine.retable(OLD, [rule(OLD, "a", "HI", 6.5), rule(OLD, "b", "HI", 5), rule(OLD, "b", "LO", 8)], [DerivedRule(2, "sum", "a")])
    update = later(engine)
    assert told(update) == [("a", "HI", "inactive"), ("b", "LO", "active")]
    assert rows(update.rows) == [(2, 6.0, 0, 3600.0)]


def test_another_type_begins_anew_and_another_source_has_its_own_clock():
    engine = running()
    engine.retable(table(tag("a", type=TagType.INT), tag("b", source="cell"), OLD[2]), [], [])
    update = later(engine)
    assert update.rows.status.tolist() == [WAITING]
    assert rows(engine.step(batch([1], [3.0], 100, received_s=3701), T0 + 3701 * S).rows) == [(1, 3.0, 0, 100.0)]


def test_manual_input_lasts_across_a_reload():
    engine = running()
    manual(engine, [1], [1.0], 3601)
    engine.retable(OLD, RULES, [])
    later(engine)
    assert feed(engine, [1], [9.0], 3702).counts.overridden == 1
    assert rows(engine.release([1], T0 + 3703 * S).rows) == [(1, 9.0, 0, 3702.0)]


def test_a_table_that_does_not_fit_changes_nothing():
    engine = running()
    before = engine.state_hash()
    with pytest.raises(ExpressionError):
        engine.retable(OLD, [], [DerivedRule(2, "sum", "nobody + 1")])
    with pytest.raises(ValueError, match="keeps the row"):
        engine.retable(table("b", "a", OLD[2]), [], [])
    with pytest.raises(ValueError, match="same condition"):
        engine.retable(OLD, [RULES[0], RULES[0]], [])
    assert engine.state_hash() == before
    assert engine.view.tags is OLD


def test_the_ring_reaches_across_a_reload():
    engine = running()
    engine.retable(table(*OLD, "c"), RULES, [])
    feed(engine, [3], [1.0], 3700)
    old = engine.view.at(T0 + 10 * S)
    assert old.value[:2].tolist() == [6.0, 7.0]
    assert old.tree(engine.view.tags) == {"timestamp": "2023-11-14T22:13:20.000Z", "a": 6.0, "b": 7.0, "sum": 7.0, "c": None}


def renamed(engine):
    """`a` is `z` from now on."""
    new = table(tag("a", enabled=False), OLD[1], OLD[2], tag("z", was="a"))
    engine.retable(new, [rule(new, "z", "HI", 5), *RULES[1:]], [DerivedRule(2, "sum", "z + b")])
    return new


def records(update):
    return [(t.rule.condition, t.change.value, t.active, t.acknowledged, t.user) for t in update.transitions]


def test_a_renamed_tag_goes_on_from_its_value_and_tells_its_alarm_under_its_new_name():
    """Subscribers keep records by name: the old one ends, the new one stands."""
    engine = running()
    renamed(engine)
    update = later(engine)
    assert rows(update.rows) == [(0, 6.0, OUT, 3600.0), (3, 6.0, 0, 3600.0), (2, 13.0, 0, 3600.0)]
    assert told(update) == [("a", "HI", "inactive"), ("z", "HI", "active")]


def test_a_condition_follows_its_tag_to_a_new_name():
    """Who acknowledged, since when, and in which state: a rename in operation is not a new alarm."""
    engine = running()
    engine.acknowledge("a/Alarms/HI", T0 + 3650 * S, "anna", "seen")
    before = engine.view.conditions()[0]
    renamed(engine)
    after = next(c for c in engine.view.conditions() if c.rule.tag == "z")
    assert (after.active, after.acknowledged, after.since_ns, after.value) == (True, True, before.since_ns, 6.0)
    assert (after.user, after.comment) == ("anna", "seen")
    assert records(later(engine)) == [("a/Alarms/HI", "inactive", False, True, ""), ("z/Alarms/HI", "active", True, True, "anna")]
    assert told(feed(engine, [3], [1.0], 3701)) == [("z", "HI", "inactive")]


def test_a_condition_that_nobody_acknowledged_waits_for_it_under_the_new_name():
    engine = running()
    feed(engine, [0], [1.0], 3601)
    renamed(engine)
    assert records(later(engine)) == [("a/Alarms/HI", "inactive", False, True, ""), ("z/Alarms/HI", "inactive", False, False, "")]
    assert len(engine.acknowledge("z/Alarms/HI", T0 + 3702 * S, "anna", "").transitions) == 1


def test_a_delay_runs_on_under_the_new_name():
    new = table("a", "b")
    engine = build(new, [rule(new, "b", "HI", 5, on_s=10)])
    feed(engine, [1], [6.0], 0)
    new = table("a", tag("b", enabled=False), tag("y", was="b"))
    engine.retable(new, [rule(new, "y", "HI", 5, on_s=10)], [])
    assert told(later(engine, 5)) == []
    assert told(engine.tick(T0 + 10 * S)) == [("y", "HI", "active")]


def test_a_limit_that_the_renamed_tag_has_no_more_ends():
    engine = running()
    new = table(tag("a", enabled=False), OLD[1], OLD[2], tag("z", was="a"))
    engine.retable(new, [rule(new, "z", "LO", -5), *RULES[1:]], [])
    assert told(later(engine)) == [("a", "HI", "inactive")]


def test_manual_input_follows_its_tag_to_a_new_name():
    """It wins until it is released, and a rename is no release."""
    engine = running()
    manual(engine, [0], [3.0], 3601)
    renamed(engine)
    later(engine)
    assert feed(engine, [3], [9.0], 3701).counts.overridden == 1
    assert (engine.view.value[3], engine.view.status[3]) == (3.0, quality.GOOD_LOCAL_OVERRIDE)
    assert rows(engine.release([3], T0 + 3702 * S).rows)[0] == (3, 9.0, 0, 3701.0)


def test_a_condition_that_need_not_be_confirmed_any_more_says_so_to_those_who_wait():
    """Whoever keeps the last record of a condition that is of no interest any more would keep it for ever."""
    asks = replace(RULES[0], confirm=True)
    engine = build(OLD, [asks, *RULES[1:]], {"sum": "integral(a) + b"})
    feed(engine, [0], [6.0], 0)
    feed(engine, [0], [1.0], 10)
    engine.operate("a/Alarms/HI", Action.ACKNOWLEDGE, T0 + 11 * S, user="anna")
    assert engine.condition("a/Alarms/HI").retained
    fresh = build(OLD, RULES, {"sum": "integral(a) + b"})
    fresh.restore(engine.snapshot())
    engine.retable(OLD, RULES, [DerivedRule(2, "sum", "integral(a) + b")])
    for after in (engine, fresh):
        (transition,) = later(after, 20).transitions
        assert (transition.change, transition.user, transition.condition.retained) == (Change.CONFIRMED, "", False)
        assert said(transition) == "a HI asks for no confirmation any more"


CONFIGURED = st.tuples(st.booleans(), st.booleans(), st.booleans())  # rule there, tag enabled, tag named b
LIVES = st.lists(st.one_of(st.sampled_from([0.0, 9.0]), st.just("restart"), CONFIGURED), max_size=25)


@given(LIVES)
def test_no_event_id_is_ever_given_twice(calls):
    """Whatever rules come and go, are renamed, taken out of service or restarted (Part 5, 6.4.2: EventId)."""

    def configured(ruled, enabled, renamed):
        name = "b" if renamed else "a"
        tags = table(tag("a", enabled=enabled and not renamed), tag("b", enabled=enabled and renamed, was="a"))
        return tags, [rule(tags, name, "HI", 5)] if ruled else []

    config = configured(True, True, False)
    engine, seen, at_s = build(*config), set(), 0
    for call in calls:
        at_s += 1
        if call == "restart":
            fresh = build(*config)
            fresh.restore(engine.snapshot())
            assert fresh.state_hash() == engine.state_hash()
            engine = fresh
            continue
        if isinstance(call, tuple):
            config = configured(*call)
            engine.retable(*config, [])
            update = engine.tick(T0 + at_s * S)
        else:
            update = feed(engine, [0, 1], [call, call], at_s)
        for transition in update.transitions:
            assert transition.condition.event_id not in seen
            seen.add(transition.condition.event_id)
