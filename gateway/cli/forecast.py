"""Forecasts on an exported file: what the forecasters would have said, and how right they would have been."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        Path,
        typer.Argument(metavar="FILE", help="History as `export` writes it (.csv, .parquet), or a recording (.etrec).", show_default=False),
    ],
    config: Annotated[Path, typer.Option("--config", "-c", envvar="CONFIG_PATH", help="Configuration with these tags.")],
    tags: Annotated[list[str] | None, typer.Option("--tag", help="Tags to forecast; every number of the file without it.")] = None,
    horizon: Annotated[str, typer.Option("--horizon", help="How far ahead: 10min, 1h.")] = "10min",
    step: Annotated[str, typer.Option("--step", help="Step of a forecast; of the samples within one the newest counts.")] = "1s",
    every: Annotated[str, typer.Option("--every", help="How often a forecast is issued.")] = "10s",
    as_json: AsJson = False,
) -> None:
    """Run the forecasters over a file, forecast by forecast as its time passes, and print how each horizon did."""
    from gateway.cli import offline, rolled

    horizon_s, step_s, every_s = (_seconds(*given) for given in (("--horizon", horizon), ("--step", step), ("--every", every)))
    if not 0 < step_s <= horizon_s:
        raise Failure(WRONG, f"--step {step} is no part of --horizon {horizon}")
    if horizon_s / step_s > MOST_STEPS:
        raise Failure(WRONG, f"a horizon of {horizon} has more than {MOST_STEPS} steps of {step}", "take a longer --step")
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
    rows = []
    for row, tag in enumerate(done.tags):
        for found in _horizons(done, row):
            figures = [_shown(found["crps"]), _shown(found["mase"]), _percent(found["coverage"])]
            rows.append([tag.name, show.age(found["horizon_s"]), found["model"], *figures, found["n"], tag.unit])
    show.table(("tag", "horizon", "model", "CRPS", "MASE", "in 90 % band", "n", "unit"), rows, right=(1, 3, 4, 5, 6))
    if done.fault:
        show.note(done.fault)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f} %"
