"""What simulations say, for a person: tables, files, pictures, and how far they are."""

from __future__ import annotations

import csv
import json
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Self

from gateway.cli import show
from gateway.cli.failure import FAILED, WRONG, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

AFTER_S: Final = 2.0  # before that nobody waits
SHOWN: Final = 5  # instants of a table
_FILES: Final = frozenset({".csv", ".parquet", ".json"})
_PICTURES: Final = frozenset({".png", ".svg"})
_COLUMNS: Final = ("mean", "half_width", "sd", "p05", "p50", "p95")
_TENTHS: Final = 10


class Progress:
    """A bar on a terminal, lines where output is piped, and nothing for what is done within two seconds."""

    def __init__(self, what: str) -> None:
        self._what, self._began_s, self._tenth = what, time.monotonic(), 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, share: float) -> None:
        """So much is done."""
        if time.monotonic() - self._began_s < AFTER_S:
            return
        if not sys.stderr.isatty():
            if int(share * _TENTHS) > self._tenth:
                self._tenth = int(share * _TENTHS)
                show.note(f"{self._what}: {self._tenth * _TENTHS} %")
            return
        if self._bar is None:
            import rich.progress
            from rich.console import Console

            self._bar = rich.progress.Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._what, total=1.0)
            self._bar.start()
        self._bar.update(self._task, completed=share)


def check(out: Path | None, plot: Path | None) -> None:
    """Failure for an ending that is none and for a picture that cannot be drawn here, before anything is worked out."""
    for path, endings in ((out, _FILES), (plot, _PICTURES)):
        if path is not None and path.suffix.lower() not in endings:
            raise Failure(WRONG, f"{path}: end the name in {' or '.join(sorted(endings))}")
    if plot is not None and find_spec("matplotlib") is None:
        raise Failure(WRONG, "--plot needs matplotlib, which is not installed here: `pip install matplotlib`")


def told(report: Mapping[str, Any], units: Mapping[str, str]) -> None:
    """Bands at a few instants, then the limits. Names of the models' own stand in files alone."""
    times, outputs = report["time_s"], {name: one for name, one in report["outputs"].items() if name in units}
    at = sorted({round(k * (len(times) - 1) / (SHOWN - 1)) for k in range(SHOWN)})
    head = ("tag", "unit", *(show.age(times[k]) for k in at))
    show.table(head, ((name, units[name], *(_band(one, k) for k in at)) for name, one in outputs.items()), right=range(2, 2 + len(at)))
    show.line(
        f"p50 (p05 to p95) of {report['runs']} runs of {report['steps']} steps" + (f", seed {report['seed']}" if "seed" in report else "")
    )
    if report["limits"]:
        show.line()
        limits(report["limits"])
    if "measured" in report:
        show.line()
        _measured(report, units)
    for name, one in report.get("sensitivity", {}).items():
        show.line()
        _sensitivity(name, one)


def _measured(report: Mapping[str, Any], units: Mapping[str, str]) -> None:
    """The run beside what was measured, and how well the models follow it where nothing is changed."""
    rows = []
    for name, one in report["measured"].items():
        was = report.get("as_it_was", {}).get(name)
        rows.append((
            name, units.get(name, ""), _figure(one["measured"][-1]), _band(report["outputs"][name], -1), _figure(one["error"][-1]),
            _figure(one["rmse"]), "-" if one["inside"] is None else f"{one['inside']:.0%}", show.age(one["left_s"]),
            "-" if was is None or was["inside"] is None else f"{was['inside']:.0%}",
        ))  # fmt: skip
    head = ("tag", "unit", "measured", "simulated", "error", "rmse", "in band", "left after", "in band without change")
    show.table(head, rows, right=range(2, len(head)))
    show.line(f"from {report['asked']['at']} on; error is measured minus p50, at the end" if "asked" in report else "")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _sensitivity(name: str, one: Mapping[str, Any]) -> None:
    """Sobol's indices of one output, the largest first."""
    rows = sorted(one["parameters"].items(), key=lambda pair: -pair[1]["total"])
    shares = (
        (parameter, f"{row['first']:.3f} +- {row['first_half_width']:.3f}", f"{row['total']:.3f} +- {row['total_half_width']:.3f}")
        for parameter, row in rows
    )
    show.table((f"{name} comes from", "S1", "ST"), shares, right=(1, 2))


def _band(one: Mapping[str, Any], k: int) -> str:
    low, middle, high = (f"{one[word][k]:.4g}" for word in ("p05", "p50", "p95"))
    return middle if low == middle == high else f"{middle} ({low} to {high})"


def limits(rows: list[dict[str, Any]]) -> None:
    """How likely each limit is reached, and when."""
    show.table(
        ("limit", "at", "reached", "95 %", "after, p50"),
        (
            (
                f"{row['tag']} {row['limit']}",
                f"{row['threshold']:g}",
                f"{row['probability']:.1%}",
                f"{row['low']:.1%} to {row['high']:.1%}",
                show.age(row["time_s"]["p50"]),
            )
            for row in rows
        ),
        right=(1, 2, 3, 4),
    )


def differences(report: Mapping[str, Any], units: Mapping[str, str]) -> None:
    """What each scenario changes against the base, at the end, with its interval; one that does not hold 0 has a mark."""
    rows = []
    for name, one in report["differences"].items():
        for tag, found in one["outputs"].items():
            if tag in units:
                mean, half = found["mean"][-1], found["half_width"][-1]
                sure = half is not None and abs(mean) > half
                rows.append((name, tag, units[tag], f"{mean:+.4g}", "-" if half is None else f"{half:.2g}", "*" if sure else ""))
    horizon = next(iter(report["scenarios"].values()))["time_s"][-1]
    show.table(("scenario", "tag", "unit", f"minus {report['base']}", "+-", ""), rows, right=(3, 4))
    show.line(f"after {show.age(horizon)}, 95 % intervals of paired runs; * is more than chance")
    for name, one in report["scenarios"].items():
        if one["limits"]:
            show.line()
            show.line(f"{name}:")
            limits(one["limits"])


def write(report: Mapping[str, Any], units: Mapping[str, str], out: Path | None, plot: Path | None) -> None:
    """The files that were asked for. Failure where they cannot be written."""
    try:
        if out is not None:
            {".csv": _csv, ".parquet": _parquet, ".json": _json}[out.suffix.lower()](report, out)
            show.note(f"{out} is written")
        if plot is not None:
            _plot({"": report}, units, plot)
            show.note(f"{plot} is written")
    except OSError as error:
        raise Failure(FAILED, f"{error.filename or out or plot}: {error.strerror}") from None


def plot_compared(report: Mapping[str, Any], units: Mapping[str, str], plot: Path) -> None:
    """All scenarios of a comparison in one picture."""
    try:
        _plot(report["scenarios"], units, plot)
    except OSError as error:
        raise Failure(FAILED, f"{plot}: {error.strerror}") from None
    show.note(f"{plot} is written")


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for name, one in report["outputs"].items():
        for k, time_s in enumerate(report["time_s"]):
            yield (time_s, name, *(one[column][k] for column in _COLUMNS))


def _csv(report: Mapping[str, Any], out: Path) -> None:
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("time_s", "tag", *_COLUMNS))
        writer.writerows(_rows(report))


def _parquet(report: Mapping[str, Any], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*_rows(report), strict=True))
    pq.write_table(pa.table(dict(zip(("time_s", "tag", *_COLUMNS), columns, strict=True))), out)


def _json(report: Mapping[str, Any], out: Path) -> None:
    out.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _plot(reports: Mapping[str, Mapping[str, Any]], units: Mapping[str, str], plot: Path) -> None:
    """One frame per tag: the median, the band from p05 to p95, and the limits as dashed lines."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "edgetwin"  # the same run draws the same file
    first = next(iter(reports.values()))
    tags = [name for name in first["outputs"] if name in units]
    figure = Figure(figsize=(9, 1 + 2.6 * len(tags)), layout="constrained")
    frames = figure.subplots(len(tags), 1, sharex=True, squeeze=False)
    scale, word = next((size, unit) for size, unit in ((3600, "h"), (60, "min"), (1, "s")) if first["time_s"][-1] >= 2 * size or size == 1)
    for frame, tag in zip(frames[:, 0], tags, strict=True):
        for name, report in reports.items():
            at, one = [time_s / scale for time_s in report["time_s"]], report["outputs"][tag]
            (line,) = frame.plot(at, one["p50"], label=name or "median")
            frame.fill_between(
                at, one["p05"], one["p95"], color=line.get_color(), alpha=0.2, linewidth=0, label=None if name else "5 to 95 %"
            )
            if tag in report.get("measured", {}):
                real = [float("nan") if value is None else value for value in report["measured"][tag]["measured"]]
                frame.plot(at, real, color="black", linewidth=1, label="measured")
        for limit in (row for row in first["limits"] if row["tag"] == tag):
            frame.axhline(limit["threshold"], color="firebrick", linestyle="--", linewidth=1)
            frame.annotate(limit["limit"], (1, limit["threshold"]), xycoords=("axes fraction", "data"), color="firebrick", fontsize=8)
        frame.set_ylabel(units[tag])
        frame.set_title(tag, loc="left", fontsize=10)
        frame.grid(alpha=0.3)
    frames[0, 0].legend(loc="best", fontsize=8)
    began = first.get("asked", {}).get("at")
    frames[-1, 0].set_xlabel(f"time from {began} on ({word})" if began else f"time ahead ({word})")
    metadata = {"Date": None} if plot.suffix.lower() == ".svg" else None
    figure.savefig(plot, metadata=metadata)
