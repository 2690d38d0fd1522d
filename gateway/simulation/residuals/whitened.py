"""Residuals made white: what a model leaves over is a disturbance that decays (or walks) and white noise; a Kalman filter takes it apart.

d' = phi d + w,  e = d + v,  var(w) = q,  var(v) = r,  per step
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.simulation.calibration.linear import level_noise
from gateway.simulation.process.model import Array

PHIS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997)
_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Noise:
    """Of one residual, per step."""

    phi: float
    q: float
    r: float

    @classmethod
    def learned(cls, e: Array, step_s: float, phi: float | None = None) -> "Noise":
        """Likeliest of residuals e (n,), NaN: none; phi of a few where it is not known. Raises Unfit for too few, and for a constant."""
        best: tuple[float, Noise] | None = None
        for one in PHIS if phi is None else (phi,):
            found = level_noise(e, step_s, phi=one)
            noise = cls(one, found.q * step_s, max(found.r, _LEAST))
            z, s = filtered(e[None], noise)
            cost = float(np.nansum(z[0] ** 2) + np.nansum(np.where(np.isfinite(e), np.log(s), 0.0)))
            if best is None or cost < best[0]:
                best = cost, noise
        assert best is not None
        return best[1]


@dataclass(slots=True)
class Whitener:
    """The filter of n residuals: d, p (n,) the disturbance and its variance; parameters (n,)."""

    phi: Array
    q: Array
    r: Array
    d: Array
    p: Array

    @classmethod
    def of(cls, noises: "list[Noise]") -> "Whitener":
        """In the steady state of each disturbance."""
        phi, q, r = (np.array([getattr(one, name) for one in noises]) for name in ("phi", "q", "r"))
        return cls(phi, q, r, np.zeros(phi.size), q / np.maximum(1 - phi * phi, 1e-3))

    def step(self, e: Array) -> Array:
        """Standardised innovations z (n,) of residuals e (n,); NaN where there is none."""
        self.d, self.p = self.phi * self.d, self.phi**2 * self.p + self.q
        s = self.p + self.r
        nu = np.where(np.isfinite(e), e - self.d, 0.0)
        gain = np.where(np.isfinite(e), self.p / s, 0.0)
        self.d, self.p = self.d + gain * nu, (1 - gain) * self.p
        return np.where(np.isfinite(e), nu / np.sqrt(s), np.nan)


def filtered(e: Array, noise: Noise, d: Array | None = None) -> tuple[Array, Array]:
    """(z (rows, n), s (n,)) of residuals e (rows, n) whose gaps are the same in all rows; d (rows,): the disturbance before the first."""
    rows, n = e.shape
    level, p = np.zeros(rows) if d is None else d.copy(), noise.q / max(1 - noise.phi**2, 1e-3)
    z, spread = np.full((rows, n), np.nan), np.ones(n)
    for k in range(n):
        level, p = noise.phi * level, noise.phi**2 * p + noise.q
        spread[k] = s = p + noise.r
        if np.isfinite(e[0, k]):
            nu = e[:, k] - level
            z[:, k], level, p = nu / np.sqrt(s), level + p / s * nu, p * noise.r / s
    return z, spread
