"""What would happen if: the models of a configuration, run as an ensemble in a worker, without a daemon."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import bands, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.operations.simulations import Foresight
    from gateway.settings import Site
    from gateway.simulation.whatif import Ask
    from gateway.work import Column

DEADLINE_S: Final = 600.0
_METER: Final = "energy_register"
Horizon = Annotated[str | None, typer.Option("--horizon", help="How far ahead: 90s, 10min, 8h.", show_default="10min")]
Step = Annotated[str | None, typer.Option("--step", help="Length of a step.", show_default="1s")]
Runs = Annotated[int | None, typer.Option("--runs", help="How many runs.", show_default="200")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of all chance: the same seed gives the same result.")]
Out = Annotated[Path | None, typer.Option("--out", help="File with every step; its ending chooses: .csv, .parquet or .json.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture of the bands: .png or .svg.")]


def simulate(
    config: Config,
    horizon: Horizon = None,
    step: Step = None,
    runs: Runs = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="TAG=VALUE", help="A setpoint, an initial value or model.parameter; repeatable.")
    ] = None,
    seed: Seed = 0,
    uncertainty: Annotated[float | None, typer.Option("--uncertainty", help="Relative standard deviation of all parameters.")] = None,
    state: Annotated[
        Path | None, typer.Option("--from", metavar="STATE.json", help="Initial state, as `edgetwin export state` writes it.")
    ] = None,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Simulate the models of a configuration: bands per tag, and how likely each alarm limit is reached.

    It starts from --from, else from the running gateway of that configuration, else in the middle of the tags' limits and ranges.
    """
    from gateway.cli.offline import site_of
    from gateway.foresight import foresight
    from gateway.operations.simulations import ask_row, job_args
    from gateway.simulation.whatif import POINTS

    bands.check(out, plot)
    site = site_of(config)
    ask = asked(parsed(changes), horizon, step, runs, uncertainty)
    present = foresight(site, initial(site, state))
    if state is None:
        nothing_open(site, present, ask)
    warnings = looked_over(present, ask)
    args = job_args(present, [ask]) | {"points": ask.steps + 1 if out else POINTS}
    found = work("simulate", args, seed)
    _tell({"seed": seed, "asked": ask_row(ask), **found, "warnings": warnings}, site, out, plot, as_json=as_json)


def _tell(report: dict[str, Any], site: Site, out: Path | None, plot: Path | None, *, as_json: bool) -> None:
    """Files first, then what a person reads."""
    units = {tag.name: tag.unit for tag in site.tags}
    for warning in report["warnings"]:
        show.note(f"warning: {warning}")
    bands.write(report, units, out, plot)
    if as_json:
        show.document(report)
    else:
        bands.told(report, units)
    if report["partial"]:
        raise Failure(FAILED, f"the simulation ended early: {report['partial']}", "what was made until then is shown")


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


def asked(changes: Mapping[str, float], horizon: str | None, step: str | None, runs: int | None, uncertainty: float | None) -> Ask:
    """What the options say, the rest as usual."""
    from gateway.simulation.whatif import Ask

    usual = Ask()
    return Ask(
        changes,
        usual.horizon_s if horizon is None else length("--horizon", horizon),
        usual.step_s if step is None else length("--step", step),
        usual.runs if runs is None else runs,
        0.0 if uncertainty is None else uncertainty,
    )


def length(option: str, text: str) -> float:
    """Seconds; Failure names the option."""
    from gateway.model.duration import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise Failure(WRONG, f"{option}: {error}") from None


def parsed(changes: list[str] | None) -> dict[str, float]:
    """`TAG=VALUE` as numbers; a duration of a model's parameter becomes seconds."""
    from gateway.model.duration import seconds

    found = {}
    for text in changes or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Failure(WRONG, f"--set {text}: write TAG=VALUE")
        try:
            found[name] = float(value)
        except ValueError:
            try:
                found[name] = seconds(value)
            except ValueError:
                raise Failure(WRONG, f"--set {name}: {value!r} is no number (a time may be written as 500ms, 10s, 5min)") from None
    return found


def initial(site: Site, state: Path | None) -> dict[str, float]:
    """The initial state by tag: of the file, else of the gateway that runs on this configuration, else the middle of what is usual."""
    from gateway.foresight import names_of

    if state is None:
        found = _live(site) or _usual(site)
    else:
        try:
            found = _flat(json.loads(state.read_text("utf-8")))
        except OSError as error:
            raise Failure(WRONG, f"{state}: {error.strerror}") from None
        except ValueError as error:
            raise Failure(WRONG, f"{state}: is not JSON: {error}") from None
    named = names_of(site)
    values = {name: value for name, value in found.items() if name in named and isinstance(value, int | float)}
    for name, value in values.items():
        if not math.isfinite(value):
            raise Failure(WRONG, f"{state}: {name} is {value}: no finite number")
    return {name: float(value) for name, value in values.items()}


def nothing_open(site: Site, present: Foresight, ask: Ask) -> None:
    """Failure names the tags of which nothing is known: a plant does not begin at 0. A meter may."""
    counts = {tag for model in site.models if model.kind == _METER for tag in model.outputs.values()}
    needed = {tag for model in site.models for tag in (*model.outputs.values(), *model.inputs.values()) if isinstance(tag, str)}
    if unknown := sorted(needed - counts - {*present.start, *ask.parameters}):
        hint = f"give --from STATE.json or --set {unknown[0]}=VALUE, or the tag a range; a running gateway is asked by itself"
        raise Failure(WRONG, f"nothing is known of {', '.join(unknown)}", hint)


def _usual(site: Site) -> dict[str, float]:
    """The middle between the innermost alarm limits of a tag, else of its range; nothing for a meter, which begins at 0."""
    from gateway.foresight import foresight, names_of

    present = foresight(site, {})
    counts = {tag for model in site.models if model.kind == _METER for tag in model.outputs.values()}
    found = {}
    for tag in sorted(names_of(site) - counts):
        low, high = present.ranges.get(tag, (-math.inf, math.inf))
        limits = [limit for limit in present.limits if limit.tag == tag]
        low = max([low, *(limit.threshold for limit in limits if limit.limit in {"LO", "LOLO"})])
        high = min([high, *(limit.threshold for limit in limits if limit.limit in {"HI", "HIHI"})])
        if math.isfinite(low) and math.isfinite(high):
            found[tag] = (low + high) / 2
    if found:
        shown = ", ".join(f"{tag} = {value:g}" for tag, value in found.items())
        show.note(f"{site.gateway.name} does not run: it begins in the middle of limits and ranges, {shown}")
    return found


def _live(site: Site) -> dict[str, Any]:
    """The twin of a gateway that runs; nothing where none does."""
    from gateway import local
    from gateway.cli import daemon

    if not any(path.stem == site.gateway.name for path in local.sockets()):
        return {}
    try:
        found = _flat(daemon.find(None, site.gateway.name).get("/twin"))
    except Failure:
        return {}
    show.note(f"from the present state of {site.gateway.name}")
    return found


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {path: tree} if path else {}
    found: dict[str, Any] = {}
    for name, inner in tree.items():
        found |= _flat(inner, f"{path}.{name}" if path else str(name))
    return found


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
