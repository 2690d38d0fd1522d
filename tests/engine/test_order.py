"""A device whose clock was set back is heard again; a backlog is not taken for one."""

import numpy as np
import pytest

from engine.rig import T0, S, batch, build, derived, feed, manual, mark, rows, rule, table, told
from gateway.model import quality
from gateway.model.batch import SampleBatch

BACK = -3600  # seconds: a change of summer time on the wrong side
TAGS = table("a", "b")


def heard():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    feed(engine, [0, 1], [1.0, 1.0], 0)
    return engine


def late(engine, value, source_s, at_s):
    """One sample of `a` that the device dates so."""
    return engine.step(batch([0], [value], source_s, received_s=at_s), T0 + round(at_s * S))


def test_a_clock_set_back_is_followed_after_ten_seconds():
    """An alarm of that time must not wait for the hour to pass."""
    engine = heard()
    for at_s in range(1, 11):
        update = late(engine, 9.0, at_s + BACK, at_s)
        assert (update.counts.late, update.counts.reordered, told(update)) == (1, 0, [])
    update = late(engine, 9.0, 11 + BACK, 11)
    assert (update.counts.late, update.counts.reordered, update.counts.applied) == (0, 1, 1)
    assert rows(update.rows) == [(0, 9.0, 0, 11.0 + BACK)]
    assert told(update) == [("a", "HI", "active")]
    update = late(engine, 1.0, 12 + BACK, 12)
    assert (update.counts.reordered, told(update)) == (0, [("a", "HI", "inactive")])
    assert late(engine, 1.0, 11.5 + BACK, 12).counts.late == 1, "the order holds again, at the new place"


def test_the_clock_set_right_again_needs_no_patience():
    engine = heard()
    for at_s in (1, 12):
        late(engine, 9.0, at_s + BACK, at_s)
    assert late(engine, 1.0, 13, 13).counts.applied == 1
    assert late(engine, 1.0, 14 + BACK, 14).counts.late == 1, "and set back once more begins anew"
    assert late(engine, 1.0, 23 + BACK, 23).counts.late == 1
    assert late(engine, 1.0, 24 + BACK, 24).counts.reordered == 1


def test_a_backlog_delivered_within_ten_seconds_goes_to_history():
    engine = heard()
    for k in range(1, 100):
        assert late(engine, 9.0, BACK + k, k / 10).counts.late == 1
    assert late(engine, 2.0, 10, 10).counts.applied == 1
    assert engine.view.value[0] == 2.0


def test_a_backlog_in_one_message_goes_to_history_however_long_it_is():
    engine = heard()
    count = 5000
    update = engine.step(batch([0] * count, [9.0] * count, [BACK + k / 2 for k in range(count)], received_s=1), T0 + S)
    assert (update.counts.late, update.counts.reordered) == (count, 0)


def test_a_backlog_beside_newer_samples_goes_to_history():
    """However long it takes: each newer sample shows that the device's clock is right."""
    engine = heard()
    for at_s in range(1, 60):
        assert late(engine, 9.0, BACK + at_s, at_s).counts.late == 1
        if at_s % 5 == 0:
            assert feed(engine, [0], [2.0], at_s).counts.applied == 1
    assert engine.view.value[0] == 2.0


def test_samples_in_no_order_of_their_own_are_no_clock():
    engine = heard()
    for at_s in range(1, 60):
        assert late(engine, 9.0, BACK - at_s, at_s).counts.late == 1


def test_a_repeated_sample_neither_ends_nor_carries_the_order():
    """A source that delivers at least once, and a device whose clock stands still."""
    engine = heard()
    for at_s in range(1, 30):
        assert late(engine, 9.0, BACK, at_s).counts.late == 1
    assert late(engine, 1.0, 0, 30).counts.duplicate == 1, "of the newest"
    assert late(engine, 9.0, BACK + 1, 30).counts.reordered == 1


def test_the_restart_may_come_in_the_middle_of_a_message():
    engine = heard()
    late(engine, 9.0, BACK + 1, 1)
    update = engine.step(batch([0, 1, 0, 0], [7.0, 2.0, 8.0, 9.0], [BACK, 12, BACK + 2, BACK + 3], received_s=12), T0 + 12 * S)
    assert (update.counts.late, update.counts.reordered) == (3, 0), "the older one broke the order"
    update = engine.step(batch([0, 0], [8.0, 9.0], [BACK + 4, BACK + 5], received_s=22), T0 + 22 * S)
    assert (update.counts.late, update.counts.reordered, update.counts.applied) == (0, 1, 2)
    assert engine.view.value[0] == 9.0


def test_each_tag_has_an_order_of_its_own():
    engine = heard()
    for at_s in range(1, 11):
        engine.step(batch([0, 1], [9.0, 3.0], [at_s + BACK, at_s], received_s=at_s), T0 + at_s * S)
    update = engine.step(batch([0, 1], [9.0, 3.0], [11 + BACK, 11], received_s=11), T0 + 11 * S)
    assert (update.counts.reordered, update.counts.applied) == (1, 2)


@pytest.mark.parametrize("between", ["link", "manual", "rebase"])
def test_what_learns_the_order_anew_forgets_the_late_ones(between):
    engine = heard()
    late(engine, 9.0, BACK + 1, 1)
    if between == "link":
        mark(engine, [0], quality.BAD_NO_COMMUNICATION, 2)
    elif between == "manual":
        manual(engine, [0], [5.0], 2)
        engine.release([0], T0 + 3 * S)
    else:
        engine.rebase(S)
    late(engine, 1.0, 0, 4)
    assert engine.view.gate_ns[0] == T0, "the same place as before"
    assert late(engine, 9.0, BACK + 2, 12).counts.late == 1


def test_a_restart_of_the_gateway_keeps_the_patience_and_the_state_hash_tells_it():
    engine, calm = heard(), heard()
    for at_s in (1, 2):
        late(engine, 9.0, BACK + at_s, at_s)
        late(calm, 9.0, BACK - at_s, at_s)
    assert engine.state_hash() != calm.state_hash()
    other = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    other.restore(engine.snapshot())
    assert other.state_hash() == engine.state_hash()
    assert [late(one, 9.0, BACK + 11, 11).counts.reordered for one in (engine, other)] == [1, 1]
    assert other.state_hash() == engine.state_hash()


def test_an_integral_goes_on_from_the_new_time():
    """It pauses for the one step back, and not for the hour that the clock needs to come up again."""
    tags = table("power", derived("energy"), derived("double"))
    engine = build(tags, formulas={"energy": "integral(power)", "double": "integral(energy) * 0 + energy * 2"})
    feed(engine, [0], [3600.0], 0)
    feed(engine, [0], [3600.0], 10)
    assert engine.view.value.tolist() == [3600.0, 10.0, 20.0]
    for at_s in (11, 21, 26):
        engine.step(batch([0], [3600.0], at_s + BACK, received_s=at_s), T0 + at_s * S)
    assert engine.view.value.tolist() == [3600.0, 15.0, 30.0]
    assert engine.view.source_ns[1] == T0 + (26 + BACK) * S


def test_a_whole_plant_set_back_goes_in_columns():
    size = 500
    tags = table(*(f"t{k}" for k in range(size)))
    engine, ids = build(tags), np.arange(size)
    feed(engine, ids, np.ones(size), 0)
    counts = []
    for at_s in (1, 5, 11):
        at_ns = T0 + at_s * S
        counts.append(engine.step(SampleBatch.of(ids, np.full(size, 2.0), 0, at_ns + BACK * S, received_ns=at_ns), at_ns).counts)
    assert [(c.late, c.reordered, c.applied) for c in counts] == [(size, 0, 0), (size, 0, 0), (0, size, size)]
