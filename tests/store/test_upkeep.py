"""Retention, bounds and shrinking: what is too old or too much goes, whole oldest blocks first, and the file gets smaller."""

import asyncio

import numpy as np
import pytest

from gateway.bench.history import transmitter
from gateway.model.batch import Origin
from gateway.model.update import Columns
from gateway.store import maintenance
from gateway.store.config import StoreConfig, size
from gateway.store.store import Commit, Step

from .conftest import NONE, NOW, SECOND, step

HOUR = 3600 * SECOND
TRANSMITTER = transmitter(3600, 1)


async def hour(store, k):
    """An hour of tag 0 at 1 Hz, in commits of a minute."""
    time, value = TRANSMITTER.source_ns + k * HOUR, TRANSMITTER.value
    for part in np.array_split(np.arange(3600), 60):
        columns = Columns(np.zeros(part.size, np.int32), value[part], np.zeros(part.size, np.uint32), time[part])
        await store.commit(Commit([Step(int(time[part[0]]), Origin.SOURCE, columns, NONE)], snapshot=b"s"))
    await store.maintain(NOW + (k + 1) * HOUR + SECOND)


async def test_the_tail_is_cut_and_then_gone(store):
    await hour(store, 0)
    await hour(store, 1)
    stats = store.stats()
    assert (stats.blocks, stats.tail_rows, stats.tail_samples) == (2, 0, 0)
    assert stats.samples == 7200
    assert (await store.history.read(0, NOW, NOW + 3 * HOUR)).value.size == 7200


async def test_the_tail_is_cut_also_after_the_clock_was_set_back(store):
    await store.commit(Commit([step([0], [1.0], [NOW])], snapshot=b"s"))
    await store.maintain(NOW - 24 * HOUR)
    assert (store.stats().blocks, store.stats().tail_samples) == (1, 0)


async def test_a_block_grows_with_each_cut_until_it_is_full(store):
    time, value = TRANSMITTER.source_ns, TRANSMITTER.value
    for part in np.array_split(np.arange(3600), 4):
        columns = Columns(np.zeros(part.size, np.int32), value[part], np.zeros(part.size, np.uint32), time[part])
        await store.commit(Commit([Step(int(time[part[0]]), Origin.SOURCE, columns, NONE)], snapshot=b"s"))
        await store.maintain(int(time[part[0]]) + HOUR // 4)
        assert (store.stats().blocks, store.stats().tail_rows) == (1, 0)
    assert (await store.history.read(0, NOW, NOW + HOUR)).value.tolist() == value.tolist()


async def test_too_old_blocks_go(open_store):
    store = await open_store(config=StoreConfig(retention={"age": "2h"}))
    for k in range(5):
        await hour(store, k)
    series = await store.history.read(0, 0, NOW + 10 * HOUR)
    assert NOW + 3 * HOUR <= series.source_ns[0] < NOW + 3 * HOUR + SECOND
    assert store.stats().blocks == 2


async def test_a_clock_that_is_briefly_years_ahead_deletes_no_history(open_store, elapsed):
    """In a running gateway, and where it was started with the wrong time."""
    config = StoreConfig(retention={"age": "30d"})
    store = await open_store(config=config)
    await hour(store, 0)
    await store.maintain(NOW + 1000 * 24 * HOUR)
    await store.maintain(NOW + 2 * HOUR)
    await store.close()
    store = await open_store(config=config, now_ns=NOW + 1000 * 24 * HOUR)
    await store.maintain(NOW + 1000 * 24 * HOUR)
    assert store.stats().blocks == 1
    await store.maintain(NOW + 3 * HOUR)
    began = elapsed.ns
    for _ in range(31):
        elapsed.ns += 24 * HOUR
        await store.maintain(NOW + 3 * HOUR + elapsed.ns - began)
    assert store.stats().blocks == 0, "set right again, its age is the real one"


async def test_too_many_bytes_go_oldest_first_and_the_file_shrinks(open_store, monkeypatch):
    monkeypatch.setattr(maintenance, "SPARE_PAGES", 0)
    store = await open_store(config=StoreConfig(retention={"bytes": "1MB"}))
    rng = np.random.default_rng(0)
    for k in range(40):
        time = NOW + k * HOUR + np.arange(5000) * SECOND // 2
        columns = Columns(np.zeros(5000, np.int32), rng.normal(size=5000), np.zeros(5000, np.uint32), time)
        await store.commit(Commit([Step(int(time[0]), Origin.SOURCE, columns, NONE)], snapshot=b"s"))
        await maintenance.cut(store._plant, 2)
    await store._plant.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (store.path / "plant.db").stat().st_size
    for _ in range(5):
        await store.maintain(NOW + 40 * HOUR)
    await store._plant.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    after = (store.path / "plant.db").stat().st_size
    assert after < 1_200_000 < before
    series = await store.history.read(0, 0, NOW + 50 * HOUR)
    assert series.source_ns[0] > NOW
    assert series.source_ns[-1] == NOW + 39 * HOUR + 4999 * SECOND // 2, "the newest stay"


async def test_commits_go_on_while_blocks_are_cut_and_nothing_is_lost(store, monkeypatch):
    monkeypatch.setattr(maintenance, "SLICE_BLOCKS", 1)
    monkeypatch.setattr(maintenance, "PASS_SAMPLES", 100)
    monkeypatch.setattr(maintenance, "TAIL_SAMPLES", 300)
    ids, n = np.arange(4, dtype=np.int32), 0
    for _ in range(10):
        upkeep = asyncio.create_task(store.maintain(NOW + n))
        for _ in range(100):
            columns = Columns(ids, np.full(4, float(n)), np.zeros(4, np.uint32), np.full(4, NOW + n))
            await store.commit(Commit([Step(NOW + n, Origin.SOURCE, columns, NONE)], snapshot=b"s"))
            n += 1
        await upkeep
    assert store.stats().blocks > 0
    for tag in range(4):
        assert (await store.history.read(tag, NOW, NOW + n)).value.tolist() == list(range(n))
        assert await store.history.count(tag) == n


async def test_the_figures_tell_what_a_person_asks_for(store):
    await hour(store, 0)
    stats = store.stats()
    assert stats.commits == 60
    assert 0 < stats.commit_p50_ms <= stats.commit_p99_ms
    assert 0 < stats.disk_bytes < stats.disk_free_bytes
    assert stats.written_bytes_per_day is None or stats.written_bytes_per_day >= 0
    assert (stats.outbox_warning, stats.outbox_full, stats.damage) == (False, False, None)


def test_the_section_takes_what_people_write():
    config = StoreConfig.model_validate(
        {
            "commit_interval": "100ms",
            "retention": {"age": "365d", "bytes": "20GB"},
            "outbox": {"bytes": "2GB", "age": "7d"},
            "record": "24h",
        }
    )
    assert config.commit_interval == 0.1
    assert (config.retention.bytes, config.retention.age) == (20 * 10**9, 365 * 86400)
    assert config == StoreConfig(record=86400)
    assert (size("1KiB"), size(5), size("1.5 MB")) == (1024, 5, 1_500_000)
    for wrong in ("20 GBytes", "-1", "", None, -1, True):
        with pytest.raises(ValueError, match="is not a size"):
            size(wrong)
    with pytest.raises(ValueError, match="retension"):
        StoreConfig.model_validate({"retension": {}})
