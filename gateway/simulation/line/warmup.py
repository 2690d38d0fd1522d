"""Where a run has left its start behind: MSER-5, and the averaged series that Welch's plot shows.

White (1997), An effective truncation heuristic for bias reduction in simulation output; Welch (1983), The statistical analysis of
simulation results; Law (2015), 9.5.1.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BATCH: Final = 5  # the 5 of MSER-5
FEWEST: Final = 4  # batches below which nothing can be said


@dataclass(frozen=True, slots=True)
class WarmUp:
    """delete: intervals at the start that belong to the warm-up. curve: the MSER statistic for each number of deleted batches.

    found False: the least lies where only half of the series is left, so the run is too short to tell.
    """

    delete: int
    curve: Array
    found: bool


@dataclass(frozen=True, slots=True)
class Welch:
    """mean: over the replications, per interval; smooth: its moving average over 2 window + 1 intervals, fewer at the start."""

    mean: Array
    smooth: Array
    window: int


def mser(series: Array) -> WarmUp:
    """MSER-5 of figures per interval, (intervals,) or (replications, intervals), which are averaged first.

    The truncation that makes the squared standard error of the rest least. ValueError for fewer than 20 intervals.
    """
    series = np.atleast_2d(series).mean(axis=0)
    batches = len(series) // BATCH
    if batches < FEWEST:
        raise ValueError(f"{len(series)} intervals are too few to find a warm-up in: {FEWEST * BATCH} at least")
    means = series[: batches * BATCH].reshape(batches, BATCH).mean(axis=1)
    left = batches - np.arange(batches)
    sums, squares = np.cumsum(means[::-1])[::-1], np.cumsum((means**2)[::-1])[::-1]
    curve = np.maximum(squares - sums**2 / left, 0.0) / left.astype(float) ** 2
    half = batches // 2
    best = int(np.argmin(curve[: half + 1]))
    return WarmUp(best * BATCH, curve[: half + 1], best < half or curve[half] == 0)


def welch(series: Array, window: int) -> Welch:
    """Of (replications, intervals) figures. ValueError for a window above a quarter of the intervals."""
    series = np.atleast_2d(series)
    mean, length = series.mean(axis=0), series.shape[1]
    if not 0 <= window <= length // 4:
        raise ValueError(f"a window of {window} is none for {length} intervals: 0 to {length // 4}")
    sums = np.concatenate([[0.0], np.cumsum(mean)])
    at = np.arange(length - window)
    reach = np.minimum(at, window)
    return Welch(mean, (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1), window)
