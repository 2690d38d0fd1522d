"""Average run lengths of control charts on independent standard normal residuals, by the integral equation (Page 1954; Crowder 1987).

Exact but for the quadrature (Gauss-Legendre, Nystroem): the chart starts in its zero state, shift in standard deviations.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np

from gateway.simulation.process.model import Array

POINTS: Final = 80
_ROOT: Final = math.sqrt(2.0)


def _below(x: float) -> float:
    return 0.5 * math.erfc(-x / _ROOT)


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def shewhart(shift: float = 0.0, limit: float = 3.0) -> float:
    """One over the chance that a residual lies beyond +-limit (SPC1)."""
    return 1 / (_below(-limit - shift) + _below(shift - limit))


def cusum(k: float, h: float, shift: float = 0.0) -> float:
    """Two-sided CUSUM with reference value k and limit h: 1/L = 1/L+ + 1/L- (SPC4)."""
    return 1 / (1 / _one_sided(k, h, shift) + 1 / _one_sided(k, h, -shift))


def _one_sided(k: float, h: float, shift: float) -> float:
    """L(s) = 1 + L(0) P(z <= k - s) + integral over (0, h) of L(y) phi(y + k - s) dy, z about the shift; at s = 0."""
    y, w = _nodes(0.0, h)
    states = np.concatenate([[0.0], y])
    kernel = np.empty((states.size, states.size))
    kernel[:, 0] = [_below(k - s - shift) for s in states.tolist()]
    kernel[:, 1:] = w * _density(y[None, :] + k - states[:, None] - shift)
    return float(np.linalg.solve(np.eye(states.size) - kernel, np.ones(states.size))[0])


def ewma(weight: float, limit: float, shift: float = 0.0) -> float:
    """EWMA of weight lambda with limits +-limit asymptotic standard deviations of it (SPC3)."""
    h = limit * math.sqrt(weight / (2 - weight))
    y, w = _nodes(-h, h)
    states = np.concatenate([[0.0], y])
    kernel = w * _density((y[None, :] - (1 - weight) * states[:, None]) / weight - shift) / weight
    inner = np.linalg.solve(np.eye(y.size) - kernel[1:], np.ones(y.size))
    return float(1 + kernel[0] @ inner)


@lru_cache(maxsize=1)
def _legendre() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(POINTS)


def _nodes(low: float, high: float) -> tuple[Array, Array]:
    x, w = _legendre()
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


@lru_cache(maxsize=256)
def cusum_limit(k: float, run_length: float) -> float:
    """h with which a two-sided CUSUM alarms falsely once in so many residuals; run_length above 2."""
    # Siegmund (1985): L of one side is near (e^x - x - 1)/(2 k^2), x = 2 k (h + 1.166); from there it is searched for
    x = math.log(4 * k * k * max(run_length, 3.0) + 3)
    middle = max(x / (2 * k) - 1.166, 0.0)
    low, high = max(middle - 1.5, 0.0), middle + 1.5
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if cusum(k, middle) < run_length else (low, middle)
    return (low + high) / 2
