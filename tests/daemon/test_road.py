"""The waits on the road: their sizes, what they do when full, and what they count."""

import asyncio

import numpy as np
import pytest

from gateway.health import Unit
from gateway.model.batch import Origin, SampleBatch
from gateway.model.update import Columns, conflate
from gateway.northbound import nothing
from gateway.road import LATEST_SAMPLES, LATEST_UPDATES, Clock, Inbox, LatestQueue, Pending, Wake
from gateway.store.commit import Step


def batch(size, tag=0):
    return SampleBatch.of([tag] * size, [1.0] * size)


def columns(ids, values):
    return Columns(np.array(ids, np.int32), np.array(values, np.float64), np.zeros(len(ids), np.uint32), np.arange(len(ids)))


def update(ids, values, reported=None):
    empty = nothing(1, 1)
    rows = columns(ids, values)
    mask = np.ones(len(ids), np.bool_) if reported is None else np.array(reported)
    return type(empty)(1, rows, mask, empty.late, (), 1, committed=False, changed=0, changed_tags=(), counts=empty.counts)


def step(size):
    return Step(1, Origin.SOURCE, columns(range(size), [0.0] * size), columns([], []))


async def test_a_full_inbox_makes_the_driver_wait_until_the_engine_took_something():
    inbox = Inbox(samples=10)
    await inbox.put(batch(8))
    second = asyncio.create_task(inbox.put(batch(8)))
    await asyncio.sleep(0)
    assert not second.done()
    await inbox.get(None)
    await second
    assert inbox.samples == 8


async def test_a_batch_larger_than_the_inbox_passes_when_it_is_empty():
    inbox = Inbox(samples=10)
    await inbox.put(batch(50))
    assert (await inbox.get(None))[1].value.size == 50


async def test_a_wait_that_is_over_gives_none_and_a_wake_too():
    inbox = Inbox()
    assert await inbox.get(0.0) is None
    waiting = asyncio.create_task(inbox.get(None))
    await asyncio.sleep(0)
    inbox.wake()
    assert await waiting is None


async def test_batches_leave_in_the_order_in_which_they_came():
    inbox = Inbox()
    for size in (1, 2, 3):
        await inbox.put(batch(size))
    assert [len((await inbox.get(None))[1]) for _ in range(3)] == [1, 2, 3]


async def test_a_slow_sink_gets_the_newest_value_of_each_tag():
    unit = Unit("sink", "slow", lambda: 0)
    queue = LatestQueue(unit)
    for number in range(LATEST_UPDATES + 1):
        queue.offer(update([0, 1], [number, -number]))
    updates = await queue.take()
    assert unit.counters["conflated"] == 1
    assert len(updates) == 2
    assert updates[0].rows.value.tolist() == [LATEST_UPDATES - 1, 1 - LATEST_UPDATES]


async def test_a_few_large_updates_are_conflated_too():
    """What waits for a slow sink is bounded in samples: half a second of 50 000 tags takes as much memory as hours of ten."""
    unit = Unit("sink", "slow", lambda: 0)
    queue, ids = LatestQueue(unit), list(range(100_000))
    for number in range(2 * LATEST_SAMPLES // len(ids)):
        queue.offer(update(ids, [float(number)] * len(ids)))
    assert 0 < unit.counters["conflated"] <= 3
    taken = await queue.take()
    assert sum(len(one.rows) for one in taken) <= LATEST_SAMPLES + 2 * len(ids)
    assert taken[-1].rows.value[-1] == 2 * LATEST_SAMPLES // len(ids) - 1
    queue.offer(update([1], [1.0]))
    assert len(await queue.take()) == 1


def test_conflation_keeps_what_was_reported_and_the_texts():
    first = update([3, 1, 3], [1.0, 2.0, 3.0], [False, True, False])
    second = update([3], [4.0], [False])
    second.rows.text[0] = "four"
    both = conflate([first, second])
    assert both.rows.tag_id.tolist() == [1, 3]
    assert both.rows.value.tolist() == [2.0, 4.0]
    assert both.reported.tolist() == [True, False]
    assert both.rows.text == {1: "four"}


async def test_pending_makes_the_engine_wait_when_the_store_is_slow():
    pending = Pending(limit=10)
    pending.add(step(20), (), (), None)
    waiting = asyncio.create_task(pending.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert pending.swap().samples == 20
    await waiting


async def test_while_the_store_is_away_the_oldest_steps_give_way_counted_and_the_engine_goes_on():
    pending = Pending(limit=10)
    pending.away(True)
    for _ in range(5):
        pending.add(step(4), (), (), None)
    await asyncio.wait_for(pending.room(), 1)
    kept = pending.swap()
    assert pending.dropped == 20 - kept.samples > 0
    assert kept.samples <= 10


async def test_a_hurried_commit_does_not_wait_for_its_interval():
    pending = Pending()
    due = asyncio.create_task(pending.due(3600.0))
    pending.add(step(1), (), (), None)
    pending.hurry()
    await asyncio.wait_for(due, 1)


async def test_who_took_the_wake_before_looking_misses_nothing():
    wake = Wake()
    before = wake.next
    wake()
    await asyncio.wait_for(before.wait(), 1)
    assert not wake.next.is_set()


def test_the_clock_follows_a_wall_clock_that_was_set_and_says_by_how_much():
    clock = Clock()
    clock._offset_ns -= 3_600_000_000_000  # as if the wall clock had been put forward by an hour
    assert clock.step() == pytest.approx(3_600_000_000_000, abs=1e8)
    assert clock.step() == 0


async def test_an_engine_that_waits_for_room_goes_on_when_the_store_goes_away():
    pending = Pending(limit=10)
    pending.add(step(20), (), (), None)
    waiting = asyncio.create_task(pending.room())
    await asyncio.sleep(0)
    pending.away(True)
    await asyncio.wait_for(waiting, 1)


async def test_a_long_outage_of_the_disk_costs_the_same_per_step_however_many_wait():
    """20 000 steps of one sample: each overflow gives up half at once."""
    pending = Pending(limit=1000)
    pending.away(True)
    for _ in range(20_000):
        pending.add(step(1), (), (), None)
    assert len(pending.swap().steps) <= 1000
    assert pending.dropped > 18_000


async def test_who_waits_for_a_swap_is_not_woken_by_an_older_commit():
    wake = Wake()
    waiting = asyncio.create_task(wake.reached(2))
    wake(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    wake(2)
    await asyncio.wait_for(waiting, 1)


async def test_a_wait_that_ends_sooner_than_the_one_before_is_kept():
    """All waits share one timer; a batch may end a long one, whose time has then not come when a short one begins."""
    inbox = Inbox()
    inbox.put_now(batch(1))
    assert await inbox.get(60.0) is not None
    long = asyncio.create_task(inbox.get(60.0))
    await asyncio.sleep(0)
    inbox.put_now(batch(1))
    assert await long is not None
    assert await asyncio.wait_for(inbox.get(0.01), 5) is None
    assert await asyncio.wait_for(inbox.get(0.01), 5) is None
