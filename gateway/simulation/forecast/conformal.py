"""Intervals that are honest whatever the model, per tag and horizon.

Split conformal (Vovk, Gammerman and Shafer 2005), and adaptive conformal inference (Gibbs and Candes 2021) once there are scores enough.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast import normal

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SCORES: Final = 199  # kept per tag and horizon
FIRST: Final = 19  # so many scores, and the split conformal interval is finite at alpha 0.1 with room to spare
GAMMA: Final = 0.02
FEWEST: Final = 2.0  # independent scores that the beginning is worth: the scale that shorter horizons gave, and the normal shape
LOWEST: Final = 0.002  # of alpha, from which the scores' own quantile has nothing more to give
HIGHEST: Final = 0.2  # alpha's clamp above: a model that was right for long must not end as a point that the first surprise leaves for long
DEEPEST: Final = -1.0  # and below: never the whole line for ever
DOUBLED: Final = 3.0  # steps of GAMMA below LOWEST that double the band: scores that grow leave the band behind, so misses widen it on


def rank(n: int, alpha: float) -> int:
    """Which smallest of n scores bounds the next one with probability >= 1 - alpha: ceil((n + 1)(1 - alpha)); n + 1 = none of them does."""
    return min(math.ceil((n + 1) * (1 - alpha) - 1e-9), n + 1)


def split(scores: Array, alpha: float) -> float:
    """The split conformal bound of scores (n,): coverage in [1 - alpha, 1 - alpha + 1/(n + 1)]; inf where n is too small."""
    k = rank(scores.size, alpha)
    return math.inf if k > scores.size else float(np.partition(scores, k - 1)[k - 1])


@dataclass(slots=True)
class Adaptive:
    """alpha[t+1] = alpha[t] + gamma (alpha - err[t]) per tag and knot, and the newest scores |y - mean| / sd.

    level   (tags, knots)          alpha[t]
    scores  (tags, knots, SCORES)  float32, a ring; +inf where there is none yet
    count   (tags, knots)          scores seen
    width   (tags, knots)          half width of the band in the model's own sd, for forecasts issued now
    """

    alpha: float
    gamma: Array
    level: Array
    scores: npt.NDArray[np.float32]
    count: npt.NDArray[np.int64]
    width: Array

    @classmethod
    def of(cls, tags: int, knots: int, alpha: float = 0.1, gamma: Array | float = GAMMA, kept: int = SCORES) -> "Adaptive":
        """Nothing seen: Student's quantile. gamma for all knots, or (knots,). Raises ValueError for an alpha outside 0..0.5."""
        if not LOWEST < alpha < HIGHEST:
            raise ValueError(f"alpha {alpha} is not between {LOWEST} and {HIGHEST}")
        shape = (tags, knots)
        width = np.full(shape, float(normal.student(normal.quantile(1 - alpha / 2), np.array(FEWEST))))
        return cls(
            alpha,
            np.full(knots, gamma),
            np.full(shape, alpha),
            np.full((*shape, kept), np.inf, np.float32),
            np.zeros(shape, np.int64),
            width,
        )

    def learn(self, knot: int, score: Array, missed: Mask, row: npt.NDArray[np.intp]) -> None:
        """Forecasts of some tags (row) came due at one knot: their scores, and whether the sample lay outside the band as issued."""
        seen = self.count[row, knot]
        self.scores[row, knot, seen % self.scores.shape[2]] = score
        self.count[row, knot] = seen + 1
        level = self.level[row, knot] + np.where(seen >= FIRST, self.gamma[knot] * (self.alpha - missed), 0.0)
        self.level[row, knot] = np.clip(level, DEEPEST, HIGHEST)
        self.width[row, knot] = self._width(knot, row)

    def _width(self, knot: int, row: npt.NDArray[np.intp]) -> Array:
        """The ceil((n + 1)(1 - alpha[t])) smallest score; beyond the largest, it is carried on as a normal tail would."""
        kept = np.minimum(self.count[row, knot], self.scores.shape[2])
        level = self.level[row, knot]
        k = np.ceil((kept + 1) * (1 - level) - 1e-9).astype(np.intp)
        ordered = np.sort(self.scores[row, knot], axis=1)
        bound = ordered[np.arange(row.size), np.clip(np.minimum(k, kept) - 1, 0, None)].astype(np.float64)
        edge = 1 / (kept + 1)
        if (beyond := level < edge).any():
            far = np.maximum(level[beyond], LOWEST)
            bound[beyond] *= normal.quantiles(1 - far / 2) / normal.quantiles(1 - edge[beyond] / 2)
            bound[beyond] *= 2.0 ** ((far - level[beyond]) / (GAMMA * DOUBLED))
        z, overlap = normal.quantile(1 - self.alpha / 2), self._overlap(knot)
        if overlap > 1:
            apart = self.count[row, knot] / overlap
            bound = (FEWEST * np.maximum(z, bound) + apart * bound) / (FEWEST + apart)
        return np.asarray(np.where(kept >= FIRST, bound, z) * self._doubt(knot, row))

    def _overlap(self, knot: int) -> float:
        """How many scores of a knot share their time; its gamma tells."""
        return (GAMMA / float(self.gamma[knot])) ** 2

    def _doubt(self, knot: int, row: npt.NDArray[np.intp]) -> Array:
        """A scale that few independent scores gave: Student's quantile over the normal one.

        Scores of horizons that overlap are fewer than they look. Where they do not, the split conformal bound is exact from FIRST on.
        """
        z, seen, overlap = normal.quantile(1 - self.alpha / 2), self.count[row, knot], self._overlap(knot)
        grown = normal.student(z, FEWEST + seen / overlap) / z
        return np.asarray(np.where((seen >= FIRST) & (overlap <= 1), 1.0, grown))
