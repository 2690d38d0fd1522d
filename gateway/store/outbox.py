"""The outbox: messages that must reach the other side at least once, in order per stream (contracts.OutboxView).

A row is inserted in the transaction of the samples it tells of, and removed after it was acknowledged: a crash in between repeats it, and
(gateway, boot, stream, seq) lets the consumer see that. Beyond its bounds the oldest droppable rows give way to a gap record.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

from gateway.model.outbox import OutboxFill, OutboxRow
from gateway.store.config import OutboxBounds
from gateway.store.database import Database
from gateway.store.packing import to_bytes

RATE_WINDOW_NS: Final = 600 * 10**9
QUARANTINE_ROWS: Final = 10_000  # kept for people to look at; the oldest go
ROW_BYTES: Final = 40  # what a row costs beside topic and payload


@dataclass(frozen=True, slots=True)
class StreamState:
    """What the file knows of one stream. seq is the last one given; bytes are those of its waiting rows."""

    id: int
    name: str
    seq: int = 0
    rows: int = 0
    bytes: int = 0
    dropped: int = 0
    quarantined: int = 0


Streams = dict[str, StreamState]


@dataclass(frozen=True, slots=True)
class Front:
    """Of one kind of droppable rows none is left up to seq; created_ns is that of the first beyond it, None where it is not known."""

    seq: int
    created_ns: int | None


def weight(row: OutboxRow) -> int:
    """Bytes that a row counts against the bound."""
    return len(row.payload) + len(to_bytes(row.topic)) + ROW_BYTES


class Outbox:
    """database gives the file that is open now; `streams` is what its last transaction left; rates go by elapsed_ns."""

    def __init__(self, database: Callable[[], Database], bounds: OutboxBounds, reader: int, elapsed_ns: Callable[[], int]) -> None:
        self._database, self._bounds, self._reader, self._elapsed_ns = database, bounds, reader, elapsed_ns
        self.streams: Streams = {}
        self.oldest_ns: dict[str, int] = {}
        self.retired: frozenset[str] = frozenset()  # streams without a sink: nothing to show, only a sequence to keep
        self.acked_through: dict[str, int] = {}
        self.peeked_through: dict[str, int] = {}
        self.fronts: dict[tuple[str, int], Front] = {}  # by stream and kind of row: what the last look at the bounds found
        self.gaps: dict[str, int] = {}  # seq of each stream's last gap record; those of an earlier process may have been sent
        self.turn = asyncio.Lock()  # a row is not changed while a sender takes it
        self._enqueued: deque[tuple[int, int]] = deque()  # (elapsed, bytes) of the commits of the last ten minutes, one per 10 s

    async def peek(self, stream: str, limit: int) -> list[OutboxRow]:
        """The oldest rows of a stream that are not acknowledged, in order of seq. Raises StoreUnavailable."""
        state = self.streams.get(stream)
        if state is None or state.rows == 0:
            return []
        after = self.acked_through.get(stream, 0)
        async with self.turn:
            rows, damaged = await self._database().read(_oldest, stream, state.id, after, limit, reader=self._reader)
            if rows:
                self.peeked_through[stream] = max(self.peeked_through.get(stream, 0), rows[-1].seq)
                self.oldest_ns[stream] = rows[0].created_ns
        if damaged:
            await self.quarantine(damaged, "damaged on disk: its checksum does not fit")
        return rows

    def acked(self, stream: str, through_seq: int) -> None:
        """Everything up to that seq was delivered; removed with the next commit or flush."""
        if through_seq > self.acked_through.get(stream, 0):
            self.acked_through[stream] = through_seq

    async def quarantine(self, rows: Sequence[OutboxRow], why: str) -> None:
        """Put rows aside that the other side will never take. Raises StoreUnavailable."""
        self.adopt(await self._database().run(set_aside, rows, why))

    def front_ns(self, stream: str, kind: int) -> int:
        """When the oldest row of a kind was made, as far as it is known."""
        front = self.fronts.get((stream, kind))
        return self.oldest_ns[stream] if front is None or front.created_ns is None else front.created_ns

    def adopt(self, streams: Streams) -> None:
        """Take over what a transaction left; streams that it did not touch stay."""
        self.streams.update(streams)
        for name, state in streams.items():
            if state.rows == 0:
                self.oldest_ns.pop(name, None)

    def note(self, rows: Sequence[OutboxRow]) -> None:
        """Count what a commit put in, for the rate."""
        now_ns = self._elapsed_ns()
        for row in rows:
            self.oldest_ns.setdefault(row.stream, row.created_ns)
        added = sum(map(weight, rows))
        if self._enqueued and now_ns - self._enqueued[-1][0] < RATE_WINDOW_NS // 60:
            began, before = self._enqueued[-1]
            self._enqueued[-1] = (began, before + added)
        else:
            self._enqueued.append((now_ns, added))
        while self._enqueued and now_ns - self._enqueued[0][0] > RATE_WINDOW_NS:
            self._enqueued.popleft()

    def fill(self) -> list[OutboxFill]:
        """One row per stream with a sink. outage_hours: until the bound of bytes or of age at the rate of the last ten minutes."""
        hours = self._outage_hours()
        return [
            OutboxFill(state.name, state.rows, state.bytes, self.oldest_ns.get(state.name), state.quarantined, state.dropped, hours)
            for state in self.streams.values()
            if state.name not in self.retired
        ]

    @property
    def share(self) -> float:
        """How much of the bound is used, 0..1 and beyond."""
        return self.bytes / self._bounds.bytes

    @property
    def bytes(self) -> int:
        return sum(state.bytes for state in self.streams.values())

    def _outage_hours(self) -> float | None:
        added = sum(bytes_ for _, bytes_ in self._enqueued)
        if not added:
            return None
        span_ns = max(self._elapsed_ns() - self._enqueued[0][0], 10**9)
        by_bytes = max(0.0, self._bounds.bytes - self.bytes) / (added / span_ns) / 3.6e12
        return min(by_bytes, self._bounds.age / 3600)


# --- on the writer's or reader's thread --------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection) -> tuple[Streams, dict[str, int]]:
    """(streams, time of each one's oldest row)."""
    streams = {row[1]: StreamState(*row) for row in connection.execute("SELECT * FROM streams")}
    oldest = {}
    for name, state in streams.items():
        found = connection.execute("SELECT created_ns FROM outbox WHERE stream=? ORDER BY seq LIMIT 1", (state.id,)).fetchone()
        if found is not None:
            oldest[name] = found[0]
    return streams, oldest


def carry_on(connection: sqlite3.Connection, before: Streams) -> Streams:
    """In a new file: go on with the sequences of the one before, whose waiting rows are lost to the sender: a gap that consumers see."""
    connection.executemany(
        "INSERT INTO streams VALUES(NULL, CAST(? AS TEXT), ?, 0, 0, ?, ?)",
        [(to_bytes(state.name), state.seq, state.dropped + state.rows, state.quarantined) for state in before.values()],
    )
    return load(connection)[0]


def append(connection: sqlite3.Connection, rows: Sequence[OutboxRow]) -> Streams:
    """Give each row the next seq of its stream and insert it."""
    touched: Streams = {}
    values = []
    for row in rows:
        state = touched.get(row.stream) or _state(connection, row.stream)
        touched[row.stream] = state = replace(state, seq=state.seq + 1, rows=state.rows + 1, bytes=state.bytes + weight(row))
        check = crc32(row.payload)
        values.append(
            (state.id, state.seq, to_bytes(row.topic), row.payload, row.created_ns, row.retain, row.droppable, row.samples, check)
        )
    connection.executemany("INSERT INTO outbox VALUES(?, ?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?)", values)
    save(connection, touched)
    return touched


def remove(connection: sqlite3.Connection, through: dict[str, int]) -> Streams:
    """Delete what was acknowledged."""
    touched: Streams = {}
    for name, seq in through.items():
        state = _state(connection, name)
        where = (state.id, seq)
        rows, size = connection.execute(
            "SELECT count(*), coalesce(sum(length(payload) + length(CAST(topic AS BLOB))), 0) FROM outbox WHERE stream=? AND seq<=?", where
        ).fetchone()
        if rows:
            connection.execute("DELETE FROM outbox WHERE stream=? AND seq<=?", where)
            touched[name] = replace(state, rows=state.rows - rows, bytes=state.bytes - size - rows * ROW_BYTES)
    save(connection, touched)
    return touched


def set_aside(connection: sqlite3.Connection, rows: Sequence[OutboxRow], why: str) -> Streams:
    """Move rows to the quarantine; those that went meanwhile are left alone."""
    touched: Streams = {}
    for row in rows:
        state = touched.get(row.stream) or _state(connection, row.stream)
        size = connection.execute(
            "SELECT length(payload) + length(CAST(topic AS BLOB)) FROM outbox WHERE stream=? AND seq=?", (state.id, row.seq)
        ).fetchone()
        if size is None:
            continue
        connection.execute(
            "INSERT INTO quarantine(stream, seq, topic, payload, created_ns, why) "
            "SELECT stream, seq, topic, payload, created_ns, CAST(? AS TEXT) FROM outbox WHERE stream=? AND seq=?",
            (to_bytes(why), state.id, row.seq),
        )
        connection.execute("DELETE FROM outbox WHERE stream=? AND seq=?", (state.id, row.seq))
        touched[row.stream] = replace(
            state, rows=state.rows - 1, bytes=state.bytes - size[0] - ROW_BYTES, quarantined=state.quarantined + 1
        )
    connection.execute("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (QUARANTINE_ROWS,))
    save(connection, touched)
    return touched


def _state(connection: sqlite3.Connection, name: str) -> StreamState:
    found = connection.execute("SELECT * FROM streams WHERE name=CAST(? AS TEXT)", (to_bytes(name),)).fetchone()
    if found is None:
        connection.execute("INSERT INTO streams VALUES(NULL, CAST(? AS TEXT), 0, 0, 0, 0, 0)", (to_bytes(name),))
        return _state(connection, name)
    return StreamState(*found)


def save(connection: sqlite3.Connection, touched: Streams) -> None:
    connection.executemany(
        "UPDATE streams SET seq=?, rows=?, bytes=?, dropped=?, quarantined=? WHERE id=?",
        [(state.seq, state.rows, state.bytes, state.dropped, state.quarantined, state.id) for state in touched.values()],
    )


def _oldest(connection: sqlite3.Connection, stream: str, stream_id: int, after: int, limit: int) -> tuple[list[OutboxRow], list[OutboxRow]]:
    columns = "seq, topic, payload, created_ns, retain, droppable, samples, crc32"
    sql = f"SELECT {columns} FROM outbox WHERE stream=? AND seq>? ORDER BY seq LIMIT ?"  # noqa: S608  # column names of our own
    whole: list[OutboxRow] = []
    damaged: list[OutboxRow] = []
    for seq, topic, payload, created_ns, retain, droppable, samples, check in connection.execute(sql, (stream_id, after, limit)):
        row = OutboxRow(stream, topic, payload, created_ns, bool(retain), droppable, seq, samples)
        (whole if crc32(payload) == check else damaged).append(row)
    return whole, damaged
