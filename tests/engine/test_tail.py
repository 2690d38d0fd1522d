"""After a crash: the snapshot, the steps on disk since then, and nothing told twice or never."""

import numpy as np

from engine.rig import T0, S, batch, build, feed, mark, rows, rule, table, tag, told
from gateway.model import quality
from gateway.model.sync import SyncMode
from gateway.model.update import TwinUpdate

LOST = quality.BAD_NO_COMMUNICATION
TAGS = table(tag("a", deadband=1.0), "b")
RULES = [rule(TAGS, "a", "HI", 5, on_s=3), rule(TAGS, "b", "HI", 5)]


def plant(**sync):
    return build(TAGS, RULES, **sync)


def restarted(snapshot, updates, **sync):
    """From a snapshot and what was on disk of some calls: the rows of each, without late ones and derived tags."""
    engine = plant(**sync)
    engine.restore(snapshot)
    for update in updates:
        if len(update.rows):
            r = update.rows
            engine.replay(batch(r.tag_id, r.value, ((r.source_ns - T0) / S).tolist(), r.status, received_s=at_s(update)), update.now_ns)
    return engine


def at_s(update: TwinUpdate):
    return (update.now_ns - T0) / S


def states(engine):
    return [(c.rule.condition, c.active, c.acknowledged, c.since_ns) for c in engine.view.conditions()]


def until(engine, second):
    while (deadline := engine.next_deadline()) < T0 + second * S:
        engine.tick(deadline)


def test_delays_and_commits_between_the_steps_pass_as_they_did():
    live = plant(mode=SyncMode.SCHEDULED, update_frequency=2.0)
    feed(live, [0, 1], [1.0, 1.0], 0)
    snapshot, updates = live.snapshot(), []
    for second, value in ((1, 6.0), (50, 1.0)):
        until(live, second)
        updates.append(feed(live, [0], [value], second))
    engine = restarted(snapshot, updates, mode=SyncMode.SCHEDULED, update_frequency=2.0)
    assert states(engine) == states(live)
    assert engine.view.version == live.view.version
    assert engine.state_hash() == live.state_hash()


def test_a_quiet_day_passes_at_once_and_its_alarm_waits_to_be_acknowledged():
    """A grid of 100 Hz has 8.6 million commits in it."""
    live = plant(mode=SyncMode.SCHEDULED, update_frequency=100.0)
    feed(live, [0], [1.0], 0)
    snapshot, updates = live.snapshot(), [feed(live, [0], [6.0], 1)]
    assert told(live.tick(T0 + 4 * S)) == [("a", "HI", "active")]
    updates.append(feed(live, [0], [1.0], 86_400))
    engine = restarted(snapshot, updates, mode=SyncMode.SCHEDULED, update_frequency=100.0)
    assert [state[:3] for state in states(engine)] == [state[:3] for state in states(live)]
    assert states(engine)[0][1:3] == (False, False)
    assert engine.view.version < 200
    assert engine.view.gate_ns.tolist() == live.view.gate_ns.tolist()


def test_a_duplicate_after_a_quiet_day_is_one_still():
    """The order of samples outlasts the gap, so that a redelivery after the restart is told once."""
    live = plant()
    feed(live, [0, 1], [1.0, 1.0], 0)
    snapshot, updates = live.snapshot(), [feed(live, [0], [2.0], 86_400)]
    engine = restarted(snapshot, updates)
    assert engine.step(batch([1], [1.0], 0, received_s=86_401), T0 + 86_401 * S).counts.duplicate == 1


def test_a_clock_set_forward_fires_no_delay():
    """Rebase, then the snapshot: what comes after a restart is on the new clock, and so is what waits."""
    live = plant()
    feed(live, [0], [6.0], 0)
    year = 365 * 86_400
    live.rebase(year * S)
    engine = restarted(live.snapshot(), [feed(live, [1], [1.0], year + 1)])
    assert not engine.view.conditions()[0].active
    assert told(engine.tick(T0 + (year + 2) * S)) == []
    assert told(engine.tick(T0 + (year + 3) * S)) == [("a", "HI", "active")]


def test_an_order_that_restarted_does_so_again():
    """What is on disk as applied was applied, whatever its time says; and the order goes on from there."""
    live = plant()
    feed(live, [0], [1.0], 0)
    snapshot = live.snapshot()
    late = [(second, batch([0], [4.0 + second / 10], second - 3600, received_s=second)) for second in (1, 5, 11, 12)]
    updates = [live.step(one, T0 + second * S) for second, one in late]
    assert [len(update.rows) for update in updates] == [0, 0, 1, 1]
    engine = restarted(snapshot, updates)
    assert engine.view.value[0] == live.view.value[0] == 5.2
    assert engine.state_hash() == live.state_hash()


def test_a_tag_found_silent_in_the_step_of_another_is_not_taken_for_a_sample():
    tags = table(tag("a", stale_after_ns=10 * S), "b")
    live = build(tags)
    feed(live, [0, 1], [1.0, 1.0], 0)
    snapshot, update = live.snapshot(), feed(live, [1], [2.0], 12)
    assert len(update.rows) == 2
    engine = build(tags)
    engine.restore(snapshot)
    engine.replay(batch([1, 0], [2.0, 1.0], [12, 0], update.rows.status, received_s=12), update.now_ns)
    np.testing.assert_array_equal(engine.view.made, live.view.made)
    np.testing.assert_array_equal(engine.view.gate_ns, live.view.gate_ns)
    assert rows(engine.step(batch([0], [1.0], 0, received_s=13), T0 + 13 * S).rows) == [(0, 1.0, 0, 0.0)]


def test_what_the_restart_has_to_tell_waits_until_the_steps_on_disk_are_through():
    live = plant()
    feed(live, [0, 1], [1.0, 6.0], 0)
    engine = build(TAGS, RULES[:1])
    engine.restore(live.snapshot())
    for second in (1, 2):
        engine.replay(batch([0], [1.0], second), T0 + second * S)
    assert engine.next_deadline() == T0 + 2 * S
    assert told(engine.tick(T0 + 3 * S)) == [("b", "HI", "inactive")]


# --- duplicates -------------------------------------------------------------------------------------------------------------------------


def test_a_redelivery_of_the_newest_sample_is_nobodys_news():
    engine = plant()
    feed(engine, [0, 1], [1.0, 1.0], 0)
    other = plant()
    other.restore(engine.snapshot())
    update = other.step(batch([0, 1], [1.0, 1.0], 0, received_s=1), T0 + S)
    assert (len(update.rows), len(update.late), update.counts.duplicate) == (0, 0, 2)


def test_a_redelivery_that_revives_a_tag_is_told_once_as_a_change_of_status():
    """In rows, for who shows the status; as reported, the deadband notwithstanding; and never as a late sample beside it."""
    engine = plant()
    feed(engine, [0], [1.0], 0)
    assert rows(mark(engine, [0], LOST, 1).rows) == [(0, 1.0, LOST, 0.0)]
    update = engine.step(batch([0, 0], [1.0, 1.0], 0, received_s=2), T0 + 2 * S)
    assert rows(update.rows) == [(0, 1.0, 0, 0.0)]
    assert update.reported.tolist() == [True]
    assert (len(update.late), update.counts.duplicate) == (0, 1)
    again = engine.step(batch([0], [1.0], 0, received_s=3), T0 + 3 * S)
    assert (len(again.rows), len(again.late), again.counts.duplicate) == (0, 0, 1)
    np.testing.assert_array_equal(engine.view.status, [0, quality.BAD_WAITING_FOR_INITIAL_DATA])
