"""What the verbs that run what-ifs have in common: how they are run, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import bands, show
from gateway.cli.failure import FAILED, WRONG, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Horizon = Annotated[str | None, typer.Option("--horizon", help="How far ahead: 90s, 10min, 8h.", show_default="10min")]
Step = Annotated[str | None, typer.Option("--step", help="Length of a step.", show_default="1s")]
Runs = Annotated[int | None, typer.Option("--runs", help="How many runs.", show_default="200")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture of the bands: .png or .svg.")]
_UNTIL: Final = "--until-half-width"
_SET: Final = "A setpoint, an initial value or model.parameter; VALUE@TIME: of an input, from that time of the run on; repeatable."


@dataclass(frozen=True, slots=True)
class Lengths:
    """Horizon, step and runs, as options."""

    horizon: Horizon = None
    step: Step = None
    runs: Runs = None

    def args(self) -> dict[str, Any]:
        """As arguments of a command; those that are not given are left to the scenario."""
        found = {
            "horizon_s": None if self.horizon is None else length("--horizon", self.horizon),
            "step_s": None if self.step is None else length("--step", self.step),
            "runs": self.runs,
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Chance:
    """What is drawn, and how often, as options."""

    uncertainty: Annotated[float | None, typer.Option("--uncertainty", help="Relative standard deviation of all parameters.")] = None
    varied: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="NAME=DISTRIBUTION", help="Drawn for each run: hall.tau=uniform(80s, 120s); repeatable."),
    ] = None
    antithetic: Annotated[bool, typer.Option("--antithetic", help="The second half of the runs has the noise of the first, negated.")] = (
        False
    )
    half_widths: Annotated[
        list[str] | None,
        typer.Option(
            "--until-half-width",
            metavar="TAG=WIDTH",
            help="Enough once its mean at the horizon is known so well; --runs is the most.",
        ),
    ] = None

    def args(self) -> dict[str, Any]:
        """As arguments of a command."""
        found = {
            "uncertainty": self.uncertainty,
            "varied": {name: _distribution(name, text) for name, text in _pairs("--vary", self.varied)},
            "antithetic": self.antithetic,
            "half_width": {
                name: _figure(f"--until-half-width {name}", text) for name, text in _pairs("--until-half-width", self.half_widths)
            },
        }
        return {key: value for key, value in found.items() if value not in (None, {}, False)}


@dataclass(frozen=True, slots=True)
class Single:
    """What only a run of one what-if has, as options."""

    changes: Annotated[list[str] | None, typer.Option("--set", metavar="TAG=VALUE[@TIME]", help=_SET)] = None
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="From a past time (ISO 8601, now-1h) to now, beside what was measured."),
    ] = None
    sensitivity: Annotated[bool, typer.Option("--sensitivity", help="Also which parameter the spread comes from (Sobol).")] = False
    out: Annotated[Path | None, typer.Option("--out", help="File with every step; its ending chooses: .csv, .parquet or .json.")] = None
    plot: Plot = None

    def args(self) -> dict[str, Any]:
        """As arguments of a command."""
        from gateway.cli.offline import moment
        from gateway.model.instant import iso

        found = {
            "parameters": parsed(self.changes),
            "at": None if self.at is None else iso(moment("--at", self.at)),
            "sensitivity": self.sensitivity,
        }
        return {key: value for key, value in found.items() if value not in (None, {}, False)}

    def told(self, done: Mapping[str, Any], units: Callable[[list[str]], dict[str, str]], *, as_json: bool) -> None:
        """Files first, then what a person reads; Failure where it ended early."""
        report = reported(done)
        named = units(list(report["outputs"]))
        bands.write(report, named, self.out, self.plot)
        if as_json:
            show.document(dict(done))
        else:
            bands.told(report, named)
        whole(report)


def reported(done: Mapping[str, Any]) -> dict[str, Any]:
    """The results with their seed. Failure for a run that failed."""
    if done["state"] != "done":
        raise Failure(FAILED, f"the run {done['state']}: {done['why']}")
    warned = list(dict.fromkeys([*done.get("warnings", []), *done["results"].get("warnings", [])]))
    for warning in warned:
        show.note(f"warning: {warning}")
    return {"seed": done["asked"]["seed"], "asked": done["asked"], **done["results"]}


def whole(report: Mapping[str, Any]) -> None:
    """Failure where it ended early."""
    if report["partial"]:
        raise Failure(FAILED, f"the simulation ended early: {report['partial']}", "what was made until then is shown")


def length(option: str, text: str) -> float:
    """Seconds; Failure names the option."""
    from gateway.model.duration import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise Failure(WRONG, f"{option}: {error}") from None


def parsed(changes: Sequence[str] | None) -> dict[str, Any]:
    """`TAG=VALUE` as numbers, those with `@TIME` as courses; a duration of a model's parameter becomes seconds."""
    found: dict[str, Any] = {}
    for name, text in _pairs("--set", changes):
        value, at, time = text.partition("@")
        number = _figure(f"--set {name}", value)
        if not at:
            found[name] = number
            continue
        before = found.get(name, [])
        course = before if isinstance(before, list) else [[0.0, before]]
        found[name] = sorted([*course, [length(f"--set {name}", time), number]])
    return found


def _pairs(option: str, texts: Sequence[str] | None) -> list[tuple[str, str]]:
    for text in texts or []:
        name, equals, _ = text.partition("=")
        if not equals or not name:
            raise Failure(WRONG, f"{option} {text}: write TAG=VALUE")
    return [(text.partition("=")[0], text.partition("=")[2]) for text in texts or []]


def _figure(option: str, text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        raise Failure(WRONG, f"{option}: {text!r} is no number (a time may be written as 500ms, 10s, 5min)") from None


def _number(text: str) -> float:
    from gateway.model.duration import seconds

    try:
        return float(text)
    except ValueError:
        return seconds(text)


def _distribution(name: str, text: str) -> str:
    from gateway.simulation.distributions import of_text
    from gateway.simulation.process.model import ModelError

    try:
        return str(of_text(text, _number))
    except ModelError as fault:
        raise Failure(WRONG, f"--vary {name}: {fault}") from None
