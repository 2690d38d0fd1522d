"""What residuals say: whether they are white, how sure parameters are in spite of them, and how good a fit is."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.simulation.process.model import Array

WHITE: Final = 0.05
"""Ljung-Box: below it the residuals are not white."""
LAGS: Final = 20
ROUNDED: Final = 1e-9  # of its largest value: a signal that moves by no more stands still, and its digits are rounding


@dataclass(frozen=True, slots=True)
class Whiteness:
    """Ljung-Box: statistic ~ chi-square of `lags` degrees of freedom where the residuals are white; p its tail."""

    statistic: float
    lags: int
    p: float

    @property
    def white(self) -> bool:
        return self.p > WHITE


def autocorrelation(e: Array, lags: int) -> Array:
    """(lags,) of e (n,) about its mean; NaN are left out pair by pair."""
    d = np.where(np.isfinite(e), e - np.nanmean(e), 0.0)
    total = float(d @ d)
    return np.array([d[k:] @ d[:-k] for k in range(1, lags + 1)]) / (total or 1.0)


def ljung_box(e: Array, lags: int = LAGS) -> Whiteness:
    """Q = n (n+2) sum rho_k^2/(n-k) (Ljung and Box 1978). Fewer lags where there are fewer than 5 residuals for each."""
    from scipy.stats import chi2

    n = int(np.isfinite(e).sum())
    count = max(1, min(lags, n // 5))
    rho = autocorrelation(e, count)
    q = float(n * (n + 2) * np.sum(rho**2 / (n - np.arange(1, count + 1))))
    return Whiteness(q, count, float(chi2.sf(q, count)))


def covariance(jacobian: Array, e: Array) -> Array:
    """(p, p) of least-squares estimates from jacobian (n, p) and residuals e (n,): sigma^2 (J'J)^-1 where e is white.

    Else Newey and West's (1987) sandwich, which knows of autocorrelation: Bartlett weights up to the lag of Andrews (1991) for the first
    autocorrelation of e. Without it, intervals from correlated residuals are far too narrow.
    """
    n, p = jacobian.shape
    inverse = np.linalg.pinv(jacobian.T @ jacobian)
    if ljung_box(e).white:
        return np.asarray(inverse * float(e @ e) / max(n - p, 1))
    rho = float(np.clip(autocorrelation(e, 1)[0], -0.97, 0.97))
    alpha = 4 * rho**2 / ((1 - rho) ** 2 * (1 + rho) ** 2)
    longest = int(np.clip(np.ceil(1.1447 * (alpha * n) ** (1 / 3)), 1, n // 4))
    scores = jacobian * e[:, None]
    middle = scores.T @ scores
    for lag in range(1, longest + 1):
        gamma = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (longest + 1)) * (gamma + gamma.T)
    return np.asarray(inverse @ middle @ inverse * n / max(n - p, 1))


def nrmse_fit(y: Array, told: Array) -> float:
    """100 (1 - |y - told|/|y - mean y|) percent: 100 is perfect, 0 as good as the mean; None of it is hidden below 0."""
    spread = float(np.linalg.norm(y - y.mean()))
    return 100.0 * (1 - float(np.linalg.norm(y - told)) / spread) if spread > 0 else -100.0


def rmse(e: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(e * e)))


def condition(jacobian: Array) -> tuple[float, Array]:
    """Condition number of the columns in their own scale, and the direction (p,) that the data say least about."""
    scale = np.linalg.norm(jacobian, axis=0)
    if jacobian.shape[1] == 0:
        return 1.0, np.zeros(0)
    if (scale == 0).any():
        return float("inf"), (scale == 0).astype(np.float64)
    _, values, rows = np.linalg.svd(jacobian / scale, full_matrices=False)
    return float(values[0] / max(values[-1], 1e-300)), np.abs(rows[-1])


def excitation_order(u: Array, most: int = 10, floor: float = 1e-3) -> int:
    """Of which order u (n,) excites persistently (Ljung 1999, 13.2): the rank of its lags' matrix above `floor` of its largest."""
    if np.ptp(u) <= ROUNDED * np.abs(u).max():
        return 0
    d = u - u.mean()
    span = min(most, max(u.size // 4, 1))
    lagged = np.stack([d[k : d.size - span + k] for k in range(span)], axis=1)
    values = np.linalg.svd(lagged, compute_uv=False)
    return int((values > floor * values[0]).sum())
