"""Pictures of a run: what each machine did and when, where the time went, and how full the buffers were."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateway.line.atomic import Write
from gateway.model.line import MachineState
from gateway.simulation.line.oee import LOSSES, losses
from gateway.simulation.line.run import LineResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS: Final[Mapping[MachineState, str]] = {
    MachineState.EXECUTE: "#2e7d4f",
    MachineState.STARVED: "#a9cbe8",
    MachineState.BLOCKED: "#4a7fb5",
    MachineState.JAMMED: "#f0b23c",
    MachineState.DOWN: "#c0392b",
    MachineState.CHANGEOVER: "#8e6bb0",
    MachineState.MAINTENANCE: "#6d5a4b",
    MachineState.BREAK: "#d0d0d0",
    MachineState.IDLE: "#e8e8e8",
}
"""What makes parts is green, what waits is blue, what fails is warm, what is planned is grey."""
COLUMNS: Final = 1600
"""Of the Gantt chart: where more states change within one, their shares stand above each other."""


def plots(result: LineResult, kind: str) -> dict[str, Write]:
    """Each picture by its name; kind: png or svg. The same run draws the same file."""
    made: dict[str, Callable[[LineResult], Figure]] = {"gantt": _gantt, "oee": _oee, "buffers": _buffers}
    return {name: _saved(draw, result, kind) for name, draw in made.items()}


def _saved(draw: "Callable[[LineResult], Figure]", result: LineResult, kind: str) -> Write:
    def write(path: Path) -> None:
        from matplotlib import rcParams

        rcParams["svg.hashsalt"] = "edgetwin"
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        draw(result).savefig(path, format=kind, dpi=120, metadata=metadata)

    return write


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _hours(result: LineResult) -> tuple[float, str]:
    """Seconds in the unit of the time axis, and its name."""
    duration = result.line.duration_s
    return next(
        (size, unit) for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")) if duration >= 2 * size or size == 1
    )


def _title(frame: "Axes", text: str, result: LineResult) -> None:
    frame.set_title(f"{result.line.name}: {text}", loc="left", fontsize=11)
    frame.set_title(f"scenario {result.line.scenario}, seed {result.seed}", loc="right", fontsize=8, color="dimgray")


# --- Gantt ----------------------------------------------------------------------------------------------------------------------------


def _gantt(result: LineResult) -> "Figure":
    """A bar per machine: the share of each state in each column of time."""
    events, duration = result.events, result.line.duration_s
    names = list(dict.fromkeys(events["machine"]))
    edges = np.linspace(0.0, duration, COLUMNS + 1)
    size, unit = _hours(result)
    figure = _figure(11, 1.3 + 0.55 * len(names))
    frame = figure.subplots()
    shown = set[MachineState]()
    for row, name in enumerate(names):
        shares = machine_shares(events, name, edges)
        bottom = np.full(COLUMNS, row - 0.4)
        for state, share in shares.items():
            if share.any():
                shown.add(state)
                frame.fill_between(
                    edges / size, _steps(bottom), _steps(bottom + 0.8 * share), step="post", color=COLORS[state], linewidth=0
                )
                bottom = bottom + 0.8 * share
    frame.set_yticks(range(len(names)), names)
    frame.set_ylim(len(names) - 0.5, -0.5)
    frame.set_xlim(0, duration / size)
    frame.set_xlabel(f"time ({unit})")
    _title(frame, "states of the machines", result)
    _legend(figure, [(state.value.lower(), COLORS[state]) for state in COLORS if state in shown])
    return figure


def machine_shares(events: Mapping[str, Sequence[Any]], machine: str, edges: np.ndarray) -> dict[MachineState, np.ndarray]:
    """Of one machine: state -> its share of each column between two edges (n,), in the order of COLORS; they sum to 1."""
    rows = [row for row, name in enumerate(events["machine"]) if name == machine]
    at = np.array([events["timestamp"][row] for row in rows])
    states = [events["state"][row] for row in rows[:-1]]
    spans = np.diff(at)
    found = {}
    for state in COLORS:
        own = np.array([word == state.value for word in states])
        spent = np.concatenate([[0.0], np.cumsum(np.where(own, spans, 0.0))])
        found[state] = np.diff(np.interp(edges, at, spent)) / np.diff(edges)
    return found


def _steps(values: np.ndarray) -> np.ndarray:
    return np.append(values, values[-1])


def _legend(figure: "Figure", entries: Sequence[tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=word) for word, color in entries]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 9), fontsize=8, frameon=False)


# --- OEE ------------------------------------------------------------------------------------------------------------------------------


def _oee(result: LineResult) -> "Figure":
    """A stacked bar per machine: from its planned busy time to OEE."""
    colors = dict(zip(LOSSES, ("#2e7d4f", "#6b3fa0", "#c9c36a", "#a9cbe8", "#4a7fb5", "#f0b23c", "#8e6bb0", "#c0392b"), strict=True))
    machines = result.summary["machines"]
    figure = _figure(9, 1.6 + 0.55 * len(machines))
    frame = figure.subplots()
    shown = set[str]()
    for row, machine in enumerate(machines.values()):
        left = 0.0
        for word, share in losses(machine).items():
            if share > 0.002:
                shown.add(word)
                frame.barh(row, share, left=left, color=colors[word], height=0.7)
                if share >= 0.03:
                    dark = word in {"good", "blocked", "down", "rejects", "changeover"}
                    frame.text(
                        left + share / 2, row, f"{share:.1%}", ha="center", va="center", fontsize=8, color="white" if dark else "black"
                    )
                left += share
    frame.set_yticks(range(len(machines)), list(machines))
    frame.set_ylim(len(machines) - 0.5, -0.5)
    frame.set_xlim(0, 1)
    frame.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    frame.set_xlabel("share of planned busy time; the green part is OEE")
    line = result.summary["oee"]["oee"]
    _title(frame, "OEE and losses" + ("" if line is None else f", line {line:.1%}"), result)
    _legend(figure, [(word, color) for word, color in colors.items() if word in shown])
    return figure


# --- buffers --------------------------------------------------------------------------------------------------------------------------


def _buffers(result: LineResult) -> "Figure":
    """A frame per buffer with a capacity or parts in it: its level at the end of each interval, and its capacity."""
    telemetry, (size, unit) = result.telemetry, _hours(result)
    edges = [edge for edge in result.line.edges if f"buffer_{edge.origin}_{edge.target}" in telemetry]
    levels = {(edge.origin, edge.target): telemetry[f"buffer_{edge.origin}_{edge.target}"] for edge in edges}
    edges = [edge for edge in edges if edge.capacity or any(levels[edge.origin, edge.target])]
    figure = _figure(10, 1.2 + 1.35 * max(len(edges), 1))
    frames = figure.subplots(max(len(edges), 1), 1, sharex=True, squeeze=False)[:, 0]
    at = [time_s / size for time_s in telemetry["time"]]
    for frame, edge in zip(frames, edges, strict=False):
        own = levels[edge.origin, edge.target]
        frame.fill_between(at, own, step="post", color="#4a7fb5", alpha=0.35, linewidth=0)
        frame.step(at, own, where="post", color="#4a7fb5", linewidth=1.2)
        if edge.capacity is not None:
            frame.axhline(edge.capacity, color="firebrick", linestyle="--", linewidth=1)
            frame.annotate(
                f" {edge.capacity}", (1, edge.capacity), xycoords=("axes fraction", "data"), color="firebrick", fontsize=8, va="center"
            )
        frame.set_ylim(0, 1.12 * max(edge.capacity or 1, *own))
        frame.set_ylabel("parts", fontsize=8)
        frame.set_title(f"{edge.origin} to {edge.target}", loc="left", fontsize=9)
        frame.grid(alpha=0.3)
    frames[-1].set_xlabel(f"time ({unit})")
    frames[-1].set_xlim(0, result.line.duration_s / size)
    figure.suptitle(f"{result.line.name}: buffers at the end of each interval, and their capacity (dashed)", fontsize=11, x=0.01, ha="left")
    return figure
