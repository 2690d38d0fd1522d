"""What would have happened: a run from a past time to now beside what was measured.

Samples hold until the next one, as the twin holds them. The band of a run that is compared has the measurement noise of the models in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.process.model import Array
from gateway.simulation.trajectories import Trajectories
from gateway.simulation.whatif import POINTS, QUANTILES, instants, shown

MOST_INSTANTS: Final = 2001
"""At which measured values are held against the band."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is known of a tag: source_ns (n,) in order, value (n,), NaN where it was Bad."""

    source_ns: "npt.NDArray[np.int64]"
    value: Array

    def at(self, grid_ns: "npt.NDArray[np.int64]") -> Array:
        """The value that held at each of these times; NaN before the first."""
        row = np.searchsorted(self.source_ns, grid_ns, side="right") - 1
        return np.where(row >= 0, self.value[np.maximum(row, 0)], np.nan) if self.value.size else np.full(grid_ns.size, np.nan)


def grid(at_ns: int, step_s: float, steps: int) -> "npt.NDArray[np.int64]":
    """UTC ns of the initial state and of each step."""
    return np.asarray(at_ns + np.rint(np.arange(steps + 1) * (step_s * 1e9)), np.int64)


def without_gaps(path: Array) -> Array:
    """The last number before each gap in its place; NaN where there was none yet."""
    known = np.where(np.isfinite(path), np.arange(path.size), -1)
    last = np.maximum.accumulate(known)
    return np.where(last >= 0, path[np.maximum(last, 0)], np.nan)


def compared(found: Trajectories, measured: Mapping[str, Array], points: int = POINTS) -> dict[str, Any]:
    """By output, with measured (at least steps+1,): measured and error (measured - median) at the instants of a document, None in gaps.

    rmse of the median; inside: the share of instants within the band p05 to p95; left: whether it was ever outside, left_s: first when.
    rmse and inside are None where nothing was measured.
    """
    at, told = instants(found.steps, MOST_INSTANTS), instants(found.steps, points)
    rows = {}
    for name, path in measured.items():
        low, middle, high = np.quantile(found.of(name)[:, at], QUANTILES, axis=0)
        real = path[: found.steps + 1][at]
        known = np.isfinite(real)
        outside = known & ((real < low) | (real > high))
        error = (real - middle)[known]
        median = np.median(found.of(name)[:, told], axis=0)
        rows[name] = {
            "measured": shown(path[told]),
            "error": shown(path[told] - median),
            "rmse": float(np.sqrt(np.mean(error**2))) if error.size else None,
            "inside": float(1 - outside[known].mean()) if error.size else None,
            "left": bool(outside.any()),
            "left_s": float(found.time_s[at][outside.argmax()]) if outside.any() else None,
        }
    return rows
