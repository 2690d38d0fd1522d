"""Means of times, and what is left of a time of which some has passed."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.model.distribution import Distribution
from gateway.simulation.line.sampling import sample

_BLOCK, _BLOCKS = 256, 400
_SQRT_TAU: Final = math.sqrt(2 * math.pi)


def mean(d: Distribution) -> float:
    """Seconds."""
    return _MEANS[d.kind](d)


def _mean_above_zero(mu: float, sd: float) -> float:
    """Of a normal cut off below 0: mu + sd phi(alpha) / (1 - Phi(alpha)), alpha = -mu / sd."""
    if not sd:
        return mu
    alpha = -mu / sd
    return mu + sd * math.exp(-alpha * alpha / 2) / _SQRT_TAU / (0.5 * math.erfc(alpha / math.sqrt(2)))


_MEANS: Final[dict[str, Callable[[Distribution], float]]] = {
    "deterministic": lambda d: d.a,
    "exponential": lambda d: d.a,
    "uniform": lambda d: (d.a + d.b) / 2,
    "triangular": lambda d: (d.a + d.b + d.c) / 3,
    "normal": lambda d: _mean_above_zero(d.a, d.b),
    "lognormal": lambda d: d.a * math.exp(d.b * d.b / 2),
    "weibull": lambda d: d.b * math.gamma(1 + 1 / d.a),
    "gamma": lambda d: d.a * d.b,
    "erlang": lambda d: d.b,
    "geometric": lambda d: d.b / d.a,
    "empirical": lambda d: float(np.average(d.values, weights=d.weights or None)),
}


def residual(d: Distribution, passed_s: float, generator: np.random.Generator) -> float:
    """One draw of X - passed_s given X >= passed_s: the first draw that is no shorter (rejection, so exact for every kind).

    Of a time longer than the distribution knows, nothing can be said from it: then a new one begins.
    """
    if passed_s <= 0 or d.kind == "exponential":
        return float(sample(d, generator, 1)[0])
    for _ in range(1 if d.kind == "deterministic" else _BLOCKS):
        drawn = sample(d, generator, _BLOCK)
        longer = drawn[drawn >= passed_s * (1.0 - 1e-9)]
        if longer.size:
            return max(float(longer[0]) - passed_s, 0.0)
    return float(sample(d, generator, 1)[0])
