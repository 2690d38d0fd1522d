"""One SQLite file: opened, recognised, migrated, and served by one writer thread and one reader thread.

A transaction is one function that runs as a whole on its thread: one hop, not one per statement. Every reader is `mode=ro` and never
checkpoints: SQLite before 3.51.3 may lose the WAL's reset where two connections write or checkpoint (sqlite.org/wal.html#walresetbug).
"""

import os
import sqlite3
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar, TypeVarTuple

import aiosqlite

from gateway.store.errors import SchemaTooNew, StoreDamaged, StoreUnavailable
from gateway.store.packing import to_text
from gateway.store.schema import Schema

T = TypeVar("T")
A = TypeVarTuple("A")

PAGE_BYTES: Final = 2048  # of a new file: a commit changes few bytes in a few pages, and writes each of them whole to the log
_LOG_BYTES: Final = 4 * 2**20  # of log that are collected before a checkpoint: pages that change often are written to the file once
_MAGIC: Final = b"SQLite format 3\0"
_BUSY_S: Final = 5.0
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """`run` on the writer, `read` on a reader; both raise StoreUnavailable, and after a failed `run` all do until it is opened again."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, readers: list[aiosqlite.Connection]) -> None:
        self.path = path
        self._writer = writer
        self._readers = readers
        self.broken: str | None = None
        self.damage: str | None = None  # what a read or write met

    @classmethod
    async def open(cls, path: Path, schema: Schema, readers: int = 1) -> Self:
        """An existing file must have passed `examine`. Raises StoreUnavailable."""
        opened: list[aiosqlite.Connection] = []
        try:
            opened.append(await _thread(lambda: open_writer(path, schema)))
            for _ in range(readers):
                opened.append(await _thread(lambda: open_reader(path)))  # noqa: PERF401  # those opened before a fault are to be closed
        except (sqlite3.Error, OSError) as error:
            for connection in opened:
                await connection.close()
            raise StoreUnavailable(f"open {path}: {error}") from error
        return cls(path, opened[0], opened[1:])

    async def run(self, function: Callable[[sqlite3.Connection, *A], T], *args: *A) -> T:
        """One transaction, durable on return."""
        if self.broken is not None:
            raise StoreUnavailable(self.broken)
        try:
            return await _on(self._writer, _transaction, function, args)  # type: ignore[no-any-return]  # aiosqlite does not type it
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
                raise
            self.broken = f"write {self.path}: {error}"
            raise self._fault(self.broken, error) from error

    async def pragma(self, sql: str) -> list[Any]:
        """A statement outside a transaction, on the writer: what it answers."""
        return await self._outside(sql, lambda connection: connection.execute(sql).fetchall())  # type: ignore[no-any-return]  # rows are what SQLite makes of them

    async def shrink(self, pages: int) -> None:
        """Give free pages back to the file system. One step frees one page, and only executescript takes all steps."""
        sql = f"PRAGMA incremental_vacuum({pages})"
        await self._outside(sql, lambda connection: connection.executescript(sql))

    async def _outside(self, sql: str, function: Callable[[sqlite3.Connection], Any]) -> Any:
        if self.broken is not None:
            raise StoreUnavailable(self.broken)
        try:
            return await _on(self._writer, function)
        except sqlite3.Error as error:
            self.broken = f"{sql} {self.path}: {error}"
            raise self._fault(self.broken, error) from error

    async def read(self, function: Callable[[sqlite3.Connection, *A], T], *args: *A, reader: int = 0) -> T:
        """One consistent view; never waits for the writer, nor the writer for it."""
        if self.broken is not None:
            raise StoreUnavailable(self.broken)
        try:
            return await _on(self._readers[reader], _view, function, args)  # type: ignore[no-any-return]
        except sqlite3.Error as error:
            raise self._fault(f"read {self.path}: {error}", error) from error

    def _fault(self, words: str, error: Exception) -> StoreUnavailable:
        if not is_damage(error):
            return StoreUnavailable(words)
        self.damage = words
        return StoreDamaged(words)

    def interrupt(self, reader: int) -> None:
        """End what a reader is doing: its read raises StoreUnavailable."""
        connection = self._readers[reader]._connection
        if connection is not None:
            connection.interrupt()

    async def close(self) -> None:
        """Idempotent; readers first, so that the writer's last close checkpoints and removes the WAL."""
        for connection in (*self._readers, self._writer):
            try:
                await connection.close()
            except sqlite3.Error as error:
                self.broken = f"close {self.path}: {error}"


def is_damage(error: Exception) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


async def _thread(connector: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
    connection = aiosqlite.Connection(connector, 64)
    connection._thread.daemon = True  # a process that ends on an error does not wait for the disk
    return await connection


async def _on(connection: aiosqlite.Connection, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return await connection._execute(lambda: function(connection._conn, *args))  # type: ignore[no-untyped-call]
    except ValueError as error:
        if connection._connection is None:
            raise StoreUnavailable("the store is closed") from error
        raise


def _transaction(connection: sqlite3.Connection, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection, *args)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _view(connection: sqlite3.Connection, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    connection.execute("BEGIN")
    try:
        return function(connection, *args)
    finally:
        connection.execute("COMMIT")


def open_writer(path: Path, schema: Schema) -> sqlite3.Connection:
    """Open, made or migrated where need be; synchronous=FULL: a commit is on the disk when it returns."""
    if not path.exists() or path.stat().st_size == 0:
        create(path, schema)
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    try:
        connection.text_factory = to_text
        connection.execute("PRAGMA synchronous=FULL")
        migrate(connection, schema)
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA cache_size=-4096")
        connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_BYTES // page_bytes(connection)}")
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path, schema: Schema) -> None:
    """A new file appears whole or not at all: it is made beside its place and renamed."""
    fresh = path.with_name(path.name + ".new")
    for suffix in _SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        fresh.chmod(0o600)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        migrate(connection, schema)
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def page_bytes(connection: sqlite3.Connection) -> int:
    """A file keeps the page size that it was made with."""
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def open_reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_S)
    connection.text_factory = to_text
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA cache_size=-2048")
    connection.execute("PRAGMA query_only=1")
    return connection


def migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    """Bring the file to the schema's version, all of it in one transaction: a fault on the way leaves the old version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == schema.version:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for statements in schema.migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={schema.application_id}")
        connection.execute(f"PRAGMA user_version={schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def examine(path: Path, schema: Schema, *, thorough: bool) -> str | None:
    """Why this file cannot be used, or None (also where there is no file). Changes nothing.

    thorough: PRAGMA quick_check, which reads every page. Raises SchemaTooNew, and StoreUnavailable where the disk itself refuses.
    """
    wal = path.with_name(path.name + "-wal")
    waiting = wal.stat().st_size if wal.exists() else 0
    length = path.stat().st_size if path.exists() else 0
    if length == 0:
        return "the file is empty, but its write-ahead log is not" if waiting else None
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC) or len(header) < 100:
        return "this is no SQLite file"
    _refuse_newer(path, schema, *struct.unpack_from(">I4xI", header, 60)[::-1])
    pages, page_bytes = struct.unpack_from(">I", header, 28)[0], struct.unpack_from(">H", header, 16)[0]
    if not waiting and page_bytes > 1 and pages * page_bytes > length:
        return f"the file is cut short: {length} bytes of {pages * page_bytes}"
    return _ask_sqlite(path, schema, thorough)


def _ask_sqlite(path: Path, schema: Schema, thorough: bool) -> str | None:
    try:
        connection = open_reader(path)
        try:
            application_id = connection.execute("PRAGMA application_id").fetchone()[0]
            if application_id != schema.application_id:
                return f"another program's file (application_id {application_id:#x})"
            _refuse_newer(path, schema, application_id, connection.execute("PRAGMA user_version").fetchone()[0])
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return quick_check(connection) if thorough else None
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if is_damage(error) or error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:  # another program's half transaction
            return str(error)
        raise StoreUnavailable(f"open {path}: {error}") from error


def quick_check(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the file, or None."""
    try:
        rows = connection.execute("PRAGMA quick_check(5)").fetchall()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise
    return None if rows == [("ok",)] else "; ".join(str(row[0]) for row in rows)


def _refuse_newer(path: Path, schema: Schema, application_id: int, version: int) -> None:
    if application_id == schema.application_id and version > schema.version:
        raise SchemaTooNew(
            f"{path} has schema version {version}, and this release knows up to {schema.version}: install the release that wrote it, "
            "or move the file away to begin anew"
        )


def move_aside(path: Path, now_ns: int) -> Path:
    """Keep a file that cannot be used, with its log, under a name that tells when; returns the new path."""
    stamp = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    target, n = path.with_name(f"{path.name}.{stamp}.corrupt"), 1
    while target.exists():
        n += 1
        target = path.with_name(f"{path.name}.{stamp}-{n}.corrupt")
    for suffix in _SUFFIXES:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    return target
