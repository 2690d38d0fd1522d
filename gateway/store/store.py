"""The disk: `plant.db` (tail, blocks, journal, outbox) and `edgetwin.db` (people, audit), one writer, one transaction per commit.

commit     every step's samples as one tail row, with its events and outbox rows; durable when it returns
maintain   blocks are cut from the tail, then retention, bounds and shrinking, in slices beside the commits
restore    the engine's last snapshot, and the steps since
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic_ns, perf_counter_ns
from typing import Final, Self, TypeVar

import numpy as np

from gateway.model.audit import AuditCheck, AuditRecord
from gateway.model.batch import SampleBatch
from gateway.model.command import Command, Outcome
from gateway.model.event import Category, Event, Severity
from gateway.model.tag import DERIVED, TagTable
from gateway.store import audit, bounds, journal, maintenance, opening, outbox, state, tail
from gateway.store.ages import Ages
from gateway.store.calibrations import CalibrationTable
from gateway.store.commit import Commit as Commit
from gateway.store.commit import Step as Step
from gateway.store.config import StoreConfig
from gateway.store.database import Database, quick_check
from gateway.store.errors import Lost, StoreDamaged
from gateway.store.errors import SchemaTooNew as SchemaTooNew
from gateway.store.errors import StoreLocked as StoreLocked
from gateway.store.errors import StoreUnavailable as StoreUnavailable
from gateway.store.forecasts import ForecastTable
from gateway.store.history import History
from gateway.store.journal import Journal
from gateway.store.lock import DirectoryLock
from gateway.store.outbox import Outbox
from gateway.store.people import PeopleTable
from gateway.store.runs import RunTable
from gateway.store.state import Names, UnitMemory
from gateway.store.stats import Figures, StoreStats

K = TypeVar("K")
V = TypeVar("V")

FOR_PEOPLE: Final = 0  # reader of history
FOR_THE_ROAD: Final = 1  # reader of outbox and journal: it never waits behind a long trend
FOR_UPKEEP: Final = 2  # reader of block cutting
FOR_THE_CHECK: Final = 3  # reader of the check after an unclean stop: minutes for a large file


@dataclass(frozen=True, slots=True)
class Restored:
    """snapshot of the engine, None where there is none; steps since, in order, without derived tags: (now_ns, batch)."""

    snapshot: bytes | None
    steps: list[tuple[int, SampleBatch]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What became known between commits and goes with the next one. Writing it twice does no harm."""

    words: dict[tuple[str, str], str]
    names: dict[int, str]
    acked: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Written:
    """What the writer's thread reports of one commit."""

    streams: outbox.Streams
    repeated: bool = False
    began_ns: int = 0


class Store:
    """Made by `open`. A method that touches the disk raises StoreUnavailable; after it, `reopen` and give the same Commit again."""

    def __init__(self, path: Path, config: StoreConfig, lock: DirectoryLock, elapsed_ns: Callable[[], int]) -> None:
        self.path, self.config, self._elapsed_ns = path, config, elapsed_ns
        self.boot = ""
        self.alarms_at_open: list[Event] = []
        self.damage: str | None = None
        self.audit_fault: str | None = None
        self._lock = lock
        self._plant: Database
        self._edgetwin: Database
        self._tags: TagTable
        self._ages: Ages
        self._names = Names()
        self._words: dict[tuple[str, str], str] = {}
        self._changed: dict[tuple[str, str], str] = {}
        self._check: asyncio.Task[None] | None = None
        self._upkeep = asyncio.Lock()
        self._figures = Figures(path)
        self._told: list[Event] = []  # the store's own events since the open; they go to the journal with the next commit
        self._now_ns = 0
        self._closed = False
        self.history = History(lambda: self._plant, lambda: self._names.of_tag, FOR_PEOPLE)
        self.journal = Journal(lambda: self._plant, FOR_THE_ROAD)
        self.people = PeopleTable(lambda: self._edgetwin)
        self.runs = RunTable(lambda: self._edgetwin)
        self.calibrations = CalibrationTable(lambda: self._edgetwin)
        self.forecasts = ForecastTable(lambda: self._plant, lambda: self._names.of_tag, FOR_PEOPLE, FOR_UPKEEP)
        self.outbox = Outbox(lambda: self._plant, config.outbox, FOR_THE_ROAD, elapsed_ns)

    @classmethod
    async def open(cls, path: Path, config: StoreConfig, tags: TagTable, now_ns: int, elapsed_ns: Callable[[], int] = monotonic_ns) -> Self:
        """Take the data directory (made where missing). elapsed_ns: a clock that nobody sets, for rates and ages.

        Raises StoreLocked, SchemaTooNew, StoreUnavailable.
        """
        store = cls(path, config, DirectoryLock.take(path), elapsed_ns)
        try:
            await store._open_both(tags, now_ns)
        except BaseException:
            store._lock.release()
            raise
        return store

    async def _open_both(self, tags: TagTable, now_ns: int) -> None:
        self._now_ns = now_ns
        self._edgetwin, self.alarms_at_open = await opening.open_edgetwin(self.path / "edgetwin.db", now_ns)
        try:
            self.alarms_at_open += await self._open_plant(now_ns)
            self._ages = Ages(*await self._plant.read(_eras), now_ns, self._elapsed_ns())
            self.retable(tags)
            await self.flush()
        except BaseException:
            await self._edgetwin.close()
            raise

    async def _open_plant(self, now_ns: int, *, thorough: bool = False) -> list[Event]:
        """Open and load; a file whose first words cannot be read gives way to a new one."""
        try:
            return await self._load_plant(*await opening.open_plant(self.path / "plant.db", now_ns, thorough=thorough))
        except StoreDamaged as fault:
            return await self._load_plant(*await opening.open_plant(self.path / "plant.db", now_ns, spoiled=str(fault)))

    async def _load_plant(self, plant: Database, events: list[Event], crashed: bool) -> list[Event]:
        try:
            self.boot, self._names, words, (streams, oldest) = await plant.read(_load)
            totals = await plant.read(maintenance.totals)
        except StoreUnavailable:
            await plant.close()
            raise
        self._plant = plant
        self._words.clear()
        self._words.update(words | self._changed)
        self.outbox.streams, self.outbox.oldest_ns = streams, oldest
        self._figures.load(*totals)
        self.damage = None
        if crashed:
            self._check = asyncio.create_task(self._look_for_damage(), name="store: check after an unclean stop")
        return events

    async def _look_for_damage(self) -> None:
        with suppress(StoreUnavailable):
            found = await self._plant.read(quick_check, reader=FOR_THE_CHECK)
            await self._note_damage(found)

    async def _note_damage(self, found: str | None) -> None:
        """Tell once, and let the next start check every page before it uses the file."""
        if found is None or self.damage is not None:
            return
        self.damage = found
        self._told.append(opening.alarm(self._now_ns, "plant.db is damaged; it is checked, and moved aside, at the next start", why=found))
        await self._plant.run(state.put, "suspect", 1)

    def memory(self, unit: str) -> UnitMemory:
        """What a unit remembers: read at once, durable with the next commit."""
        return UnitMemory(unit, self._words, self._changed)

    def retable(self, tags: TagTable) -> None:
        """A new configuration: known names keep their history, new ones get an id with the next commit."""
        self._tags = tags
        self._names.use(tags)

    async def commit(self, commit: Commit) -> None:
        """One durable transaction. A Commit whose token is the last one's is not written again. Cancelling the caller does not stop it."""
        await asyncio.shield(self._write(commit))

    async def _write(self, commit: Commit) -> None:
        row = tail.gather(commit.steps, self._names.of_tag) if any(len(step.rows) or len(step.late) for step in commit.steps) else None
        waiting, told = self._waiting(), list(self._told)
        written = await self._plant.run(_commit, commit, row, told, waiting)
        self._settle(waiting, written.streams)
        if written.repeated:
            return
        del self._told[: len(told)]
        self._now_ns = max(
            [*(step.now_ns for step in commit.steps[-1:]), *(row.created_ns for row in commit.outbox[-1:])], default=self._now_ns
        )
        self.outbox.note(commit.outbox)
        self._figures.committed(perf_counter_ns() - written.began_ns, row, self._now_ns)

    async def flush(self) -> None:
        """Make durable what waits for a commit: memory, names, acknowledged rows."""
        waiting = self._waiting()
        if waiting.words or waiting.names or waiting.acked:
            self._settle(waiting, await self._plant.run(_save_waiting, waiting))

    def _waiting(self) -> _Waiting:
        return _Waiting(dict(self._changed), dict(self._names.unsaved), dict(self.outbox.acked_through))

    def _settle(self, done: _Waiting, streams: outbox.Streams) -> None:
        """Forget what is durable now, but not what changed meanwhile."""
        _forget(self._changed, done.words)
        _forget(self._names.unsaved, done.names)
        _forget(self.outbox.acked_through, done.acked)
        self.outbox.adopt(streams)

    async def retire(self, sinks: Collection[str]) -> int:
        """Remove what waits for a sink that is not among these names; how many messages. The journal tells it with the next commit.

        Their streams keep their sequence, so that no number is given twice should the sink come back. Raises StoreUnavailable.
        """
        async with self._upkeep:
            gone = await bounds.retire(self._plant, self.outbox, sinks)
        if gone:
            message = "messages were removed from the outbox: their upstream is no longer configured"
            count = sum(gone.values())
            self._told.append(opening.event(self._now_ns, Category.SYSTEM, Severity.WARNING.level, f"{count} {message}", gone))
        return sum(gone.values())

    async def restore(self) -> Restored:
        """What the engine needs to go on where it was: names that went and derived tags are left out. Late samples are history only."""
        snapshot, rows = await self._plant.read(_since_snapshot, self.history.lost, reader=FOR_UPKEEP)
        tag_ids = self._names.tags_by_id(self._tags)
        derived = [tag.tag_id for tag in self._tags if tag.source == DERIVED]
        tag_ids[np.isin(tag_ids, np.array(derived, np.int32))] = -1
        steps = [
            (now_ns, SampleBatch(part.tag_id, part.value, part.status, part.source_ns, now_ns, part.text, origin=origin))
            for row in rows
            for now_ns, origin, part in tail.applied(row, tag_ids)
        ]
        return Restored(snapshot, steps)

    async def audit(self, command: Command, outcome: Outcome, at_ns: int) -> int:
        """Append one record to the audit; its seq. audit_fault: why the last one is not there, None where it is."""
        try:
            seq = await self._edgetwin.run(audit.append, command, outcome, at_ns)
        except StoreUnavailable as fault:
            self.audit_fault = str(fault)
            raise
        self.audit_fault = None
        return seq

    async def audit_verify(self) -> AuditCheck:
        """Read the whole chain."""
        return await self._edgetwin.read(audit.verify)

    async def audit_log(self, limit: int = 100, before: int | None = None, user: str | None = None) -> list[AuditRecord]:
        """The newest records, newest first: those with a smaller seq than `before`, and of one user, where that is given."""
        return await self._edgetwin.read(audit.newest, limit, before, user)

    async def maintain(self, now_ns: int) -> None:
        """Upkeep, in slices between commits: call it every few seconds. Raises StoreUnavailable."""
        async with self._upkeep:
            await self._reopen_edgetwin()
            await self.flush()
            await self._note_damage(self._plant.damage)
            if self.history.lost:
                await self._note_damage(f"{len(self.history.lost)} blocks cannot be read and are left out: {self.history.lost[0]}")
            self._ages.observe(now_ns, self._elapsed_ns())
            await maintenance.upkeep(
                self._plant, self.outbox, self.config, self._figures, self._ages, now_ns, FOR_UPKEEP, self.history.lost
            )

    async def keep_forecasts(self, age_ns: int, most_bytes: int) -> None:
        """Upkeep of the forecasts that were issued: blocks, and what is too old or too much goes. Raises StoreUnavailable."""
        async with self._upkeep:
            await self.forecasts.maintain(partial(self._ages.older, age_ns), most_bytes)

    async def reopen(self) -> None:
        """After StoreUnavailable: never go on with the same handle (a failed fsync may have dropped pages from the cache)."""
        await self._stop_check()
        async with self._upkeep:
            await self._reopen_edgetwin()
            if self._plant.broken is not None:
                await self._reopen_plant()

    async def _reopen_plant(self) -> None:
        """A new file in place of a damaged one carries on with boot, sequences and memory: no number is given twice in one boot."""
        boot, streams, words = self.boot, self.outbox.streams, dict(self._words)
        await self._plant.close()
        self._told += await self._open_plant(self._now_ns, thorough=self._plant.damage is not None)
        self._names.use(self._tags)
        if self.boot != boot:
            self._words.update(words)
            self._changed.update(words)
            self.boot, self.outbox.streams = boot, streams
            self.outbox.streams = await self._plant.run(_carry_on, boot, streams)

    async def _reopen_edgetwin(self) -> None:
        if self._edgetwin.broken is not None:
            await self._edgetwin.close()
            self._edgetwin, events = await opening.open_edgetwin(self.path / "edgetwin.db", self._now_ns)
            self._told += events

    def stats(self) -> StoreStats:
        """Figures for status and metrics."""
        return self._figures.stats(self.outbox, self.damage)

    async def close(self) -> None:
        """Flush, mark the stop as clean, close, unlock. Idempotent; what cannot be flushed any more is left to the next start's check."""
        if self._closed:
            return
        self._closed = True
        await self._stop_check()
        with suppress(StoreUnavailable):
            await self.flush()
            await self._plant.run(state.put, opening.CLEAN, 1)
        await self._plant.close()
        await self._edgetwin.close()
        self._lock.release()

    async def _stop_check(self) -> None:
        if self._check is not None:
            self._plant.interrupt(FOR_THE_CHECK)
            await self._check
            self._check = None


def _forget(kept: dict[K, V], done: dict[K, V]) -> None:
    for key, value in done.items():
        if kept.get(key) == value:
            del kept[key]


# --- on the writer's or reader's thread --------------------------------------------------------------------------------------------------


def _commit(
    connection: sqlite3.Connection,
    commit: Commit,
    row: tail.TailRow | None,
    told: list[Event],
    waiting: _Waiting,
) -> _Written:
    began = perf_counter_ns()
    streams = _save_waiting(connection, waiting)
    last, token = connection.execute("SELECT id, token FROM tail ORDER BY id DESC LIMIT 1").fetchone() or (0, None)
    if commit.token == (state.get(connection, "token") if row is None else token):
        return _Written(streams, repeated=True)
    if row is None:
        state.put(connection, "token", commit.token)
    else:
        last += 1
        _append_tail(connection, last, commit.token, row)
    journal.append(connection, [*told, *commit.events])
    if commit.outbox:
        streams.update(outbox.append(connection, commit.outbox))
    if commit.snapshot is not None:
        state.put(connection, "snapshot", commit.snapshot)
        state.put(connection, "snapshot_tail", last)
    return _Written(streams, began_ns=began)


def _append_tail(connection: sqlite3.Connection, number: int, token: bytes, row: tail.TailRow) -> None:
    """The token goes with the row: one page less to write than with a place of its own."""
    bounds = (int(row.source_ns.min()), int(row.source_ns.max()))
    values = (number, token, int(row.steps["now_ns"][0]), *bounds, row.store_id.size, tail.encode(row))
    connection.execute("INSERT INTO tail(id, token, now_ns, first_ns, last_ns, samples, columns) VALUES(?, ?, ?, ?, ?, ?, ?)", values)


def _save_waiting(connection: sqlite3.Connection, waiting: _Waiting) -> outbox.Streams:
    state.save_memory(connection, waiting.words)
    state.save_names(connection, waiting.names)
    return outbox.remove(connection, waiting.acked)


def _carry_on(connection: sqlite3.Connection, boot: str, streams: outbox.Streams) -> outbox.Streams:
    state.put(connection, "boot", boot)
    return outbox.carry_on(connection, streams)


def _load(connection: sqlite3.Connection) -> tuple[str, Names, dict[tuple[str, str], str], tuple[outbox.Streams, dict[str, int]]]:
    return str(state.get(connection, "boot")), Names.load(connection), state.load_memory(connection), outbox.load(connection)


def _eras(connection: sqlite3.Connection) -> tuple[str | None, int | None]:
    """(jumps of the clock as they were kept, time of the last commit)."""
    kept = state.get(connection, "eras")
    newest = connection.execute("SELECT now_ns FROM tail ORDER BY id DESC LIMIT 1").fetchone()
    return kept if isinstance(kept, str) else None, None if newest is None else newest[0]


def _since_snapshot(connection: sqlite3.Connection, lost: Lost) -> tuple[bytes | None, list[tail.StoredRow]]:
    after = state.number(connection, "snapshot_tail")
    rows = connection.execute("SELECT columns FROM tail WHERE id>? ORDER BY id", (after,))
    snapshot = state.get(connection, "snapshot")
    return snapshot if isinstance(snapshot, bytes) else None, list(tail.whole(rows, lost))
