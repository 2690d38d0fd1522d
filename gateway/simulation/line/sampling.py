"""Times drawn from the distributions of a line: standard draws in order, so that scenarios with other numbers meet the same chance."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gateway.model.distribution import Distribution
from gateway.simulation.line.streams import gaps

Array = NDArray[np.float64]


def sample(distribution: Distribution, generator: Generator, n: int) -> Array:
    """(n,) seconds: the next n of the stream; the same numbers however they are asked for, in one piece or in several."""
    return _DRAW[distribution.kind](distribution, generator, n)


def _triangular(d: Distribution, generator: Generator, n: int) -> Array:
    width, left, right, p = d.c - d.a, d.b - d.a, d.c - d.b, generator.random(n)
    if not width:
        return np.full_like(p, d.a)
    return np.where(p * width < left, d.a + np.sqrt(p * width * left), d.c - np.sqrt((1 - p) * width * right))


def _positive_normal(d: Distribution, generator: Generator, n: int) -> Array:
    """Cut off below 0: the inverse over the share that is left."""
    from scipy.special import ndtr, ndtri

    p = generator.random(n)
    if not d.b:
        return np.full_like(p, d.a)
    below = float(ndtr(-d.a / d.b))
    return np.maximum(d.a + d.b * np.asarray(ndtri(below + (1 - below) * p)), 0.0)


def _empirical(d: Distribution, generator: Generator, n: int) -> Array:
    values, p = np.asarray(d.values, float), generator.random(n)
    if not d.weights:
        return values[(p * len(values)).astype(np.intp)]
    edges = np.cumsum(np.asarray(d.weights, float))
    return values[np.searchsorted(edges / edges[-1], p, side="right")]


_DRAW: Final[Mapping[str, Callable[[Distribution, Generator, int], Array]]] = {
    "deterministic": lambda d, _, n: np.full(n, d.a),
    "exponential": lambda d, g, n: d.a * g.standard_exponential(n),
    "uniform": lambda d, g, n: d.a + (d.b - d.a) * g.random(n),
    "triangular": _triangular,
    "normal": _positive_normal,
    "lognormal": lambda d, g, n: d.a * np.exp(d.b * g.standard_normal(n)),
    "weibull": lambda d, g, n: d.b * g.standard_exponential(n) ** (1 / d.a),
    "gamma": lambda d, g, n: d.b * g.standard_gamma(d.a, n),
    "erlang": lambda d, g, n: d.b / d.a * g.standard_gamma(d.a, n),
    "geometric": lambda d, g, n: d.b * gaps(g.standard_exponential(n), d.a),
    "empirical": _empirical,
}
