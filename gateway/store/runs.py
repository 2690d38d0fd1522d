"""Scenarios and the last runs in edgetwin.db."""

import json
import sqlite3
from collections.abc import Callable
from typing import Final

from gateway.model.process import Run, RunState, Scenario
from gateway.store.database import Database

KEPT: Final = 100  # runs
_SCENARIO: Final = "name, description, parameters, horizon_s, step_s, runs, created_ns, updated_ns"
_HEAD: Final = "run_id, kind, scenarios, user, started_ns, asked, state, seconds, steps, why"


class RunTable:
    """Each call is one transaction, durable on return, and raises StoreUnavailable. database gives the file that is open now."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    async def scenarios(self) -> list[Scenario]:
        """By name."""
        return await self._database().read(_scenarios)

    async def put_scenario(self, scenario: Scenario) -> None:
        await self._database().run(_put_scenario, scenario)

    async def remove_scenario(self, name: str) -> bool:
        """False where there is none of that name."""
        return await self._database().run(_remove_scenario, name)

    async def put_run(self, run: Run) -> list[str]:
        """Adds or replaces it; the oldest beyond KEPT go: their ids."""
        return await self._database().run(_put_run, run)

    async def runs(self, limit: int = KEPT) -> list[Run]:
        """The newest first, without their results."""
        return await self._database().read(_runs, limit)

    async def run(self, run_id: str) -> Run | None:
        """With its results; None where there is none of that id (any more)."""
        return await self._database().read(_run, run_id)

    async def end_interrupted(self, why: str) -> int:
        """Runs that a stop of the gateway cut off are failed; how many."""
        return await self._database().run(_end_interrupted, why)


def _scenarios(connection: sqlite3.Connection) -> list[Scenario]:
    rows = connection.execute(f"SELECT {_SCENARIO} FROM scenarios ORDER BY name")  # noqa: S608  # column names of our own
    return [Scenario(name, description, json.loads(parameters), *rest) for name, description, parameters, *rest in rows]


def _put_scenario(connection: sqlite3.Connection, one: Scenario) -> None:
    row = (one.name, one.description, json.dumps(dict(one.parameters)), one.horizon_s, one.step_s, one.runs, one.created_ns, one.updated_ns)
    connection.execute(
        f"INSERT INTO scenarios({_SCENARIO}) VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET "  # column names of our own
        "description=excluded.description, parameters=excluded.parameters, horizon_s=excluded.horizon_s, step_s=excluded.step_s, "
        "runs=excluded.runs, updated_ns=excluded.updated_ns",
        row,
    )


def _remove_scenario(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("DELETE FROM scenarios WHERE name=?", (name,)).rowcount > 0


def _put_run(connection: sqlite3.Connection, run: Run) -> list[str]:
    row = (
        *(run.run_id, run.kind, json.dumps(list(run.scenarios)), run.user, run.started_ns, json.dumps(dict(run.asked))),
        *(run.state.value, run.seconds, run.steps, run.why, json.dumps(dict(run.results), allow_nan=False)),
    )
    connection.execute(
        f"INSERT INTO runs({_HEAD}, results) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(run_id) DO UPDATE SET "  # as above
        "state=excluded.state, seconds=excluded.seconds, steps=excluded.steps, why=excluded.why, results=excluded.results",
        row,
    )
    found = connection.execute("SELECT id, run_id FROM runs ORDER BY id DESC LIMIT -1 OFFSET ?", (KEPT,)).fetchall()
    connection.executemany("DELETE FROM runs WHERE id=?", [(number,) for number, _ in found])
    return [run_id for _, run_id in found]


def _runs(connection: sqlite3.Connection, limit: int) -> list[Run]:
    rows = connection.execute(f"SELECT {_HEAD}, '{{}}' FROM runs ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608  # as above
    return [_of(*row) for row in rows]


def _run(connection: sqlite3.Connection, run_id: str) -> Run | None:
    row = connection.execute(f"SELECT {_HEAD}, results FROM runs WHERE run_id=?", (run_id,)).fetchone()  # noqa: S608  # as above
    return None if row is None else _of(*row)


def _of(
    run_id: str, kind: str, scenarios: str, user: str, started_ns: int, asked: str, state: str, seconds: float, steps: int, why: str,
    results: str,
) -> Run:  # fmt: skip
    return Run(
        run_id, kind, tuple(json.loads(scenarios)), user, started_ns, json.loads(asked), RunState(state), seconds, steps, why,
        json.loads(results),
    )  # fmt: skip


def _end_interrupted(connection: sqlite3.Connection, why: str) -> int:
    sql = "UPDATE runs SET state=?, why=? WHERE state=?"
    return connection.execute(sql, (RunState.FAILED.value, why, RunState.RUNNING.value)).rowcount
