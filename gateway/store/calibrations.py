"""Calibrated parameters in edgetwin.db, version by version."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.model.calibration import Version, VersionState
from gateway.store.database import Database

KEPT: Final = 100  # versions of a model that are not in force
_COLUMNS: Final = (
    "model, number, run_id, user, created_ns, start_ns, end_ns, data_hash, model_hash, parameters, spread, report, state, applied"
)


class CalibrationTable:
    """Each call is one transaction, durable on return, and raises StoreUnavailable. database gives the file that is open now."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    async def versions(self, model: str | None = None) -> list[Version]:
        """The newest first; of all models without a name."""
        return await self._database().read(_versions, model)

    async def add(self, version: Version) -> Version:
        """With the next number of its model; the oldest beyond KEPT that are not in force go."""
        return await self._database().run(_add, version)

    async def put(self, changed: Sequence[Version]) -> None:
        """State and application of versions that are there."""
        await self._database().run(_put, list(changed))


def _versions(connection: sqlite3.Connection, model: str | None) -> list[Version]:
    where, args = ("", ()) if model is None else (" WHERE model=?", (model,))
    rows = connection.execute(f"SELECT {_COLUMNS} FROM calibrations{where} ORDER BY id DESC", args)  # noqa: S608  # column names of our own
    return [_of(row) for row in rows]


def _of(row: Sequence[Any]) -> Version:
    *plain, parameters, spread, report, state, applied = row
    model, number, run_id, user, created_ns, start_ns, end_ns, data_hash, model_hash = plain
    return Version(
        model, number, run_id, user, created_ns, start_ns, end_ns, data_hash, model_hash,
        json.loads(parameters), json.loads(spread), json.loads(report), VersionState(state), applied,
    )  # fmt: skip


def _add(connection: sqlite3.Connection, one: Version) -> Version:
    (last,) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM calibrations WHERE model=?", (one.model,)).fetchone()
    one = replace(one, number=last + 1)
    texts = (json.dumps(dict(part), allow_nan=False) for part in (one.parameters, one.spread, one.report))
    row = (
        *(one.model, one.number, one.run_id, one.user, one.created_ns, one.start_ns, one.end_ns, one.data_hash, one.model_hash),
        *(*texts, one.state.value, one.applied),
    )
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO calibrations({_COLUMNS}) VALUES({marks})", row)
    connection.execute(
        "DELETE FROM calibrations WHERE model=? AND state<>? "
        "AND id NOT IN (SELECT id FROM calibrations WHERE model=? ORDER BY id DESC LIMIT ?)",
        (one.model, VersionState.APPLIED.value, one.model, KEPT),
    )
    return one


def _put(connection: sqlite3.Connection, changed: Sequence[Version]) -> None:
    rows = [(one.state.value, one.applied, one.model, one.number) for one in changed]
    connection.executemany("UPDATE calibrations SET state=?, applied=? WHERE model=? AND number=?", rows)
