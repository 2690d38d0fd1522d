"""Named scenarios: in the running gateway, or with --config without one."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import bands, daemon, offline, show, simulate
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.model.process import Run

app = typer.Typer(help="Named what-ifs: what would happen if.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="NAME", help="Name of the scenario.", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Without a running gateway: the models and the data of this configuration.", show_default=False),
]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="TAG=VALUE", help="A tag or model.parameter; repeatable.")]
Asked = Annotated[int | None, typer.Option("--seed", min=0, help="Of all chance; without it one is chosen and told.")]
State = Annotated[Path | None, typer.Option("--from", metavar="STATE.json", help="With --config: the initial state.")]
_POLL_S: Final = 0.1


@app.command("list")
def list_(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """All scenarios, by name."""
    found = place(url, name, config).scenarios()
    if as_json:
        show.document({"scenarios": found})
    elif not found:
        show.note("there are no scenarios yet: `edgetwin scenario save NAME --set TAG=VALUE` keeps one")
    else:
        rows = ((row["name"], _changed(row), "configuration" if row["configured"] else "saved", row["description"]) for row in found)
        show.table(("scenario", "changes", "kept in", "description"), rows)


@app.command("show")
def show_(which: Which, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """One scenario."""
    row = next((row for row in place(url, name, config).scenarios() if row["name"] == which), None)
    if row is None:
        raise Failure(FAILED, f"there is no scenario {which!r}")
    if as_json:
        show.document(row)
        return
    for key, value in row.items():
        if value not in (None, "", {}):
            show.line(f"{key}: {_changed(row) if key == 'parameters' else show.value(value)}")


@app.command()
def save(
    which: Which,
    changes: Changes = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    horizon: simulate.Horizon = None,
    step: simulate.Step = None,
    runs: simulate.Runs = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Keep a scenario, or change one."""
    args = {"name": which, "description": description, "parameters": simulate.parsed(changes), **_lengths(horizon, step, runs)}
    outcome = place(url, name, config).command("scenario.save", args)
    if as_json:
        show.document(outcome["result"])
    else:
        show.line(f"{which} is kept")


@app.command()
def delete(which: Which, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Remove a scenario."""
    outcome = place(url, name, config).command("scenario.delete", {"name": which})
    if as_json:
        show.document(outcome["result"])
    else:
        show.line(f"{which} is removed")


@app.command()
def run(
    which: Which,
    changes: Changes = None,
    horizon: simulate.Horizon = None,
    step: simulate.Step = None,
    runs: simulate.Runs = None,
    seed: Asked = None,
    out: simulate.Out = None,
    plot: simulate.Plot = None,
    state: State = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario from the present state: bands per tag, and how likely each alarm limit is reached."""
    bands.check(out, plot)
    there = place(url, name, config, state)
    args = {"name": which, "parameters": simulate.parsed(changes), **_lengths(horizon, step, runs), **_seed(seed)}
    done = there.run("scenario.run", args)
    report = _report(done)
    bands.write(report, there.units(list(report["outputs"])), out, plot)
    if as_json:
        show.document(done)
    else:
        bands.told(report, there.units(list(report["outputs"])))
    _whole(report)


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The first is the base; one alone is compared with `now`.")],
    horizon: simulate.Horizon = None,
    step: simulate.Step = None,
    runs: simulate.Runs = None,
    seed: Asked = None,
    plot: simulate.Plot = None,
    state: State = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Run scenarios under the same chance, and tell what each changes, with its interval. `now` changes nothing."""
    bands.check(None, plot)
    there = place(url, name, config, state)
    done = there.run("scenario.compare", {"names": names, **_lengths(horizon, step, runs), **_seed(seed)})
    report = _report(done)
    units = there.units(list(next(iter(report["scenarios"].values()))["outputs"]))
    if plot is not None:
        bands.plot_compared(report, units, plot)
    if as_json:
        show.document(done)
    else:
        bands.differences(report, units)
    _whole(report)


def _changed(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in row["parameters"].items()) or "nothing"


def _seed(seed: int | None) -> dict[str, int]:
    return {} if seed is None else {"seed": seed}


def _lengths(horizon: str | None, step: str | None, runs: int | None) -> dict[str, Any]:
    """Options as arguments of a command; those that are not given are left to the scenario."""
    found = {
        "horizon_s": None if horizon is None else simulate.length("--horizon", horizon),
        "step_s": None if step is None else simulate.length("--step", step),
        "runs": runs,
    }
    return {key: value for key, value in found.items() if value is not None}


def _report(done: Mapping[str, Any]) -> dict[str, Any]:
    """The results with their seed. Failure for a run that failed."""
    if done["state"] != "done":
        raise Failure(FAILED, f"the run {done['state']}: {done['why']}")
    for warning in done.get("warnings", []):
        show.note(f"warning: {warning}")
    return {"seed": done["asked"]["seed"], **done["results"]}


def _whole(report: Mapping[str, Any]) -> None:
    if report["partial"]:
        raise Failure(FAILED, f"the simulation ended early: {report['partial']}", "what was made until then is shown")


# --- where scenarios are kept ---------------------------------------------------------------------------------------------------------


def place(url: str | None, name: str | None, config: Path | None, state: Path | None = None) -> _Running | _Stopped:
    """The running gateway, or the data of a configuration."""
    if config is None:
        if state is not None:
            raise Failure(WRONG, "--from goes with --config: a running gateway starts from its present state")
        return _Running(daemon.find(url, name))
    if url is not None or name is not None:
        raise Failure(WRONG, "--config works on the disk, --url and --name on a running gateway: give one of them")
    return _Stopped(config, state)


class _Running:
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


class _Stopped:
    """The data of a gateway that does not run, locked meanwhile. Whoever may write the directory is admin, as on the local socket."""

    def __init__(self, config: Path, state: Path | None) -> None:
        self._config, self._site = config, offline.site_of(config)
        self._start = simulate.initial(self._site, state)

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

        workers = Workers(1)
        ended: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        try:
            async with offline.opened(self._config) as (store, _):
                models = in_force(self._site.models, await store.calibrations.versions())
                present = foresight(dataclasses.replace(self._site, models=models), self._start)

                async def audit(command: Command, outcome: Outcome) -> None:
                    await store.audit(command, outcome, time.time_ns())

                simulations = Simulations(store.runs, workers, lambda: present, ended.set_result, time.time_ns)
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
