"""Upkeep of plant.db: blocks are cut from the tail, what is too old or too much goes, and the file shrinks.

Reading and encoding run on a reader's thread; the writer only gets slices of a few milliseconds, so that no commit waits long behind one.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Series
from gateway.store import bounds, codec, forecasts, journal, pages, state, tail
from gateway.store.ages import JUMP_NS, Ages
from gateway.store.config import StoreConfig
from gateway.store.database import Database, page_bytes
from gateway.store.errors import Lost
from gateway.store.outbox import Outbox
from gateway.store.series import EMPTY, join, merge, take
from gateway.store.stats import Figures

BLOCK_SAMPLES: Final = 3600
CUT_NS: Final = 900 * 10**9  # a read of what is younger goes through every tag's samples: keep that short
GROWTH: Final = 64  # a block grows until it is full or this many times what comes in: slow tags are not written over and over
TAIL_SAMPLES: Final = 16_000_000  # cut earlier beyond this
PASS_SAMPLES: Final = 500_000  # of the tail held in memory at once while cutting
SLICE_BLOCKS: Final = 100
SLICE_ROWS: Final = 500
SLICE_SAMPLES: Final = 200_000
SLICE_PAGES: Final = 1000
SPARE_PAGES: Final = 8192  # free pages kept for the next blocks: giving them back would only wear the flash

Block = tuple[int, int, int, int, bytes]  # store_id, start_ns, end_ns, samples, columns


async def upkeep(
    plant: Database, outbox: Outbox, config: StoreConfig, figures: Figures, ages: Ages, now_ns: int, reader: int, lost: Lost
) -> None:
    """All of it, in slices. Raises StoreUnavailable."""
    await _keep_ages(plant, ages, config)
    while await plant.run(journal.prune, config.journal_events):
        pass
    await bounds.enforce(plant, outbox, config.outbox, ages, now_ns)
    if await _is_due(plant, figures, now_ns, reader):
        await cut(plant, reader, lost)
    while await plant.run(_drop_tail):
        pass
    age_ns = round(config.retention.age * 1e9)
    while await plant.run(_expire, lambda at_ns: ages.of(at_ns) > age_ns, config.retention.bytes + outbox.bytes):
        pass
    spare = (await plant.pragma("PRAGMA freelist_count"))[0][0] - SPARE_PAGES
    if spare > 0:
        await plant.shrink(min(spare, SLICE_PAGES))
    figures.load(*await plant.read(totals, reader=reader))


async def _keep_ages(plant: Database, ages: Ages, config: StoreConfig) -> None:
    ages.forget(round(max(config.retention.age, config.outbox.age) * 1e9) + JUMP_NS)
    if ages.unsaved:
        await plant.run(state.put, "eras", ages.dump())
        ages.unsaved = False


async def _is_due(plant: Database, figures: Figures, now_ns: int, reader: int) -> bool:
    if await plant.read(state.number, "cutting", reader=reader):
        return True  # one was cut off by a crash
    old = figures.oldest_tail_ns is not None and abs(now_ns - figures.oldest_tail_ns) >= CUT_NS  # also after a clock set back
    return old or figures.tail_samples >= TAIL_SAMPLES


async def cut(plant: Database, reader: int, lost: Lost | None = None) -> None:
    """Cut blocks from the tail up to the engine's last snapshot. A crash on the way is taken up where it was.

    Rows that cannot be read are left out and told in `lost`.
    """
    lost = deque() if lost is None else lost
    through = await plant.run(_begin_cut)
    if through == 0:
        return
    counts = await plant.read(_counts, through, lost, reader=reader)
    done = await plant.read(state.number, "cut_tag", reader=reader)
    for first, last in _passes(counts, done):
        columns = await plant.read(_gather, through, first, last, lost, reader=reader)
        small = await plant.read(_small_blocks, list(columns), reader=reader)
        place = first
        while place <= last:
            following = min(place + SLICE_BLOCKS, last + 1)
            blocks, replaced = await plant.read(_encode, columns, small, place, following, lost, reader=reader)
            await plant.run(_insert, blocks, replaced, following - 1)
            place = following
    await plant.run(_end_cut, through)


def _passes(counts: NDArray[np.int64], done: int) -> list[tuple[int, int]]:
    """Ranges of store_id whose samples fit into memory together, beyond those that are done."""
    out, first, held = [], done + 1, 0
    for store_id in range(done + 1, counts.size):
        if held and held + counts[store_id] > PASS_SAMPLES:
            out.append((first, store_id - 1))
            first, held = store_id, 0
        held += int(counts[store_id])
    if first < counts.size:
        out.append((first, counts.size - 1))
    return out


# --- on the writer's thread, a few milliseconds each -------------------------------------------------------------------------------------


def _begin_cut(connection: sqlite3.Connection) -> int:
    """The last tail row to cut, 0 where there is none. A cut under way keeps its own."""
    through = state.number(connection, "cutting")
    if through == 0:
        limit = state.number(connection, "snapshot_tail")
        found = connection.execute("SELECT max(id) FROM tail WHERE id<=? AND id>?", (limit, state.number(connection, "cut_through")))
        through = found.fetchone()[0] or 0
        if through:
            state.put(connection, "cutting", through)
            state.put(connection, "cut_tag", 0)
    return through


def _insert(connection: sqlite3.Connection, blocks: list[Block], replaced: list[int], cut_tag: int) -> None:
    connection.executemany("DELETE FROM blocks WHERE id=?", [(block_id,) for block_id in replaced])
    connection.executemany("INSERT INTO blocks(store_id, start_ns, end_ns, samples, columns) VALUES(?, ?, ?, ?, ?)", blocks)
    state.put(connection, "cut_tag", cut_tag)
    state.put(connection, "blocks", state.number(connection, "blocks") + len(blocks) - len(replaced))


def _end_cut(connection: sqlite3.Connection, through: int) -> None:
    state.put(connection, "cut_through", through)
    state.put(connection, "cutting", 0)
    state.put(connection, "cut_tag", 0)


def _drop_tail(connection: sqlite3.Connection) -> int:
    """Remove a slice of the tail rows that are in blocks; how many. The last row stays: it knows the last commit and its number."""
    through = state.number(connection, "cut_through")
    rows = connection.execute(
        "SELECT id, samples FROM tail WHERE id<=? AND id<(SELECT max(id) FROM tail) ORDER BY id LIMIT ?", (through, SLICE_ROWS)
    )
    last = samples = 0
    for row_id, more in rows:
        last, samples = row_id, samples + more
        if samples >= SLICE_SAMPLES:
            break
    return connection.execute("DELETE FROM tail WHERE id<=?", (last,)).rowcount


def _expire(connection: sqlite3.Connection, too_old: Callable[[int], bool], keep_bytes: int) -> int:
    """Remove a slice of the oldest blocks that are too old or too many; how many."""
    used = (_pragma(connection, "page_count") - _pragma(connection, "freelist_count")) * page_bytes(connection)
    surplus = used - keep_bytes - forecasts.used_bytes(connection)
    gone = []
    rows = connection.execute("SELECT id, end_ns, length(columns) FROM blocks ORDER BY id LIMIT ?", (SLICE_BLOCKS,))
    for block_id, end_ns, size in rows:
        if surplus <= 0 and not too_old(end_ns):
            break
        gone.append((block_id,))
        surplus -= size
    connection.executemany("DELETE FROM blocks WHERE id=?", gone)
    if gone:
        state.put(connection, "blocks", state.number(connection, "blocks") - len(gone))
    return len(gone)


# --- on the reader's thread --------------------------------------------------------------------------------------------------------------


def totals(connection: sqlite3.Connection) -> tuple[int, int, int | None, int]:
    """(tail rows, samples in them, time of the oldest, blocks); rows that are in blocks already do not count."""
    sql = "SELECT count(*), coalesce(sum(samples), 0), min(now_ns) FROM tail WHERE id>?"
    rows, samples, oldest = connection.execute(sql, (state.number(connection, "cut_through"),)).fetchone()
    return rows, samples, oldest, state.number(connection, "blocks")


def _counts(connection: sqlite3.Connection, through: int, lost: Lost) -> NDArray[np.int64]:
    """Samples per store_id in the tail rows to cut."""
    highest = connection.execute("SELECT coalesce(max(store_id), 0) FROM names").fetchone()[0]
    counts = np.zeros(highest + 1, np.int64)
    for row in _rows(connection, through, lost):
        counts += np.bincount(row.store_id, minlength=counts.size)
    return counts


def _rows(connection: sqlite3.Connection, through: int, lost: Lost) -> Iterator[tail.StoredRow]:
    sql = "SELECT columns FROM tail WHERE id>? AND id<=? ORDER BY id"
    found = connection.execute(sql, (state.number(connection, "cut_through"), through))
    return tail.whole(found, lost)


def _gather(connection: sqlite3.Connection, through: int, first: int, last: int, lost: Lost) -> dict[int, Series]:
    """The samples of each store_id in first..last, in the order in which they were committed."""
    ids, parts = [], []
    for row in _rows(connection, through, lost):
        places = np.flatnonzero((row.store_id >= first) & (row.store_id <= last))
        if places.size:
            ids.append(row.store_id[places])
            parts.append(row.take(places))
    if not ids:
        return {}
    joined = np.concatenate(ids)
    order = np.argsort(joined, kind="stable")
    whole = join(parts)
    parts.clear()
    whole = take(whole, order)
    found, begins = np.unique(joined[order], return_index=True)
    ends = np.append(begins[1:], joined.size)
    return {int(i): take(whole, slice(int(a), int(b))) for i, a, b in zip(found, begins, ends, strict=True)}


def _small_blocks(connection: sqlite3.Connection, store_ids: list[int]) -> dict[int, tuple[int, int]]:
    """The newest block of each store_id where it is not full: store_id -> (id, samples)."""
    sql = "SELECT id, samples FROM blocks WHERE store_id=? ORDER BY start_ns DESC LIMIT 1"
    newest = ((store_id, connection.execute(sql, (store_id,)).fetchone()) for store_id in store_ids)
    return {store_id: found for store_id, found in newest if found is not None and found[1] < BLOCK_SAMPLES}


def _encode(
    connection: sqlite3.Connection,
    columns: dict[int, Series],
    small: dict[int, tuple[int, int]],
    first: int,
    following: int,
    lost: Lost,
) -> tuple[list[Block], list[int]]:
    """(new blocks, ids of those they replace) of the store_ids in first..following - 1: a slow tag's samples join its last block."""
    blocks: list[Block] = []
    replaced = []
    for store_id in range(first, following):
        series = columns.get(store_id)
        if series is None:
            continue
        block_id, held = small.get(store_id, (0, 0))
        before = EMPTY
        if 0 < held <= min(BLOCK_SAMPLES - series.source_ns.size, GROWTH * series.source_ns.size):
            before = pages.block(connection, block_id, lost)
        if before.source_ns.size:  # one that cannot be read stays as it is
            replaced.append(block_id)
        series = merge([before, series])
        for begin in range(0, series.source_ns.size, BLOCK_SAMPLES):
            part = take(series, slice(begin, begin + BLOCK_SAMPLES))
            blocks.append((store_id, int(part.source_ns[0]), int(part.source_ns[-1]), part.source_ns.size, codec.encode(part)))
    return blocks, replaced


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
