"""Kalman filters of two states for many tags, each as a bank of noise ratios of which the likeliest speaks.

    x' = F x + w,  y = x0 + v,  var(v) = r,  var(w) = Q(dt)

All noises are multiples of one scale, which is estimated from the innovations nu: sigma^2 = mean(nu^2 / S), so that innovations match by
construction, and a member's fitness is its concentrated log-likelihood -(mean(ln S) + ln sigma^2)/2 (Harvey 1989, 3.4.2), with forgetting.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.forecaster import Array, Mask, Normal

FORGET: Final = 0.998  # per sample: the newest 500 count
SETTLE: Final = 4  # innovations that a diffuse start takes before they count
JUMP: Final = 8.0  # sigma of an innovation from which the process is taken to have jumped: a delivery, another lot, a valve
JUMPS: Final = (
    3.0  # so many at once, and one more for each SPARE samples; more of them are the noise, and teach as such, each as JUMP sigma
)
SPARE: Final = 100.0
_TINY: Final = 1e-300

Dynamics = Callable[[Array], tuple[Array, Array, Array, Array, Array, Array]]
"""dt (tags or 1, members or 1) -> f00, f01, f11, q00, q01, q11 of the same or a broadcastable shape."""


def steady_state(q: float, r: float) -> tuple[float, float]:
    """Local level, one time step: (P, K) with P = (q + sqrt(q^2 + 4 q r))/2, the predicted variance, and K = P/(P + r)."""
    p = (q + float(np.sqrt(q * q + 4 * q * r))) / 2
    return p, p / (p + r)


@dataclass(slots=True)
class Bank:
    """State of n tags and k members; columns of the covariance in units of the member's sigma^2.

    x0, x1, p00, p01, p11   (n, k)
    ln_s, square            (n, k)  means of ln S and of nu^2/S, with forgetting
    seen                    (n,)    Good samples so far
    jumps                   (n,)    lately: after one the state starts from the sample, and slope and noises stay
    nis                     (n,)    nu^2 / (sigma^2 S) of the likeliest member at its last sample, sigma^2 of before it; NaN without one
    """

    name: str
    dynamics: Dynamics
    noise: Array
    prior: tuple[float, float]
    forget: float = FORGET
    fixed: bool = False
    x0: Array = field(init=False)
    x1: Array = field(init=False)
    p00: Array = field(init=False)
    p01: Array = field(init=False)
    p11: Array = field(init=False)
    ln_s: Array = field(init=False)
    square: Array = field(init=False)
    weight: Array = field(init=False)
    seen: npt.NDArray[np.int64] = field(init=False)
    nis: Array = field(init=False)
    jumps: Array = field(init=False)
    carries: bool = True

    def start(self, tags: int) -> "Bank":
        """Nothing seen. noise (k,) is r of the members; prior the variances of a start; fixed: sigma = 1.

        carries: the second state is where the first one goes back to, so it starts at the first sample too; else it starts at 0.
        """
        shape = (tags, self.noise.size)
        for name in ("x0", "x1", "p00", "p01", "p11", "ln_s", "square", "weight"):
            setattr(self, name, np.zeros(shape))
        self.seen, self.nis = np.zeros(tags, np.int64), np.full(tags, np.nan)
        self.jumps = np.zeros(tags)
        return self

    def update(self, dt_s: Array, y: Array, good: Mask) -> None:
        """One step of time for all tags, and a sample for those that have one."""
        self._time(dt_s[:, None])
        first = good & (self.seen == 0)
        if first.any():
            self.x0[first] = y[first, None]
            self.x1[first] = y[first, None] if self.carries else 0.0
            self.p00[first], self.p01[first], self.p11[first] = self.noise, 0.0, self.prior[1]
            if self.prior[0]:
                self.p00[first] = self.prior[0]
        if (later := good & ~first).any():
            self._sample(np.where(later, y, 0.0)[:, None], later)
        self.seen += good

    def _time(self, dt: Array) -> None:
        f00, f01, f11, q00, q01, q11 = self.dynamics(dt)
        a, b, c = self.p00, self.p01, self.p11
        self.x0 = f00 * self.x0 + f01 * self.x1
        self.x1 = f11 * self.x1
        self.p00 = f00 * f00 * a + 2 * f00 * f01 * b + f01 * f01 * c + q00
        self.p01 = f11 * (f00 * b + f01 * c) + q01
        self.p11 = f11 * f11 * c + q11

    def _sample(self, y: Array, later: Mask) -> None:
        rows = later[:, None]
        s = self.p00 + self.noise
        nu = y - self.x0
        ratio = nu * nu / s
        jumped = self._judge(ratio, s, later)
        k0, k1 = np.where(rows, self.p00 / s, 0.0), np.where(rows & ~jumped[:, None], self.p01 / s, 0.0)
        self.x0 = self.x0 + k0 * nu
        self.x1 = self.x1 + k1 * nu
        self.p11 = self.p11 - k1 * self.p01
        self.p01 = (1 - k0) * self.p01
        self.p00 = (1 - k0) * self.p00
        if jumped.any():
            self.x0[jumped] = y[jumped]
            self.p00[jumped], self.p01[jumped] = self.noise, 0.0

    def _judge(self, ratio: Array, s: Array, later: Mask) -> Mask:
        """Fitness and scale learn from the innovations, but for those of a jump; which tags jumped is the answer."""
        best, row = self.best(), np.arange(self.seen.size)
        sigma2 = np.ones(row.size) if self.fixed else self.sigma2()[row, best]
        known = later & ((self.seen >= SETTLE) | self.fixed) & (sigma2 > 0)
        self.nis = np.where(known, ratio[row, best] / np.where(sigma2 > 0, sigma2, 1.0), np.nan)
        jumped = known & (self.seen >= SPARE) & (self.nis > JUMP * JUMP) & (not self.fixed)
        spared = jumped & (self.jumps < JUMPS)
        self.jumps = np.maximum(self.jumps - later / SPARE, 0.0) + spared
        counts = (later & (self.seen >= SETTLE) & ~spared)[:, None]
        ratio = np.where(jumped[:, None], np.minimum(ratio, JUMP * JUMP * self.sigma2()), ratio)
        keep = np.where(counts, self.forget, 1.0)
        self.weight = keep * self.weight + counts
        self.ln_s = keep * self.ln_s + np.where(counts, np.log(s), 0.0)
        self.square = keep * self.square + np.where(counts, ratio, 0.0)
        return jumped

    def sigma2(self) -> Array:
        """(tags, members) the scale of all noises, by matching the innovations."""
        if self.fixed:
            return np.ones_like(self.x0)
        return self.square / np.maximum(self.weight, 1.0)

    def best(self) -> npt.NDArray[np.intp]:
        """(tags,) the likeliest member."""
        weight = np.maximum(self.weight, 1.0)
        scale = np.log(np.maximum(self.square / weight, _TINY))
        return np.asarray(np.argmin(self.ln_s / weight + (0.0 if self.fixed else scale), axis=1))

    def predict(self, horizon_s: Array) -> Normal:
        """Mean and sd of samples, their measurement noise included."""
        member, row = self.best(), np.arange(self.seen.size)
        x0, x1, a, b, c = (column[row, member][:, None] for column in (self.x0, self.x1, self.p00, self.p01, self.p11))
        scale, noise = self.sigma2()[row, member][:, None], self.noise[member][:, None]
        f00, f01, _, q00, _, _ = self._ahead(horizon_s, member)
        mean = f00 * x0 + f01 * x1
        variance = f00 * f00 * a + 2 * f00 * f01 * b + f01 * f01 * c + q00 + noise
        known = (self.seen > 0)[:, None]
        return Normal(np.where(known, mean, np.nan), np.where(known, np.sqrt(scale * variance), np.nan))

    def _ahead(self, horizon_s: Array, member: npt.NDArray[np.intp]) -> tuple[Array, ...]:
        """The dynamics over each horizon, once per member, then picked per tag: (tags, horizons)."""
        parts = self.dynamics(horizon_s[:, None])
        shape = (horizon_s.size, self.noise.size)
        return tuple(np.broadcast_to(part, shape)[:, member].T for part in parts)


def local_level(tags: int, ratios_per_s: Array | None = None, *, fixed: tuple[float, float] | None = None, forget: float = FORGET) -> Bank:
    """A level that wanders, measured with noise. ratios_per_s: q/r of the members; fixed = (q per s, r): known noises, one member."""
    ratio = np.array([1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3]) if ratios_per_s is None else ratios_per_s
    r = np.ones(ratio.size)
    if fixed is not None:
        ratio, r = np.array([fixed[0]]), np.array([fixed[1]])

    def dynamics(dt: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
        zero = np.zeros((1, 1))
        return zero + 1, zero, zero, ratio * dt, zero, zero

    return Bank("level", dynamics, r, (0.0, 0.0), forget, fixed is not None, carries=False).start(tags)


def local_trend(tags: int, step_s: float = 1.0, *, forget: float = FORGET) -> Bank:
    """A level with a slope that wanders: level noise 0 or a tenth of r per step, slope noise from 1e-9 to 1e-1 of r per step cubed."""
    slope = np.array([0.0, 1e-9, 1e-7, 1e-5, 1e-3, 1e-1, 0.0, 1e-6, 1e-3]) / step_s**3
    level = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.1]) / step_s

    def dynamics(dt: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
        one, square = np.ones((1, 1)), dt * dt
        return one, dt, one, slope * dt * square / 3 + level * dt, slope * square / 2, slope * dt

    r = np.ones(slope.size)
    return Bank("trend", dynamics, r, (0.0, 1e2 / step_s**2), forget, carries=False).start(tags)
