"""`edgetwin line experiment | compare | sweep`: what chance does to a line, and what a change brings beyond chance."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import bands, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.line import Duration, Run, Scenario, Seed, Sets, Tree, resolved, variants
from gateway.cli.line import app as app
from gateway.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gateway.jobs.farm import Farm
    from gateway.jobs.replications import Series, Target
    from gateway.model.line import Line
    from gateway.simulation.line.figures import Figures
    from gateway.simulation.line.sweep import Vary

WARM_UP_RUNS: Final = 20
"""Replications at most that a warm-up is looked for in."""
METHODS: Final = ("auto", "recursion", "events")
DESIGNS: Final = ("grid", "list", "random", "latin")
Replications = Annotated[int, typer.Option("--replications", "-n", min=1, help="How many runs, each with chance of its own.")]
Figure = Annotated[
    list[str] | None,
    typer.Option("--figure", metavar="PATH", help="A figure of the summary, as oee.oee; repeatable.", show_default="the usual"),
]
Confidence = Annotated[float, typer.Option("--confidence", help="Of the intervals, between 0 and 1.")]
Using = Annotated[str, typer.Option("--method", metavar="|".join(METHODS), help="recursion: many at once; events: one by one.")]
OnCluster = Annotated[str | None, typer.Option("--cluster", metavar="ADDRESS", help="A Dask scheduler, as tcp://host:8786.")]


@app.command()
def experiment(
    name: Run,
    replications: Replications = 30,
    target: Annotated[
        str | None, typer.Option("--target", metavar="FIGURE=WIDTH", help="Go on until the interval is +-WIDTH: 5, or 1% of the mean.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=2, help="With --target: replications at most.")] = 1000,
    bottleneck: Annotated[bool, typer.Option("--bottleneck", help="Each machine 5 % faster in turn: what it brings.")] = False,
    warm_up: Annotated[
        str | None, typer.Option("--warm-up", metavar="COLUMN", help="Find the warm-up (MSER-5) in a telemetry column, as tubes_produced.")
    ] = None,
    figure: Figure = None,
    confidence: Confidence = 0.95,
    scenario: Scenario = None,
    sets: Sets = None,
    seed: Seed = None,
    duration: Duration = None,
    config: Tree = None,
    method: Using = "auto",
    cluster: OnCluster = None,
    as_json: AsJson = False,
) -> None:
    """Replicate a run: every figure with its interval (Student's t)."""
    from gateway.jobs.replications import replicated, series, until
    from gateway.simulation.line.experiments import SHOWN, described, quicker, sensitivity

    line = resolved(name, scenario, sets, seed, duration, config)
    _check(replications, confidence, method)
    goal = None if target is None else _target(target, line)
    shown = _figures(figure, [line]) if figure else list(SHOWN)

    async def work(farm: Farm, progress: Callable[[float], None]) -> dict[str, Any]:
        found = await until(
            farm, line, line.seed, replications, goal, most, confidence=confidence, method=_method(method), progress=progress
        )
        report = _head(line, found) | {"replications": len(found.values), "confidence": confidence, "figures": described(found, confidence)}
        if goal:
            interval = report["figures"][goal.figure]
            report["target"] = {"figure": goal.figure, "met": _met(interval, goal)}
        if bottleneck:
            faster = {machine.name: quicker(line, machine.name) for machine in line.machines}
            by_machine = await replicated(farm, faster, line.seed, 0, len(found.values), _method(method), progress)
            report["sensitivity"] = sensitivity(found, by_machine, confidence=confidence)
        if warm_up:
            report["warm_up"] = _warm_up(await series(farm, line, line.seed, min(replications, WARM_UP_RUNS), warm_up, progress), warm_up)
        return report

    report = worked(name, cluster, work)
    if as_json:
        show.document(report)
        return
    _tell(report, shown, line.seed)


def _tell(report: dict[str, Any], shown: Sequence[str], seed: int) -> None:
    """An experiment, to read."""
    show.table(
        ("figure", "mean", "+-", "from", "to", "sd"),
        ((path, *_cells(report["figures"][path])) for path in shown if report["figures"][path] is not None),
        right=range(1, 6),
    )
    show.line(f"{report['replications']} replications, {report['confidence']:.0%} intervals, seed {seed}, by {_by(report)}")
    if "target" in report and not report["target"]["met"]:
        show.note(f"the target of {report['target']['figure']} is not met: give more with --most")
    if "sensitivity" in report:
        _tell_sensitivity(report["sensitivity"])
    if "warm_up" in report:
        found = report["warm_up"]
        end = show.age(found["warm_up_s"]) if found["found"] else f"more than {show.age(found['warm_up_s'])}: the run is too short to tell"
        show.line(f"warm-up of {found['column']}: {end} (MSER-5 over {found['replications']} replications)")


@app.command()
def compare(
    name: Annotated[str, typer.Option("--run", metavar="NAME", help="The run that the others are compared with.", show_default=False)],
    others: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Other runs.", show_default=False)] = None,
    scenarios: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="NAME", help="A scenario for the same run; repeatable.")
    ] = None,
    replications: Replications = 30,
    figure: Figure = None,
    confidence: Confidence = 0.95,
    sets: Sets = None,
    seed: Seed = None,
    duration: Duration = None,
    config: Tree = None,
    method: Using = "auto",
    cluster: OnCluster = None,
    as_json: AsJson = False,
) -> None:
    """What other runs or scenarios change, under the same chance: paired intervals (Bonferroni), significance (Holm)."""
    base = resolved(name, None, sets, seed, duration, config)
    lines = {name: base}
    for other in others or []:
        lines[other] = resolved(other, None, sets, base.seed, duration, config)
    for scenario in scenarios or []:
        lines[scenario] = resolved(name, scenario, sets, base.seed, duration, config)
    if len(lines) < 2:
        raise Failure(WRONG, "there is nothing to compare with", f"edgetwin line compare --run {name} OTHER, or --scenario NAME")
    _check(replications, confidence, method)
    _compare(lines, replications, figure, confidence, method, cluster, as_json=as_json)


@app.command()
def sweep(
    name: Run,
    vary: Annotated[list[str], typer.Option("--vary", metavar="PATH=VALUES", help="Filler.uph=3600,4000, or 3000..4500; repeatable.")],
    design: Annotated[str, typer.Option("--design", metavar="|".join(DESIGNS), help="How the values are combined.")] = "grid",
    points: Annotated[int, typer.Option("--points", min=1, help="Parameter sets of random and latin.")] = 20,
    replications: Replications = 30,
    figure: Figure = None,
    confidence: Confidence = 0.95,
    scenario: Scenario = None,
    sets: Sets = None,
    seed: Seed = None,
    duration: Duration = None,
    config: Tree = None,
    method: Using = "auto",
    cluster: OnCluster = None,
    as_json: AsJson = False,
) -> None:
    """Try parameter sets under the same chance, each with its intervals."""
    import numpy as np

    from gateway.jobs.replications import replicated
    from gateway.simulation.line.experiments import SHOWN, described
    from gateway.simulation.line.sweep import design as designed

    _check(replications, confidence, method)
    if design not in DESIGNS:
        raise Failure(WRONG, f"there is no design {design!r}", ", ".join(DESIGNS))
    base = resolved(name, scenario, sets, seed, duration, config)
    try:
        rows = designed([_vary(text) for text in vary], design, points, np.random.default_rng(base.seed))  # type: ignore[arg-type]  # checked above
    except ValueError as error:
        raise Failure(WRONG, f"--vary: {error}") from None
    if len(rows) * replications > MOST_RUNS:
        raise Failure(WRONG, f"{len(rows)} parameter sets x {replications} replications are more than {MOST_RUNS} runs")
    words = [[f"{path}={_written(value)}" for path, value in row.items()] for row in rows]
    found = variants(name, scenario, [[*(sets or []), *own] for own in words], seed, duration, config)
    lines = dict(zip([", ".join(own).replace("=", " = ") for own in words], found, strict=True))
    shown = _figures(figure, list(lines.values())) if figure else list(SHOWN[:1] + SHOWN[2:3] + SHOWN[-1:])

    async def work(farm: Farm, progress: Callable[[float], None]) -> dict[str, Any]:
        found = await replicated(farm, lines, base.seed, 0, replications, _method(method), progress)
        sets_ = [
            {"parameters": row, "method": one.method, "figures": described(one, confidence)}
            for row, one in zip(rows, found.values(), strict=False)
        ]
        return {"run": name, "seed": base.seed, "replications": replications, "confidence": confidence, "design": design, "sets": sets_}

    report = worked(f"{name}: {len(rows)} sets", cluster, work)
    if as_json:
        show.document(report)
        return
    head = [*rows[0], *(cell for path in shown for cell in (path, "+-"))]
    body = [
        [*(_written(value) for value in one["parameters"].values()), *(cell for path in shown for cell in _cells(one["figures"][path])[:2])]
        for one in report["sets"]
    ]
    show.table(head, body, right=range(len(head)))
    show.line(f"{replications} replications each under the same chance, {confidence:.0%} intervals, seed {base.seed}")


MOST_RUNS: Final = 1_000_000


# --- shared ---------------------------------------------------------------------------------------------------------------------------


def _compare(
    lines: Mapping[str, Line],
    replications: int,
    figure: list[str] | None,
    confidence: float,
    method: str,
    cluster: str | None,
    *,
    as_json: bool,
) -> None:
    from gateway.jobs.replications import replicated
    from gateway.simulation.line.experiments import SHOWN, compared, described

    base, shown = next(iter(lines.values())), _figures(figure, list(lines.values())) if figure else list(SHOWN)

    async def work(farm: Farm, progress: Callable[[float], None]) -> dict[str, Any]:
        found = await replicated(farm, lines, base.seed, 0, replications, _method(method), progress)
        scenarios = {name: _head(lines[name], one) | {"figures": described(one, confidence)} for name, one in found.items()}
        return {"seed": base.seed, "replications": replications, **compared(found, shown, confidence), "scenarios": scenarios}

    report = worked("compare", cluster, work)
    if as_json:
        show.document(report)
        return
    show.table(
        ("figure", "scenario", report["base"], "here", "difference", "+-", "p (Holm)", ""),
        (
            (
                row["figure"],
                row["scenario"],
                _number(row["base_mean"]),
                _number(row["mean"]),
                _number(row["difference"]["mean"], "+"),
                _number(row["difference"]["half_width"]),
                f"{row['p_holm']:.3g}",
                "*" if row["significant"] else "",
            )
            for row in report["differences"]
        ),
        right=range(2, 7),
    )
    show.line(f"{replications} replications, paired under the same chance, seed {base.seed}; {confidence:.0%} intervals together")
    show.line("(Bonferroni over the scenarios); * is more than chance (Holm)")


def worked(what: str, cluster: str | None, work: Callable[[Farm, Callable[[float], None]], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Done on the cores here or on the cluster, with progress. Failure in words."""
    from gateway.jobs.farm import farm
    from gateway.work import JobFailed

    async def go() -> dict[str, Any]:
        with bands.Progress(what) as progress:
            async with farm(cluster) as place:
                return await work(place, progress)

    try:
        return asyncio.run(go())
    except JobFailed as fault:
        raise Failure(WRONG if fault.reason == "refused" else FAILED, fault.why) from None


def _check(replications: int, confidence: float, method: str) -> None:
    from gateway.jobs.replications import MOST

    if replications > MOST:
        raise Failure(WRONG, f"--replications {replications}: at most {MOST}")
    if not 0 < confidence < 1:
        raise Failure(WRONG, f"--confidence {confidence:g}: it lies between 0 and 1, as 0.95")
    if method not in METHODS:
        raise Failure(WRONG, f"there is no method {method!r}", ", ".join(METHODS))


def _method(text: str) -> Any:
    return text


def _figures(given: Sequence[str], lines: Sequence[Line]) -> list[str]:
    """Those that are figures of every line. Failure names the others."""
    from difflib import get_close_matches

    from gateway.simulation.line.figures import figure_names

    known = [name for name in figure_names(lines[0]) if all(name in figure_names(line) for line in lines[1:])]
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 3, 0.4)
            raise Failure(WRONG, f"there is no figure {name!r}", f"did you mean {', '.join(close)}?" if close else f"as {known[0]}")
    return list(given)


def _target(text: str, line: Line) -> Target:
    from gateway.jobs.replications import Target

    figure, equals, width = text.partition("=")
    try:
        value = float(width.removesuffix("%")) / (100 if width.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not equals or not (math.isfinite(value) and value > 0):
        raise Failure(WRONG, f"--target {text}: write FIGURE=WIDTH with a width above 0, as oee.oee=0.005 or oee.oee=1%")
    return Target(_figures([figure], [line])[0], value, width.endswith("%"))


def _met(interval: Mapping[str, Any] | None, goal: Target) -> bool:
    if interval is None or interval["half_width"] is None:
        return False
    return bool(interval["half_width"] <= goal.half_width * (abs(interval["mean"]) if goal.relative else 1.0))


def _vary(text: str) -> Vary:
    """PATH=1,2,3 or PATH=LOW..HIGH; whole numbers where both ends are written so."""
    from gateway.simulation.line.sweep import Vary

    path, equals, values = text.partition("=")
    if not equals or not path or not values:
        raise Failure(WRONG, f"--vary {text}: write PATH=1,2,3 or PATH=LOW..HIGH")
    low, dots, high = values.partition("..")
    if not dots:
        return Vary(path, tuple(value.strip() for value in values.split(",")))
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = math.nan, math.nan
    if not ends[0] < ends[1] or not math.isfinite(ends[1] - ends[0]):
        raise Failure(WRONG, f"--vary {text}: a range goes from a number up to a greater one, as {path}=1..5")
    return Vary(path, (), *ends, whole=low.strip().lstrip("-").isdigit() and high.strip().lstrip("-").isdigit())


def _written(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _head(line: Line, found: Figures) -> dict[str, Any]:
    return {"line": line.name, "scenario": line.scenario, "seed": line.seed, "method": found.method, "why": found.why}


def _by(report: Mapping[str, Any]) -> str:
    if report["method"] == "recursion":
        return "recursion over the parts"
    return "discrete events" + (f" (no recursion: {report['why']})" if report["why"] else "")


def _cells(interval: Mapping[str, Any] | None) -> tuple[str, ...]:
    if interval is None:
        return ("-",) * 5
    return tuple(_number(interval[word]) for word in ("mean", "half_width", "low", "high", "sd"))


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign},.5g}" if abs(value) < 1e5 else f"{value:{sign},.0f}"


def _warm_up(found: Series, column: str) -> dict[str, Any]:
    """Where MSER-5 truncates, and what Welch's plot shows."""
    from gateway.simulation.line.warmup import mser, welch

    runs, intervals = found.rows.shape
    try:
        truncation, plot = mser(found.rows), welch(found.rows, intervals // 10)
    except ValueError as error:
        raise Failure(WRONG, f"--warm-up: {error}", "a longer --duration, or a shorter telemetry_interval of the run") from None
    return {
        "column": column,
        "replications": runs,
        "interval_s": found.interval_s,
        "warm_up_s": truncation.delete * found.interval_s,
        "found": truncation.found,
        "mser": truncation.curve.tolist(),
        "welch": {"window": plot.window, "mean": plot.mean.tolist(), "smooth": plot.smooth.tolist()},
    }


def _tell_sensitivity(found: Mapping[str, Any]) -> None:
    show.line()
    show.table(
        (f"{found['faster_by']:.0%} faster", "more per hour", "+-", "elasticity", ""),
        (
            (
                row["machine"],
                _number(row["gain_per_hour"]["mean"], "+"),
                _number(row["gain_per_hour"]["half_width"]),
                _number(row["elasticity"]),
                "*" if row["significant"] else "",
            )
            for row in found["machines"]
        ),
        right=range(1, 4),
    )
    show.line(f"bottleneck: {found['bottleneck'] or 'none that is more than chance'}")
