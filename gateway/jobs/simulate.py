"""The jobs `simulate` and `compare`: what-ifs over the models of a site."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.jobs.table import Impossible
from gateway.model.process import ProcessModel
from gateway.simulation.process.model import ModelError
from gateway.simulation.sensitivity import sensitivity as of_output
from gateway.simulation.tied import held, tied, varied
from gateway.simulation.trajectories import Trajectories
from gateway.simulation.whatif import POINTS, Ask, Limit, difference, document, run, spread_of
from gateway.work import Column, Progress

Found = tuple[dict[str, Any], dict[str, Column]]


def simulate(args: Mapping[str, Any], _arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress) -> Found:
    """One ensemble. args: models, start, limits, asks (one), points, whole, delta.

    With whole also time_s and y (runs, steps+1, outputs); with delta also what its changes make of the plant as it is.
    """
    ask, points = args["asks"][0], args.get("points", POINTS)
    changed = bool(args.get("delta") and ask["parameters"])
    found, *base = _ensembles({**args, "asks": [ask, ask | {"parameters": {}}]} if changed else args, generator, progress)
    said = document(found, _limits(args), points) | ({"delta": difference(found, base[0], points)} if changed else {})
    return said, {"time_s": found.time_s, "y": found.y} if args.get("whole") else {}


def compare(args: Mapping[str, Any], _arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress) -> Found:
    """Ensembles under the same chance. The first is the base of all differences; args: as simulate, and names of the asks."""
    ensembles, points = _ensembles(args, generator, progress), args.get("points", POINTS)
    names = args["names"]
    parts = {name: document(found, _limits(args), points) for name, found in zip(names, ensembles, strict=True)}
    differences = {name: difference(found, ensembles[0], points) for name, found in zip(names[1:], ensembles[1:], strict=True)}
    partial = next((part["partial"] for part in parts.values() if part["partial"]), "")
    return {"base": names[0], "scenarios": parts, "differences": differences, "partial": partial}, {}


def sensitivity(args: Mapping[str, Any], _arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress) -> Found:
    """Sobol's indices of each output of args["outputs"] at the horizon: which parameter its spread comes from. args: as simulate, points.

    points is a power of two, 256 unless said otherwise.
    """
    rules, ask, found = [ProcessModel(**rule) for rule in args["models"]], Ask(**args["asks"][0]), {}
    try:
        model, start = tied(rules), held(rules) | args["start"]
        spread = spread_of(model, ask, varied(rules))
        fixed = {name: value for name, value in ask.parameters.items() if name not in spread}
        ready = model.with_parameters({name: value for name, value in fixed.items() if name in model.parameters})
        x0 = {name: value for name, value in (start | fixed).items() if name in {*model.inputs, *model.outputs, *model.states}}
        for place, output in enumerate(args["outputs"]):
            one = of_output(ready, x0, {}, ask.step_s, ask.steps, spread, output, generator, points=args.get("points", 256))
            shares = zip(one.first.tolist(), one.total.tolist(), one.first_error.tolist(), one.total_error.tolist(), strict=True)
            rows = [dict(zip(("first", "total", "first_error", "total_error"), row, strict=True)) for row in shares]
            found[output] = {"variance": one.variance, "parameters": dict(zip(one.names, rows, strict=True))}
            progress((place + 1) / len(args["outputs"]))
    except ModelError as fault:
        raise Impossible(str(fault)) from None
    return {"outputs": found}, {}


def _ensembles(args: Mapping[str, Any], generator: np.random.Generator, progress: Progress) -> list[Trajectories]:
    """One for each ask, each with the same chance."""
    rules = [ProcessModel(**rule) for rule in args["models"]]
    asks = [Ask(**ask) for ask in args["asks"]]
    seed = int(generator.integers(2**63))
    found = []
    try:
        model, spread, start = tied(rules), varied(rules), held(rules) | args["start"]
        for place, ask in enumerate(asks):
            own = np.random.Generator(np.random.PCG64(seed))
            found.append(run(model, start, ask, spread, own, _told(progress, place, len(asks))))
    except ModelError as fault:
        raise Impossible(str(fault)) from None
    return found


def _told(progress: Progress, place: int, of: int) -> Any:
    def tell(step: int, steps: int) -> bool:
        progress((place + step / max(steps, 1)) / of)
        return True

    return tell


def _limits(args: Mapping[str, Any]) -> list[Limit]:
    return [Limit(**one) for one in args["limits"]]
