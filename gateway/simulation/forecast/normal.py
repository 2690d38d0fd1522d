"""The normal distribution on arrays: density, distribution, quantile, and Mills' ratio, which keeps tails exact."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ROOT_2PI: Final = math.sqrt(2 * math.pi)
_STEP: Final = 1 / 256
_FAR: Final = 16.0  # from here on the asymptotic series has 1e-12


def _table() -> tuple[Array, Array]:
    """Mills' ratio and its slope at the nodes."""
    at = np.arange(0.0, _FAR + 2 * _STEP, _STEP)
    ratio = np.array([0.5 * math.erfc(x / math.sqrt(2)) * _ROOT_2PI * math.exp(x * x / 2) for x in at.tolist()])
    return ratio, (at * ratio - 1) * _STEP


_RATIO, _SLOPE = _table()


def density(z: Array) -> Array:
    """phi(z)."""
    return np.asarray(np.exp(-0.5 * z * z) / _ROOT_2PI)


def mills(x: Array) -> Array:
    """(1 - Phi(x)) / phi(x) for x >= 0, relative error below 1e-10: cubic Hermite between exact nodes, asymptotic beyond 16."""
    near = np.minimum(np.where(np.isnan(x), 0.0, x), _FAR)
    node = (near / _STEP).astype(np.intp)
    t = near / _STEP - node
    y0, y1, s0, s1 = _RATIO[node], _RATIO[node + 1], _SLOPE[node], _SLOPE[node + 1]
    rise = y1 - y0
    ratio = y0 + t * (s0 + t * (3 * rise - 2 * s0 - s1 + t * (s0 + s1 - 2 * rise)))
    far = x > _FAR
    if np.any(far):
        square = 1 / np.where(far, x, 1.0) ** 2
        ratio = np.where(
            far, np.sqrt(square) * (1 - square * (1 - 3 * square * (1 - 5 * square * (1 - 7 * square * (1 - 9 * square))))), ratio
        )
    return np.asarray(np.where(np.isnan(x), np.nan, ratio))


def distribution(z: Array) -> Array:
    """Phi(z)."""
    tail = density(z) * mills(np.abs(z))
    return np.asarray(np.where(z > 0, 1 - tail, tail))


def quantile(p: float) -> float:
    """The z with Phi(z) = p. Raises ValueError outside 0 < p < 1."""
    from statistics import NormalDist

    if not 0 < p < 1:
        raise ValueError(f"{p} is no probability between 0 and 1")
    return NormalDist().inv_cdf(p)


def student(z: float, freedom: Array) -> Array:
    """Student's quantile where the normal one is z, for freedom >= 2 and z <= 2: within 2 %.

    Cornish and Fisher's expansion (Abramowitz and Stegun 26.7.5).
    """
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return np.asarray(z + first / freedom + second / freedom**2 + third / freedom**3)


def quantiles(p: Array) -> Array:
    """The same for an array, relative error below 1e-9: Halley steps on Phi from Hastings' start (Abramowitz and Stegun 26.2.23)."""
    low = np.minimum(p, 1 - p)
    t = np.sqrt(-2 * np.log(low))
    x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    x = np.maximum(x, 0.0)
    for _ in range(2):  # Halley on the upper tail: third order
        u = mills(np.maximum(x, 0.0)) - low / density(x)
        x = x + u / (1 - 0.5 * x * u)
    return np.asarray(np.where(p < 0.5, -x, x))
