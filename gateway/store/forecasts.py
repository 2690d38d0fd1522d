"""Forecasts that were issued, in plant.db: each as one row of all tags, and older ones in blocks per tag, as the history has it.

A row or block is: CRC-32 of the rest, then a header and zstd frames of shuffled columns: times (m,), then mean and half, the half-width of
the 90 % band, float32 (tags or issues, horizons). From mean and half a forecast can be scored again.
"""

import sqlite3
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import TagIds, Times
from gateway.model.forecast import Foretold
from gateway.store import state
from gateway.store.database import Database
from gateway.store.errors import DamagedBlock, Lost
from gateway.store.packing import pack, shuffle, unpack, unshuffle

Narrow = NDArray[np.float32]

TAIL_ROWS: Final = 120
"""Forecasts that stand as rows of all tags; beyond them blocks are cut."""
SLICE: Final = 100  # blocks that one transaction writes or removes
_HEAD: Final = struct.Struct("<BBHIII")  # version, spare, horizons, times, tags, place of the lead
_CRC: Final = struct.Struct("<I")
_VERSION: Final = 1
_BYTES: Final = "forecast_bytes"


@dataclass(frozen=True, slots=True)
class Issues:
    """Forecasts of some tags: at_ns int64 (m,) when they were issued; mean, half float32 (m, n, k); horizon_s (k,); ids int32 (n,).

    lead: which of the horizons the scalars are for.
    """

    at_ns: Times
    ids: TagIds
    horizon_s: NDArray[np.float64]
    lead: int
    mean: Narrow
    half: Narrow

    @property
    def lead_ns(self) -> int:
        return round(float(self.horizon_s[self.lead]) * 1e9)


class ForecastTable:
    """Each call is one transaction and raises StoreUnavailable. store_ids: by tag_id, as the history has them."""

    def __init__(self, database: Callable[[], Database], store_ids: Callable[[], TagIds], reader: int, upkeep: int) -> None:
        self._database, self._store_ids, self._reader, self._upkeep = database, store_ids, reader, upkeep
        self.lost: Lost = deque(maxlen=100)

    async def put(self, issued: Issues) -> None:
        """One forecast of all tags (m = 1), ids are tag_ids; durable on return."""
        kept = Issues(issued.at_ns, self._store_ids()[issued.ids], issued.horizon_s, issued.lead, issued.mean, issued.half)
        await self._database().run(_put, int(issued.at_ns[0]), kept)

    async def past(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None = None) -> Foretold:
        """What was forecast one lead earlier: start <= instant forecast for < end, oldest first, the first `limit` of them."""
        return await self._database().read(_past, self._id(tag_id), start_ns, end_ns, limit, self.lost, reader=self._reader)

    async def issued(self, tag_id: int, start_ns: int, end_ns: int) -> list[Issues]:
        """All that was said of a tag, start <= issued < end, oldest first; one part for each set of horizons."""
        return await self._database().read(_issued, self._id(tag_id), start_ns, end_ns, self.lost, reader=self._reader)

    async def maintain(self, too_old: Callable[[int], bool], most_bytes: int) -> None:
        """Blocks are cut from the rows; what is too old or too much goes, the oldest first. In slices beside the commits."""
        database = self._database()
        rows, through = await database.read(_waiting, reader=self._upkeep)
        if rows > TAIL_ROWS:
            blocks = await database.read(_blocks, through, self.lost, reader=self._upkeep)
            for begin in range(0, len(blocks), SLICE):
                await database.run(_insert, blocks[begin : begin + SLICE])
            await database.run(_drop_tail, through)
        while await database.run(_expire, too_old, most_bytes):
            pass

    def _id(self, tag_id: int) -> int:
        ids = self._store_ids()
        return int(ids[tag_id]) if 0 <= tag_id < ids.size else -1


# --- bytes -------------------------------------------------------------------------------------------------------------------------------


def encode(issued: Issues) -> bytes:
    """decode(encode(x)) = x."""
    m, n, k = issued.mean.shape
    head = _HEAD.pack(_VERSION, 0, k, m, n, issued.lead)
    columns = (issued.at_ns.astype("<i8"), issued.ids.astype("<i4"), issued.horizon_s.astype("<f8"))
    wide = (np.ascontiguousarray(part.transpose(1, 2, 0), "<f4") for part in (issued.mean, issued.half))  # neighbours in time are alike
    body = head + pack(b"".join(shuffle(column) for column in (*columns, *wide)))
    return _CRC.pack(crc32(body)) + body


def decode(raw: bytes) -> Issues:
    """Raises DamagedBlock."""
    if len(raw) < _CRC.size + _HEAD.size or _CRC.unpack_from(raw)[0] != crc32(raw[_CRC.size :]) or raw[_CRC.size] != _VERSION:
        raise DamagedBlock(f"damaged forecasts of {len(raw)} bytes")
    _, _, k, m, n, lead = _HEAD.unpack_from(raw, _CRC.size)
    body = memoryview(unpack(raw[_CRC.size + _HEAD.size :]))
    at, found = 0, []
    for kind, count in (("<i8", m), ("<i4", n), ("<f8", k), ("<f4", n * k * m), ("<f4", n * k * m)):
        size = np.dtype(kind).itemsize * count
        found.append(unshuffle(body[at : at + size], np.dtype(kind), count))
        at += size
    mean, half = (np.ascontiguousarray(part.reshape(n, k, m).transpose(2, 0, 1)) for part in found[3:])
    return Issues(found[0], found[1], found[2], lead, mean, half)


def joined(parts: list[Issues]) -> list[Issues]:
    """Parts of the same tags as few: one for each set of horizons and lead, in the order in which they come, each time once."""
    groups: dict[tuple[bytes, int, bytes], list[Issues]] = {}
    for part in parts:
        groups.setdefault((part.horizon_s.tobytes(), part.lead, part.ids.tobytes()), []).append(part)
    out = []
    for same in groups.values():
        at_ns, first = np.unique(np.concatenate([part.at_ns for part in same]), return_index=True)
        mean, half = (np.concatenate([getattr(part, name) for part in same])[first] for name in ("mean", "half"))
        out.append(Issues(at_ns, same[0].ids, same[0].horizon_s, same[0].lead, mean, half))
    return out


def _of(part: Issues, store_id: int) -> Issues | None:
    """One tag of them."""
    row = np.flatnonzero(part.ids == store_id)
    if not row.size:
        return None
    return Issues(part.at_ns, part.ids[row], part.horizon_s, part.lead, part.mean[:, row], part.half[:, row])


# --- on the writer's thread --------------------------------------------------------------------------------------------------------------


def _put(connection: sqlite3.Connection, at_ns: int, issued: Issues) -> None:
    columns = encode(issued)
    connection.execute("INSERT INTO forecast_tail(at_ns, lead_ns, columns) VALUES(?, ?, ?)", (at_ns, issued.lead_ns, columns))
    _count(connection, len(columns))


def _count(connection: sqlite3.Connection, more: int) -> None:
    state.put(connection, _BYTES, max(state.number(connection, _BYTES) + more, 0))


Block = tuple[int, int, int, int, bytes]  # store_id, start_ns, end_ns, lead_ns, columns


def _insert(connection: sqlite3.Connection, blocks: list[Block]) -> None:
    """Writing one twice, after a crash, does no harm: its rows in the tail were still there."""
    for block in blocks:
        sql = "SELECT length(columns) FROM forecast_blocks WHERE store_id=? AND start_ns=? AND lead_ns=?"
        before = connection.execute(sql, (block[0], block[1], block[3])).fetchone()
        _count(connection, len(block[4]) - (before[0] if before else 0))
    connection.executemany(
        "INSERT OR REPLACE INTO forecast_blocks(store_id, start_ns, end_ns, lead_ns, columns) VALUES(?, ?, ?, ?, ?)", blocks
    )


def _drop_tail(connection: sqlite3.Connection, through: int) -> None:
    size = connection.execute("SELECT coalesce(sum(length(columns)), 0) FROM forecast_tail WHERE id<=?", (through,)).fetchone()[0]
    connection.execute("DELETE FROM forecast_tail WHERE id<=?", (through,))
    _count(connection, -size)


def _expire(connection: sqlite3.Connection, too_old: Callable[[int], bool], most_bytes: int) -> int:
    """A slice of the oldest blocks that are too old or too much, then rows likewise; how many."""
    surplus, count = state.number(connection, _BYTES) - most_bytes, 0
    for table, time in (("forecast_blocks", "end_ns"), ("forecast_tail", "at_ns")):
        gone, freed = [], 0
        sql = f"SELECT id, {time}, length(columns) FROM {table} ORDER BY id LIMIT ?"  # noqa: S608  # names of our own
        for row_id, at_ns, size in connection.execute(sql, (SLICE,)):
            if surplus <= 0 and not too_old(at_ns):
                break
            gone.append((row_id,))
            surplus, freed = surplus - size, freed + size
        connection.executemany(f"DELETE FROM {table} WHERE id=?", gone)  # noqa: S608  # likewise
        if gone:
            _count(connection, -freed)
        count += len(gone)
        if len(gone) == SLICE:  # there may be more that are older than the rows of the tail
            break
    return count


# --- on a reader's thread ----------------------------------------------------------------------------------------------------------------


def used_bytes(connection: sqlite3.Connection) -> int:
    """What forecasts take of the file."""
    return state.number(connection, _BYTES)


def _waiting(connection: sqlite3.Connection) -> tuple[int, int]:
    """(rows of the tail, the last one's id)."""
    rows, last = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM forecast_tail").fetchone()
    return rows, last


def _blocks(connection: sqlite3.Connection, through: int, lost: Lost) -> list[Block]:
    """The rows up to that one, tag by tag."""
    rows = connection.execute("SELECT columns FROM forecast_tail WHERE id<=? ORDER BY id", (through,))
    found = []
    for part in joined(list(_whole(rows, lost))):
        for store_id in part.ids.tolist():
            own = _of(part, store_id)
            assert own is not None
            found.append((store_id, int(own.at_ns[0]), int(own.at_ns[-1]), own.lead_ns, encode(own)))
    return found


def _whole(rows: sqlite3.Cursor, lost: Lost) -> Iterator[Issues]:
    for (columns,) in rows:
        try:
            yield decode(columns)
        except DamagedBlock as fault:
            lost.append(str(fault))


def _parts(connection: sqlite3.Connection, store_id: int, where: str, bounds: tuple[int, int], lost: Lost) -> list[Issues]:
    """Blocks and rows of a tag that may hold something between the bounds; where has two places for them."""
    sql = f"SELECT columns FROM forecast_blocks WHERE store_id=? AND {where} ORDER BY start_ns"  # noqa: S608  # words of our own
    found = list(_whole(connection.execute(sql, (store_id, *bounds)), lost))
    recent = where.replace("end_ns", "at_ns").replace("start_ns", "at_ns")
    sql = f"SELECT columns FROM forecast_tail WHERE {recent} ORDER BY id"  # noqa: S608  # likewise
    found += [part for row in _whole(connection.execute(sql, bounds), lost) if (part := _of(row, store_id)) is not None]
    return found


def _issued(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, lost: Lost) -> list[Issues]:
    out = []
    for part in joined(_parts(connection, store_id, "end_ns>=? AND start_ns<?", (start_ns, end_ns), lost)):
        keep = (part.at_ns >= start_ns) & (part.at_ns < end_ns)
        if keep.any():
            out.append(Issues(part.at_ns[keep], part.ids, part.horizon_s, part.lead, part.mean[keep], part.half[keep]))
    return out


def _past(connection: sqlite3.Connection, store_id: int, start_ns: int, end_ns: int, limit: int | None, lost: Lost) -> Foretold:
    times, means, halves = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for part in _parts(connection, store_id, "end_ns+lead_ns>=? AND start_ns+lead_ns<?", (start_ns, end_ns), lost):
        times.append(part.at_ns + part.lead_ns)
        means.append(part.mean[:, 0, part.lead])
        halves.append(part.half[:, 0, part.lead])
    valid_ns, first = np.unique(np.concatenate(times), return_index=True)
    keep = np.flatnonzero((valid_ns >= start_ns) & (valid_ns < end_ns))[:limit]
    mean, half = (np.concatenate(parts)[first[keep]].astype(np.float64) for parts in (means, halves))
    return Foretold(valid_ns[keep], mean - half, mean, mean + half)
