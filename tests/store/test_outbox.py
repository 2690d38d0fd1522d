"""At least once, in order, gap-free; and when there is too much, it says what went."""

import json
import random

import pytest

from gateway.model.event import Category, Severity
from gateway.model.outbox import LAST, OutboxRow
from gateway.store import bounds
from gateway.store.config import StoreConfig
from gateway.store.outbox import weight
from gateway.store.store import Commit

from .conftest import NOW, SECOND, step

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


async def test_a_long_outage_beyond_the_age_has_one_gap_record_that_grows_in_coarse_steps(open_store, elapsed):
    """What cannot be dropped must not grow: it would take the place of fresh values."""
    store = await open_store(config=StoreConfig(outbox={"age": "1h"}))
    writes = set()
    for k in range(1000):
        elapsed.ns += 10 * SECOND
        await store.commit(Commit(outbox=rows(1, size=10, created_ns=NOW + k * 10 * SECOND)))
        await store.maintain(NOW + k * 10 * SECOND)
        writes.add(store.outbox.fill()[0].dropped)
    left = await store.outbox.peek("mqtt/backlog", 1000)
    (gap,) = [row for row in left if row.topic == "_gap"]
    told = json.loads(gap.payload)["gap"]
    (fill,) = store.outbox.fill()
    assert (told["rows"], told["samples"]) == (fill.dropped, 10 * fill.dropped)
    assert {*range(told["from_seq"], told["to_seq"] + 1)} == {*range(1, 1002)} - {row.seq for row in left} | {gap.seq}
    assert 342 <= len(left) - 1 <= 361, "an hour of rows, less up to 3 minutes"
    assert len(writes) <= 40
    assert fill.bytes == sum(weight(row) for row in left)


async def test_a_gap_record_that_a_sender_has_is_not_changed_any_more(open_store):
    store = await open_store(config=StoreConfig(outbox={"bytes": 100_000}))
    await store.commit(Commit(outbox=rows(120)))
    await store.maintain(NOW)
    first = (await store.outbox.peek("mqtt/backlog", 1000))[-1]
    await store.commit(Commit(outbox=rows(150)))
    await store.maintain(NOW)
    store.outbox.acked("mqtt/backlog", first.seq)
    second = (await store.outbox.peek("mqtt/backlog", 1000))[-1]
    one, other = (json.loads(row.payload)["gap"] for row in (first, second))
    assert (first.topic, second.topic) == ("_gap", "_gap")
    assert one["rows"] + other["rows"] == store.outbox.fill()[0].dropped
    assert one["to_seq"] < first.seq < other["from_seq"]


async def test_small_events_give_way_before_warnings_and_alarms_never_do(open_store):
    store = await open_store(config=StoreConfig(outbox={"bytes": 100_000}))

    async def left(kind):
        return [row.seq for row in await store.outbox.peek("mqtt/alarms", 1000) if row.droppable == kind and row.topic != "_gap"]

    for _ in range(40):
        await store.commit(
            Commit(outbox=[row for kind in (LAST, True, False) for row in rows(1, "mqtt/alarms", droppable=kind, created_ns=NOW)])
        )
    await store.maintain(NOW)
    assert (len(await left(LAST)), len(await left(True)), len(await left(False))) == (40, 11, 40)
    await store.close()
    store = await open_store(config=StoreConfig(outbox={"bytes": 100_000}))
    await store.commit(Commit(outbox=rows(40, "mqtt/alarms", droppable=False)))
    await store.maintain(NOW)
    assert (len(await left(LAST)), len(await left(True)), len(await left(False))) == (11, 0, 80)


async def test_a_clock_that_is_set_right_by_years_does_not_make_what_waits_old(open_store, elapsed):
    """No battery: the gateway starts years in the past, cannot reach the other side, and then gets the time. Also over a restart."""
    config = StoreConfig(outbox={"age": "1h"})
    store = await open_store(config=config, now_ns=SECOND)
    await store.commit(Commit([step([0], [1.0], [SECOND], now_ns=SECOND)], outbox=rows(3, created_ns=SECOND)))
    await store.maintain(SECOND)
    elapsed.ns += 600 * SECOND
    await store.maintain(NOW)
    await store.commit(Commit([step([0], [2.0], [NOW], now_ns=NOW)], outbox=rows(3, created_ns=NOW)))
    assert store.outbox.fill()[0].rows == 6
    await store.close()
    store = await open_store(config=config, now_ns=NOW + 10 * SECOND)
    await store.maintain(NOW + 10 * SECOND)
    assert store.outbox.fill()[0].rows == 6
    elapsed.ns += HOUR - 310 * SECOND
    await store.maintain(NOW + HOUR - 300 * SECOND)
    assert store.outbox.fill()[0].dropped == 3, "their age is that which they really have"


async def test_a_power_cut_before_the_clock_was_set_right_does_not_make_what_waits_old(open_store):
    config = StoreConfig(outbox={"age": "1h"})
    store = await open_store(config=config, now_ns=SECOND)
    await store.commit(Commit([step([0], [1.0], [SECOND], now_ns=SECOND)], outbox=rows(3, created_ns=SECOND)))
    await store.close()
    store = await open_store(config=config)
    await store.maintain(NOW)
    assert (store.outbox.fill()[0].rows, store.outbox.fill()[0].dropped) == (3, 0)


def note(found, seen, told, gaps):
    """Numbers that a consumer has seen, those that gap records account for, and how many rows each of them tells of."""
    seen.update(row.seq for row in found)
    for row in found:
        if row.topic == "_gap":
            gap = json.loads(row.payload)["gap"]
            told.update(range(gap["from_seq"], gap["to_seq"] + 1))
            assert gaps.setdefault(row.seq, gap["rows"]) == gap["rows"], "a record that was seen does not change"


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_each_number_is_delivered_or_told_in_a_gap_and_the_counters_hold(open_store, seed):
    """Commits, deliveries, repeated deliveries, upkeep under a tight bound, and restarts, at random."""
    chance = random.Random(seed)
    config = StoreConfig(outbox={"bytes": 100_000})
    store, seen, told, gaps, given, acked = await open_store(config=config), set(), set(), {}, 0, 0
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
            note(found, seen, told, gaps)
            if found and chance.random() < 0.7:
                acked = chance.choice(found).seq
                store.outbox.acked("mqtt/backlog", acked)
        elif act < 0.95:
            await store.maintain(NOW + turn)
        else:
            await store.close()
            store, acked = await open_store(config=config), 0
    while found := await store.outbox.peek("mqtt/backlog", 1000):
        note(found, seen, told, gaps)
        store.outbox.acked("mqtt/backlog", found[-1].seq)
    last = store.outbox.streams["mqtt/backlog"].seq
    assert seen | told == set(range(1, last + 1))
    assert last >= given
    await store.commit(Commit())
    (fill,) = store.outbox.fill()
    assert (fill.rows, fill.bytes, fill.dropped) == (0, 0, sum(gaps.values()))
