"""What a run says of itself, as a tree of values: what the nodes below `s=Simulation/Runs/<id>` are made of. Pure.

State, Progress, Kind, Scenario, Setpoints, User, Started, Seconds, Seed, Horizon, Step, Runs, Steps, Why, Partial, Warnings
Times                                                DateTime[n]: the instants of the arrays below
Outputs/<tag>/{P05,P50,P95,Mean}                     Double[n]
Outputs/<tag>/{Delta,DeltaHalfWidth}                 Double[n]: what the changes make of the plant as it is, run by run under the same
                                                     chance: the mean, and half of its 95 % interval
Limits/<tag>/<LIMIT>/{Threshold,Probability,ProbabilityLow,ProbabilityHigh}  Double; low to high is the 95 % interval
Limits/<tag>/<LIMIT>/{TimeEarly,TimeToLimit,TimeLate}   Double, seconds: reached in 5, 50, 95 % of the runs; NaN = not within the horizon
Scenarios/<name>/...                                 of a comparison: the same of each; Delta is to the first
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.process import Run
from gateway.wire.opcua.face import Builtin, Content

NAN: Final = float("nan")
_BANDS: Final = {"P05": "p05", "P50": "p50", "P95": "p95", "Mean": "mean"}
_CHANCES: Final = {"Threshold": "threshold", "Probability": "probability", "ProbabilityLow": "low", "ProbabilityHigh": "high"}
_TIMES: Final = {"TimeEarly": "p05", "TimeToLimit": "p50", "TimeLate": "p95"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: content() is made when it is read, since arrays are kept as columns."""

    kind: Builtin
    array: bool
    content: Callable[[], Content]


Tree = Mapping[str, "Leaf | Tree"]


def run_tree(run: Run, progress: Callable[[], float]) -> Tree:
    """All that is known of a run. progress: the share that is done."""
    return {**_head(run, progress), **_results(run)}


def _head(run: Run, progress: Callable[[], float]) -> Tree:
    asked, results = run.asked, run.results
    return {
        "State": _text(run.state.value),
        "Progress": Leaf(Builtin.DOUBLE, False, progress),
        "Kind": _text(run.kind),
        "Scenario": _text(", ".join(run.scenarios)),
        "Setpoints": _texts(_setpoints(asked.get("parameters"))),
        "User": _text(run.user),
        "Started": _one(Builtin.DATE_TIME, run.started_ns),
        "Seconds": _one(Builtin.DOUBLE, float(run.seconds)),
        "Seed": _one(Builtin.INT64, int(asked.get("seed") or 0)),
        "Horizon": _number(asked.get("horizon_s")),
        "Step": _number(asked.get("step_s")),
        "Runs": _one(Builtin.UINT32, int(asked.get("runs") or 0)),
        "Steps": _one(Builtin.UINT32, run.steps),
        "Why": _text(run.why),
        "Partial": _text(results.get("partial", "")),
        "Warnings": _texts(results.get("warnings", ())),
    }


def _setpoints(parameters: Any) -> list[str]:
    """Of a comparison each scenario has its own; they stand with the scenarios."""
    return [f"{name}={value:.15g}" for name, value in parameters.items()] if isinstance(parameters, Mapping) else []


def _results(run: Run) -> Tree:
    results = run.results
    if "outputs" in results:
        return _document(results, results.get("delta"), run.started_ns)
    if "scenarios" not in results:
        return {}
    changes, deltas = run.asked.get("parameters"), results.get("differences", {})
    own = dict(zip(run.scenarios, changes, strict=False)) if isinstance(changes, Sequence) else {}
    found = {
        name: {"Setpoints": _texts(_setpoints(own.get(name))), **_document(document, deltas.get(name), run.started_ns)}
        for name, document in results["scenarios"].items()
    }
    return {"Scenarios": found}


def _document(document: Mapping[str, Any], delta: Mapping[str, Any] | None, started_ns: int) -> Tree:
    after = {} if delta is None else delta["outputs"]
    limits: dict[str, dict[str, Tree]] = {}
    for one in document["limits"]:
        limits.setdefault(one["tag"], {})[one["limit"]] = _passage(one)
    return {
        "Times": _instants(started_ns, document["time_s"]),
        "Outputs": {tag: _output(columns, after.get(tag)) for tag, columns in document["outputs"].items()},
        "Limits": limits,
    }


def _output(columns: Mapping[str, Any], delta: Mapping[str, Any] | None) -> Tree:
    found = {name: _column(columns[key]) for name, key in _BANDS.items()}
    if delta is not None:
        found |= {"Delta": _column(delta["mean"]), "DeltaHalfWidth": _column(delta["half_width"])}
    return found


def _passage(one: Mapping[str, Any]) -> Tree:
    chances = {name: _number(one[key]) for name, key in _CHANCES.items()}
    return chances | {name: _number(one["time_s"][key]) for name, key in _TIMES.items()}


def _one(kind: Builtin, content: Content) -> Leaf:
    return Leaf(kind, False, lambda: content)


def _text(text: str) -> Leaf:
    return _one(Builtin.STRING, text)


def _texts(texts: Sequence[str]) -> Leaf:
    held = tuple(texts)
    return Leaf(Builtin.STRING, True, lambda: held)


def _number(value: float | None) -> Leaf:
    return _one(Builtin.DOUBLE, NAN if value is None else float(value))


def _column(values: Sequence[float | None]) -> Leaf:
    column: NDArray[np.float64] = np.array(values, np.float64)  # None is NaN
    return Leaf(Builtin.DOUBLE, True, lambda: tuple(column.tolist()))


def _instants(started_ns: int, time_s: Sequence[float]) -> Leaf:
    column = started_ns + np.round(np.array(time_s, np.float64) * 1e9).astype(np.int64)
    return Leaf(Builtin.DATE_TIME, True, lambda: tuple(column.tolist()))
