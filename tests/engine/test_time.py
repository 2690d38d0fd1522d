"""What time alone brings, and when the engine asks for it: delays, silence, commits; and a wall clock that steps."""

import numpy as np

from engine.rig import T0, S, batch, build, feed, manual, mark, rows, rule, table, tag, told
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.sync import SyncMode

LOST = quality.BAD_NO_COMMUNICATION
STALE = quality.UNCERTAIN_LAST_USABLE
TAGS = table(tag("a", stale_after_ns=10 * S), "b")


def due_s(engine):
    deadline = engine.next_deadline()
    return None if deadline is None else (deadline - T0) / S


def test_nothing_to_wait_for_without_data():
    assert build(table("a")).next_deadline() is None
    assert build(table("a"), mode=SyncMode.SCHEDULED).next_deadline() is None


def test_the_deadline_is_the_earliest_of_delay_silence_and_commit():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5, on_s=3)], mode=SyncMode.MANUAL)
    feed(engine, [0], [1.0], 0)
    assert due_s(engine) == 10
    feed(engine, [0], [6.0], 1)
    assert due_s(engine) == 4
    assert told(engine.tick(T0 + 4 * S)) == [("a", "HI", "active")]
    engine.tick(T0 + 10 * S)
    assert due_s(engine) == 11
    assert rows(engine.tick(T0 + 11 * S).rows) == [(0, 6.0, STALE, 1.0)]
    assert due_s(engine) is None


def test_a_delay_that_was_cancelled_wakes_once_in_vain_at_most():
    tags = table("a")
    engine = build(tags, [rule(tags, "a", "HI", 5, on_s=3)], mode=SyncMode.MANUAL)
    feed(engine, [0], [6.0], 0)
    feed(engine, [0], [1.0], 1)
    assert due_s(engine) == 3
    assert told(engine.tick(T0 + 3 * S)) == []
    assert due_s(engine) is None


def test_a_step_ends_the_delays_that_are_over_before_it_looks_at_its_samples():
    """The value was over the limit for six seconds; that nobody ticked in between does not matter."""
    engine = build(TAGS, [rule(TAGS, "b", "HI", 5, on_s=3)])
    feed(engine, [1], [6.0], 0)
    assert told(feed(engine, [1], [1.0], 6)) == [("b", "HI", "active"), ("b", "HI", "inactive")]


def test_silence_is_seen_in_a_step_too():
    engine = build(TAGS)
    feed(engine, [0], [1.0], 0)
    assert rows(feed(engine, [1], [2.0], 12).rows) == [(1, 2.0, 0, 12.0), (0, 1.0, STALE, 0.0)]


def test_a_message_of_manual_input_tells_of_nothing_else():
    """Its rows are recorded as manual input, and would be taken for such after a crash."""
    engine = build(TAGS)
    feed(engine, [0], [1.0], 0)
    assert rows(manual(engine, [1], [2.0], 12).rows) == [(1, 2.0, quality.GOOD_LOCAL_OVERRIDE, 12.0)]
    assert due_s(engine) == 12
    assert rows(engine.tick(T0 + 12 * S).rows) == [(0, 1.0, STALE, 0.0)]


def test_a_lost_link_is_not_also_silent():
    engine = build(TAGS)
    feed(engine, [0], [1.0], 0)
    mark(engine, [0], LOST, 1)
    assert len(engine.tick(T0 + 30 * S).rows) == 0
    assert engine.view.status[0] == LOST


def test_a_stale_tag_is_revived_by_an_identical_sample_and_falls_silent_again():
    engine = build(TAGS)
    feed(engine, [0], [1.0], 0)
    engine.tick(T0 + 10 * S)
    assert rows(engine.step(batch([0], [1.0], 0, received_s=12), T0 + 12 * S).rows) == [(0, 1.0, 0, 0.0)]
    assert rows(engine.tick(T0 + 22 * S).rows) == [(0, 1.0, STALE, 0.0)]


def test_a_wall_clock_that_steps_moves_delays_ages_and_commits_along():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5, on_s=3)], update_frequency=0.5)
    feed(engine, [0], [6.0], 0)
    engine.rebase(-3600 * S)
    assert told(engine.tick(T0 + 2 * S - 3600 * S)) == []
    assert told(engine.tick(T0 + 3 * S - 3600 * S)) == [("a", "HI", "active")]
    assert len(engine.tick(T0 + 9 * S - 3600 * S).rows) == 0
    assert engine.tick(T0 + 10 * S - 3600 * S).rows.status.tolist() == [STALE]


def test_a_wall_clock_set_back_does_not_blind_the_twin():
    """Ten years back: the source's own times are now more than a year off, so the receipt stands in, far before the newest one known."""
    engine = build(TAGS, [rule(TAGS, "b", "HI", 5)])
    feed(engine, [1], [1.0], 0)
    back = -315_360_000 * S
    engine.rebase(back)
    update = engine.step(SampleBatch.of([1], [6.0], 0, T0 + S, received_ns=T0 + S + back), T0 + S + back)
    assert (update.counts.skewed, update.counts.late, told(update)) == (1, 0, [("b", "HI", "active")])
    engine.rebase(-back)
    update = engine.step(SampleBatch.of([1], [2.0], 0, T0 + 2 * S, received_ns=T0 + 2 * S), T0 + 2 * S)
    assert (update.counts.late, update.rows.source_ns[0], told(update)) == (0, T0 + 2 * S, [("b", "HI", "inactive")])


def test_a_start_with_a_clock_that_is_behind_goes_on_too():
    """The snapshot is of later than now, and nobody said so: delays and order are taken to the new clock."""
    before = build(TAGS, [rule(TAGS, "b", "HI", 5, on_s=3)], update_frequency=1.0)
    feed(before, [1], [6.0], 100_000)
    engine = build(TAGS, [rule(TAGS, "b", "HI", 5, on_s=3)], update_frequency=1.0)
    engine.restore(before.snapshot())
    assert feed(engine, [1], [6.0], 0).counts.applied == 1
    assert due_s(engine) == 1
    assert told(engine.tick(T0 + 3 * S)) == [("b", "HI", "active")]


def test_the_grid_stays_on_multiples_of_the_period_when_the_clock_steps():
    engine = build(TAGS, mode=SyncMode.SCHEDULED, update_frequency=0.1)
    feed(engine, [0], [6.0], 1)
    engine.rebase(7 * S)
    assert (engine.pace.next_ns // S) % 10 == 0
    assert engine.pace.next_ns >= T0 + 8 * S


def test_deadlines_never_lie_before_the_last_call():
    """A caller that ticks at each deadline up to now comes to an end, also after a restart."""
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5, on_s=3)], mode=SyncMode.SCHEDULED, update_frequency=10.0)
    feed(engine, [0], [6.0], 0)
    other = build(TAGS, [rule(TAGS, "a", "HI", 5, on_s=3)], mode=SyncMode.SCHEDULED, update_frequency=10.0)
    other.restore(engine.snapshot())
    ticks = 0
    while (deadline := other.next_deadline()) is not None and deadline <= T0 + 20 * S:
        other.tick(deadline)
        ticks += 1
    assert 200 <= ticks <= 210
    assert other.view.conditions()[0].active


def test_the_deadline_costs_nothing_with_thousands_of_delays_running():
    tags = table(*(f"t{k}" for k in range(2000)))
    engine = build(tags, [rule(tags, f"t{k}", "HI", 5, on_s=3 + k / 100) for k in range(2000)], mode=SyncMode.MANUAL)
    feed(engine, range(2000), np.full(2000, 6.0), 0)
    fired = 0
    while (deadline := engine.next_deadline()) is not None:
        fired += len(engine.tick(deadline).transitions)
    assert fired == 2000
    assert engine.now_ns == T0 + round(22.99 * S)


def test_a_manual_commit_and_nothing_else_commits_in_manual_mode():
    engine = build(TAGS, mode=SyncMode.MANUAL)
    assert not feed(engine, [1], [1.0], 0).committed
    assert not engine.tick(T0 + 99 * S).committed
    update = engine.commit(T0 + 100 * S)
    assert (update.committed, update.version, update.changed_tags) == (True, 1, (1,))


def test_a_person_s_value_does_not_fall_silent():
    engine = build(TAGS)
    feed(engine, [0], [1.0], 0)
    manual(engine, [0], [2.0], 1)
    assert len(engine.tick(T0 + 60 * S).rows) == 0


def test_what_is_delivered_again_revives_a_tag_but_never_restarts_its_order():
    """A link is lost with 1, 2, 3 seen; the broker delivers 2 and 3 again, then 4: 2 is history, 3 brings the tag back, 4 is new."""
    engine = build(table("a"))
    for second in (1, 2, 3):
        engine.step(batch([0], [float(second)], second), T0 + second * S)
    engine.step(batch([0], [float("nan")], 4, status=quality.BAD_NO_COMMUNICATION, origin=Origin.GATEWAY), T0 + 4 * S)
    update = engine.step(batch([0, 0, 0], [2.0, 3.0, 4.0], [2, 3, 4], origin=Origin.AGAIN), T0 + 5 * S)
    assert update.rows.value.tolist() == [3.0, 4.0]
    assert update.late.value.tolist() == [2.0]
    assert engine.view.status[0] == quality.GOOD
