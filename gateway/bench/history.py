"""History: what a sample costs on disk and in time, through the store that the daemon uses."""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from gateway.contracts import Series
from gateway.model.batch import Origin
from gateway.model.tag import Tag, TagTable
from gateway.model.update import Columns
from gateway.store import codec, maintenance
from gateway.store.config import StoreConfig
from gateway.store.store import Commit, Step, Store

NOW_NS = 1_700_000_000_000_000_000
_NONE = Columns(np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint32), np.empty(0, np.int64))


def run() -> dict[str, Any]:
    """Figures with their units in the names; about ten seconds."""
    with tempfile.TemporaryDirectory(prefix="edgetwin-bench-") as directory:
        figures = _codec() | asyncio.run(_hour(Path(directory) / "hour")) | asyncio.run(_plant(Path(directory) / "plant"))
    return {name: round(figure) if figure >= 1000 else round(figure, 2) for name, figure in figures.items()}


def transmitter(n: int, seed: int, interval_ms: int = 1000) -> Series:
    """An analog tag as a plant sends it: drift and noise at a resolution of 0.01, times with up to 4 ms of jitter."""
    rng = np.random.default_rng(seed)
    time = NOW_NS + (np.arange(n) * interval_ms + rng.integers(0, 5, n)) * 1_000_000
    value = np.round(50 + np.cumsum(rng.normal(0, 0.02, n)) + rng.normal(0, 0.05, n), 2)
    return Series(time, value, np.zeros(n, np.uint32), {})


def _codec() -> dict[str, Any]:
    """Blocks alone, in memory."""
    n, tags = maintenance.BLOCK_SAMPLES, 200
    series = [transmitter(n, seed) for seed in range(tags)]
    began = perf_counter()
    blocks = [codec.encode(one) for one in series]
    encoded = perf_counter()
    for block in blocks:
        codec.decode(block)
    decoded = perf_counter()
    return {
        "block_bytes_per_sample": sum(map(len, blocks)) / (n * tags),
        "append_samples_per_s": n * tags / (encoded - began),
        "read_block_samples_per_s": n * tags / (decoded - encoded),
    }


async def _hour(directory: Path, tags: int = 100, hours: int = 3) -> dict[str, Any]:
    """Some hours of 1 Hz through the store: tail, cut, and the file as it lies on the disk."""
    n = 3600 * hours
    table = TagTable.of([Tag(k, f"bench.t{k}") for k in range(tags)])
    series = [transmitter(n, seed) for seed in range(tags)]
    time, value = np.stack([one.source_ns for one in series]), np.stack([one.value for one in series])
    ids, good = np.arange(tags, dtype=np.int32), np.zeros(tags, np.uint32)
    store = await Store.open(directory, StoreConfig(), table, NOW_NS)
    per_commit = 60  # seconds in one commit: the figure is about bytes, not about commits
    for begin in range(0, n, per_commit):
        steps = [
            Step(NOW_NS + k * 10**9, Origin.SOURCE, Columns(ids, value[:, k], good, time[:, k]), _NONE)
            for k in range(begin, min(begin + per_commit, n))
        ]
        await store.commit(Commit(steps, snapshot=b"bench"))
        if begin % 3600 == 3600 - per_commit:
            await store.maintain(NOW_NS + (begin + per_commit) * 10**9)
    await maintenance.cut(store._plant, 2)
    while await store._plant.run(maintenance._drop_tail):
        pass
    began = perf_counter()
    for tag in range(tags):
        found = await store.history.read(tag, NOW_NS, NOW_NS + n * 10**9)
        if not np.array_equal(found.value, value[tag]):
            raise AssertionError("what was read is not what was written")
    took = perf_counter() - began
    used = await store._plant.read(
        lambda connection: [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")]
    )
    await store.close()
    return {
        "disk_bytes_per_sample": (used[0] - used[1]) * used[2] / (n * tags),
        "read_one_tag_samples_per_s": n * tags / took,
    }


async def _plant(directory: Path, tags: int = 10_000, seconds: int = 40) -> dict[str, Any]:
    """10 000 tags at 10 Hz: one commit per 100 ms as fast as they go, with the cutting beside them."""
    table = TagTable.of([Tag(k, f"bench.t{k}") for k in range(tags)])
    store = await Store.open(directory, StoreConfig(), table, NOW_NS)
    rng = np.random.default_rng(0)
    ids, good = np.arange(tags, dtype=np.int32), np.zeros(tags, np.uint32)
    value = np.round(50 + rng.normal(0, 1, tags), 2)
    waits, commits = [], seconds * 10
    cutting: asyncio.Task[None] | None = None
    began = perf_counter()
    for k in range(commits):
        at = NOW_NS + k * 100_000_000
        value = np.round(value + rng.normal(0, 0.05, tags), 2)
        step = Step(at, Origin.SOURCE, Columns(ids, value, good, np.full(tags, at) + rng.integers(0, 5, tags) * 1_000_000), _NONE)
        asked = perf_counter()
        await store.commit(Commit([step], snapshot=b"bench" if k % 100 == 0 else None))
        waits.append(perf_counter() - asked)
        if k == commits // 2:
            cutting = asyncio.create_task(maintenance.cut(store._plant, 2))
    if cutting is not None:
        await cutting
    took = perf_counter() - began
    await store.close()
    return {
        "store_samples_per_s": tags * commits / took,
        "commit_of_10000_rows_p50_ms": float(np.percentile(waits, 50) * 1e3),
        "commit_of_10000_rows_p99_ms": float(np.percentile(waits, 99) * 1e3),
        "commit_of_10000_rows_max_ms": max(waits) * 1e3,
    }
