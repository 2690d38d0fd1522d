"""Estimates that need no simulation: ARX by least squares, Ornstein-Uhlenbeck and the noises of a level by exact likelihood."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.simulation.calibration.record import FEWEST, Unfit
from gateway.simulation.calibration.statistics import condition, covariance
from gateway.simulation.process.model import Array

SINGULAR: Final = 1e8
"""Condition number above which data do not tell parameters apart."""
_Z95: Final = 1.959964
_UNSURE: Final = 3.0  # of a logarithm: a factor of 20 either way
_RATIOS: Final = 10.0 ** np.linspace(-6, 6, 49)


@dataclass(frozen=True, slots=True)
class ArxFit:
    """a (na,), b (nb,), bias; cov (na+nb+1,) square, in this order; e (n,) one-step errors, NaN where a lag is missing."""

    a: Array
    b: Array
    bias: float
    cov: Array
    e: Array

    @property
    def sigma(self) -> float:
        return float(np.sqrt(np.nanmean(self.e**2)))


def arx(y: Array, u: Array, na: int, nb: int, *, delay: int = 0, bias: bool = True) -> ArxFit:
    """y[k+1] = bias + sum a_i y[k+1-i] + sum b_j u[k+1-delay-j] by least squares over rows without a gap; y, u (n,), u[k] holds to k+1.

    Unbiased for equation noise alone: with noise on the output the poles come out too fast. Raises Unfit for too few rows, and where the
    data do not tell the coefficients apart.
    """
    first = max(na, nb + delay, 1)
    at = np.arange(first, y.size)
    columns = [y[at - i] for i in range(1, na + 1)] + [u[at - delay - j] for j in range(1, nb + 1)]
    names = [*(f"a{i}" for i in range(1, na + 1)), *(f"b{j}" for j in range(1, nb + 1))]
    if bias:
        columns.append(np.ones(at.size))
        names.append("bias")
    x = np.stack(columns, axis=1) if at.size else np.zeros((0, len(names)))
    whole = np.isfinite(x).all(axis=1) & np.isfinite(y[at])
    x, target = x[whole], y[at][whole]
    if len(target) < max(FEWEST, 3 * len(names)):
        raise Unfit(f"{len(target)} rows without a gap are too few for {len(names)} coefficients: take a longer window")
    number, least = condition(x)
    if number > SINGULAR:
        said = ", ".join(name for name, share in zip(names, least.tolist(), strict=True) if share > 0.3)
        raise Unfit(f"the data do not tell {said} apart (condition {number:.1g}): move the input, or take a lower order")
    theta: Array = np.linalg.lstsq(x, target, rcond=None)[0].astype(np.float64)
    e = np.full(y.size, np.nan)
    e[at[whole]] = target - x @ theta
    return ArxFit(theta[:na], theta[na : na + nb], float(theta[-1]) if bias else 0.0, covariance(x, target - x @ theta), e)


@dataclass(frozen=True, slots=True)
class OuFit:
    """dy = theta (mean - y) dt + s dW; sd of each from the observed information. e (n-1,): standardised one-step errors."""

    mean: float
    theta: float
    s: float
    sd: tuple[float, float, float]
    e: Array


def ornstein_uhlenbeck(time_s: Array, y: Array) -> OuFit:
    """Exact maximum likelihood at any sampling: mean and s have closed forms given theta, which is searched for.

    Raises Unfit for too few samples, a constant, and for a series that does not return to a mean within the window.
    """
    from scipy.optimize import minimize_scalar

    whole = np.isfinite(y)
    time_s, y = time_s[whole], y[whole]
    if y.size < FEWEST:
        raise Unfit(f"{y.size} Good samples are too few for an Ornstein-Uhlenbeck process: {FEWEST} are the fewest")
    if not np.ptp(y) > 0:
        raise Unfit("the series is constant: it tells nothing of how it returns to its mean")
    dt = np.diff(time_s)
    span, step = float(time_s[-1] - time_s[0]), float(np.median(dt))
    found = minimize_scalar(lambda log: _ou(math.exp(log), dt, y)[0], bounds=(math.log(0.1 / span), math.log(20 / step)), method="bounded")
    theta = math.exp(float(found.x))
    if theta * span < 3:
        raise Unfit("the series does not return to a mean within the window: take a longer one, or a local level")
    mean, s = _ou(theta, dt, y)[1:]

    def cost(p: Array) -> float:
        return _ou_cost(float(p[0]), math.exp(float(p[1])), math.exp(float(p[2])), dt, y)

    cov = np.linalg.pinv(_hessian(cost, np.array([mean, math.log(theta), math.log(s)]), np.array([s * 1e-3 + 1e-9, 1e-3, 1e-3])))
    sd = np.sqrt(np.maximum(np.diag(cov), 0.0))
    keep = np.exp(-theta * dt)
    e = (y[1:] - mean - (y[:-1] - mean) * keep) / (s * np.sqrt((1 - keep**2) / (2 * theta)))
    return OuFit(mean, theta, s, (float(sd[0]), theta * float(sd[1]), s * float(sd[2])), e)


def _ou(theta: float, dt: Array, y: Array) -> tuple[float, float, float]:
    """(minus log-likelihood but for a constant, mean, s) at the likeliest mean and s of that theta."""
    keep = np.exp(-theta * dt)
    spread = -np.expm1(-2 * theta * dt) / (2 * theta)
    weight = (1 - keep) / spread
    mean = float(np.sum(weight * (y[1:] - keep * y[:-1])) / np.sum(weight * (1 - keep)))
    s2 = float(np.mean((y[1:] - mean - keep * (y[:-1] - mean)) ** 2 / spread))
    return 0.5 * (dt.size * math.log(max(s2, 1e-300)) + float(np.log(spread).sum())), mean, math.sqrt(s2)


def _ou_cost(mean: float, theta: float, s: float, dt: Array, y: Array) -> float:
    keep = np.exp(-theta * dt)
    variance = s * s * -np.expm1(-2 * theta * dt) / (2 * theta)
    return float(0.5 * np.sum(np.log(variance) + (y[1:] - mean - keep * (y[:-1] - mean)) ** 2 / variance))


def _hessian(cost: object, at: Array, h: Array) -> Array:
    """By central differences."""
    assert callable(cost)
    size = at.size
    out = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            a, b = np.zeros(size), np.zeros(size)
            a[i], b[j] = h[i], h[j]
            out[i, j] = (cost(at + a + b) - cost(at + a - b) - cost(at - a + b) + cost(at - a - b)) / (4 * h[i] * h[j])
    return out


# --- the noises of a level, a trend, or what is left of a first order ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoiseFit:
    """x' = phi x + w, y = x + v: q variance of w per second, r of v, slope_q of the trend's own walk per second; 95 % interval of each.

    e (n,): innovations over their standard deviation, NaN at gaps and at the diffuse start.
    """

    q: float
    r: float
    slope_q: float
    q_interval: tuple[float, float]
    r_interval: tuple[float, float]
    e: Array


def level_noise(y: Array, step_s: float, *, phi: float = 1.0, trend: bool = False) -> NoiseFit:
    """Likeliest noises of y (n,) every step_s (NaN: no sample), by the Kalman filter's innovations (Harvey 1989, 3.4); phi per step.

    phi 1 is the local level, with trend the local linear trend; below 1 a disturbance that decays, as a first order leaves it. The scale
    is concentrated out, and ratios of noises are searched on two grids, all at once. Raises Unfit for too few samples and a constant.
    """
    if int(np.isfinite(y).sum()) < FEWEST:
        raise Unfit(f"{int(np.isfinite(y).sum())} Good samples are too few for noises: {FEWEST} are the fewest")
    if not np.nanmax(y) > np.nanmin(y):
        raise Unfit("the series is constant: it has no noise to estimate")
    slopes = np.concatenate([[0.0], 10.0 ** np.linspace(-10, 0, 21)]) / step_s**2 if trend else np.zeros(1)
    _, ratio, slope = _search(y, step_s, phi, _RATIOS, slopes)
    fine = ratio * 10.0 ** np.linspace(-0.25, 0.25, 41)
    near = slope * 10.0 ** np.linspace(-0.5, 0.5, 11) if slope else np.zeros(1)
    _, ratio, slope = _search(y, step_s, phi, fine, near)
    q_sd, r_sd = _spread(y, step_s, phi, ratio, slope)
    _, (one,), e = _filtered(y, step_s, phi, np.array([ratio]), np.array([slope]))
    q, r = ratio * one / step_s, float(one)
    return NoiseFit(q, r, slope * one / step_s, _interval(q, q_sd), _interval(r, r_sd), e[:, 0])


def _interval(value: float, sd: float) -> tuple[float, float]:
    """95 % of a variance whose logarithm has that standard deviation; down to 0 where the data do not tell it from nothing."""
    return (0.0 if sd > _UNSURE else value * math.exp(-_Z95 * sd)), value * math.exp(_Z95 * min(sd, _UNSURE))


def _spread(y: Array, step_s: float, phi: float, ratio: float, slope: float) -> tuple[float, float]:
    """Standard deviations of ln q and ln r, from the observed information of ln ratio and ln r."""
    h = 0.1
    cost, scale, e = _filtered(y, step_s, phi, ratio * np.exp([-h, 0.0, h]), np.full(3, slope))
    n = int(np.isfinite(e[:, 1]).sum())
    a, b = 2 * cost - n * np.log(scale), n * scale / scale[1]  # minus twice the log-likelihood is a + n ln r + b at that r
    ratio2 = float(a[0] - 2 * a[1] + a[2] + b[0] - 2 * b[1] + b[2]) / (2 * h * h)
    cross, own = -float(b[2] - b[0]) / (4 * h), n / 2
    determinant = ratio2 * own - cross * cross
    if determinant <= 0 or ratio2 <= 0:
        return math.inf, math.sqrt(1 / own)
    v_ratio, v_r, v_both = own / determinant, ratio2 / determinant, -cross / determinant
    return math.sqrt(max(v_ratio + v_r + 2 * v_both, 0.0)), math.sqrt(v_r)


def _search(y: Array, step_s: float, phi: float, ratios: Array, slopes: Array) -> tuple[float, float, float]:
    a, b = (part.ravel() for part in np.meshgrid(ratios, slopes))
    cost, _, _ = _filtered(y, step_s, phi, a, b)
    place = int(np.argmin(cost))
    return float(cost[place]), float(a[place]), float(b[place])


def _filtered(y: Array, step_s: float, phi: float, q: Array, slope_q: Array) -> tuple[Array, Array, Array]:
    """(cost (k,), scale r (k,), standardised innovations (n, k)) of k pairs of ratios to r, per step."""
    k = q.size
    level, slope = np.zeros(k), np.zeros(k)
    p00, p01, p11 = np.full(k, 1e7), np.zeros(k), np.where(slope_q > 0, 1e7 / step_s**2, 0.0)
    settle = 3 if (slope_q > 0).any() else 1
    e, ln_s, square, seen = np.full((y.size, k), np.nan), np.zeros(k), np.zeros(k), 0
    if phi < 1:
        p00, settle = q / (1 - phi * phi), 0
    for row, value in enumerate(y.tolist()):
        level = phi * level + step_s * slope
        p00 = phi * phi * p00 + 2 * phi * step_s * p01 + step_s**2 * p11 + q
        p01, p11 = phi * p01 + step_s * p11, p11 + slope_q
        if value != value:  # noqa: PLR0124 - NaN, quicker than isnan of a number
            continue
        s, nu = p00 + 1.0, value - level
        g0, g1 = p00 / s, p01 / s
        level, slope = level + g0 * nu, slope + g1 * nu
        p11 = p11 - g1 * p01
        p00, p01 = (1 - g0) * p00, (1 - g0) * p01
        seen += 1
        if seen > settle:
            e[row] = nu / np.sqrt(s)
            ln_s += np.log(s)
            square += nu * nu / s
    count = seen - settle
    scale = square / count
    return 0.5 * (ln_s + count * np.log(scale)), scale, e / np.sqrt(scale)
