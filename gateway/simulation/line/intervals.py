"""What replications say about a mean: Student intervals, paired differences under common random numbers, many comparisons at once.

Law, Simulation Modeling and Analysis (2015), 9.4.1 (replications), 9.4.1 (sequential procedure), 10.2 (paired comparison); Holm (1979).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONFIDENCE: Final = 0.95
FEWEST: Final = 2
"""Replications below which there is no interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over n independent replications. sd: of one replication; half_width: infinite for n = 1."""

    mean: float
    half_width: float
    sd: float
    n: int
    confidence: float

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width

    @property
    def relative(self) -> float:
        """Half-width as a share of the mean; 0 for an exact figure, infinite around a mean of 0."""
        if self.half_width == 0:
            return 0.0
        return self.half_width / abs(self.mean) if self.mean else math.inf


@dataclass(frozen=True, slots=True)
class Paired:
    """A scenario minus the base, replication by replication. p_value: two-sided t test of no difference; adjusted: by Holm.

    interval: at the family's confidence, so that all intervals of one comparison hold together (Bonferroni).
    significant: adjusted is below 1 - confidence.
    """

    interval: Interval
    p_value: float
    adjusted: float
    significant: bool


def interval(values: Array, confidence: float = CONFIDENCE) -> Interval:
    """Of (n,) figures of independent replications. ValueError for none, or a confidence outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is none: it lies between 0 and 1")
    n = len(values)
    if not n:
        raise ValueError("there is no replication to take a mean of")
    mean = float(np.mean(values))
    if n < FEWEST:
        return Interval(mean, math.inf, math.nan, n, confidence)
    sd = float(np.std(values, ddof=1))
    return Interval(mean, student(confidence, n - 1) * sd / math.sqrt(n), sd, n, confidence)


def student(confidence: float, freedom: int) -> float:
    """The two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))


def t_test(differences: Array) -> float:
    """p of a mean of 0. Differences without any spread are certain: 0 where they are not 0, else 1."""
    from scipy.special import stdtr

    found = interval(differences)
    if found.n < FEWEST:
        return 1.0
    if found.sd == 0:
        return 1.0 if found.mean == 0 else 0.0
    return float(2 * stdtr(found.n - 1, -abs(found.mean) / (found.sd / math.sqrt(found.n))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the given order: the family-wise error is kept whatever depends on what (Holm's step-down)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found, so_far = [0.0] * len(p_values), 0.0
    for place, which in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - place) * p_values[which]))
        found[which] = so_far
    return found


def paired(base: Array, others: Sequence[Array], confidence: float = CONFIDENCE) -> list[Paired]:
    """Each of the others against the base, all from the same replications (n,) under the same chance."""
    differences = [other - base for other in others]
    p_values = [t_test(difference) for difference in differences]
    family = 1 - (1 - confidence) / max(len(others), 1)
    return [
        Paired(interval(difference, family), p_value, adjusted, adjusted < 1 - confidence)
        for difference, p_value, adjusted in zip(differences, p_values, holm(p_values), strict=True)
    ]


def needed(found: Interval, half_width: float) -> int:
    """Replications that this spread needs for an interval of at most that half-width; those at hand where they suffice already."""
    if found.half_width <= half_width:
        return found.n
    n = found.n
    while student(found.confidence, n - 1) * found.sd / math.sqrt(n) > half_width:
        n = max(n + 1, math.ceil(n * 1.02))
    return n
