"""The journal: events on disk, newest first (contracts.EventView)."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.model.event import Category, Event, Severity
from gateway.store.database import Database
from gateway.store.packing import to_bytes

_LEVELS: Final = {Severity.INFO: (1, 400), Severity.WARNING: (401, 600), Severity.ERROR: (601, 800), Severity.CRITICAL: (801, 1000)}
_COLUMNS: Final = "event_id, at_ns, category, level, source, message, details, acknowledged"


class Journal:
    """Reads beside the writer; changes go through it. database gives the file that is open now."""

    def __init__(self, database: Callable[[], Database], reader: int) -> None:
        self._database, self._reader = database, reader

    async def query(
        self,
        *,
        categories: Sequence[Category] = (),
        severities: Sequence[Severity] = (),
        source: str | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        acknowledged: bool | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> list[Event]:
        """The newest that match (start <= time < end), newest first; or the oldest, oldest first. Empty sequences match all.

        Raises StoreUnavailable.
        """
        where, values = _where(categories, severities, source, start_ns, end_ns, acknowledged)
        order = "at_ns, id" if oldest_first else "at_ns DESC, id DESC"
        sql = f"SELECT {_COLUMNS} FROM journal WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608  # parts of our own only

        def read(connection: sqlite3.Connection) -> list[Event]:
            return [_event(row) for row in connection.execute(sql, (*values, limit))]

        return await self._database().read(read, reader=self._reader)

    async def acknowledge(self, event_id: str) -> bool:
        """False where there is no such event. Raises StoreUnavailable."""
        return await self._changed("UPDATE journal SET acknowledged=1 WHERE event_id=CAST(? AS TEXT)", to_bytes(event_id)) > 0

    async def clear(self, older_than_ns: int | None = None) -> int:
        """Removes events (all, or those before that time); how many. Raises StoreUnavailable."""
        if older_than_ns is None:
            return await self._changed("DELETE FROM journal")
        return await self._changed("DELETE FROM journal WHERE at_ns < ?", _int64(older_than_ns))

    def _changed(self, sql: str, *values: bytes | int) -> Awaitable[int]:
        return self._database().run(lambda connection: connection.execute(sql, values).rowcount)


def append(connection: sqlite3.Connection, events: Sequence[Event]) -> None:
    """An event_id that is there already is the same event."""
    connection.executemany(
        f"INSERT OR IGNORE INTO journal({_COLUMNS}) VALUES(CAST(? AS TEXT), ?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?)",  # as above
        [
            (
                to_bytes(event.event_id),
                _int64(event.timestamp_ns),
                event.category.value,
                event.level,
                to_bytes(event.source),
                to_bytes(event.message),
                json.dumps(dict(event.details), default=str, separators=(",", ":")),
                event.acknowledged,
            )
            for event in events
        ],
    )


def prune(connection: sqlite3.Connection, keep: int, slice_rows: int = 2000) -> int:
    """Remove the oldest events beyond `keep`, at most slice_rows of them; how many."""
    surplus = connection.execute("SELECT count(*) FROM journal").fetchone()[0] - keep
    if surplus <= 0:
        return 0
    sql = "DELETE FROM journal WHERE id IN (SELECT id FROM journal ORDER BY at_ns, id LIMIT ?)"
    return connection.execute(sql, (min(surplus, slice_rows),)).rowcount


def _where(
    categories: Sequence[Category],
    severities: Sequence[Severity],
    source: str | None,
    start_ns: int | None,
    end_ns: int | None,
    acknowledged: bool | None,
) -> tuple[str, list[Any]]:
    terms = ["1"]
    values: list[Any] = []
    if categories:
        terms.append(f"category IN ({','.join('?' * len(categories))})")
        values += [category.value for category in categories]
    if severities:
        terms.append("(" + " OR ".join("level BETWEEN ? AND ?" for _ in severities) + ")")
        values += [level for severity in severities for level in _LEVELS[severity]]
    if source is not None:
        terms.append("source=CAST(? AS TEXT)")
        values.append(to_bytes(source))
    for term, value in (("at_ns>=?", start_ns), ("at_ns<?", end_ns)):
        if value is not None:
            terms.append(term)
            values.append(_int64(value))
    if acknowledged is not None:
        terms.append("acknowledged=?")
        values.append(acknowledged)
    return " AND ".join(terms), values


def _int64(value: int) -> int:
    return max(-(2**63), min(2**63 - 1, value))


def _event(row: tuple[Any, ...]) -> Event:
    event_id, at_ns, category, level, source, message, details, acknowledged = row
    return Event(event_id, at_ns, Category(category), level, source, message, json.loads(details), bool(acknowledged))
