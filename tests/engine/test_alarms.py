"""What the plainest loop does not tell: names, acknowledgement, floods, and the band in which nothing can happen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rig import T0, S, batch, build, feed, mark, rule, table, told
from gateway.model import quality
from gateway.model.alarm import SYSTEM_TAG, Action, AlarmRule, ConditionRefused, Level, Limit, event_id, serial_of

TAGS = table("a", "b")


def test_a_tag_has_one_condition_of_each_limit():
    with pytest.raises(ValueError, match="same condition"):
        build(TAGS, [rule(TAGS, "a", "HI", 5), rule(TAGS, "a", "HI", 6)])


def test_acknowledged_and_returned_is_over_in_either_order():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    (before,) = engine.view.conditions()
    assert not before.retained
    feed(engine, [0], [6.0], 0)
    (update,) = engine.acknowledge("a/Alarms/HI", T0 + S, "anna", "seen").transitions
    assert (update.active, update.acknowledged, update.user, update.comment, update.value) == (True, True, "anna", "seen", 6.0)
    (held,) = engine.view.conditions()
    assert held.retained
    feed(engine, [0], [1.0], 2)
    (over,) = engine.view.conditions()
    assert (over.retained, over.user, over.since_ns) == (False, "anna", T0 + 2 * S)
    feed(engine, [0], [6.0], 3)
    feed(engine, [0], [1.0], 4)
    (unseen,) = engine.view.conditions()
    assert (unseen.retained, unseen.active, unseen.user) == (True, False, "")
    assert len(engine.acknowledge("a/Alarms/HI", T0 + 5 * S, "ben", "").transitions) == 1
    assert engine.acknowledge("a/Alarms/HI", T0 + 6 * S, "ben", "").transitions == ()


def test_an_unknown_condition_is_a_key_error():
    with pytest.raises(KeyError):
        build(TAGS, []).acknowledge("a/Alarms/HI", T0, "anna", "")


def test_a_delay_does_not_run_out_while_nobody_knows_the_value():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5, on_s=3)])
    feed(engine, [0], [6.0], 0)
    mark(engine, [0], quality.BAD_NO_COMMUNICATION, 1)
    assert told(engine.tick(T0 + 10 * S)) == []
    feed(engine, [0], [6.0], 11)
    assert told(engine.tick(T0 + 14 * S)) == [("a", "HI", "active")]


def test_four_limits_of_one_tag_turn_in_order_of_the_rules():
    rules = [rule(TAGS, "a", limit, at) for limit, at in (("LOLO", 1), ("LO", 2), ("HI", 8), ("HIHI", 9))]
    engine = build(TAGS, rules)
    feed(engine, [0], [5.0], 0)
    assert told(feed(engine, [0], [10.0], 1)) == [("a", "HI", "active"), ("a", "HIHI", "active")]
    assert told(feed(engine, [0], [0.0], 2)) == [
        ("a", "LOLO", "active"),
        ("a", "LO", "active"),
        ("a", "HI", "inactive"),
        ("a", "HIHI", "inactive"),
    ]


def test_a_flood_is_told_once_per_tag():
    tags = table(*(f"t{k}" for k in range(5000)))
    engine = build(tags, [rule(tags, f"t{k}", "HI", 5) for k in range(5000)])
    feed(engine, range(5000), np.full(5000, 1.0), 0)
    assert len(feed(engine, range(5000), np.full(5000, 6.0), 1).transitions) == 5000
    assert len(feed(engine, range(5000), np.full(5000, 7.0), 2).transitions) == 0


def test_the_calm_band_reaches_to_the_nearest_edge_that_matters():
    """Four limits with hysteresis are one comparison for as long as the value stays between these two numbers."""
    engine = build(TAGS, [rule(TAGS, "a", limit, at, 1) for limit, at in (("HIHI", 90), ("HI", 80), ("LO", 20), ("LOLO", 10))])

    def band():
        return engine.alarms.calm_low[0].item(), engine.alarms.calm_high[0].item()

    feed(engine, [0], [50.0], 0)
    assert band() == (20.0, 80.0)
    feed(engine, [0], [85.0], 1)
    assert band() == (np.nextafter(79.0, 100.0), 90.0)
    feed(engine, [0], [15.0], 2)
    assert band() == (10.0, np.nextafter(21.0, 0.0))
    mark(engine, [0], quality.BAD_NO_COMMUNICATION, 3)
    assert band() == (np.inf, -np.inf)
    assert (engine.alarms.calm_low[1], engine.alarms.calm_high[1]) == (-np.inf, np.inf)


# --- the gateway itself -----------------------------------------------------------------------------------------------------------------

STORE = AlarmRule(
    SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0, on_delay_ns=5 * S, off_delay_ns=2 * S, message="the store is away", subject="store"
)
NAME = "Gateway/Alarms/store"


def test_an_alarm_of_the_gateway_itself_has_delays_words_and_no_tag():
    """Also where there is no tag at all."""
    engine = build(table(), [STORE])
    assert told(engine.system(NAME, True, T0, "disk full")) == []
    assert told(engine.system(NAME, True, T0 + 3 * S, "still full")) == []
    assert engine.next_deadline() == T0 + 5 * S
    (update,) = engine.tick(T0 + 5 * S).transitions
    assert (update.active, update.value, update.status, update.condition.message, update.rule.tag_id) == (True, 1.0, 0, "still full", -1)
    engine.operate(NAME, Action.ACKNOWLEDGE, T0 + 6 * S, user="anna")
    assert told(engine.system(NAME, True, T0 + 7 * S, "otherwise")) == []
    assert engine.condition(NAME).message == "still full"
    engine.system(NAME, False, T0 + 8 * S)
    assert told(engine.system(NAME, False, T0 + 10 * S)) == [("Gateway", "SYSTEM", "inactive")]


def test_an_alarm_of_the_gateway_outlasts_a_restart_and_is_unknown_to_another_configuration():
    engine = build(TAGS, [STORE, rule(TAGS, "a", "HI", 5)])
    engine.system(NAME, True, T0, "disk full")
    engine.tick(T0 + 5 * S)
    again = build(TAGS, [rule(TAGS, "a", "HI", 5), STORE])
    again.restore(engine.snapshot())
    assert again.condition(NAME) == engine.condition(NAME)
    assert again.state_hash() == engine.state_hash()
    other = build(TAGS, [])
    other.restore(engine.snapshot())
    (ended,) = other.tick(T0 + 6 * S).transitions
    assert (ended.rule.condition, ended.rule.limit, ended.active, ended.condition.serial) == (NAME, Limit.SYSTEM, False, 2)


def test_a_disabled_alarm_of_the_gateway_comes_when_it_is_enabled():
    engine = build(TAGS, [replace(STORE, on_delay_ns=0)])
    engine.operate(NAME, Action.DISABLE, T0)
    assert told(engine.system(NAME, True, T0 + S, "disk full")) == []
    assert told(engine.operate(NAME, Action.ENABLE, T0 + 2 * S)) == [("Gateway", "SYSTEM", "enabled"), ("Gateway", "SYSTEM", "active")]


def test_only_the_gateways_own_conditions_are_said_by_it():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    for name in ("a/Alarms/HI", NAME):
        with pytest.raises(KeyError):
            engine.system(name, True, T0)


def test_a_rule_names_tags_of_the_table():
    for wrong in (AlarmRule(2, "x", Limit.HI, 5), AlarmRule(-1, "x", Limit.HI, 5), AlarmRule(0, "a", Limit.DEV, 5, target_id=2)):
        with pytest.raises(ValueError, match="outside the table"):
            build(TAGS, [wrong])


# --- persons ----------------------------------------------------------------------------------------------------------------------------


def test_a_refused_action_says_why_and_leaves_no_trace():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    before = engine.state_hash()
    with pytest.raises(ConditionRefused, match="is acknowledged already") as caught:
        engine.operate("a/Alarms/HI", Action.ACKNOWLEDGE, T0, user="anna")
    assert quality.name(caught.value.status) == "BadConditionBranchAlreadyAcked"
    with pytest.raises(KeyError):
        engine.operate("a/Alarms/LO", Action.ACKNOWLEDGE, T0)
    assert engine.state_hash() == before


def test_what_falls_due_at_the_moment_of_an_action_comes_first():
    """And where it leaves nothing to do, it alone is told."""
    engine = build(TAGS, [replace(rule(TAGS, "a", "HI", 5, on_s=5), shelve_max_ns=10 * S)])
    feed(engine, [0], [6.0], 0)
    engine.operate("a/Alarms/HI", Action.SHELVE, T0 + S, duration_ns=4 * S)
    update = engine.operate("a/Alarms/HI", Action.UNSHELVE, T0 + 5 * S, user="anna")
    assert told(update) == [("a", "HI", "active"), ("a", "HI", "unshelved")]
    assert update.transitions[1].user == ""


def test_an_event_id_names_one_transition_of_one_condition():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    (first,) = feed(engine, [0], [6.0], 0).transitions
    (second,) = engine.operate("a/Alarms/HI", Action.COMMENT, T0 + S, user="anna", comment="seen").transitions
    assert (first.condition.serial, second.condition.serial, second.condition.raised_serial) == (1, 2, 1)
    assert serial_of("a/Alarms/HI", second.condition.event_id) == 2
    assert serial_of("b/Alarms/HI", second.condition.event_id) is None
    assert event_id("a/Alarms/HI", 1) == first.condition.event_id != second.condition.event_id


# --- several limits, setpoints, rates ---------------------------------------------------------------------------------------------------

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 3.0, 0.1, 0.3, 1e308, -1e308])


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8), NUMBERS.map(abs), NUMBERS.map(abs))
def test_the_band_around_a_setpoint_never_hides_a_change(pairs, limit, share):
    """Whatever rounding does: an engine that weighs every sample tells the same."""
    rules = [
        AlarmRule(0, "a", Limit.DEV, limit + 0.1, hysteresis=(limit + 0.1) * (share / (share + 1)), target_id=1),
        AlarmRule(0, "a", Limit.DISC, limit, target_id=1),
    ]
    calm, anxious = build(TAGS, rules), build(TAGS, rules)
    at_s = 0
    for value, setpoint in pairs:
        for ids, values in (([1], [setpoint]), ([0], [value]), ([0], [np.nextafter(value, setpoint)]), ([0], [setpoint + limit])):
            at_s += 1
            anxious.alarms.calm_low[:], anxious.alarms.calm_high[:] = np.inf, -np.inf
            anxious.alarms.was_bad[:] = False
            assert told(feed(calm, ids, values, at_s)) == told(feed(anxious, ids, values, at_s))


def test_a_setpoint_that_stands_still_costs_nothing():
    engine = build(TAGS, [AlarmRule(0, "a", Limit.DEV, 3, 1, target_id=1)])
    feed(engine, [0, 1], [5.0, 4.0], 0)
    assert (engine.alarms.calm_low[1], engine.alarms.calm_high[1]) == (4.0, 4.0)
    assert engine.alarms.calm_low[0] == pytest.approx(1.0)
    assert engine.alarms.calm_high[0] == pytest.approx(7.0)
    mark(engine, [1], quality.BAD_NO_COMMUNICATION, 1)
    assert (engine.alarms.calm_low[0], engine.alarms.calm_high[0]) == (-np.inf, np.inf)


def test_a_setpoint_that_moves_is_the_cause():
    """The time of the transition is that of the newer of the two."""
    engine = build(TAGS, [AlarmRule(0, "a", Limit.DEV, 3, target_id=1)])
    feed(engine, [0, 1], [5.0, 5.0], 0)
    (turn,) = feed(engine, [1], [1.0], 7).transitions
    assert (turn.condition.level, turn.value, turn.source_ns) == (Limit.HI, 5.0, T0 + 7 * S)


def test_samples_of_a_message_are_rated_one_after_the_other():
    """Also a whole backlog in one message."""
    engine = build(TAGS, [AlarmRule(0, "a", Limit.ROC, 2, 1)])
    feed(engine, [0], [0.0], 0)
    update = engine.step(batch([0] * 6, [1.0, 2.0, 5.0, 5.5, 5.5, 2.0], [1, 2, 3, 4, 5, 6]), T0 + 6 * S)
    assert [(t.change.value, t.value) for t in update.transitions] == [("active", 5.0), ("inactive", 5.5), ("active", 2.0)]


def test_a_rate_starts_anew_after_the_clock_was_set():
    engine = build(TAGS, [AlarmRule(0, "a", Limit.ROC, 2, 1)])
    feed(engine, [0], [0.0], 0)
    feed(engine, [0], [9.0], 1)
    waits = engine.next_deadline() - engine.now_ns
    engine.rebase(-3600 * S)
    assert engine.next_deadline() - engine.now_ns == waits
    assert told(feed(engine, [0], [20.0], -3598)) == []
    assert told(feed(engine, [0], [20.0], -3597)) == [("a", "ROC", "inactive")]


def test_a_link_that_comes_back_with_the_same_value_ends_a_rate():
    engine = build(TAGS, [AlarmRule(0, "a", Limit.ROC, 2, 1)])
    feed(engine, [0], [0.0], 0)
    feed(engine, [0], [9.0], 1)
    mark(engine, [0], quality.BAD_NO_COMMUNICATION, 2)
    assert told(engine.tick(T0 + 3600 * S)) == []
    assert told(engine.step(batch([0], [9.0], 1, received_s=3601), T0 + 3601 * S)) == [("a", "ROC", "inactive")]


# --- a reload ---------------------------------------------------------------------------------------------------------------------------


def test_a_reload_ends_what_the_rule_no_longer_asks_for():
    latching = replace(rule(TAGS, "a", "HI", 5), latch=True, confirm=True, re_alarm_ns=60 * S)
    engine = build(TAGS, [latching])
    feed(engine, [0], [6.0], 0)
    feed(engine, [0], [1.0], 1)
    assert engine.condition("a/Alarms/HI").latched
    engine.retable(TAGS, [rule(TAGS, "a", "HI", 5)], [])
    assert told(engine.tick(T0 + 2 * S)) == [("a", "HI", "inactive")]
    over = engine.condition("a/Alarms/HI")
    assert (over.active, over.latched, over.acknowledged, over.confirmed) == (False, False, False, True)


def test_a_reload_that_takes_a_level_away_leaves_the_next_one():
    levels = (Level(Limit.HI, 8, 500), Level(Limit.HIHI, 9, 800))
    engine = build(TAGS, [AlarmRule(0, "a", Limit.LEVEL, 0, levels=levels, severity=800, re_alarm_ns=3 * S)])
    feed(engine, [0], [10.0], 0)
    engine.retable(TAGS, [AlarmRule(0, "a", Limit.LEVEL, 0, levels=levels[:1], severity=500)], [])
    assert told(engine.tick(T0 + S)) == [("a", "LEVEL", "level")]
    assert engine.condition("a/Alarms/LEVEL").level is Limit.HI
    assert engine.alarms.deadline() == np.iinfo(np.int64).max
