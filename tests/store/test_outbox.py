"""At least once, in order, gap-free; and when there is too much, it says what went."""

import json
import random

import pytest

from gateway.model.event import Category, Severity
from gateway.model.outbox import OutboxRow
from gateway.store import bounds
from gateway.store.config import StoreConfig
from gateway.store.store import Commit

from .conftest import NOW, SECOND

HOUR = 3600 * SECOND


def rows(n, stream="mqtt/backlog", size=1000, created_ns=NOW, **more):
    return [OutboxRow(stream, "t", bytes(size), created_ns + k, samples=10, **more) for k in range(n)]


async def test_each_stream_has_its_own_gap_free_sequence(store):
    await store.commit(Commit(outbox=[*rows(2, "mqtt/live"), *rows(1, "mqtt/alarms"), *rows(1, "mqtt/live")]))
    assert [row.seq for row in await store.outbox.peek("mqtt/live", 10)] == [1, 2, 3]
    assert [row.seq for row in await store.outbox.peek("mqtt/alarms", 10)] == [1]
    assert await store.outbox.peek("other/live", 10) == []


async def test_what_was_not_acknowledged_comes_again_first(store):
    await store.commit(Commit(outbox=rows(5)))
    store.outbox.acked("mqtt/backlog", 2)
    assert [row.seq for row in await store.outbox.peek("mqtt/backlog", 2)] == [3, 4]
    await store.commit(Commit())
    assert [row.seq for row in await store.outbox.peek("mqtt/backlog", 9)] == [3, 4, 5]
    assert (store.outbox.fill()[0].rows, store.outbox.fill()[0].bytes) == (3, 3 * 1041)


async def test_beyond_its_bytes_the_oldest_give_way_to_a_gap_record(open_store):
    store = await open_store(config=StoreConfig(outbox={"bytes": 100_000}))
    await store.commit(Commit(outbox=[*rows(150), *rows(20, "mqtt/alarms", droppable=False, created_ns=NOW - 1)]))
    assert store.stats().outbox_full
    await store.maintain(NOW)
    fill = {row.stream: row for row in store.outbox.fill()}
    assert sum(row.bytes for row in fill.values()) <= 100_000
    left = await store.outbox.peek("mqtt/backlog", 1000)
    gap = left[-1]
    assert (gap.topic, gap.droppable, gap.seq) == ("_gap", False, 151)
    told = json.loads(gap.payload)["gap"]
    assert (told["from_seq"], told["to_seq"]) == (1, left[0].seq - 1)
    assert told["samples"] == 10 * fill["mqtt/backlog"].dropped == 10 * told["to_seq"]
    assert told["from"] == "2023-11-14T22:13:20.000Z"
    assert [row.seq for row in left] == list(range(told["to_seq"] + 1, 152)), "nothing else is missing"
    assert (fill["mqtt/alarms"].rows, fill["mqtt/alarms"].dropped) == (20, 0)


async def test_too_old_rows_go_but_never_those_in_the_senders_hands(open_store):
    store = await open_store(config=StoreConfig(outbox={"age": "1h"}))
    await store.commit(Commit(outbox=[*rows(10), *rows(5, created_ns=NOW + 2 * HOUR)]))
    held = await store.outbox.peek("mqtt/backlog", 3)
    await store.maintain(NOW + 2 * HOUR)
    left = await store.outbox.peek("mqtt/backlog", 100)
    assert [row.seq for row in left] == [row.seq for row in held] + [11, 12, 13, 14, 15, 16]
    assert json.loads(left[-1].payload)["gap"]["from_seq"] == 4
    await store.maintain(NOW + 2 * HOUR)
    assert len(await store.outbox.peek("mqtt/backlog", 100)) == 9, "a gap is told once"


@pytest.mark.parametrize("set_back", [0, 24 * HOUR])
async def test_the_hours_left_follow_the_rate_of_the_last_minutes(open_store, elapsed, set_back):
    """Also where the wall clock is set back on the way."""
    store = await open_store(config=StoreConfig(outbox={"bytes": 10_000_000, "age": "7d"}))
    assert store.outbox.fill() == []
    await store.commit(Commit(outbox=rows(1, "mqtt/backlog", size=0, created_ns=NOW)))
    for k in range(59):
        elapsed.ns += 10 * SECOND
        await store.commit(Commit(outbox=rows(1, size=959, created_ns=NOW + k * 10 * SECOND - set_back)))
    (fill,) = store.outbox.fill()
    assert fill.outage_hours == pytest.approx((10_000_000 - 60_000) / 100 / 3600, rel=0.05)
    assert fill.oldest_ns == NOW


async def test_quarantined_rows_are_kept_aside_and_counted(store):
    await store.commit(Commit(outbox=rows(3)))
    await store.outbox.quarantine((await store.outbox.peek("mqtt/backlog", 3))[1:2], "topic not allowed \ud800")
    assert [row.seq for row in await store.outbox.peek("mqtt/backlog", 10)] == [1, 3]
    (fill,) = store.outbox.fill()
    assert (fill.rows, fill.bytes, fill.quarantined) == (2, 2 * 1041, 1)


async def test_a_row_damaged_on_disk_is_put_aside_and_its_neighbours_go_on(store):
    await store.commit(Commit(outbox=rows(3)))
    await store._plant.run(lambda connection: connection.execute("UPDATE outbox SET payload=x'00' WHERE seq=2").rowcount)
    assert [row.seq for row in await store.outbox.peek("mqtt/backlog", 10)] == [1, 3]
    assert store.outbox.fill()[0].quarantined == 1


async def test_the_boot_is_one_for_the_life_of_the_database(open_store):
    store = await open_store()
    boot = store.boot
    await store.close()
    assert (await open_store()).boot == boot


async def test_what_waits_for_a_sink_that_is_no_longer_configured_is_removed_and_told_once(open_store, monkeypatch):
    monkeypatch.setattr(bounds, "SLICE_ROWS", 7)
    store = await open_store()
    await store.commit(Commit(outbox=[*rows(20, "old/live"), *rows(3, "old/alarms", droppable=False), *rows(2, "hq/live")]))
    await store.outbox.peek("old/live", 5)
    assert await store.retire(["opcua", "hq"]) == 23
    assert [fill.stream for fill in store.outbox.fill()] == ["hq/live"]
    assert store.outbox.bytes == 2 * 1041
    assert await store.outbox.peek("old/live", 100) == []
    assert await store.retire(["opcua", "hq"]) == 0
    await store.commit(Commit())
    (told,) = await store.journal.query()
    assert (told.category, told.severity, dict(told.details)) == (Category.SYSTEM, Severity.WARNING, {"old/alarms": 3, "old/live": 20})
    await store.close()
    store = await open_store()
    assert await store.retire(["hq", "old"]) == 0
    await store.commit(Commit(outbox=rows(1, "old/live")))
    assert [row.seq for row in await store.outbox.peek("old/live", 9)] == [21], "the sequence goes on where the sink comes back"
    assert len(await store.outbox.peek("hq/live", 9)) == 2


def note(found, seen, told):
    """Numbers that a consumer has seen, and those that gap records account for."""
    seen.update(row.seq for row in found)
    for row in found:
        if row.topic == "_gap":
            gap = json.loads(row.payload)["gap"]
            told.update(range(gap["from_seq"], gap["to_seq"] + 1))


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_each_number_is_delivered_or_told_in_a_gap_and_the_counters_hold(open_store, seed):
    """Commits, deliveries, repeated deliveries, upkeep under a tight bound, and restarts, at random."""
    chance = random.Random(seed)
    config = StoreConfig(outbox={"bytes": 100_000})
    store, seen, told, given, acked = await open_store(config=config), set(), set(), 0, 0
    for turn in range(120):
        act = chance.random()
        if act < 0.5:
            n = chance.randrange(1, 15)
            await store.commit(Commit(outbox=rows(n, size=chance.randrange(2000), created_ns=NOW + turn)))
            given += n
        elif act < 0.75:
            found = await store.outbox.peek("mqtt/backlog", chance.randrange(1, 20))
            assert [row.seq for row in found] == sorted({row.seq for row in found})
            assert all(row.seq > acked for row in found), "what was acknowledged in this run does not come again"
            note(found, seen, told)
            if found and chance.random() < 0.7:
                acked = chance.choice(found).seq
                store.outbox.acked("mqtt/backlog", acked)
        elif act < 0.95:
            await store.maintain(NOW + turn)
        else:
            await store.close()
            store, acked = await open_store(config=config), 0
    while found := await store.outbox.peek("mqtt/backlog", 1000):
        note(found, seen, told)
        store.outbox.acked("mqtt/backlog", found[-1].seq)
    last = store.outbox.streams["mqtt/backlog"].seq
    assert seen | told == set(range(1, last + 1))
    assert last >= given
    await store.commit(Commit())
    (fill,) = store.outbox.fill()
    assert (fill.rows, fill.bytes) == (0, 0)
