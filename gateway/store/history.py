"""History on disk by tag (contracts.HistoryView): blocks and tail, read in one consistent view beside the writer."""

import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Final

import numpy as np

from gateway.contracts import Buckets, Series
from gateway.model.batch import TagIds
from gateway.store import state, tail
from gateway.store.database import Database
from gateway.store.errors import Lost
from gateway.store.pages import Oldest, Range, block, first_page, last_page
from gateway.store.series import EMPTY, between, downsample, merge, take

CHUNK: Final = 200_000  # samples that a long read holds at once
_LAST: Final = 2**63 - 1


class History:
    """Reading never blocks the writer. Raises StoreUnavailable. A tag_id beyond the table has no history."""

    def __init__(self, database: Callable[[], Database], store_ids: Callable[[], TagIds], reader: int) -> None:
        self._database, self._store_ids, self._reader = database, store_ids, reader
        self._opened: Database | None = None
        self._oldest = Oldest()  # of what is open
        self.lost: Lost = deque(maxlen=100)  # blocks and rows whose checksum does not fit are left out

    async def read(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None = None) -> Series:
        """start <= source time < end, oldest first, at most `limit`; with a limit, at the cost of what is returned."""

        database, oldest = self._open()

        def read(connection: sqlite3.Connection) -> Series:
            if limit is None:
                return merge(list(pieces(connection, self._store_id(tag_id), start_ns, end_ns, self.lost)))
            return first_page(connection, self._range(connection, tag_id, start_ns, end_ns, oldest), limit, self.lost)

        return await database.read(read, reader=self._reader)

    async def read_before(self, tag_id: int, start_ns: int, end_ns: int, limit: int) -> Series:
        """The last `limit` samples with start <= source time < end, oldest first, at the cost of what is returned."""
        database, oldest = self._open()

        def read(connection: sqlite3.Connection) -> Series:
            return last_page(connection, self._range(connection, tag_id, start_ns, end_ns, oldest), limit, self.lost)

        return await database.read(read, reader=self._reader)

    async def read_at(self, tag_id: int, at_ns: int) -> Series:
        """The last sample at or before that time: one row or none."""
        return await self._database().read(last_before, self._store_id(tag_id), at_ns, self.lost, reader=self._reader)

    async def downsample(self, tag_id: int, start_ns: int, end_ns: int, bucket_ns: int) -> Buckets:
        """Minimum, maximum and mean per bucket of bucket_ns > 0, counted from start_ns."""

        def read(connection: sqlite3.Connection) -> Buckets:
            return downsample(pieces(connection, self._store_id(tag_id), start_ns, end_ns, self.lost), start_ns, bucket_ns)

        return await self._database().read(read, reader=self._reader)

    async def count(self, tag_id: int) -> int:
        """Samples kept of a tag, duplicates included."""
        return await self._database().read(_count, self._store_id(tag_id), self.lost, reader=self._reader)

    async def iterate(self, tag_id: int, start_ns: int, end_ns: int) -> AsyncIterator[Series]:
        """A range of any length in pieces, oldest first; each is a read of its own, so the log can be checkpointed in between."""
        begin: int | None = start_ns
        while begin is not None:
            piece, begin = await self._database().read(
                partial(_piece, start_ns=begin, end_ns=end_ns, lost=self.lost), self._store_id(tag_id), reader=self._reader
            )
            if piece.source_ns.size:
                yield piece

    def _open(self) -> tuple[Database, Oldest]:
        database = self._database()
        if database is not self._opened:
            self._opened, self._oldest = database, Oldest()
        return database, self._oldest

    def _range(self, connection: sqlite3.Connection, tag_id: int, start_ns: int, end_ns: int, oldest: Oldest) -> Range:
        store_id = self._store_id(tag_id)
        return Range(store_id, start_ns, end_ns, _cut_for(connection, store_id), oldest.ns(connection))

    def _store_id(self, tag_id: int) -> int:
        ids = self._store_ids()
        return int(ids[tag_id]) if 0 <= tag_id < ids.size else -1


# --- on the reader's thread --------------------------------------------------------------------------------------------------------------


def pieces(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, lost: Lost, chunk: int = CHUNK) -> Iterator[Series]:
    """The range in order of time, in pieces of about `chunk` samples that do not overlap."""
    blocks = connection.execute(
        "SELECT start_ns, id FROM blocks WHERE store_id=? AND start_ns<? AND end_ns>=? ORDER BY start_ns", (store_id, end_ns, start_ns)
    ).fetchall()
    recent = tail_samples(connection, store_id, start_ns, end_ns, lost)
    held: list[Series] = []
    n = 0
    for begins_ns, block_id in blocks:
        if n >= chunk:
            ready = merge(held)
            if recent.source_ns.size and recent.source_ns[0] < begins_ns:  # late samples still in the tail
                ready, recent = merge([ready, between(recent, start_ns, begins_ns)]), between(recent, begins_ns, end_ns)
            yield between(ready, start_ns, begins_ns)
            held = [between(ready, begins_ns, end_ns)]
            n = held[0].source_ns.size
        held.append(_clip(block(connection, block_id, lost), start_ns, end_ns))
        n += held[-1].source_ns.size
    last = merge([*held, recent])
    if last.source_ns.size:
        yield last


def tail_samples(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, lost: Lost) -> Series:
    """What the tail holds of a tag in a range, in order."""
    rows = connection.execute(
        "SELECT columns FROM tail WHERE id>? AND last_ns>=? AND first_ns<? ORDER BY id", (_cut_for(connection, store_id), start_ns, end_ns)
    )
    found = (row.of(store_id) for row in tail.whole(rows, lost))
    return between(merge([part for part in found if part.source_ns.size]), start_ns, end_ns)


def last_before(connection: sqlite3.Connection, store_id: int, at_ns: int, lost: Lost) -> Series:
    """The last sample at or before that time, as one row or none."""
    at_ns = min(at_ns, _LAST - 1)
    best = _newest_in_tail(connection, store_id, at_ns, lost)
    newest = connection.execute(
        "SELECT id FROM blocks WHERE store_id=? AND start_ns<=? ORDER BY start_ns DESC LIMIT 1", (store_id, at_ns)
    ).fetchone()
    if newest is None:
        return best
    best = _latest([_clip(block(connection, newest[0], lost), -_LAST, at_ns + 1), best])
    floor = int(best.source_ns[-1]) if best.source_ns.size else -_LAST
    others = connection.execute(
        "SELECT id FROM blocks WHERE store_id=? AND start_ns<=? AND end_ns>? AND id<>?", (store_id, at_ns, floor, newest[0])
    ).fetchall()
    return _latest([best, *(_clip(block(connection, row[0], lost), -_LAST, at_ns + 1) for row in others)])


def _newest_in_tail(connection: sqlite3.Connection, store_id: int, at_ns: int, lost: Lost) -> Series:
    """Newest commits first; the rest is skipped as soon as no row can hold a later sample."""
    best = EMPTY
    after = _cut_for(connection, store_id)
    rows = connection.execute(
        "SELECT id, last_ns FROM tail WHERE id>? AND first_ns<=? ORDER BY last_ns DESC, id DESC", (after, at_ns)
    ).fetchall()
    for row_id, last_ns in rows:
        if best.source_ns.size and last_ns < best.source_ns[-1]:
            break
        for row in tail.whole(connection.execute("SELECT columns FROM tail WHERE id=?", (row_id,)), lost):
            best = _latest([_clip(merge([row.of(store_id)]), -_LAST, at_ns + 1), best])
    return best


def _latest(parts: list[Series]) -> Series:
    whole = merge(parts)
    return take(whole, slice(whole.source_ns.size - 1, whole.source_ns.size)) if whole.source_ns.size else EMPTY


def _piece(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, lost: Lost) -> tuple[Series, int | None]:
    found = pieces(connection, store_id, start_ns, end_ns, lost)
    first = next(found, EMPTY)
    following = next(found, None)
    return first, None if following is None else int(following.source_ns[0])


def _clip(series: Series, start_ns: int, end_ns: int) -> Series:
    return between(series, start_ns, end_ns) if series.source_ns.size else series


def _cut_for(connection: sqlite3.Connection, store_id: int) -> int:
    """Tail rows up to this one are in blocks already, as far as this tag goes (a cut under way has reached `cut_tag`)."""
    through = state.number(connection, "cut_through")
    if 0 <= store_id <= state.number(connection, "cut_tag"):
        through = max(through, state.number(connection, "cutting"))
    return through


def _count(connection: sqlite3.Connection, store_id: int, lost: Lost) -> int:
    blocks = connection.execute("SELECT coalesce(sum(samples), 0) FROM blocks WHERE store_id=?", (store_id,)).fetchone()[0]
    rows = connection.execute("SELECT columns FROM tail WHERE id>?", (_cut_for(connection, store_id),))
    return int(blocks) + sum(int(np.count_nonzero(row.store_id == store_id)) for row in tail.whole(rows, lost))
