"""The jobs `line.forecast`, the rest of a shift from the state a line is in, and `line.score`, how good such forecasts are."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

import numpy as np

from gateway.jobs.table import Impossible
from gateway.model.line_document import line_of, state_of
from gateway.simulation.line.ahead import ahead, document
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.figures import Cannot
from gateway.simulation.line.scoring import Scoring, scored
from gateway.work import Column, Progress

_KINDS: Final = {
    "until_s": ((int, float), "number of seconds"),
    "replications": ((int,), "whole number"),
    "at_least_s": ((int, float), "number of seconds"),
}


def forecast(
    args: Mapping[str, Any], _arrays: Mapping[str, Column], generator: np.random.Generator, progress: Progress
) -> tuple[dict[str, Any], dict[str, Column]]:
    """args: line and state (documents); until_s (the line's duration without one), replications, at_least_s.

    Values: as gateway.simulation.line.ahead.document. Arrays: good and total, the units finished until the end, (replications,).
    """
    if unknown := set(args) - {*_KINDS, "line", "state"}:
        raise Impossible(f"a line's forecast has no {min(unknown)!r}: line, state, {', '.join(_KINDS)}")
    for name, (kinds, wanted) in _KINDS.items():
        if not isinstance(args.get(name), (*kinds, NoneType)) or isinstance(args.get(name), bool):
            raise Impossible(f"{name}: {args[name]!r} is no {wanted}")
    try:
        found = ahead(
            line_of(args.get("line", {})),
            state_of(args.get("state", {})),
            int(generator.integers(2**63)),
            told=progress,
            **{name: args[name] for name in _KINDS if args.get(name) is not None},
        )
    except (LineError, ValueError) as fault:
        raise Impossible(str(fault)) from None
    return document(found), {"good": found.courses.good[:, -1], "total": found.courses.total[:, -1]}


def score(
    args: Mapping[str, Any], _arrays: Mapping[str, Column], _generator: np.random.Generator, progress: Progress
) -> tuple[dict[str, Any], dict[str, Column]]:
    """args: line (its document), seed, first, count (shifts), at, replications, seen, method. Arrays: rows, (forecasts, columns)."""
    scoring = Scoring(tuple(args["at"]), args["replications"], args["seen"], args["method"])
    try:
        shifts = range(args["first"], args["first"] + args["count"])
        rows, method, why = scored(line_of(args["line"]), args["seed"], shifts, scoring, progress)
    except (LineError, Cannot, ValueError) as fault:
        raise Impossible(str(fault)) from None
    return {"method": method, "why": why}, {"rows": rows}
