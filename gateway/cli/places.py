"""Where scenarios are kept and what-ifs are run: in the running gateway, or on the disk of one that does not run."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from typing import TYPE_CHECKING, Any, Final

from gateway.cli import bands, daemon, offline
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.starting import initial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gateway.model.process import Run
    from gateway.simulation.branch import Course

_POLL_S: Final = 0.1


def place(url: str | None, name: str | None, config: Path | None, state: Path | None = None) -> Running | Stopped:
    """The running gateway, or the data of a configuration."""
    if config is None:
        if state is not None:
            raise Failure(WRONG, "--from goes with --config: a running gateway starts from its present state")
        return Running(daemon.find(url, name))
    if url is not None or name is not None:
        raise Failure(WRONG, "--config works on the disk, --url and --name on a running gateway: give one of them")
    return Stopped(config, state)


class Running:
    """A gateway that runs."""

    def __init__(self, gateway: daemon.Daemon) -> None:
        self._gateway = gateway

    def scenarios(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._gateway.get("/scenarios")["scenarios"]
        return found

    def command(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        return self._gateway.command(kind, args)

    def run(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """One run to its end; Ctrl-C ends it there too."""
        begun = self._gateway.command(kind, args)["result"]
        try:
            with bands.Progress(kind) as progress:
                while (done := self._gateway.get(f"/runs/{begun['run']}"))["state"] == "running":
                    progress(done["progress"] or 0.0)
                    time.sleep(_POLL_S)
        except KeyboardInterrupt:
            self._gateway.command("simulation.cancel", {"run": begun["run"]})
            raise
        return {**done, "warnings": begun["warnings"]}

    def units(self, names: list[str]) -> dict[str, str]:
        """Of those that are tags."""
        tags = {row["name"] for row in self._gateway.get("/tags", limit=10_000)["tags"]}
        rows = self._gateway.rows([name for name in names if name in tags])
        return {row["name"]: row["unit"] or "" for row in rows}


class Stopped:
    """The data of a gateway that does not run, locked meanwhile. Whoever may write the directory is admin, as on the local socket."""

    def __init__(self, config: Path, state: Path | None) -> None:
        self._config, self._site, self._state = config, offline.site_of(config), state

    def scenarios(self) -> list[dict[str, Any]]:
        from gateway.web.rows import scenario_row

        async def read() -> list[dict[str, Any]]:
            async with offline.opened(self._config) as (store, _):
                own = self._site.scenarios
                kept = [scenario_row(one, configured=False) for one in await store.runs.scenarios() if one.name not in own]
            return sorted([*kept, *(scenario_row(one, configured=True) for one in own.values())], key=lambda row: str(row["name"]))

        return asyncio.run(read())

    def command(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        result, _ = asyncio.run(self._through(kind, args, runs=False))
        return {"command": kind, "status": "Good", "result": result}

    def run(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """One run to its end."""
        result, run = asyncio.run(self._through(kind, args, runs=True))
        assert run is not None
        row = {"run": run.run_id, "state": run.state.value, "why": run.why, "seconds": run.seconds, "asked": dict(run.asked)}
        return {**row, "results": dict(run.results), "warnings": result["warnings"]}

    async def _through(self, kind: str, args: Mapping[str, Any], *, runs: bool) -> tuple[dict[str, Any], Run | None]:
        """A command through the one door, with its record in the audit; and, where it begins one, a run to its end."""
        from gateway.access.roles import allowed
        from gateway.foresight import foresight
        from gateway.jobs.workers import Workers
        from gateway.model import quality
        from gateway.model.command import Caller, Command, Outcome
        from gateway.operations import Door
        from gateway.operations.calibrations import in_force
        from gateway.operations.simulations import Simulations
        from gateway.past import since

        workers = Workers(1)
        ended: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        try:
            async with offline.opened(self._config) as (store, _):
                models = in_force(self._site.models, await store.calibrations.versions())
                start = {} if args.get("at") else initial(self._site, self._state)
                present = foresight(dataclasses.replace(self._site, models=models), start)

                async def audit(command: Command, outcome: Outcome) -> None:
                    await store.audit(command, outcome, time.time_ns())

                async def past(names: Sequence[str], at_ns: int) -> tuple[Mapping[str, Course], int]:
                    courses = await since(store.history, self._site.tags, names, at_ns, time.time_ns())
                    return courses, max((int(one.source_ns[-1]) for one in courses.values() if one.source_ns.size), default=at_ns)

                simulations = Simulations(store.runs, workers, lambda: present, ended.set_result, time.time_ns, past=past)
                door, who = Door(simulations.operations(), allowed, audit), f"local:{os.getuid()}"
                outcome = await door.execute(Command(kind, args, Caller(who, "admin", who)))
                if outcome.status != quality.GOOD:
                    raise Failure(FAILED, outcome.message, status=quality.name(outcome.status))
                with bands.Progress(kind) as progress:
                    while runs and not ended.done():
                        await asyncio.wait([ended], timeout=_POLL_S)
                        progress(max(simulations.progress.values(), default=0.0))
                return dict(outcome.result), ended.result() if runs else None
        finally:
            await workers.close()

    def units(self, names: list[str]) -> dict[str, str]:
        """Of those that are tags."""
        return {tag.name: tag.unit for tag in self._site.tags if tag.name in names}
