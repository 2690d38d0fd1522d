"""History reads the same whether samples lie in the tail, in blocks, or half in each."""

import asyncio
from collections import deque

import numpy as np
import pytest

from gateway.model.tag import Tag, TagTable
from gateway.store import maintenance
from gateway.store.store import Commit

from .conftest import NOW, SECOND, columns, step

END = NOW + 10**15


async def fill(store, n=100, tags=(0, 1), begin=0, snapshot=b"s"):
    """n commits of one sample per tag, one second apart."""
    for k in range(begin, begin + n):
        at = NOW + k * SECOND
        await store.commit(Commit([step(list(tags), [k + 0.25 * tag for tag in tags], [at] * len(tags), now_ns=at)], snapshot=snapshot))


async def cut(store):
    await maintenance.cut(store._plant, 2)
    while await store._plant.run(maintenance._drop_tail):
        pass


async def test_blocks_and_tail_read_as_one(store):
    await fill(store, 100)
    before = await store.history.read(0, NOW, END)
    await cut(store)
    await fill(store, 20, begin=100)
    series = await store.history.read(0, NOW, END)
    assert before.value.tolist() == list(range(100))
    assert series.value.tolist() == list(range(120))
    assert (await store.history.read(1, NOW + 99 * SECOND, NOW + 101 * SECOND)).value.tolist() == [99.25, 100.25]
    assert await store.history.count(0) == 120


async def test_tail_rows_beyond_the_last_snapshot_stay_for_the_engine(open_store):
    store = await open_store()
    await fill(store, 10)
    await fill(store, 5, begin=10, snapshot=None)
    await cut(store)
    assert [now_ns for now_ns, _ in (await store.restore()).steps] == [NOW + k * SECOND for k in range(10, 15)]
    await store.close()
    store = await open_store()
    assert len((await store.restore()).steps) == 5
    assert await store.history.count(0) == 15


async def test_a_cut_that_a_crash_ends_is_taken_up_and_loses_and_doubles_nothing(store):
    await fill(store, 50)
    through = await store._plant.run(maintenance._begin_cut)
    columns_ = await store._plant.read(maintenance._gather, through, 1, 1, deque())
    blocks, replaced = await store._plant.read(maintenance._encode, columns_, {}, 1, 2, deque())
    await store._plant.run(maintenance._insert, blocks, replaced, 1)
    for tag in (0, 1):
        assert await store.history.count(tag) == 50, "seen once, in the block or in the tail"
        assert (await store.history.read(tag, NOW, END)).value.size == 50
    await fill(store, 5, begin=50)
    await cut(store)
    for tag in (0, 1):
        assert (await store.history.read(tag, NOW, END)).value.tolist() == [k + 0.25 * tag for k in range(55)]


async def test_late_samples_find_their_place_and_identical_ones_are_told_once(store):
    await fill(store, 10)
    await cut(store)
    late = columns([0, 0], [3.5, 4.0], [NOW + 3 * SECOND + 1, NOW + 4 * SECOND])
    await store.commit(Commit([step([0], [10.0], [NOW + 10 * SECOND], late=late)], snapshot=b"s"))
    expected = [0, 1, 2, 3, 3.5, 4, 5, 6, 7, 8, 9, 10]
    assert (await store.history.read(0, NOW, END)).value.tolist() == expected
    await cut(store)
    assert (await store.history.read(0, NOW, END)).value.tolist() == expected
    assert (await store.history.read_at(0, NOW + 3 * SECOND + 5)).value.tolist() == [3.5]
    assert (await store.history.read(0, NOW, END, limit=5)).value.tolist() == expected[:5]


async def test_one_time_with_two_values_keeps_both_in_order(store):
    await store.commit(Commit([step([0, 0, 0], [1.0, 2.0, 1.0], [NOW] * 3, status=[0, 0x80000000, 0])]))
    series = await store.history.read(0, NOW, END)
    assert (series.value.tolist(), series.status.tolist()) == ([1.0, 2.0], [0, 0x80000000])


async def test_the_last_sample_at_a_time(store):
    assert (await store.history.read_at(0, END)).value.size == 0
    await fill(store, 10)
    for _ in range(2):
        assert (await store.history.read_at(0, NOW + 4 * SECOND + 1)).value.tolist() == [4]
        assert (await store.history.read_at(0, 2**63 - 1)).value.tolist() == [9]
        assert (await store.history.read_at(0, NOW - 1)).value.size == 0
        await cut(store)


async def test_downsampled_history_is_what_the_plainest_loop_finds(store):
    rng = np.random.default_rng(7)
    n = 5000
    time = NOW + np.sort(rng.integers(0, 3600, n)) * SECOND + np.arange(n)
    value, status = rng.normal(size=n), rng.choice(np.array([0, 0x40000000, 0x80310000], np.uint32), n)
    for part in np.array_split(np.arange(n), 7):
        await store.commit(Commit([step(np.zeros(part.size), value[part], time[part], status=status[part])], snapshot=b"s"))
    await cut(store)
    buckets = await store.history.downsample(0, NOW, NOW + 1800 * SECOND, 60 * SECOND)
    for k, start in enumerate(buckets.start_ns.tolist()):
        inside = (time >= start) & (time < start + 60 * SECOND) & (time < NOW + 1800 * SECOND)
        usable = value[inside & (status < 0x80000000)]
        assert buckets.count[k] == inside.sum()
        assert buckets.worst[k] == status[inside].max()
        assert (buckets.minimum[k], buckets.maximum[k]) == (usable.min(), usable.max())
        assert buckets.mean[k] == pytest.approx(usable.mean())
    assert buckets.count.sum() == (time < NOW + 1800 * SECOND).sum()


async def test_a_bucket_of_bad_samples_has_no_mean(store):
    await store.commit(Commit([step([0, 0], [1.0, 2.0], [NOW, NOW + 1], status=0x80310000)]))
    buckets = await store.history.downsample(0, NOW, NOW + SECOND, SECOND)
    assert np.isnan([buckets.minimum[0], buckets.maximum[0], buckets.mean[0]]).all()
    assert (buckets.count.tolist(), buckets.worst.tolist()) == ([2], [0x80310000])
    assert (await store.history.downsample(1, NOW, NOW + SECOND, SECOND)).count.size == 0


async def test_text_comes_back_from_tail_and_block(store):
    words = ["start", "\ud800 odd", "", "x" * 100_000]
    await store.commit(Commit([step([2] * 4, [np.nan] * 4, [NOW + k for k in range(4)], text=dict(enumerate(words)))], snapshot=b"s"))
    for _ in range(2):
        assert (await store.history.read(2, NOW, END)).text == dict(enumerate(words))
        await cut(store)


async def test_a_long_range_comes_in_pieces_that_join_without_a_seam(store, monkeypatch):
    monkeypatch.setattr(maintenance, "BLOCK_SAMPLES", 10)
    await fill(store, 95)
    await cut(store)
    await fill(store, 5, begin=95)
    await store.commit(Commit([step([0], [0.5], [NOW + 500_000_000])]))
    monkeypatch.setattr("gateway.store.history.pieces.__defaults__", (20,))
    parts = [part.value.tolist() async for part in store.history.iterate(0, NOW, END)]
    assert len(parts) > 3
    assert [value for part in parts for value in part] == [0, 0.5, *range(1, 100)]


async def test_a_renamed_tag_keeps_its_history(open_store):
    store = await open_store()
    await fill(store, 3)
    await store.close()
    store = await open_store(TagTable.of([Tag(0, "hall.temperature", was="line.temp"), Tag(1, "line.speed")]))
    assert (await store.history.read(0, NOW, END)).value.tolist() == [0, 1, 2]
    assert (await store.history.read(1, NOW, END)).value.tolist() == [0.25, 1.25, 2.25]
    await store.close()
    store = await open_store(TagTable.of([Tag(0, "line.temp"), Tag(1, "hall.temperature", was="line.temp")]))
    assert (await store.history.read(0, NOW, END)).value.size == 0, "a new tag of an old name begins anew"
    assert (await store.history.read(1, NOW, END)).value.size == 3


async def test_a_reload_gives_new_tags_their_history_at_once(store):
    store.retable(TagTable.of([Tag(0, "line.temp"), Tag(1, "line.new")]))
    await store.commit(Commit([step([1], [5.0], [NOW])]))
    assert (await store.history.read(1, NOW, END)).value.tolist() == [5.0]
    assert (await store.history.read(7, NOW, END)).value.size == 0, "a tag_id beyond the table has no history"


async def test_slow_tags_share_one_block_and_fast_ones_fill_theirs(store):
    await fill(store, 60)
    await cut(store)
    await fill(store, 60, begin=60)
    await cut(store)
    blocks = await store._plant.read(
        lambda connection: connection.execute("SELECT store_id, samples FROM blocks ORDER BY store_id").fetchall()
    )
    assert blocks == [(1, 120), (2, 120)]


async def test_a_damaged_block_and_tail_row_are_left_out_and_told_and_the_rest_flows(open_store):
    store = await open_store()
    await fill(store, 10)
    await cut(store)
    await fill(store, 10, begin=10, snapshot=None)

    def spoil(connection):
        connection.execute("UPDATE blocks SET columns=zeroblob(50) WHERE store_id=1")
        connection.execute("UPDATE tail SET columns=zeroblob(50) WHERE id=15")

    await store._plant.run(spoil)
    assert (await store.history.read(0, NOW, END)).value.tolist() == [k for k in range(10, 20) if k != 14]
    assert (await store.history.read(1, NOW, END)).value.size == 19
    assert len((await store.restore()).steps) == 9
    await store.commit(Commit(snapshot=b"s"))
    await store.maintain(NOW)
    assert "cannot be read" in store.damage
    await store.commit(Commit())
    assert "damaged" in (await store.journal.query())[0].message
    await cut(store)
    assert (await store.history.read(1, NOW, END)).value.size == 19
    await store.close()
    store = await open_store()
    assert store.alarms_at_open == [], "SQLite's own pages are whole: the file stays"
    assert await store._plant.read(lambda connection: connection.execute("SELECT value FROM state WHERE key='suspect'").fetchone()) == (0,)


async def test_a_commit_whose_caller_goes_is_done_all_the_same(store):
    task = asyncio.create_task(store.commit(Commit([step([0], [1.0], [NOW])])))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.commit(Commit())
    assert (await store.history.read(0, NOW, END)).value.tolist() == [1.0]
    assert store.stats().samples == 1
