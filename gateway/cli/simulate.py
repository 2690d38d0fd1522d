"""What would happen if: the models of a configuration, run as an ensemble in a worker, without a daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import asking, bands, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Config, bundled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.operations.simulations import Foresight
    from gateway.settings import Site
    from gateway.simulation.whatif import Ask
    from gateway.work import Column

DEADLINE_S: Final = 600.0
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of all chance: the same seed gives the same result.")]


@bundled
def simulate(
    config: Config,
    single: asking.Single,
    lengths: asking.Lengths,
    chance: asking.Chance,
    seed: Seed = 0,
    state: Annotated[
        Path | None, typer.Option("--from", metavar="STATE.json", help="Initial state, as `edgetwin export state` writes it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate the models of a configuration: bands per tag, and how likely each alarm limit is reached.

    It starts from --from, else from the running gateway of that configuration, else in the middle of the tags' limits and ranges.

    With --at it starts from the history, of the running gateway or of the disk, and is compared with what was measured since.
    """
    from gateway.cli.offline import site_of

    bands.check(single.out, single.plot)
    site, args = site_of(config), {**single.args(), **lengths.args(), **chance.args()}
    if single.at is None:
        _ahead(site, args, state, seed, single, as_json=as_json)
    elif state is not None:
        raise Failure(WRONG, "--at begins from the history, --from from a file: give one of them")
    else:
        _back(config, site, {**args, "seed": seed}, single, as_json=as_json)


def _ahead(site: Site, args: Mapping[str, Any], state: Path | None, seed: int, single: asking.Single, *, as_json: bool) -> None:
    from gateway.cli.starting import initial, nothing_open
    from gateway.foresight import foresight
    from gateway.operations.simulations import ask_row, job_args
    from gateway.simulation.whatif import POINTS, Ask

    sensitivity = args.get("sensitivity", False)
    ask = Ask(**{key: value for key, value in args.items() if key != "sensitivity"})
    present = foresight(site, initial(site, state))
    if state is None:
        nothing_open(site, present, ask)
    warnings = looked_over(present, ask)
    outputs = [name for model in site.models for name in model.outputs.values()] if sensitivity else []
    found = work("simulate", job_args(present, [ask]) | {"points": ask.steps + 1 if single.out else POINTS, "sensitivity": outputs}, seed)
    warnings = list(dict.fromkeys([*warnings, *found["warnings"]]))
    _tell({"seed": seed, "asked": ask_row(ask), **found, "warnings": warnings}, site, single, as_json=as_json)


def _back(config: Path, site: Site, args: Mapping[str, Any], single: asking.Single, *, as_json: bool) -> None:
    from gateway import local
    from gateway.cli.places import place

    runs = any(path.stem == site.gateway.name for path in local.sockets())
    there = place(None, site.gateway.name, None) if runs else place(None, None, config)
    single.told(there.run("simulation.run", args), there.units, as_json=as_json)


def _tell(report: dict[str, Any], site: Site, single: asking.Single, *, as_json: bool) -> None:
    """Files first, then what a person reads."""
    units = {tag.name: tag.unit for tag in site.tags}
    for warning in report["warnings"]:
        show.note(f"warning: {warning}")
    bands.write(report, units, single.out, single.plot)
    if as_json:
        show.document(report)
    else:
        bands.told(report, units)
    asking.whole(report)


def looked_over(present: Foresight, ask: Ask) -> list[str]:
    """Warnings. Failure names what cannot work."""
    from gateway.simulation.process.model import ModelError
    from gateway.simulation.tied import held, tied
    from gateway.simulation.whatif import checked

    if not present.models:
        raise Failure(WRONG, "the configuration has no section `models`: there is nothing to simulate")
    try:
        return list(checked(tied(present.models), held(present.models) | dict(present.start), ask, present.ranges))
    except ModelError as fault:
        raise Failure(WRONG, str(fault)) from None


def work(kind: str, args: Mapping[str, Any], seed: int, arrays: Mapping[str, Column] | None = None) -> dict[str, Any]:
    """The values of a job, done in a worker, with its progress where it takes long."""
    from gateway.jobs.workers import Workers
    from gateway.work import Job, JobFailed

    async def run() -> dict[str, Any]:
        workers = Workers(1)
        try:
            with bands.Progress(kind) as progress:
                return dict((await workers.run(Job(kind, args, arrays or {}, seed=seed, deadline_s=DEADLINE_S), progress)).values)
        finally:
            await workers.close()

    try:
        return asyncio.run(run())
    except JobFailed as fault:
        raise Failure(WRONG if fault.reason == "refused" else FAILED, fault.why) from None
