"""Replications of lines over a farm: pieces by replication, put together in their order, so that neither cores nor a cluster show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.jobs.farm import Farm
from gateway.model.line import Line
from gateway.model.line_document import document
from gateway.simulation.line.experiments import FIRST, more
from gateway.simulation.line.figures import LANES, Figures, Method
from gateway.work import Job, JobResult, Progress, silent

DEADLINE_S: Final = 3600.0
"""Of one piece."""
MOST: Final = 100_000
"""Replications of one scenario at most."""


@dataclass(frozen=True, slots=True)
class Target:
    """Stop once the interval of that figure is no wider than half_width either way; relative: as a share of the mean."""

    figure: str
    half_width: float
    relative: bool


@dataclass(frozen=True, slots=True)
class Series:
    """rows: (replications, intervals)."""

    rows: NDArray[np.float64]
    interval_s: float


async def replicated(
    farm: Farm, lines: Mapping[str, Line], seed: int, first: int, count: int, method: Method = "auto", progress: Progress = silent
) -> dict[str, Figures]:
    """Replications first to first + count - 1 of each line under the same seed: common random numbers. Raises JobFailed."""
    size = max(1, min(LANES, -(-count // farm.width)))
    documents = {name: document(line) for name, line in lines.items()}
    keys, pieces = list[str](), list[Job]()
    for name, written in documents.items():
        for begin in range(first, first + count, size):
            args = {"line": written, "seed": seed, "first": begin, "count": min(size, first + count - begin), "method": method}
            keys.append(name)
            pieces.append(Job("line.replicate", args, seed=0, deadline_s=DEADLINE_S))
    results = await farm.run(pieces, progress)
    return {name: _joined([result for key, result in zip(keys, results, strict=True) if key == name]) for name in lines}


async def series(farm: Farm, line: Line, seed: int, count: int, column: str, progress: Progress = silent) -> Series:
    """A telemetry column over `count` replications by discrete events, from an empty line on. Raises JobFailed."""
    size = max(1, -(-count // farm.width))
    asked = {"line": document(line), "seed": seed, "column": column}
    pieces = [
        Job("line.series", asked | {"first": begin, "count": min(size, count - begin)}, deadline_s=DEADLINE_S)
        for begin in range(0, count, size)
    ]
    results = await farm.run(pieces, progress)
    rows = np.concatenate([np.asarray(result.arrays["series"], float) for result in results])
    return Series(rows, float(results[0].values["interval_s"]))


def _joined(results: list[JobResult]) -> Figures:
    said: Mapping[str, Any] = results[0].values
    values = np.concatenate([np.asarray(result.arrays["figures"], float) for result in results])
    return Figures(tuple(said["names"]), values, said["method"], said["why"])


async def until(
    farm: Farm,
    line: Line,
    seed: int,
    count: int,
    target: Target | None,
    most: int,
    *,
    confidence: float,
    method: Method = "auto",
    progress: Callable[[float], None] = silent,
) -> Figures:
    """count replications, and with a target so many more as it takes, `most` in all. Raises JobFailed, KeyError for an unknown figure."""
    start = min(most, max(count, FIRST)) if target else count
    found = (await replicated(farm, {"": line}, seed, 0, start, method, progress))[""]
    while target and (further := more(found, target.figure, target.half_width, target.relative, most, confidence)):
        rest = (await replicated(farm, {"": line}, seed, len(found.values), further, method, progress))[""]
        found = Figures(found.names, np.concatenate([found.values, rest.values]), found.method, found.why)
    return found
