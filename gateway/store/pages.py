"""A page of one tag's history from either end of a range: only the blocks and tail rows that it needs are decoded."""

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Final

import numpy as np

from gateway.contracts import Series
from gateway.store import codec, tail
from gateway.store.errors import DamagedBlock, Lost
from gateway.store.series import EMPTY, between, merge, take

_LAST: Final = 2**63 - 1
_Part = tuple[int, Callable[[], Series]]  # where it begins (backwards: ends), and its samples


class Oldest:
    """The oldest source time in the tail, kept up as rows are added, so that reading the past need not look at the tail at all."""

    def __init__(self) -> None:
        self._first = self._seen = 0
        self._oldest_ns = _LAST

    def ns(self, connection: sqlite3.Connection) -> int:
        """At most what it really is; the last time that there is where the tail is empty."""
        first, last = connection.execute("SELECT (SELECT min(id) FROM tail), (SELECT max(id) FROM tail)").fetchone()
        if first is None:
            return _LAST
        if first != self._first or last < self._seen:  # rows were dropped, or it is another file
            self._first, self._seen, self._oldest_ns = first, first - 1, _LAST
        if last > self._seen:
            (found,) = connection.execute("SELECT min(first_ns) FROM tail WHERE id>?", (self._seen,)).fetchone()
            self._seen, self._oldest_ns = last, min(self._oldest_ns, found)
        return self._oldest_ns


@dataclass(frozen=True, slots=True)
class Range:
    """start <= time < end of one tag. Tail rows up to `cut` are in its blocks already; oldest_ns: no row of the tail is older."""

    store_id: int
    start_ns: int
    end_ns: int
    cut: int
    oldest_ns: int


def first_page(connection: sqlite3.Connection, wanted: Range, limit: int, lost: Lost) -> Series:
    """The first `limit` samples of a range, oldest first."""
    blocks = connection.execute(
        "SELECT start_ns, id FROM blocks WHERE store_id=? AND start_ns<? AND end_ns>=? ORDER BY start_ns, id",
        (wanted.store_id, wanted.end_ns, wanted.start_ns),
    )
    return _gather(_ascending(connection, wanted, blocks, lost), wanted, limit, descending=False)


def last_page(connection: sqlite3.Connection, wanted: Range, limit: int, lost: Lost) -> Series:
    """The last `limit` samples of a range, oldest first."""
    blocks = connection.execute(
        "SELECT end_ns, id FROM blocks WHERE store_id=? AND start_ns<? AND end_ns>=? ORDER BY end_ns DESC, id DESC",
        (wanted.store_id, wanted.end_ns, wanted.start_ns),
    )
    rows = _rows(connection, wanted, "last_ns", "DESC")
    return _gather(_merged(connection, wanted, blocks, rows, lost, descending=True), wanted, limit, descending=True)


def _rows(connection: sqlite3.Connection, wanted: Range, edge: str, order: str) -> Iterator[tuple[int, int]]:
    """(edge, id) of the tail's rows that may hold samples of the range; looked up when the first one is asked for."""
    if wanted.end_ns <= wanted.oldest_ns:
        return
    yield from connection.execute(
        f"SELECT {edge}, id FROM tail WHERE id>? AND last_ns>=? AND first_ns<? ORDER BY {edge} {order}, id {order}",  # noqa: S608  # our own words
        (wanted.cut, wanted.start_ns, wanted.end_ns),
    )


def _ascending(connection: sqlite3.Connection, wanted: Range, blocks: Iterator[tuple[int, int]], lost: Lost) -> Iterator[_Part]:
    """Blocks that begin before anything in the tail does come first, without a look at the tail."""
    beyond: list[tuple[int, int]] = []
    for edge, number in blocks:
        if edge >= wanted.oldest_ns:
            beyond.append((edge, number))
            break
        yield edge, partial(block, connection, number, lost)
    rows = _rows(connection, wanted, "first_ns", "")
    yield from _merged(connection, wanted, chain(beyond, blocks), rows, lost, descending=False)


def _merged(
    connection: sqlite3.Connection,
    wanted: Range,
    blocks: Iterator[tuple[int, int]],
    rows: Iterator[tuple[int, int]],
    lost: Lost,
    *,
    descending: bool,
) -> Iterator[_Part]:
    """Blocks and tail rows in the order in which a reader needs them; nothing is decoded yet."""
    for edge, kind, number in heapq.merge(
        ((edge, 0, number) for edge, number in blocks),
        ((edge, 1, number) for edge, number in rows),
        key=itemgetter(0),
        reverse=descending,
    ):
        yield edge, partial(_of_row, connection, number, wanted.store_id, lost) if kind else partial(block, connection, number, lost)


def _of_row(connection: sqlite3.Connection, number: int, store_id: int, lost: Lost) -> Series:
    frames = connection.execute("SELECT columns FROM tail WHERE id=?", (number,))
    return merge([found for row in tail.whole(frames, lost) if (found := row.of(store_id)).source_ns.size])


def _gather(parts: Iterator[_Part], wanted: Range, limit: int, *, descending: bool) -> Series:
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
        held.append(between(found, wanted.start_ns, wanted.end_ns))
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
