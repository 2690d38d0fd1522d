"""Whether and when a limit is first passed: closed forms, an integral equation, and ensembles.

A limit that is looked at every h seconds is met later than one that is watched always: the closed forms move it away by 0.5826 s sqrt(h)
(Siegmund 1979; Broadie, Glasserman and Kou 1997). An ensemble is looked at when its steps end, and needs no such correction.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.process.model import Array, ModelError
from gateway.simulation.trajectories import Trajectories

SAMPLED: Final = 0.5826
"""-zeta(1/2)/sqrt(2 pi)."""
NODES: Final = 400
_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Passage:
    """probability (n,) that the limit was passed by time_s (n,), ascending; low and high bound it at 95 % (equal to it in closed forms)."""

    time_s: Array
    probability: Array
    low: Array
    high: Array

    def by(self, time_s: float) -> float:
        """The probability by then, linear between instants."""
        return float(np.interp(time_s, self.time_s, self.probability))

    def quantile(self, share: float) -> float:
        """Seconds by which it is passed with that probability; NaN where that lies beyond the horizon."""
        reached = self.probability >= share
        if not reached.any():
            return math.nan
        k = int(reached.argmax())
        if k == 0:
            return float(self.time_s[0])
        p0, p1 = self.probability[k - 1], self.probability[k]
        return float(self.time_s[k - 1] + (share - p0) / (p1 - p0) * (self.time_s[k] - self.time_s[k - 1]))

    def mean_s(self) -> float:
        """The mean time of what passes within the horizon; NaN where nothing does."""
        mass = np.diff(self.probability, prepend=0.0)
        before = np.concatenate([self.time_s[:1], self.time_s[:-1]])
        total = float(mass.sum())
        return float((mass * (self.time_s + before) / 2).sum() / total) if total > 0 else math.nan


def exact(time_s: Array, probability: Array) -> Passage:
    """Of a closed form."""
    return Passage(time_s, probability, probability, probability)


def beyond(distance: npt.ArrayLike, s: npt.ArrayLike, scan_s: float) -> Array:
    """The distance at which a limit, looked at every scan_s, is met as one that is always watched. s per sqrt(s)."""
    return np.asarray(distance, np.float64) + SAMPLED * np.asarray(s) * math.sqrt(scan_s)


def brownian(distance: npt.ArrayLike, drift: npt.ArrayLike, s: npt.ArrayLike, time_s: npt.ArrayLike, *, scan_s: float = 0.0) -> Array:
    """P(passed by time_s) of x = drift t + s W, distance > 0 to the limit (0 or less: 1); arguments broadcast.

    Phi((v t - d)/(s sqrt t)) + e^(2 v d/s^2) Phi((-d - v t)/(s sqrt t)); 2 Phi(-d/(s sqrt t)) without drift (Cox and Miller 1965, 5.7).
    """
    from scipy.special import log_ndtr, ndtr

    v, sd, t = (np.asarray(value, np.float64) for value in (drift, s, time_s))
    here = np.asarray(distance, np.float64)
    d = np.where(here > 0, beyond(here, sd, scan_s), 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        wide = sd * np.sqrt(t)
        found = ndtr((v * t - d) / wide) + np.exp(2 * v * d / sd**2 + log_ndtr((-d - v * t) / wide))
        still = np.where(v * t >= d, 1.0, 0.0)  # no noise, or no time
    return np.asarray(np.where(here <= 0, 1.0, np.where((wide > 0), np.clip(found, 0.0, 1.0), still)))


def brownian_time(distance: float, drift: float, s: float) -> tuple[float, float, float]:
    """Mean, standard deviation and median of the time to a limit that lies in the direction of the drift: the inverse Gaussian, seconds.

    Raises ModelError where drift or distance are not positive.
    """
    if not (drift > 0 and distance > 0):
        raise ModelError(f"a drift of {drift} over a distance of {distance} has no mean time: both must be positive")
    from scipy.optimize import brentq

    mean = distance / drift
    sd = math.sqrt(distance * s**2 / drift**3)
    if not s:
        return mean, 0.0, mean
    median = brentq(lambda t: float(brownian(distance, drift, s, t)) - 0.5, mean * 1e-9, mean * (1 + 1e-9), xtol=mean * 1e-12)
    return mean, sd, float(median)


def ou_to_mean(distance: npt.ArrayLike, theta: npt.ArrayLike, s: npt.ArrayLike, time_s: npt.ArrayLike) -> Array:
    """P(an Ornstein-Uhlenbeck process has reached its mean by time_s) from `distance` away: 2 Phi(-x e^(-theta t)/sd(t))."""
    from scipy.special import ndtr

    x, th, sd, t = (np.asarray(value, np.float64) for value in (distance, theta, s, time_s))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sd * np.sqrt(-np.expm1(-2 * th * t) / (2 * th))
        found = 2 * ndtr(-np.abs(x) * np.exp(-th * t) / spread)
    return np.asarray(np.where(x == 0, 1.0, np.where(spread > 0, found, 0.0)))


def ou(start: float, mean: float, theta: float, s: float, limit: float, horizon_s: float, *, scan_s: float = 0.0) -> Passage:
    """First passage of an Ornstein-Uhlenbeck process through a limit on either side, at NODES instants of the horizon.

    Its density solves an integral equation of the second kind whose kernel is 0 on the diagonal (Buonocore, Nobile and Ricciardi 1987),
    by the trapezoidal rule. theta 1/s, s per sqrt(s). Raises ModelError for what is not positive.
    """
    if not (theta > 0 and s > 0 and horizon_s > 0):
        raise ModelError(f"theta {theta}, s {s} and the horizon {horizon_s} s must be positive")
    t = horizon_s * np.linspace(0.0, 1.0, NODES + 1) ** 2  # close together at first, where a near limit is met
    sign = 1.0 if limit >= start else -1.0
    if limit == start:
        return exact(t, np.ones_like(t))
    x0 = sign * (start - mean)
    barrier = sign * (limit - mean) + float(beyond(0.0, s, scan_s))
    first = -2 * _kernel(barrier, np.full(NODES, x0), t[1:], theta, s)
    steps, density = np.diff(t), np.zeros(NODES + 1)
    weight = np.concatenate([[0.0], (t[2:] - t[:-2]) / 2])
    for k in range(1, NODES + 1):
        inner = 2 * _kernel(barrier, np.full(k - 1, barrier), t[k] - t[1:k], theta, s)
        density[k] = first[k - 1] + float((density[1:k] * weight[1:k]) @ inner)
    passed = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * steps)])
    return exact(t, np.clip(np.maximum.accumulate(passed), 0.0, 1.0))


def _kernel(barrier: float, x: Array, elapsed_s: Array, theta: float, s: float) -> Array:
    """Psi: the time derivative of the transition distribution at the barrier, less half the drift there times its density."""
    keep = np.exp(-theta * elapsed_s)
    variance = s**2 * -np.expm1(-2 * theta * elapsed_s) / (2 * theta)
    density = np.exp(-((barrier - x * keep) ** 2) / (2 * variance)) / np.sqrt(2 * math.pi * variance)
    return np.asarray(density * (theta * x * keep - (barrier - x * keep) * s**2 * keep**2 / (2 * variance) - theta * barrier / 2))


def of_runs(runs: Trajectories, output: str, limit: float, *, upper: bool = True, scan_s: float = 0.0) -> Passage:
    """Of an ensemble, seen at its steps, or every scan_s (a whole number of steps); 95 % intervals by Wilson's score.

    upper: passed when the output is at the limit or above, else at or below. Raises ModelError for an unknown output.
    """
    stride = max(1, round(scan_s / (runs.time_s[1] - runs.time_s[0]))) if scan_s and runs.steps else 1
    seen = runs.of(output)[:, ::stride]
    over = seen >= limit if upper else seen <= limit
    share = np.maximum.accumulate(over, axis=1).mean(axis=0)
    n = runs.runs
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Passage(runs.time_s[::stride], share, np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0))
