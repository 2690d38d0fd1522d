"""The outbox within its bounds: the oldest droppable rows give way, and a gap record in the same stream says so."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from gateway.model.outbox import OutboxRow
from gateway.store import outbox as rows_of
from gateway.store.config import OutboxBounds
from gateway.store.database import Database
from gateway.store.outbox import Outbox, Streams, StreamState

SLICE_ROWS: Final = 1000
ROOM: Final = 0.05  # of the bound that is freed at once, so that gap records stay rare

Dropped = tuple[int, int, int, int]  # seq, created_ns, samples, bytes


async def enforce(plant: Database, outbox: Outbox, limits: OutboxBounds, now_ns: int) -> None:
    """Drop what is too old, and the oldest of what is too much; rows that a sender holds stay. Raises StoreUnavailable."""
    before_ns = now_ns - round(limits.age * 1e9)
    surplus = outbox.bytes - round(limits.bytes * (1 - ROOM)) if outbox.bytes > limits.bytes else 0
    tried: set[str] = set()
    while True:
        waiting = [(oldest_ns, name) for name, oldest_ns in outbox.oldest_ns.items() if name not in tried]
        if not waiting:
            return
        oldest_ns, name = min(waiting)
        if surplus <= 0 and oldest_ns >= before_ns:
            return
        held = max(outbox.peeked_through.get(name, 0), outbox.acked_through.get(name, 0))
        streams, oldest, freed = await plant.run(_drop, name, held, before_ns, surplus, now_ns)
        outbox.adopt(streams)
        if oldest is not None:
            outbox.oldest_ns[name] = oldest
        surplus -= freed
        if freed == 0:
            tried.add(name)


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


def _drop(
    connection: sqlite3.Connection, name: str, held: int, before_ns: int, surplus: int, now_ns: int
) -> tuple[Streams, int | None, int]:
    """(streams touched, time of the oldest row left, bytes freed) after one slice of one stream."""
    streams, _ = rows_of.load(connection)
    state = streams[name]
    gone = _choose(connection, state.id, held, before_ns, surplus)
    if not gone:
        return {}, None, 0
    connection.executemany("DELETE FROM outbox WHERE stream=? AND seq=?", [(state.id, row[0]) for row in gone])
    freed = sum(row[3] for row in gone)
    left = replace(_without(state, gone), dropped=state.dropped + len(gone))
    rows_of.save(connection, {name: left})
    touched = rows_of.append(connection, [_gap(name, run, now_ns) for run in _runs(gone)])
    oldest = connection.execute("SELECT created_ns FROM outbox WHERE stream=? ORDER BY seq LIMIT 1", (state.id,)).fetchone()
    return touched, oldest[0], freed


def _choose(connection: sqlite3.Connection, stream_id: int, held: int, before_ns: int, surplus: int) -> list[Dropped]:
    sql = (
        "SELECT seq, created_ns, samples, length(payload) + length(CAST(topic AS BLOB)) + ? FROM outbox "
        "WHERE stream=? AND seq>? AND droppable ORDER BY seq LIMIT ?"
    )
    gone: list[Dropped] = []
    for row in connection.execute(sql, (rows_of.ROW_BYTES, stream_id, held, SLICE_ROWS)):
        if row[1] >= before_ns and surplus <= 0:
            break
        gone.append(row)
        surplus -= row[3]
    return gone


def _runs(gone: list[Dropped]) -> list[list[Dropped]]:
    """Neighbours in sequence together."""
    runs: list[list[Dropped]] = []
    for row in gone:
        if runs and row[0] == runs[-1][-1][0] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _gap(stream: str, run: list[Dropped], now_ns: int) -> OutboxRow:
    gap = {
        "from_seq": run[0][0],
        "to_seq": run[-1][0],
        "from": _iso(min(row[1] for row in run)),
        "to": _iso(max(row[1] for row in run)),
        "samples": sum(row[2] for row in run),
    }
    return OutboxRow(stream, "_gap", json.dumps({"gap": gap}).encode(), now_ns, droppable=False)


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ns // 1_000_000 % 1000:03d}Z"
