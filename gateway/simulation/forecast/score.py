"""Scores of forecasts against what happened (Gneiting and Raftery 2007): arrays of any one shape, engineering units."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast import normal

Array = npt.NDArray[np.float64]
_1_ROOT_PI: Final = 1 / math.sqrt(math.pi)


def crps_normal(mean: Array, sd: Array, y: Array) -> Array:
    """CRPS of normal distributions: sd [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)]; the absolute error where sd is 0."""
    error = np.asarray(y - mean, np.float64)
    z = error / np.where(sd > 0, sd, 1.0)
    score = sd * (z * (2 * normal.distribution(z) - 1) + 2 * normal.density(z) - _1_ROOT_PI)
    return np.asarray(np.where(sd > 0, score, np.where(np.isnan(sd), np.nan, np.abs(error))))


def crps_ensemble(members: Array, y: Array) -> Array:
    """CRPS of ensembles: E|X - y| - E|X - X'|/2. members (..., m), y (...). O(m log m): the second term from sorted members."""
    ordered = np.sort(members, axis=-1)
    count = members.shape[-1]
    weight = 2.0 * np.arange(1, count + 1) - count - 1
    spread = (ordered * weight).sum(-1) / count**2  # half of the mean difference of two members, drawn with replacement
    return np.asarray(np.abs(members - np.asarray(y)[..., None]).mean(-1) - spread)


def pinball(forecast: Array, y: Array, p: float) -> Array:
    """Loss of a forecast of the p-quantile: p (y - q) above it, (1 - p)(q - y) below."""
    error = y - forecast
    return np.asarray(np.where(error >= 0, p * error, (p - 1) * error))


def mase(error: Array, persistence: Array) -> Array:
    """Mean absolute error over that of persistence at the same horizon (Hyndman and Koehler 2006); 1 where both are 0."""
    ratio = np.divide(error, persistence, out=np.full(np.shape(error), np.inf), where=persistence > 0)
    return np.asarray(np.where(np.isnan(error) | np.isnan(persistence), np.nan, np.where((error == 0) & (persistence == 0), 1.0, ratio)))


def pit_bin(mean: Array, sd: Array, y: Array, bins: int) -> npt.NDArray[np.intp]:
    """In which of `bins` equal parts of its distribution each sample fell: counts of a reliable forecast are even."""
    z = (y - mean) / np.where(sd > 0, sd, np.inf)
    return np.asarray(np.clip((normal.distribution(z) * bins).astype(np.intp), 0, bins - 1))
