"""Scores of shift forecasts over a farm: pieces by shift, the same rows whatever the pieces."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.jobs.farm import Farm
from gateway.model.line import Line
from gateway.model.line_document import document
from gateway.simulation.line.scoring import Scoring
from gateway.work import Job, Progress, silent

DEADLINE_S: Final = 7200.0
"""Of one piece."""
PIECES: Final = 16
"""For each worker, so that none waits long for the last."""


async def scored(
    farm: Farm, line: Line, seed: int, shifts: int, scoring: Scoring, progress: Progress = silent
) -> tuple[NDArray[np.float64], str, str]:
    """As gateway.simulation.line.scoring.scored, of the shifts 0 to shifts - 1. Raises JobFailed."""
    size = max(1, -(-shifts // (farm.width * PIECES)))
    asked = {
        "line": document(line),
        "seed": seed,
        "at": list(scoring.at),
        "replications": scoring.replications,
        "seen": scoring.seen,
        "method": scoring.method,
    }
    pieces = [
        Job("line.score", asked | {"first": first, "count": min(size, shifts - first)}, deadline_s=DEADLINE_S)
        for first in range(0, shifts, size)
    ]
    results = await farm.run(pieces, progress)
    rows = np.concatenate([np.asarray(result.arrays["rows"], float) for result in results])
    said = [result.values for result in results]
    slow = next((one for one in said if one["method"] == "events"), said[0])
    return rows, slow["method"], slow["why"]
