"""A run of many samples of one tag is applied as one, and gives what one sample after the other gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rig import T0, S, build, derived, rule, table, tag
from engine.test_plainest_loop import by_key
from gateway.engine import runs
from gateway.model import quality
from gateway.model.batch import SampleBatch, laps
from gateway.model.tag import TagType

TAGS = table(
    tag("a", deadband=1.0, eu_range=(0.0, 100.0)),
    tag("b", type=TagType.INT),
    tag("c"),
    tag("fed"),
    derived("sum"),
    tag("off", enabled=False),
)
RULES = [rule(TAGS, "a", "HI", 80, 2), rule(TAGS, "b", "LO", 1, on_s=1), rule(TAGS, "c", "BAD")]
SAMPLE = st.tuples(
    st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5]),
    st.sampled_from([2.0, 2.0, 3.0, 3.5, 4.0, 5.0, 50.0]) | st.sampled_from([0.0, 0.5, 81.0, 101.0, np.nan]),
    st.sampled_from([0] * 20 + [quality.BAD, quality.UNCERTAIN]),
    st.integers(0, 60),
)


def engine():
    return build(TAGS, RULES, {"sum": "integral(fed)"})


def whole(samples):
    """One message with all samples."""
    ids, values, statuses, times = zip(*samples, strict=True)
    return SampleBatch.of(ids, values, statuses, [T0 + at * S for at in times], received_ns=T0 + 60 * S)


def told(updates):
    rows, late, turns, duplicates = [], [], [], 0
    for update in updates:
        r, h = update.rows, update.late
        columns = (r.tag_id.tolist(), map(repr, r.value.tolist()), r.status.tolist(), r.source_ns.tolist(), update.reported.tolist())
        rows += zip(*columns, strict=True)
        late += zip(h.tag_id.tolist(), map(repr, h.value.tolist()), h.status.tolist(), h.source_ns.tolist(), strict=True)
        turns += [(t.rule.condition, t.change, repr(t.value), t.source_ns) for t in update.transitions]
        duplicates += update.counts.duplicate
    return by_key(rows), by_key(late), by_key(turns), duplicates


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(SAMPLE, min_size=1, max_size=60), max_size=4))
def test_a_run_gives_what_one_sample_after_the_other_gives(messages):
    one, other = engine(), engine()
    for samples in messages:
        at_ns = T0 + 60 * S
        by_one = [other.step(whole([sample]), at_ns) for sample in sorted(samples, key=lambda sample: sample[3])]
        assert told([one.step(whole(samples), at_ns)]) == told(by_one)
    for name in ("value", "status", "source_ns", "gate_ns", "received_ns"):
        np.testing.assert_array_equal(getattr(one.view, name), getattr(other.view, name), err_msg=name)


def test_a_backlog_of_quiet_tags_goes_as_a_run_and_the_rest_in_rounds():
    """Ten thousand samples of one tag in one message cost milliseconds, not rounds."""
    built = engine()
    built.step(whole([(0, 50.0, 0, 0), (1, 5.0, 0, 0)]), T0)
    batch = whole([(0, 50.0 + at % 3, 0, at) for at in range(1, 50)] + [(3, 1.0, 0, at) for at in range(1, 9)])
    parted = runs.split(batch, batch.source_ns, np.arange(len(batch)), built.twin, built.validity, built.alarms, built.derived.feeds)
    assert parted is not None
    assert set(parted.columns.tag_id.tolist()) == {0}
    assert set(batch.tag_id[parted.rest].tolist()) == {3}
    assert len(parted.columns) == 49


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_laps_of_the_same_tags_give_what_one_sample_after_the_other_gives(data):
    """Several scans of the same tags in one message, of which some tags may be late, equal in time, invalid or out of use."""
    one, other = engine(), engine()
    for _ in range(data.draw(st.integers(1, 3))):
        ids = sorted(data.draw(st.sets(st.sampled_from([0, 1, 2, 3, 5]), min_size=1)))
        count, first = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 40))
        samples = [
            (tag_id, value, status, first + lap * 5 + late)
            for lap in range(count)
            for tag_id, (_, value, status, late) in zip(ids, data.draw(st.lists(SAMPLE, min_size=len(ids), max_size=len(ids))), strict=True)
        ]
        samples = [(tag_id, value, status, min(at, 60)) for tag_id, value, status, at in samples]
        at_ns = T0 + 60 * S
        by_one = [other.step(whole([sample]), at_ns) for sample in sorted(samples, key=lambda sample: sample[3])]
        assert told([one.step(whole(samples), at_ns)]) == told(by_one)


def test_laps_are_told_from_any_other_order():
    def count(*ids):
        return laps(np.array(ids, np.int32))

    assert [count(1, 2, 5), count(1, 2, 1, 2, 1, 2), count(7, 7)] == [1, 3, 2]
    assert [count(), count(1, 2, 1), count(2, 1), count(1, 2, 1, 3), count(1, 2, 2, 1)] == [0, 0, 0, 0, 0]
