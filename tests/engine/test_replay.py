"""Equal calls give equal states: a replay is the run, and a restart from a snapshot goes on as if nothing had happened."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.rig import T0, S, batch, build, derived, rule, same, table, tag, text
from gateway.engine import snapshot
from gateway.engine.conditions import COLUMNS
from gateway.model import quality
from gateway.model.alarm import SYSTEM_TAG, Action, AlarmRule, Change, ConditionRefused, Level, Limit
from gateway.model.batch import Origin, SampleBatch
from gateway.model.sync import SyncMode
from gateway.model.tag import TagType

TAGS = table(
    tag("b.power", eu_range=(0.0, 100.0), deadband=1.0, stale_after_ns=4 * S),
    tag("a.count", type=TagType.INT),
    text("c.recipe"),
    derived("d.energy"),
    derived("d.per_piece", eu_range=(0.0, 2.0)),
    tag("e.off", enabled=False),
)
RULES = [
    rule(TAGS, "b.power", "HI", 50, 5, on_s=3, off_s=2),
    rule(TAGS, "b.power", "BAD", on_s=1),
    rule(TAGS, "d.per_piece", "HI", 1.0),
    rule(TAGS, "a.count", "LO", 2, on_s=5),
]
MORE = [
    *RULES[:-1],
    replace(RULES[-1], latch=True, confirm=True, re_alarm_ns=6 * S),
    AlarmRule(0, "b.power", Limit.LEVEL, 0, 5, levels=(Level(Limit.HI, 40, 500), Level(Limit.HIHI, 80, 800)), off_delay_ns=S),
    AlarmRule(0, "b.power", Limit.ROC, 20, 5, on_delay_ns=S, shelve_max_ns=20 * S),
    AlarmRule(0, "b.power", Limit.DEV, 10, 1, target_id=1, re_alarm_ns=4 * S),
    AlarmRule(1, "a.count", Limit.DISC, 1, target_id=4, on_delay_ns=2 * S),
    AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0, on_delay_ns=2 * S, subject="store"),
]
FORMULAS = {"d.energy": "integral(b.power)", "d.per_piece": "d.energy / a.count + rate(a.count) * 0"}
VALUES = st.sampled_from([0.0, 1.0, 3.0, 49.0, 51.0, 90.0, 120.0, 0.25, math.nan])
OFFSETS = st.integers(-2, 3) | st.sampled_from([-3600, -3600, -3599])  # or a clock set back
SAMPLE = st.tuples(st.sampled_from([0, 1, 2, 5, 9]), VALUES, st.sampled_from([0, 0, 0, quality.BAD]), OFFSETS)
CALL = st.one_of(
    st.tuples(st.just("step"), st.lists(SAMPLE, min_size=1, max_size=5)),
    st.tuples(st.just("manual"), st.tuples(st.sampled_from([0, 1, 3]), VALUES)),
    st.tuples(st.just("link"), st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("release"), st.lists(st.sampled_from([0, 1, 3]), max_size=2)),
    st.tuples(st.just("acknowledge"), st.sampled_from([r.condition for r in RULES])),
    st.tuples(st.sampled_from(["tick", "commit"]), st.none()),
    st.tuples(st.just("rebase"), st.integers(-3, 3)),
)
ELAPSED = st.integers(0, 3) | st.just(11)
CALLS = st.lists(st.tuples(ELAPSED, CALL), max_size=20)
ACTED = st.one_of(
    CALL,
    CALL,
    st.tuples(st.just("operate"), st.tuples(st.sampled_from([r.condition for r in MORE]), st.sampled_from(list(Action)))),
    st.tuples(st.just("system"), st.booleans()),
)
ALL_CALLS = st.lists(st.tuples(ELAPSED, ACTED), max_size=20)
MODES = st.sampled_from(list(SyncMode))


def fresh(mode, rules=RULES):
    return build(TAGS, rules, FORMULAS, mode=mode, update_frequency=0.5, history_length=4)


def call(engine, now, verb, what):
    """One call of any kind; its update, None where there is none."""
    recipe = engine.view.tags.index["c.recipe"]
    if verb == "step":
        ids, values, statuses, offsets = zip(*what, strict=True)
        texts = {place: f"recipe {value}" for place, (tag_id, value, status, _) in enumerate(what) if tag_id == recipe and not status}
        times = [now + offset * S for offset in offsets]
        return engine.step(SampleBatch.of(ids, values, statuses, times, received_ns=now, text=texts), now)
    if verb == "manual":
        return engine.step(SampleBatch.of([what[0]], [what[1]], received_ns=now, origin=Origin.MANUAL), now)
    if verb == "link":
        statuses = [quality.BAD_NO_COMMUNICATION] * len(what)
        return engine.step(SampleBatch.of(what, [math.nan] * len(what), statuses, received_ns=now, origin=Origin.GATEWAY), now)
    if verb == "operate":
        try:
            return engine.operate(*what, now, user="ben", comment="so", duration_ns=5 * S)
        except ConditionRefused:
            return None
    others = {
        "system": lambda: engine.system("Gateway/Alarms/store", what, now, "full"),
        "acknowledge": lambda: engine.acknowledge(what, now, "anna", "seen"),
        "release": lambda: engine.release(what, now),
        "rebase": lambda: engine.rebase(what * S),
        "tick": lambda: engine.tick(now),
        "commit": lambda: engine.commit(now),
    }
    return others[verb]()


def play(engine, calls, now):
    updates = []
    for elapsed, (verb, what) in calls:
        now += elapsed * S
        updates.append(call(engine, now, verb, what))
        if verb == "rebase":
            now += what * S
    return updates, now


def agree(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            same(one, other)


@settings(max_examples=150, deadline=None)
@given(MODES, ALL_CALLS)
def test_a_replay_is_the_run(mode, calls):
    live, replayed = fresh(mode, MORE), fresh(mode, MORE)
    agree(play(live, calls, T0)[0], play(replayed, calls, T0)[0])
    assert live.state_hash() == replayed.state_hash()


_SETPOINT_AFTER_THE_CLOCK_WAS_SET = (
    [(11, ("manual", (0, 0.0))), (11, ("step", [(1, 1.0, quality.BAD, -3600)]))],
    [(11, ("rebase", -3)), (11, ("step", [(1, 0.25, 0, -2)]))],
)


@settings(max_examples=200, deadline=None)
@example(SyncMode.REAL_TIME, *_SETPOINT_AFTER_THE_CLOCK_WAS_SET)
@given(MODES, ALL_CALLS, ALL_CALLS)
def test_a_restart_from_a_snapshot_goes_on_as_if_nothing_had_happened(mode, before, after):
    live, restarted = fresh(mode, MORE), fresh(mode, MORE)
    _, now = play(live, before, T0)
    restarted.restore(live.snapshot())
    assert restarted.state_hash() == live.state_hash()
    assert restarted.next_deadline() == live.next_deadline() or live.stale.rows.size
    agree(play(live, after, now)[0], play(restarted, after, now)[0])
    assert restarted.state_hash() == live.state_hash()


ASTRAY = st.tuples(st.sampled_from([0, 1]), VALUES, st.just(0), st.sampled_from([0, -3600, -3600, -3600, -3601, -7200]))
ASTRAY_CALLS = st.lists(
    st.tuples(
        st.sampled_from([1, 3, 5, 11]),
        st.tuples(st.just("step"), st.lists(ASTRAY, min_size=1, max_size=3)) | st.tuples(st.just("link"), st.just([0])),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(ASTRAY_CALLS, ASTRAY_CALLS)
def test_a_restart_amid_clocks_that_are_set_back_goes_on_as_if_nothing_had_happened(before, after):
    live, restarted = fresh(SyncMode.REAL_TIME), fresh(SyncMode.REAL_TIME)
    _, now = play(live, before, T0)
    restarted.restore(live.snapshot())
    agree(play(live, after, now)[0], play(restarted, after, now)[0])
    assert restarted.state_hash() == live.state_hash()


@settings(max_examples=100, deadline=None)
@given(CALLS)
def test_the_state_hash_is_of_names_not_of_rows(calls):
    """The same plant with its tags declared in another order."""
    order = [4, 2, 0, 5, 3, 1]
    place = {old: new for new, old in enumerate(order)} | {9: 9}
    tags = table(*(TAGS[k] for k in order))
    rules = [rule(tags, r.tag, r.limit.value, r.threshold, r.hysteresis, r.on_delay_ns / S, r.off_delay_ns / S) for r in reversed(RULES)]
    one, other = fresh(SyncMode.REAL_TIME), build(tags, rules, FORMULAS, update_frequency=0.5, history_length=4)
    play(one, calls, T0)
    play(other, [(elapsed, moved(verb, what, place)) for elapsed, (verb, what) in calls], T0)
    assert one.state_hash() == other.state_hash()


def moved(verb, what, place):
    if verb == "step":
        return verb, [(place[tag_id], *rest) for tag_id, *rest in what]
    if verb == "manual":
        return verb, (place[what[0]], what[1])
    return verb, [place[k] for k in what] if verb in {"link", "release"} else what


def test_any_damage_to_a_snapshot_is_found():
    engine = fresh(SyncMode.REAL_TIME)
    play(engine, [(1, ("step", [(0, 60.0, 0, 0), (2, 1.0, 0, 0)])), (1, ("manual", (1, 3.0)))], T0)
    blob = engine.snapshot()
    for place in range(0, len(blob), 7):
        broken = bytearray(blob)
        broken[place] ^= 0x10
        with pytest.raises(ValueError, match="snapshot"):
            fresh(SyncMode.REAL_TIME).restore(bytes(broken))
    for length in (0, 5, 40, len(blob) - 1):
        with pytest.raises(ValueError, match="snapshot"):
            fresh(SyncMode.REAL_TIME).restore(blob[:length])


def test_a_snapshot_with_a_part_missing_is_refused_as_a_damaged_one():
    head, columns = snapshot.decode(fresh(SyncMode.REAL_TIME).snapshot())
    del columns["tag.status"]
    with pytest.raises(ValueError, match=r"tag\.status"):
        fresh(SyncMode.REAL_TIME).restore(snapshot.encode(b"{}", head, columns))


def test_a_snapshot_fits_another_configuration():
    """Names that are gone are left out, `was` is followed, another type begins anew, and a limit keeps its alarm."""
    engine = fresh(SyncMode.REAL_TIME)
    play(engine, [(0, ("step", [(0, 60.0, 0, 0), (1, 5.0, 0, 0)])), (4, ("tick", None))], T0)
    tags = table(tag("z.power", was="b.power"), tag("a.count", type=TagType.FLOAT), "new.one")
    other = build(tags, [rule(tags, "z.power", "HI", 50, 5)])
    other.restore(engine.snapshot())
    assert (other.view.value[0], other.view.status[0]) == (60.0, quality.UNCERTAIN_LAST_USABLE)
    assert other.view.status[1:].tolist() == [quality.BAD_WAITING_FOR_INITIAL_DATA] * 2
    (condition,) = other.view.conditions()
    assert condition.active
    assert not condition.acknowledged


def standing():
    """b.power HI is active, a.count LO is over and waits to be acknowledged."""
    engine = fresh(SyncMode.REAL_TIME)
    play(engine, [(0, ("step", [(0, 60.0, 0, 0), (1, 1.0, 0, 0)])), (5, ("tick", None)), (1, ("step", [(1, 5.0, 0, 0)]))], T0)
    assert [(c.rule.condition, c.active, c.acknowledged) for c in engine.view.conditions() if c.retained] == [
        ("b.power/Alarms/HI", True, False),
        ("a.count/Alarms/LO", False, False),
    ]
    return engine


def ends(update):
    return [(t.rule.condition, t.change.value, t.active, t.acknowledged, t.rule.threshold, t.at_ns) for t in update.transitions]


def test_a_condition_whose_rule_went_during_a_stop_ends_at_the_start():
    """What was told as active must not stay so for ever: the first call after the restart tells the end, and once."""
    tags = table("b.power", tag("a.count", type=TagType.INT))
    other = build(tags, [rule(tags, "a.count", "LO", 2, on_s=5)])
    other.restore(standing().snapshot())
    assert other.next_deadline() == other.now_ns
    update = other.tick(T0 + 60 * S)
    assert ends(update) == [("b.power/Alarms/HI", "inactive", False, True, 50.0, T0 + 60 * S)]
    (end,) = update.transitions
    assert (end.rule.tag_id, end.value, end.status, end.rule.severity) == (0, 60.0, quality.UNCERTAIN_LAST_USABLE, 500)
    assert not other.tick(T0 + 61 * S).transitions
    assert [(c.rule.condition, c.retained) for c in other.view.conditions()] == [("a.count/Alarms/LO", True)]


def test_a_condition_whose_tag_went_during_a_stop_ends_at_the_start():
    for tags in (table("new.one"), table(*(replace(one, enabled=False) for one in TAGS[:2]))):
        other = build(tags, [rule(tags, tags[0].name, "HI", 50)])
        other.restore(standing().snapshot())
        update = other.step(SampleBatch.of([0], [1.0], received_ns=T0 + 9 * S), T0 + 9 * S)
        assert ends(update) == [
            ("a.count/Alarms/LO", "inactive", False, True, 2.0, T0 + 9 * S),
            ("b.power/Alarms/HI", "inactive", False, True, 50.0, T0 + 9 * S),
        ]


def test_an_end_that_was_not_told_yet_outlasts_another_restart():
    first = build(table("new.one"))
    first.restore(standing().snapshot())
    second = build(table("new.one"))
    second.restore(first.snapshot())
    assert [end[0] for end in ends(second.tick(T0 + 9 * S))] == ["a.count/Alarms/LO", "b.power/Alarms/HI"]
    reloaded = standing()
    reloaded.retable(TAGS, RULES[1:3], [])
    third = build(TAGS, RULES[1:3])
    third.restore(reloaded.snapshot())
    assert sorted(ends(third.tick(T0 + 9 * S))) == sorted(ends(reloaded.tick(T0 + 9 * S)))


def test_a_condition_of_a_tag_renamed_during_a_stop_is_told_under_both_names():
    tags = table(tag("z.power", was="b.power"), tag("a.count", type=TagType.INT))
    other = build(tags, [rule(tags, "z.power", "HI", 50, 5), rule(tags, "a.count", "LO", 2)])
    other.restore(standing().snapshot())
    update = other.tick(T0 + 9 * S)
    assert [(t.rule.condition, t.change.value, t.active, t.acknowledged) for t in update.transitions] == [
        ("b.power/Alarms/HI", "inactive", False, True),
        ("z.power/Alarms/HI", "active", True, False),
    ]


SURVIVING = st.one_of(
    st.tuples(st.just("step"), st.lists(SAMPLE, min_size=1, max_size=5, unique_by=lambda sample: sample[0])),
    st.tuples(st.just("manual"), st.tuples(st.sampled_from([0, 1]), VALUES)),
    st.tuples(st.just("link"), st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("tick"), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(CALLS, st.lists(st.tuples(ELAPSED, SURVIVING), max_size=12))
def test_after_a_crash_the_rows_on_disk_bring_the_twin_back(before, after):
    """What is on disk: a snapshot, and of each step since then its origin and its rows without the derived ones.

    Duplicates are not on disk, so ages may be greater than they were: no tag here grows stale. Nor are late samples: in a message with
    several samples of a tag, formulas may then miss a value in between.
    """
    tags = table(*(replace(one, stale_after_ns=None) for one in TAGS))
    live, restarted = (build(tags, RULES, FORMULAS) for _ in range(2))
    _, now = play(live, before, T0)
    restarted.restore(live.snapshot())
    origins = {"step": Origin.SOURCE, "manual": Origin.MANUAL}
    for elapsed, (verb, what) in after:
        now += elapsed * S
        rows = call(live, now, verb, what).rows
        keep = np.flatnonzero(~live.computed[rows.tag_id])
        text = {place: rows.text[row] for place, row in enumerate(keep.tolist()) if row in rows.text}
        columns = (rows.tag_id[keep], rows.value[keep], rows.status[keep], rows.source_ns[keep])
        origin = origins.get(verb, Origin.GATEWAY)
        restarted.replay(SampleBatch.of(*columns, received_ns=now, text=text, origin=origin), now)
    restarted.tick(now)
    live.tick(now)
    np.testing.assert_array_equal(restarted.view.value, live.view.value)
    np.testing.assert_array_equal(restarted.view.status, live.view.status)
    np.testing.assert_array_equal(restarted.view.source_ns, live.view.source_ns)
    assert restarted.view.text == live.view.text
    assert [c.active for c in restarted.view.conditions()] == [c.active for c in live.view.conditions()]


def test_a_snapshot_of_an_older_version_is_read():
    """It knew five columns of every condition, and no levels."""
    engine = fresh(SyncMode.REAL_TIME)
    call(engine, T0, "step", [(0, 60.0, 0, 0), (1, 1.0, 0, 0)])
    engine.tick(T0 + 3 * S)
    engine.acknowledge("b.power/Alarms/HI", T0 + 4 * S, "anna", "seen")
    head, columns = snapshot.decode(engine.snapshot())
    names = {name: head.pop(name) for name in ("tags", "conditions")}
    place = columns.pop("alarm.place")
    for name, (kind, initial) in COLUMNS.items():
        column = np.full(len(names["conditions"]), initial, kind)
        column[place] = columns.pop(f"alarm.{name}")
        if name in {"active", "acknowledged", "due_ns", "since_ns", "shown"}:
            columns[f"alarm.{name}"] = column
    head.pop("said")
    head["standing"] = {name: numbers[:2] for name, numbers in head["standing"].items()}
    older = fresh(SyncMode.REAL_TIME)
    older.restore(snapshot.encode(snapshot.as_json(names), head, columns))
    assert [(c.active, c.acknowledged, c.user) for c in older.view.conditions()] == [
        (c.active, c.acknowledged, c.user) for c in engine.view.conditions()
    ]
    assert older.next_deadline() == engine.next_deadline()
    told = [[(t.rule.condition, t.change) for t in one.step(batch([0], [0.0], 5), T0 + 5 * S).transitions] for one in (older, engine)]
    assert told[0] == told[1]
    told = [[(t.rule.condition, t.change) for t in one.tick(T0 + 7 * S).transitions] for one in (older, engine)]
    assert told[0] == told[1] == [("b.power/Alarms/HI", Change.INACTIVE)]
