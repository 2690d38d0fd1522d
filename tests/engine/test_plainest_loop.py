"""The columns decide what the plainest loop decides: order of samples, validity, deadband, alarms with delays."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.plain import PlainCondition, PlainEngine, PlainTag
from engine.rig import T0, S, build, rule, table, tag
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.tag import TagType

TAGS = table(
    tag("line.a", eu_range=(0.0, 100.0), deadband=2.0),
    tag("line.b"),
    tag("line.c", deadband=0.5),
    tag("line.state", type=TagType.ENUM),
)
RULES = [
    rule(TAGS, "line.a", "HIHI", 90, 2),
    rule(TAGS, "line.a", "HI", 80, 5, on_s=3, off_s=2),
    rule(TAGS, "line.a", "LO", 20, 5, off_s=4),
    rule(TAGS, "line.a", "BAD", on_s=2),
    rule(TAGS, "line.b", "HI", 3, 0),
    rule(TAGS, "line.b", "LO", 1, 1, on_s=1),
    rule(TAGS, "line.b", "BAD"),
    rule(TAGS, "line.state", "STATE", 2, on_s=1),
]
FLOATS = st.sampled_from(
    [0.0, 0.5, 1.0, 2.0, 3.0, 3.5, 15.0, 19.9, 25.0, 50.0, 75.0, 76.0, 80.0, 80.1, 88.0, 91.0, 120.0, -1.0, 1e308, -1e308]
)
VALUES = FLOATS | st.sampled_from([math.nan, math.inf])
STATUSES = st.sampled_from([0, 0, 0, 0, quality.UNCERTAIN, quality.BAD, quality.BAD_DECODING_ERROR])
SECONDS = st.integers(0, 12) | st.sampled_from([-(10**9)])
SAMPLE = st.one_of(
    st.tuples(st.integers(0, 2), VALUES, STATUSES, SECONDS),
    st.tuples(st.just(3), st.sampled_from([0.0, 1.0, 2.0, 3.0]), STATUSES, SECONDS),
)
MARK = st.tuples(st.integers(0, 3), st.sampled_from([quality.BAD_NO_COMMUNICATION, quality.UNCERTAIN_LAST_USABLE]))
CALL = st.tuples(
    st.integers(0, 3),
    st.lists(SAMPLE, min_size=1, max_size=6) | st.just("tick") | st.lists(MARK, min_size=1, max_size=3, unique_by=lambda mark: mark[0]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CALL, max_size=25))
def test_the_columns_decide_what_the_plainest_loop_decides(calls):
    engine = build(TAGS, RULES)
    plain = PlainEngine([PlainTag(one, [PlainCondition(r) for r in RULES if r.tag == one.name]) for one in TAGS])
    now = T0 + 6 * S
    for elapsed, what in calls:
        now += elapsed * S
        if what == "tick":
            update = engine.tick(now)
            plain.begin(now)
        elif len(what[0]) == 2:
            ids, statuses = zip(*what, strict=True)
            update = engine.step(SampleBatch.of(ids, [math.nan] * len(ids), statuses, received_ns=now, origin=Origin.GATEWAY), now)
            plain.mark(what, now)
        else:
            samples = [(tag_id, value, status, 0 if at < 0 else T0 + at * S) for tag_id, value, status, at in what]
            ids, values, statuses, times = zip(*samples, strict=True)
            update = engine.step(SampleBatch.of(ids, values, statuses, times, received_ns=now), now)
            plain.step(samples, now, now)
        agree(update, plain)
    for tag_id, one in enumerate(plain.tags):
        assert repr(engine.view.value[tag_id].item()) == repr(one.value)
        assert engine.view.status[tag_id] == one.status
        assert engine.view.source_ns[tag_id] == one.source
    active = {condition.rule.condition for one in plain.tags for condition in one.conditions if condition.active}
    assert {condition.rule.condition for condition in engine.view.conditions() if condition.active} == active


def agree(update, plain):
    """Rows and late rows per tag in their order, transitions per condition in theirs, and the counters."""
    r = update.rows
    columns = zip(
        r.tag_id.tolist(), map(repr, r.value.tolist()), r.status.tolist(), r.source_ns.tolist(), update.reported.tolist(), strict=True
    )
    assert by_key(columns) == by_key(plain.rows)
    late = update.late
    columns = zip(late.tag_id.tolist(), map(repr, late.value.tolist()), late.status.tolist(), late.source_ns.tolist(), strict=True)
    assert by_key(columns) == by_key(plain.late)
    turns = [(t.rule.condition, t.active, repr(t.value), t.status) for t in update.transitions]
    assert by_key(turns) == by_key(plain.turns)
    counts = update.counts
    assert (counts.duplicate, counts.skewed, counts.reordered) == (plain.duplicates, plain.skewed, plain.reordered)
    assert update.counts.applied == len(plain.rows) == np.size(update.reported)


def by_key(rows):
    """Rows by their first field, in order."""
    found = {}
    for key, *rest in rows:
        found.setdefault(key, []).append(tuple(rest))
    return found
