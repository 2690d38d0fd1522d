"""Parameters of a model from measured data: in the running gateway from its history, or here from an exported file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import asking, bands, daemon, offline, places, show, simulate
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.model.process import ProcessModel
    from gateway.model.tag import TagTable
    from gateway.work import Column

_KINDS: Final = ("first_order", "first_order_dead_time", "second_order", "second_order_dead_time", "ornstein_uhlenbeck", "arx")
_OUTPUTS: Final = {"ornstein_uhlenbeck": "y"}


def calibrate(
    which: Annotated[str, typer.Argument(metavar="TAG", help="The tag that a model gives, or the model's name.", show_default=False)],
    window: Annotated[str | None, typer.Option("--window", help="How much of the newest data: 90min, 24h.", show_default="24h")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Exported samples (.csv, .parquet) instead of a running gateway.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="With --file: the configuration with the model.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help=f"With --file, without --config: {', '.join(_KINDS)}.")] = None,
    source: Annotated[str | None, typer.Option("--input", metavar="TAG", help="With --kind: the tag that drives it.")] = None,
    parameters: Annotated[list[str] | None, typer.Option("--parameter", help="Only this one is sought; repeatable.")] = None,
    step: Annotated[str | None, typer.Option("--step", help="Step of the grid.", show_default="as sampled")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Put it in force, unless it is worse on held-out data.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Picture of measured and model: .png or .svg.")] = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate a model: its parameters with 95 % intervals, and how well it fits data that it has not seen."""
    bands.check(None, plot)
    window_s = None if window is None else asking.length("--window", window)
    if window_s is not None and window_s <= 0:
        raise Failure(WRONG, f"--window {window}: is no time: write 90min, 24h")
    step_s = None if step is None else asking.length("--step", step)
    if file is None:
        if config is not None or kind is not None or source is not None:
            raise Failure(WRONG, "--config, --kind and --input go with --file: a running gateway knows its models")
        report = _running(url, name, which, {"window_s": window_s, "step_s": step_s, "parameters": parameters, "apply": apply or None})
    else:
        if apply:
            raise Failure(WRONG, "--apply goes with a running gateway: a file changes nothing")
        report = _from_file(file, _model(which, config, kind, source, file), window_s, step_s, parameters or [])
    if plot is not None:
        _plot(report, plot)
    if as_json:
        show.document(report)
    else:
        told(report)


def _running(url: str | None, name: str | None, which: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    gateway = daemon.find(url, name)
    models = {row["name"] for row in gateway.get("/tags", limit=10_000)["tags"]}
    args = {"tag" if which in models else "model": which, **{key: value for key, value in asked.items() if value is not None}}
    done = places.place(url, name, None).run("calibration.run", args)
    if done["state"] != "done":
        raise Failure(FAILED, f"{which} is not calibrated: {done['why']}")
    return dict(done["results"])


def _model(which: str, config: Path | None, kind: str | None, source: str | None, file: Path) -> ProcessModel:
    """Of the configuration, else of the kind that was named."""
    from gateway.model.process import ProcessModel

    if config is not None:
        site = offline.site_of(config)
        found = next((model for model in site.models if which == model.name or which in model.outputs.values()), None)
        if found is None:
            known = ", ".join(model.name for model in site.models) or "none"
            raise Failure(WRONG, f"no model of {config} is named {which} or gives that tag; there are {known}")
        return found
    chosen = kind or "first_order_dead_time"
    if chosen not in _KINDS:
        raise Failure(WRONG, f"--kind {chosen}: there are {', '.join(_KINDS)}")
    if source is None and chosen not in _OUTPUTS:
        raise Failure(WRONG, f"{file}: what drives {which}?", "name the tag with --input, or the configuration with --config")
    inputs: dict[str, str | float] = {} if chosen in _OUTPUTS or source is None else {"u": source}
    return ProcessModel(which, chosen, {"y": which}, inputs)


def _from_file(file: Path, model: ProcessModel, window_s: float | None, step_s: float | None, parameters: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    from gateway.model.tag import Tag, TagTable
    from gateway.operations.calibrations import WINDOW_S

    names = list(dict.fromkeys([*model.outputs.values(), *(tag for tag in model.inputs.values() if isinstance(tag, str))]))
    columns = _columns(file, TagTable.of([Tag(place, name) for place, name in enumerate(names)]), names)
    end_ns = max(int(columns[name][0][-1]) for name in names) + 1
    start_ns = end_ns - round((window_s or WINDOW_S) * 1e9)
    arrays: dict[str, Column] = {}
    found = hashlib.sha256()
    for k, name in enumerate(names):
        for word, column in zip(("time_s", "value", "status"), columns[name], strict=True):
            arrays[f"{word}/{k}"] = (column - start_ns) / 1e9 if word == "time_s" else column
            found.update(arrays[f"{word}/{k}"].tobytes())
    args = {"model": asdict(model), "tags": names, "start_s": 0.0, "end_s": (end_ns - start_ns) / 1e9}
    report = simulate.work("calibrate", {**args, "parameters": parameters, "step_s": step_s}, 0, arrays)
    return {**report, "data_hash": found.hexdigest()}


def _columns(file: Path, tags: TagTable, names: list[str]) -> dict[str, tuple[Any, Any, Any]]:
    """(source_ns, value, status) of each tag. Failure names the one that is not in the file."""
    import numpy as np

    from gateway.store.exchange import batches

    try:
        found = [batch for _, batch in batches(file, tags)]
    except OSError as error:
        raise Failure(WRONG, f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(WRONG, str(error)) from None
    columns = {}
    whole = [np.concatenate([np.zeros(0), *(getattr(one, part) for one in found)]) for part in ("tag_id", "source_ns", "value", "status")]
    source_ns = np.concatenate([np.zeros(0, np.int64), *(one.source_ns for one in found)])
    for place, name in enumerate(names):
        rows = whole[0] == place
        if not rows.any():
            raise Failure(
                WRONG, f"{file}: has no samples of {name}", "it takes the columns timestamp, tag and value, or one column for each tag"
            )
        columns[name] = source_ns[rows], whole[2][rows], whole[3][rows].astype(np.uint32)
    return columns


def told(report: Mapping[str, Any]) -> None:
    """A calibration as a person reads it."""
    for warning in report["warnings"]:
        show.note(f"warning: {warning}")
    rows = (
        (one["name"], f"{one['value']:.5g}", f"{one['low']:.5g}", f"{one['high']:.5g}", f"{one['before']:.5g}")
        for one in report["parameters"]
    )
    show.table(("parameter", "value", "95 % from", "to", "before"), rows, right=(1, 2, 3, 4))
    white = report["whiteness"]
    show.line(
        f"{report['model']} ({report['kind']}) by {report['method']} from {report['samples']} samples, steps of {report['step_s']:g} s"
    )
    show.line(f"fit {report['fit']:.1f} %, of held-out data {report['held_out']['fit']:.1f} %, before {report['before']['fit']:.1f} %")
    show.line(f"residuals {'white' if white['white'] else 'not white'} (Ljung-Box p {white['p']:.2g} over {white['lags']} lags)")
    if report["tuning"]:
        settings = ", ".join(f"{name} {value:.4g}" for name, value in report["tuning"].items())
        show.line(f"a PI controller by SIMC: {settings}")
    if "version" in report:
        state = "is in force" if report["applied"] else "is kept, and not in force"
        why = report["why"] or ("" if report["applied"] else "--apply puts one in force that is no worse on held-out data")
        show.line(f"version {report['version']} {state}" + (f": {why}" if why else ""))


def _plot(report: Mapping[str, Any], plot: Path) -> None:
    """Measured and model over time; the held-out part is shaded."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    drawn = report["plot"]
    if not drawn:
        raise Failure(FAILED, f"a {report['kind']} has no simulated path to draw")
    rcParams["svg.hashsalt"] = "edgetwin"  # the same data draw the same file
    figure = Figure(figsize=(9, 4), layout="constrained")
    frame, at = figure.subplots(), drawn["time_s"]
    frame.plot(at, drawn["measured"], ".", markersize=2, label="measured")
    frame.plot(at, drawn["model"], label="model")
    low, high = min(drawn["measured"]), max(drawn["measured"])
    frame.fill_between(at, low, high, where=[value > 0 for value in drawn["held_out"]], alpha=0.1, label="held out")
    frame.set_title(report["model"], loc="left", fontsize=10)
    frame.set_xlabel("time (s)")
    frame.legend(loc="best", fontsize=8)
    frame.grid(alpha=0.3)
    try:
        figure.savefig(plot, metadata={"Date": None} if plot.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise Failure(FAILED, f"{plot}: {error.strerror}") from None
    show.note(f"{plot} is written")
