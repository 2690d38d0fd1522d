"""Scores of forecasts: of the running gateway's own, or on an exported file, where they are what the forecasters would have said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import daemon, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.cli.rolled import Rolled
    from gateway.model.tag import Tag

MOST_STEPS: Final = 86_400  # of one horizon

app = typer.Typer(help="Forecasts and their scores.", no_args_is_help=True)


@app.callback()
def forecast() -> None:
    """Forecasts and their scores."""


@app.command()
def score(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="History as `export` writes it (.csv, .parquet), or a recording (.etrec); without it the running gateway.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", envvar="CONFIG_PATH", help="Configuration with the tags of the file.")
    ] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="Only these tags.")] = None,
    horizon: Annotated[str, typer.Option("--horizon", help="Of a file: how far ahead, 10min, 1h.")] = "10min",
    step: Annotated[str, typer.Option("--step", help="Of a file: step of a forecast; of the samples within one the newest counts.")] = "1s",
    every: Annotated[str, typer.Option("--every", help="Of a file: how often a forecast is issued.")] = "10s",
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """How forecasts did, per tag and horizon: those of the running gateway, or those that a file's samples would have had."""
    if path is None:
        _live(daemon.find(url, name), tags, as_json=as_json)
        return
    if config is None:
        raise Failure(WRONG, "a file needs the configuration of its tags", "name it with --config site.yaml")
    _file(path, config, tags, {"--horizon": horizon, "--step": step, "--every": every}, as_json=as_json)


def _live(gateway: daemon.Daemon, tags: Sequence[str] | None, *, as_json: bool) -> None:
    told = gateway.get("/forecasts")
    known = [row["tag"] for row in told["forecasts"]]
    if not known:
        raise Failure(FAILED, "this gateway forecasts nothing", "name tags in the section `forecast` of its configuration")
    for tag in tags or ():
        if tag not in known:
            raise Failure(FAILED, f"{tag} is not forecast", f"those that are: {', '.join(known[:10])}")
    found = [gateway.get(f"/forecasts/{tag}") for tag in tags or known]
    rows = [{"tag": one["tag"], "unit": one["unit"], "skill": one["skill"], "horizons": one["scores"]} for one in found]
    if as_json:
        show.document({"horizon_s": told["horizon_s"], "lead_s": told["lead_s"], "tags": rows})
        return
    if not any(row["horizons"] for row in rows):
        show.note("no forecast has come due yet")
    _table(rows)


def _file(path: Path, config: Path, tags: Sequence[str] | None, times: Mapping[str, str], *, as_json: bool) -> None:
    from gateway.cli import offline, rolled

    horizon_s, step_s, every_s = (_seconds(*given) for given in times.items())
    if not 0 < step_s <= horizon_s:
        raise Failure(WRONG, f"--step {times['--step']} is no part of --horizon {times['--horizon']}")
    if horizon_s / step_s > MOST_STEPS:
        why = f"a horizon of {times['--horizon']} has more than {MOST_STEPS} steps of {times['--step']}"
        raise Failure(WRONG, why, "take a longer --step")
    if not path.exists():
        raise Failure(WRONG, f"{path}: there is no such file")
    table = offline.site_of(config).tags
    try:
        done = rolled.run(path, table, _chosen(tags, table), horizon_s, step_s, every_s)
    except (OSError, ValueError) as error:
        raise Failure(FAILED, str(error)) from None
    if as_json:
        show.document(document(path, done))
    else:
        _print(done)


def _seconds(option: str, text: str) -> float:
    from gateway.model.duration import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise Failure(WRONG, f"{option}: {error}") from None


def _chosen(names: Sequence[str] | None, table: Iterable[Tag]) -> list[Tag]:
    """Tags that are numbers; Failure for a name that is none of them."""
    from gateway.model.tag import TagType

    numbers = {tag.name: tag for tag in table if tag.type in {TagType.FLOAT, TagType.INT}}
    for name in names or ():
        if name not in numbers:
            raise Failure(FAILED, f"there is no tag {name!r} of numbers")
    return [numbers[name] for name in dict.fromkeys(names)] if names else list(numbers.values())


def document(path: Path, done: Rolled) -> dict[str, Any]:
    """What `--json` prints; null where nothing was due yet, and for a ratio to a persistence that made no error."""
    from gateway.model import instant

    return {
        "file": str(path),
        "from": instant.iso(done.first_ns),
        "to": instant.iso(done.last_ns),
        "samples": done.samples,
        "horizon_s": done.horizon_s,
        "step_s": done.step_s,
        "every_s": done.every_s,
        "fault": done.fault,
        "tags": [{"tag": tag.name, "unit": tag.unit, "horizons": list(_horizons(done, row))} for row, tag in enumerate(done.tags)],
    }


def _horizons(done: Rolled, row: int) -> Iterable[dict[str, Any]]:
    scores = done.scores
    for knot, at_s in enumerate(scores.horizon_s.tolist()):
        yield {
            "horizon_s": at_s,
            "model": scores.models[int(scores.model[row, knot])],
            "n": int(scores.n[row, knot]),
            "crps": _number(scores.crps[row, knot]),
            "mase": _number(scores.mase[row, knot]),
            "coverage": _number(scores.coverage[row, knot]),
            "error": _number(scores.error[row, knot]),
            "pinball": {f"P{round(p * 100):02d}": _number(loss[row, knot]) for p, loss in scores.pinball.items()},
            "reliability": scores.pit[row, knot].astype(int).tolist(),
        }


def _number(value: float) -> float | None:
    from math import isfinite

    return float(value) if isfinite(value) else None


def _print(done: Rolled) -> None:
    _table([{"tag": tag.name, "unit": tag.unit, "horizons": list(_horizons(done, row))} for row, tag in enumerate(done.tags)])
    if done.fault:
        show.note(done.fault)


def _table(tags: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for tag in tags:
        for found in tag["horizons"]:
            figures = [_shown(found["crps"]), _shown(found["mase"]), _percent(found["coverage"])]
            rows.append([tag["tag"], show.age(found["horizon_s"]), found["model"], *figures, int(found["n"]), tag["unit"]])
    show.table(("tag", "horizon", "model", "CRPS", "MASE", "in 90 % band", "n", "unit"), rows, right=(1, 3, 4, 5, 6))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f} %"
