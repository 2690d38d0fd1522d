"""Reports on the line: of the running gateway, or worked out again from an exported event log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import daemon, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.model.line import Line

app = typer.Typer(help="Reports on the line.", no_args_is_help=True)

PERIODS: Final = ("shift", "previous", "today")
_LOSSES: Final = ("rejects", "speed", "starved", "blocked", "jammed", "changeover", "down")
Period = Annotated[str, typer.Option("--period", help="shift, previous or today.")]


@app.callback()
def report() -> None:
    """Reports on the line."""


@app.command()
def oee(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Event log as /kpi/events writes it (CSV); without it the gateway.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Of a file: the configuration whose line it is of.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Of a file: the run whose line it is of, instead of a configuration.")] = None,
    tree: Annotated[Path | None, typer.Option("--tree", help="Where that run is; by default config/line.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Of a file: up to that instant, instead of its end.")] = None,
    period: Period = "shift",
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """OEE, its factors and losses, of the line and of each machine."""
    found = _live(url, name, period) if path is None else _file(path, _line(config, run, tree), at)
    if as_json:
        show.document(found)
        return
    rows = [("line", found["line"]), *found["machines"].items()]
    show.line(f"{found['name']}  {found['begin']} to {found['at']}")
    show.table(
        ("", "OEE", "availability", "performance", "quality", "good", "rejected", "coverage", *_LOSSES),
        [(word, *_oee(one), *(_percent(one["losses"][loss]) for loss in _LOSSES)) for word, one in rows],
        right=tuple(range(1, 8 + len(_LOSSES))),
    )


@app.command()
def shift(period: Period = "shift", url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """The shift of the running gateway: output, OEE, bottleneck, money, energy, time in state, and what is expected by its end."""
    found = _live(url, name, period)
    if as_json:
        show.document(found)
        return
    line, money = found["line"], found["line"]["economics"]
    show.line(f"{found['name']}  {found['begin']} to {found['end']}, up to {found['at']}")
    rate = _number(line["good_per_hour"])
    show.line(f"good {line['good']}, rejected {line['rejected']}, {rate} per hour; coverage {_percent(line['coverage'])}")
    show.line(f"OEE {_percent(line['oee']['oee'])}: " + ", ".join(
        f"{word} {_percent(line['oee'][word])}" for word in ("availability", "performance", "quality")
    ))  # fmt: skip
    show.line(f"bottleneck {found['bottleneck']['active_period'] or '-'}, turning point {found['bottleneck']['turning_point'] or '-'}")
    show.line(", ".join(f"{word.replace('_', ' ')} {_number(value)}" for word, value in money.items()))
    show.line(f"energy {_number(line['energy_kwh'])} kWh, {_number(line['energy_per_good_kwh'])} kWh per good unit")
    ahead = found.get("forecast")
    if ahead:
        good = ahead["output"]["good"]
        show.line(f"by {ahead['until']}: {good['P50']:g} more good units ({good['P05']:g} to {good['P95']:g})")
    show.line()
    states = list(next(iter(found["machines"].values()), {"time_in_state_s": {}})["time_in_state_s"])
    show.table(
        ("", *(word.lower() for word in states), "unknown"),
        [
            (word, *(show.age(one["time_in_state_s"][state]) for state in states), show.age(one["uncovered_s"]))
            for word, one in found["machines"].items()
        ],
        right=tuple(range(1, len(states) + 2)),
    )


def _live(url: str | None, name: str | None, period: str) -> dict[str, Any]:
    if period not in PERIODS:
        raise Failure(WRONG, f"--period {period}", f"one of {', '.join(PERIODS)}")
    told = daemon.find(url, name).get("/kpi")
    if period not in told["periods"]:
        raise Failure(FAILED, "the accounts of the line are being made from history", "ask again in a moment")
    return {"at": told["at"], "forecast": told.get("forecast") if period == "shift" else None, **told["periods"][period]}


def _line(config: Path | None, run: str | None, tree: Path | None) -> Line:
    """The line that a log is of: its ideal times are not in it."""
    if (config is None) == (run is None):
        raise Failure(WRONG, "a file needs the line that it is of", "name it with --config site.yaml or --run NAME")
    if config is not None:
        from gateway.cli.offline import site_of

        site = site_of(config)
        if site.line is None:
            raise Failure(WRONG, f"{config} has no section `line`")
        return site.line.line
    from gateway.settings import SettingsError
    from gateway.settings.line.load import load_line
    from gateway.settings.line.tree import config_dir

    try:
        return load_line(run or "", config_dir(tree))
    except SettingsError as fault:
        raise Failure(WRONG, str(fault)) from None


def _file(path: Path, line: Line, at: str | None) -> dict[str, Any]:
    import csv
    from dataclasses import asdict

    from gateway.cli.offline import moment
    from gateway.model.instant import iso
    from gateway.simulation.line import plant, plantlog

    until_ns = None if at is None else moment("--at", at)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            accounts, end_ns = plantlog.accounts_of(csv.DictReader(file), until_ns)
    except (OSError, UnicodeDecodeError, csv.Error, plantlog.LogError) as fault:
        raise Failure(FAILED, f"{path}: {fault}") from None
    if not accounts:
        raise Failure(FAILED, f"{path}: holds no events")
    known = {machine.name for machine in line.machines}
    if strange := sorted(accounts.keys() - known):
        raise Failure(FAILED, f"{path}: {strange[0]} is no machine of {line.name}", f"its machines: {', '.join(sorted(known))}")
    shape = plant.Shape.of(line)
    begin_ns = min(account.begin_ns for account in accounts.values())
    return {
        "name": str(path),
        "begin": iso(begin_ns),
        "at": iso(end_ns),
        **plant.plain(plant.figures(shape, accounts)),
        "bottleneck": asdict(plant.bottleneck(shape, accounts)),
    }


def _oee(one: Mapping[str, Any]) -> list[str]:
    shares = [_percent(one["oee"][word]) for word in ("oee", "availability", "performance", "quality")]
    return [*shares, str(one["good"]), str(one["rejected"]), _percent(one["coverage"])]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
