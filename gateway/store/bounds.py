"""The outbox within its bounds: the oldest droppable rows give way, and a gap record in the same stream says so."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final
from zlib import crc32

from gateway.model.outbox import LAST, OutboxRow
from gateway.store import outbox as rows_of
from gateway.store.ages import Ages
from gateway.store.config import OutboxBounds
from gateway.store.database import Database
from gateway.store.outbox import Front, Outbox, Streams, StreamState

SLICE_ROWS: Final = 1000
SCAN_ROWS: Final = 5000
ROOM: Final = 0.05  # of a bound that is freed at once, so that gap records and writing stay rare
ROOM_NS: Final = 600 * 10**9  # but of the age not more than this
GAP: Final = "_gap"

Dropped = tuple[int, int, int, int]  # seq, created_ns, samples, bytes


@dataclass(frozen=True, slots=True)
class _Cut:
    """What may go: rows of one kind (the value of `droppable`) that are too old, by the time at which they were made, or too much."""

    kind: int
    too_old: Callable[[int], bool]
    surplus: int
    now_ns: int


@dataclass(frozen=True, slots=True)
class _Done:
    """front: the first row of this kind that is left; gap_seq: the record that tells of what went; more: there may be such rows yet."""

    streams: Streams
    front: Front
    gap_seq: int
    oldest_ns: int | None
    freed: int
    more: bool


async def enforce(plant: Database, outbox: Outbox, limits: OutboxBounds, ages: Ages, now_ns: int) -> None:
    """Drop what is too old, and the oldest of what is too much; rows that a sender holds stay. Raises StoreUnavailable."""
    surplus = outbox.bytes - round(limits.bytes * (1 - ROOM)) if outbox.bytes > limits.bytes else 0
    for kind in (1, LAST):
        surplus = await _enforce(plant, outbox, limits, ages, now_ns, kind, surplus)


async def _enforce(plant: Database, outbox: Outbox, limits: OutboxBounds, ages: Ages, now_ns: int, kind: int, surplus: int) -> int:
    """One kind of rows, the oldest of all streams first; the surplus that is left."""
    age_ns = round(limits.age * 1e9)
    room_ns = min(round(age_ns * ROOM), ROOM_NS)
    tried: set[str] = set()
    while True:
        waiting = [(ages.of(outbox.front_ns(name, kind)), name) for name in outbox.oldest_ns if name not in tried]
        if not waiting:
            return surplus
        age, name = max(waiting)
        if surplus <= 0 and age <= age_ns:
            return surplus
        too_old = partial(ages.older, age_ns - room_ns if age > age_ns else age_ns)
        done = await asyncio.shield(_slice(plant, outbox, name, _Cut(kind, too_old, surplus, now_ns)))
        surplus -= done.freed
        if not done.more:
            tried.add(name)


async def _slice(plant: Database, outbox: Outbox, name: str, cut: _Cut) -> _Done:
    """A slice of one stream, while no sender takes rows of it."""
    async with outbox.turn:
        held = max(outbox.peeked_through.get(name, 0), outbox.acked_through.get(name, 0))
        front, gap_seq = outbox.fronts.get((name, cut.kind)), outbox.gaps.get(name, 0)
        after = held if front is None else max(held, front.seq)
        done = await plant.run(_drop, name, cut, after, gap_seq if gap_seq > held else 0)
        outbox.adopt(done.streams)
        outbox.fronts[name, cut.kind] = done.front
        if done.oldest_ns is not None:
            outbox.oldest_ns[name], outbox.gaps[name] = done.oldest_ns, done.gap_seq
        return done


async def retire(plant: Database, outbox: Outbox, sinks: Collection[str]) -> dict[str, int]:
    """Remove the rows of streams whose sink is not among these names; how many, by stream. Raises StoreUnavailable."""
    outbox.retired = frozenset(name for name in outbox.streams if name.partition("/")[0] not in sinks)
    gone: dict[str, int] = {}
    for name in sorted(outbox.retired):
        while outbox.streams[name].rows:
            streams, rows = await plant.run(_clear, name)
            outbox.adopt(streams)
            gone[name] = gone.get(name, 0) + rows
    return gone


# --- on the writer's thread --------------------------------------------------------------------------------------------------------------


def _clear(connection: sqlite3.Connection, name: str) -> tuple[Streams, int]:
    """A slice of one stream, delivered or not; (streams touched, rows removed)."""
    state = rows_of.load(connection)[0][name]
    sql = "SELECT seq, length(payload) + length(CAST(topic AS BLOB)) + ? FROM outbox WHERE stream=? ORDER BY seq LIMIT ?"
    gone = connection.execute(sql, (rows_of.ROW_BYTES, state.id, SLICE_ROWS)).fetchall()
    if gone:
        connection.execute("DELETE FROM outbox WHERE stream=? AND seq<=?", (state.id, gone[-1][0]))
    left = replace(state, rows=0, bytes=0) if len(gone) < SLICE_ROWS else _without(state, gone)
    left = replace(left, dropped=state.dropped + len(gone))
    rows_of.save(connection, {name: left})
    return {name: left}, len(gone)


def _without(state: StreamState, gone: Sequence[tuple[int, ...]]) -> StreamState:
    """gone: rows whose last column is their bytes."""
    return replace(state, rows=state.rows - len(gone), bytes=state.bytes - sum(row[-1] for row in gone))


def _drop(connection: sqlite3.Connection, name: str, cut: _Cut, after: int, gap_seq: int) -> _Done:
    """One slice of the stream's rows beyond `after`; gap_seq: its last gap record, 0 where that is not to be touched."""
    streams, _ = rows_of.load(connection)
    state = streams[name]
    gone, front, more = _choose(connection, state.id, cut, after)
    if not gone:
        return _Done({}, front, 0, None, 0, more)
    connection.executemany("DELETE FROM outbox WHERE stream=? AND seq=?", [(state.id, row[0]) for row in gone])
    left = replace(_without(state, gone), dropped=state.dropped + len(gone))
    rows_of.save(connection, {name: left})
    touched, told_seq = _tell(connection, left, gap_seq, _gap_of(gone), cut.now_ns)
    oldest = connection.execute("SELECT created_ns FROM outbox WHERE stream=? ORDER BY seq LIMIT 1", (state.id,)).fetchone()
    return _Done(touched, front, told_seq, oldest[0], sum(row[-1] for row in gone), more)


def _choose(connection: sqlite3.Connection, stream_id: int, cut: _Cut, after: int) -> tuple[list[Dropped], Front, bool]:
    """(rows to drop, the first of this kind that stays, whether the slice ended before such a one was found)."""
    sql = (
        "SELECT seq, created_ns, samples, length(payload) + length(CAST(topic AS BLOB)) + ?, droppable FROM outbox "
        "WHERE stream=? AND seq>? ORDER BY seq LIMIT ?"
    )
    gone: list[Dropped] = []
    surplus, through, scanned = cut.surplus, after, 0
    for *row, kind in connection.execute(sql, (rows_of.ROW_BYTES, stream_id, after, SCAN_ROWS)):
        scanned += 1
        if kind == cut.kind:
            seq, created_ns, samples, size = row
            if surplus <= 0 and not cut.too_old(created_ns):
                return gone, Front(through, created_ns), False
            gone.append((seq, created_ns, samples, size))
            surplus -= size
        through = row[0]
        if len(gone) == SLICE_ROWS:
            return gone, Front(through, None), True
    return gone, Front(through, None), scanned == SCAN_ROWS


def _gap_of(gone: Sequence[Dropped]) -> dict[str, int | str]:
    """Of the numbers from_seq to to_seq, `rows` went, made between the two times."""
    return {
        "from_seq": gone[0][0],
        "to_seq": gone[-1][0],
        "rows": len(gone),
        "from": _iso(min(row[1] for row in gone)),
        "to": _iso(max(row[1] for row in gone)),
        "samples": sum(row[2] for row in gone),
    }


def _tell(connection: sqlite3.Connection, state: StreamState, gap_seq: int, gap: dict[str, int | str], now_ns: int) -> tuple[Streams, int]:
    """Say in the stream's last gap record what went; in a new one where that is gone or on its way. (streams touched, its seq)."""
    sql = "SELECT payload FROM outbox WHERE stream=? AND seq=? AND topic=?"
    found = connection.execute(sql, (state.id, gap_seq, GAP)).fetchone()
    if found is None:
        payload = json.dumps({"gap": gap}).encode()
        touched = rows_of.append(connection, [OutboxRow(state.name, GAP, payload, now_ns, droppable=False)])
        return touched, touched[state.name].seq
    payload = json.dumps({"gap": _both(json.loads(found[0])["gap"], gap)}).encode()
    connection.execute("UPDATE outbox SET payload=?, crc32=? WHERE stream=? AND seq=?", (payload, crc32(payload), state.id, gap_seq))
    left = replace(state, bytes=state.bytes + len(payload) - len(found[0]))
    rows_of.save(connection, {state.name: left})
    return {state.name: left}, gap_seq


def _both(one: dict[str, int | str], other: dict[str, int | str]) -> dict[str, int | str]:
    joined = {"from_seq": min, "to_seq": max, "rows": _sum, "from": min, "to": max, "samples": _sum}
    return {key: join(one[key], other[key]) for key, join in joined.items()}  # type: ignore[operator]  # both are numbers or both are times


def _sum(one: int, other: int) -> int:
    return one + other


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ns // 1_000_000 % 1000:03d}Z"
