"""The jobs `simulate` and `compare`: what-ifs over the models of a site."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gateway.jobs.table import Impossible
from gateway.model.process import ProcessModel
from gateway.simulation.branch import compared
from gateway.simulation.ensemble import chance
from gateway.simulation.process.model import Array, ModelError
from gateway.simulation.sensitivity import Sensitivity, sensitivities
from gateway.simulation.tied import held, tied, varied
from gateway.simulation.trajectories import Trajectories
from gateway.simulation.whatif import POINTS, Ask, Limit, difference, document, run, situation, spread_of, unmet, verdict
from gateway.work import Column, Progress

SENSITIVITY_POINTS: Final = 256
_Z: Final = 1.959964  # of a 95 % interval
Found = tuple[dict[str, Any], dict[str, Column]]


def simulate(args: Mapping[str, Any], arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress) -> Found:
    """One ensemble. args: models, start, limits, asks (one), points, whole, delta, sensitivity, risk, driven and measured.

    With whole also time_s and y (runs, steps+1, outputs); with delta also what its changes make of the plant as it is; with sensitivity
    (names of outputs) also Sobol's indices. driven and measured name the rows of the arrays `driven` (steps) and `measured` (steps+1):
    inputs as they were, and outputs to compare with.
    """
    ask, points = args["asks"][0], args.get("points", POINTS)
    changed = bool(args.get("delta") and (ask["parameters"] or ask["varied"]))
    plain = ask | {"parameters": {}, "varied": {}}
    found, *base = _ensembles({**args, "asks": [ask, plain] if changed else [ask]}, arrays, generator, progress)
    said = document(found, _limits(args), points) | ({"delta": difference(found, base[0], points)} if changed else {})
    said["warnings"] += unmet(found, Ask(**ask))
    if "measured" in args:
        measured = {name: np.asarray(path, np.float64) for name, path in zip(args["measured"], arrays["measured"], strict=True)}
        said["measured"] = compared(found, measured, points)
        if changed:
            as_it_was = compared(base[0], measured, points)
            said["as_it_was"] = {name: {key: row[key] for key in ("rmse", "inside", "left", "left_s")} for name, row in as_it_was.items()}
    if "risk" in args:
        said["verdict"] = verdict(said, args["risk"])
    if args.get("sensitivity"):
        said["sensitivity"] = sensitivity({**args, "outputs": args["sensitivity"]}, arrays, generator, progress)[0]["outputs"]
    return said, {"time_s": found.time_s, "y": found.y} if args.get("whole") else {}


def compare(args: Mapping[str, Any], arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress) -> Found:
    """Ensembles under the same chance. The first is the base of all differences; args: as simulate, and names of the asks."""
    ensembles, points = _ensembles(args, arrays, generator, progress), args.get("points", POINTS)
    names = args["names"]
    parts = {name: document(found, _limits(args), points) for name, found in zip(names, ensembles, strict=True)}
    differences = {name: difference(found, ensembles[0], points) for name, found in zip(names[1:], ensembles[1:], strict=True)}
    partial = next((part["partial"] for part in parts.values() if part["partial"]), "")
    return {"base": names[0], "scenarios": parts, "differences": differences, "partial": partial}, {}


def sensitivity(args: Mapping[str, Any], arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress) -> Found:
    """Sobol's indices of each output of args["outputs"] at the horizon: which parameter its spread comes from. args: as simulate, points.

    points is a power of two, 256 unless said otherwise.
    """
    rules, ask = [ProcessModel(**rule) for rule in args["models"]], Ask(**args["asks"][0])
    try:
        model, start = tied(rules), held(rules) | args["start"]
        spread = spread_of(model, ask, varied(rules))
        fixed, x0, u = situation(model, start, ask, spread, _driven(args, arrays))
        ready = model.with_parameters({name: value for name, value in fixed.items() if name in model.parameters})
        x0 |= {name: value for name, value in fixed.items() if name not in model.parameters}
        found = sensitivities(
            ready, x0, {name: path for name, path in u.items() if name not in fixed}, ask.step_s, ask.steps, spread, args["outputs"],
            generator, points=args.get("sensitivity_points", SENSITIVITY_POINTS), progress=_told(progress, 0, 1),
        )  # fmt: skip
    except ModelError as fault:
        raise Impossible(f"sensitivity: {fault}") from None
    return {"outputs": {output: _indices(one) for output, one in found.items()}}, {}


def _indices(one: Sensitivity) -> dict[str, Any]:
    """With the half-widths of 95 % intervals."""
    columns = (one.first, one.first_error * _Z, one.total, one.total_error * _Z)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    words = ("first", "first_half_width", "total", "total_half_width")
    return {
        "variance": one.variance,
        "parameters": {name: dict(zip(words, row, strict=True)) for name, row in zip(one.names, rows, strict=True)},
    }


def _ensembles(
    args: Mapping[str, Any], arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress
) -> list[Trajectories]:
    """One for each ask, each with the same chance, and as many runs as the first of them needed."""
    rules = [ProcessModel(**rule) for rule in args["models"]]
    asks = [Ask(**ask) for ask in args["asks"]]
    seed, blocked = int(generator.integers(2**63)), bool(asks[0].half_width)
    found = list[Trajectories]()
    try:
        model, spread, start = tied(rules), varied(rules), held(rules) | args["start"]
        for place, one in enumerate(asks):
            ask = replace(one, half_width={}, runs=found[0].runs) if found and blocked else one
            told, driven = _told(progress, place, len(asks)), _driven(args, arrays)
            found.append(run(model, start, ask, spread, chance(seed), told, measured="measured" in args, driven=driven, blocked=blocked))
    except ModelError as fault:
        raise Impossible(str(fault)) from None
    return found


def _driven(args: Mapping[str, Any], arrays: Mapping[str, Column]) -> dict[str, Array]:
    return {name: np.asarray(path, np.float64) for name, path in zip(args.get("driven", ()), arrays.get("driven", ()), strict=True)}


def _told(progress: Progress, place: int, of: int) -> Any:
    def tell(step: int, steps: int) -> bool:
        progress((place + step / max(steps, 1)) / of)
        return True

    return tell


def _limits(args: Mapping[str, Any]) -> list[Limit]:
    return [Limit(**one) for one in args["limits"]]
