"""The job `line.replicate`: figures of some replications of a line. The same replications give the same bytes wherever they are made."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.jobs.table import Impossible
from gateway.model.line_document import line_of
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.figures import Cannot, figures
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
