"""`edgetwin line forecast-score`: whether forecasts of a shift hold what they promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import show
from gateway.cli.failure import WRONG, Failure
from gateway.cli.line import Duration, Run, Scenario, Seed, Sets, Tree, resolved
from gateway.cli.line import app as app
from gateway.cli.line_experiments import METHODS, OnCluster, Using, worked
from gateway.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.jobs.farm import Farm

MOST: Final = 100_000
LEAST_REPLICATIONS: Final = 20
"""A band of 90 % needs a twentieth on either side."""
KNOWN: Final = ("all", "tags")


@app.command("forecast-score")
def forecast_score(
    name: Run,
    shifts: Annotated[int, typer.Option("--shifts", min=1, max=MOST, help="Simulated shifts that are forecast.")] = 1000,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="SHARE", help="When: 0.5 or 50% of the shift; repeatable.", show_default="once a shift, by chance"),
    ] = None,
    replications: Annotated[int, typer.Option("--replications", "-n", min=LEAST_REPLICATIONS, max=10_000, help="Of one forecast.")] = 200,
    known: Annotated[
        str, typer.Option("--known", metavar="|".join(KNOWN), help="What forecasts know of the line: all, or what tags tell.")
    ] = "all",
    scenario: Scenario = None,
    sets: Sets = None,
    seed: Seed = None,
    duration: Duration = None,
    config: Tree = None,
    method: Using = "auto",
    cluster: OnCluster = None,
    as_json: AsJson = False,
) -> None:
    """Simulate shifts, forecast the rest of each from how it stands at some instant, and score the forecasts."""
    import numpy as np

    from gateway.jobs.shifts import scored
    from gateway.simulation.line.scoring import Scoring, report

    if known not in KNOWN:
        raise Failure(WRONG, f"--known {known}: {' or '.join(KNOWN)}")
    if method not in METHODS:
        raise Failure(WRONG, f"--method {method}: {', '.join(METHODS)}")
    line = resolved(name, scenario, sets, seed, duration, config)
    shares = tuple(_share(text) for text in at or ())
    scoring = Scoring(shares, replications, known == "tags", method)  # type: ignore[arg-type]  # checked above

    async def work(farm: Farm, progress: Callable[[float], None]) -> dict[str, Any]:
        rows, by, why = await scored(farm, line, line.seed, shifts, scoring, progress)
        head = {"line": line.name, "scenario": line.scenario, "seed": line.seed, "method": by, "why": why}
        return {**head, "shifts": shifts, "replications": replications, "known": known, **report(np.asarray(rows), shares)}

    found = worked(f"{name}: {shifts} shifts", cluster, work)
    if as_json:
        show.document(found)
        return
    head = ("at", "forecasts", "coverage", "+-", "in P05..P95", "width", "CRPS", "bias", "+-", "mean error")
    every = [*found["at"].items(), ("all", found["all"])]
    show.table(head, [_cells(when, one) for when, one in every], right=range(1, len(head)))
    by = "recursion" if found["method"] == "recursion" else f"discrete events ({found['why']})" if found["why"] else "discrete events"
    show.line(f"{shifts} shifts, {replications} replications each by {by}, seed {line.seed}, known: {known}")
    show.line("coverage: of the 90 % band, an outcome on its edge counted by the part of it that belongs to the band; units: good ones")


def _cells(when: str, one: dict[str, Any]) -> tuple[str, ...]:
    shares = (f"{one['coverage']:.1%}", f"{2 * one['coverage_error']:.1%}", f"{one['inside']:.1%}")
    numbers = (f"{one[word]:.3g}" for word in ("width", "crps"))
    return (when, str(one["forecasts"]), *shares, *numbers, f"{one['bias']:+.2g}", f"{2 * one['bias_error']:.2g}", f"{one['mae']:.3g}")


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise Failure(WRONG, f"--at {text}: a share of the shift, from 0 to less than 1, as 0.5 or 50%")
    return share
