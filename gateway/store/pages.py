"""A page of one tag's history from either end of a range: only the blocks and tail rows that it needs are decoded."""

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final

import numpy as np

from gateway.contracts import Series
from gateway.store import codec, tail
from gateway.store.errors import DamagedBlock, Lost
from gateway.store.series import EMPTY, between, merge, take

_LAST: Final = 2**63 - 1
_Part = tuple[int, Callable[[], Series]]  # where it begins (backwards: ends), and its samples


def first_page(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, limit: int, after: int, lost: Lost) -> Series:
    """The first `limit` samples with start <= time < end, oldest first. Tail rows up to `after` are in blocks already."""
    blocks = connection.execute(
        "SELECT start_ns, id FROM blocks WHERE store_id=? AND start_ns<? AND end_ns>=? ORDER BY start_ns, id", (store_id, end_ns, start_ns)
    )
    rows = connection.execute(
        "SELECT first_ns, id FROM tail WHERE id>? AND last_ns>=? AND first_ns<? ORDER BY first_ns, id", (after, start_ns, end_ns)
    )
    parts = _joined(connection, store_id, blocks, rows, lost, descending=False)
    return _gather(parts, start_ns, end_ns, limit, descending=False)


def last_page(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, limit: int, after: int, lost: Lost) -> Series:
    """The last `limit` samples with start <= time < end, oldest first; as first_page."""
    blocks = connection.execute(
        "SELECT end_ns, id FROM blocks WHERE store_id=? AND start_ns<? AND end_ns>=? ORDER BY end_ns DESC, id DESC",
        (store_id, end_ns, start_ns),
    )
    rows = connection.execute(
        "SELECT last_ns, id FROM tail WHERE id>? AND last_ns>=? AND first_ns<? ORDER BY last_ns DESC, id DESC", (after, start_ns, end_ns)
    )
    parts = _joined(connection, store_id, blocks, rows, lost, descending=True)
    return _gather(parts, start_ns, end_ns, limit, descending=True)


def _joined(
    connection: sqlite3.Connection, store_id: int, blocks: sqlite3.Cursor, rows: sqlite3.Cursor, lost: Lost, *, descending: bool
) -> Iterator[_Part]:
    """Blocks and tail rows in the order in which a reader needs them; nothing is decoded yet."""

    def of_block(number: int) -> Callable[[], Series]:
        return lambda: block(connection, number, lost)

    def of_row(number: int) -> Callable[[], Series]:
        frames = connection.execute("SELECT columns FROM tail WHERE id=?", (number,))
        return lambda: merge([found for row in tail.whole(frames, lost) if (found := row.of(store_id)).source_ns.size])

    for edge, kind, number in heapq.merge(
        ((edge, of_block, number) for edge, number in blocks),
        ((edge, of_row, number) for edge, number in rows),
        key=itemgetter(0),
        reverse=descending,
    ):
        yield edge, kind(number)


def _gather(parts: Iterator[_Part], start_ns: int, end_ns: int, limit: int, *, descending: bool) -> Series:
    """Parts are taken until none that is left can hold a sample of the page."""
    held: list[Series] = []
    waiting = 0  # samples held since they were last put in order
    bound = -_LAST if descending else _LAST  # the page's far edge, once there is enough to fill it
    for edge, samples in parts:
        if edge < bound if descending else edge > bound:
            break
        found = samples()
        if not found.source_ns.size:
            continue
        held.append(between(found, start_ns, end_ns))
        waiting += held[-1].source_ns.size
        if waiting >= limit:
            held, waiting = [_cut(merge(held), limit, descending=descending)], 0
            if held[0].source_ns.size >= limit:
                bound = int(held[0].source_ns[0 if descending else -1])
    return _cut(merge(held), limit, descending=descending)


def _cut(series: Series, limit: int, *, descending: bool) -> Series:
    n = series.source_ns.size
    if n <= limit:
        return series
    return take(series, np.arange(n - limit, n) if descending else slice(0, limit))


def block(connection: sqlite3.Connection, block_id: int, lost: Lost) -> Series:
    """One block in order of time; nothing where it cannot be read, which is told in `lost`."""
    columns = connection.execute("SELECT columns FROM blocks WHERE id=?", (block_id,)).fetchone()[0]
    try:
        return merge([codec.decode(columns)])
    except DamagedBlock as damage:
        lost.append(str(damage))
        return EMPTY
