"""Charts over n columns of standardised residuals at once; the state is columns, and a call is one step."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.normal import quantile
from gateway.simulation.process.model import Array

Mask = npt.NDArray[np.bool_]
K: Final = 0.5  # half of the shift that a CUSUM is quickest for, in standard deviations


@dataclass(slots=True)
class Cusum:
    """Two-sided: up = max(0, up + z - k), down likewise of -z; age: steps since each side last was 0, its estimate of when it began."""

    k: float
    h: Array
    up: Array
    down: Array
    up_age: npt.NDArray[np.int64]
    down_age: npt.NDArray[np.int64]

    @classmethod
    def of(cls, h: Array, k: float = K) -> "Cusum":
        """h (n,): the limit of each column."""
        whole = np.zeros(h.size, np.int64)
        return cls(k, h, np.zeros(h.size), np.zeros(h.size), whole, whole.copy())

    def step(self, z: Array) -> Mask:
        """z (n,), NaN: no residual, nothing changes. True where a limit is passed."""
        known = np.isfinite(z)
        plain = np.where(known, z, 0.0)
        up = np.where(known, np.maximum(0.0, self.up + plain - self.k), self.up)
        down = np.where(known, np.maximum(0.0, self.down - plain - self.k), self.down)
        self.up_age = np.where(up > 0, self.up_age + 1, 0)
        self.down_age = np.where(down > 0, self.down_age + 1, 0)
        self.up, self.down = up, down
        return np.asarray(known & (self.worst > self.h))

    @property
    def worst(self) -> Array:
        return np.maximum(self.up, self.down)

    @property
    def age(self) -> npt.NDArray[np.int64]:
        """Of the side that is further on."""
        return np.where(self.up >= self.down, self.up_age, self.down_age)

    def reset(self, rows: Mask) -> None:
        """These begin again at 0."""
        for name in ("up", "down", "up_age", "down_age"):
            column = getattr(self, name)
            column[rows] = 0


@dataclass(slots=True)
class Ewma:
    """value = (1 - weight) value + weight z; its limits are +-limit sd of it, asymptotically sqrt(weight/(2 - weight))."""

    weight: float
    limit: float
    value: Array

    @classmethod
    def of(cls, size: int, weight: float = 0.1, limit: float = 2.814) -> "Ewma":
        return cls(weight, limit, np.zeros(size))

    def step(self, z: Array) -> Mask:
        """As Cusum.step."""
        self.value = np.where(np.isfinite(z), (1 - self.weight) * self.value + self.weight * np.nan_to_num(z), self.value)
        return np.asarray(np.isfinite(z) & (np.abs(self.value) > self.limit * self.sd))

    @property
    def sd(self) -> float:
        return math.sqrt(self.weight / (2 - self.weight))


def shewhart(z: Array, limit: float = 3.0) -> Mask:
    """Beyond +-limit standard deviations."""
    return np.asarray(np.abs(z) > limit)


def nis_band(count: int, dim: int = 1, level: float = 0.95) -> tuple[float, float]:
    """Between which the mean of `count` normalised innovations squared lies where the filter is right: chi-square(count dim)/count (K3).

    By the cube root, which is nearly normal (Wilson and Hilferty 1931): within 0.1 % from 30 innovations on, and quick enough to be shown.
    """
    n = count * dim
    low, high = (1 - 2 / (9 * n) + sign * quantile((1 + level) / 2) * math.sqrt(2 / (9 * n)) for sign in (-1, 1))
    return dim * max(low, 0.0) ** 3, dim * high**3
