"""The jobs `line.replicate` and `line.series`: figures and telemetry of some replications of a line.

The same replications give the same bytes wherever they are made.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.jobs.table import Impossible
from gateway.model.line_document import line_of
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.figures import Cannot, figures
from gateway.simulation.line.run import execute
from gateway.work import Column, Progress


def replicate(
    args: Mapping[str, Any], _arrays: Mapping[str, Column], _generator: np.random.Generator, progress: Progress
) -> tuple[dict[str, Any], dict[str, Column]]:
    """args: line (its document), seed, first, count, method. Values: names, method, why; arrays: figures (count, names)."""
    try:
        line = line_of(args["line"])
        found = figures(line, args["seed"], range(args["first"], args["first"] + args["count"]), args["method"], progress)
    except (LineError, Cannot, ValueError) as fault:
        raise Impossible(str(fault)) from None
    return {"names": list(found.names), "method": found.method, "why": found.why}, {"figures": found.values}


def series(
    args: Mapping[str, Any], _arrays: Mapping[str, Column], _generator: np.random.Generator, progress: Progress
) -> tuple[dict[str, Any], dict[str, Column]]:
    """A telemetry column of some replications, from the line's very start. args: line, seed, first, count, column.

    Arrays: series (count, whole intervals).
    """
    rows = []
    try:
        line = replace(line_of(args["line"]), warm_up_s=0.0)
        whole = int(line.duration_s // line.telemetry_interval_s)
        for number in range(args["count"]):
            telemetry = execute(line, args["seed"], replication=args["first"] + number, events=False).telemetry
            if args["column"] not in telemetry or not isinstance(telemetry[args["column"]][0], int | float):
                numbers = [name for name, column in telemetry.items() if isinstance(column[0], int | float)]
                raise Impossible(f"there is no telemetry column {args['column']!r} of numbers: {', '.join(numbers)}")
            rows.append(telemetry[args["column"]][:whole])
            progress((number + 1) / args["count"])
    except (LineError, ValueError) as fault:
        raise Impossible(str(fault)) from None
    return {"interval_s": line.telemetry_interval_s}, {"series": np.array(rows, float).reshape(args["count"], whole)}
