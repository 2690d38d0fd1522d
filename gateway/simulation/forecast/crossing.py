"""Whether and when limits are passed, from the predictive distribution alone: closed forms, at nodes of time that grow apart.

What wanders (rate of return 0): first passage of drifted Brownian motion with the mean and sd of each horizon; exact for a level and
for a straight drift whose variance grows with time (Cox and Miller 1965, 5.7).
What returns to a mean (rate theta): fortet.passage.
"""

from typing import Final

import numpy as np

from gateway.model.forecast import Crossing
from gateway.simulation.forecast import fortet, normal
from gateway.simulation.forecast.forecaster import Array, Mask, Normal
from gateway.simulation.passage import SAMPLED

NODES: Final = 40


def crossing(
    start: Array, ahead: Normal, horizon_s: Array, limits: Array, *, upper: Array, rate: Array, scan_s: Array | float = 0.0
) -> Crossing:
    """First passage of tags (n) through limits (n, m) within horizon_s[-1].

    start (n,) the value now; ahead (n, steps) and horizon_s (steps,) ascending; limits NaN where there is none; upper bool, broadcast
    to (n, m): passed upwards; rate (n,) 1/s; scan_s, one or (n,): how often the limit is looked at, 0 = always.
    """
    pick = _nodes(horizon_s.size)
    time = horizon_s[pick]
    sign = np.where(upper, 1.0, -1.0) * np.ones_like(limits)
    distance = sign * (limits - start[:, None])
    passed = distance <= 0
    mean, sd = ahead.mean[:, pick], np.maximum(ahead.sd[:, pick], 1e-12)
    if np.any(scan_s):
        distance = distance + SAMPLED * _increment(sd, time, scan_s)[:, None]
    moved = sign[:, :, None] * (mean - start[:, None])[:, None, :]
    wide = np.broadcast_to(sd[:, None, :], moved.shape)
    chance = brownian(distance[:, :, None], moved, wide)
    if (returns := rate > 0).any():
        own, beyond = start[returns], sign[returns] * distance[returns] + start[returns][:, None]
        variance = np.maximum(ahead.sd[returns], 1e-12) ** 2
        chance[returns] = fortet.passage(own, ahead.mean[returns], variance, horizon_s, beyond, sign[returns], rate[returns], time)
    chance = np.clip(np.maximum.accumulate(chance, axis=2), 0.0, 1.0)
    chance[passed] = 1.0
    return times(chance, time, passed)


def brownian(distance: Array, moved: Array, sd: Array) -> Array:
    """P(passed by then): Phi((m - d)/sd) + exp(2 m d/sd^2) Phi(-(d + m)/sd), d > 0, m the mean's way towards it."""
    a, b = (moved - distance) / sd, (distance + moved) / sd
    bell = normal.density(a)
    far = bell * normal.mills(np.abs(b))
    mirrored = np.where(b < 0, np.exp(np.minimum((b - a) * (b + a) / 2, 0.0)) - far, far)
    tail = bell * normal.mills(np.abs(a))
    return np.asarray(np.where(a > 0, 1 - tail, tail) + mirrored)


def _nodes(steps: int) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    grown = np.geomspace(1, steps, min(NODES, steps)).round().astype(np.intp)
    return np.unique(grown) - 1


def _increment(sd: Array, time_s: Array, scan_s: Array | float) -> Array:
    """(n,) sd of the way that is wandered in one scan: from how the variance grows at first, which leaves measurement noise out."""
    if time_s.size < 2:
        return np.asarray(sd[:, 0] * np.sqrt(scan_s / time_s[0]))
    rise = (sd[:, 1] ** 2 - sd[:, 0] ** 2) / (time_s[1] - time_s[0])
    return np.asarray(np.sqrt(np.maximum(rise, 0.0) * scan_s))


def times(chance: Array, time_s: Array, passed: Mask) -> Crossing:
    before = np.concatenate([np.zeros((*chance.shape[:2], 1)), chance], axis=2)
    at = np.concatenate([[0.0], time_s])
    share = np.diff(before)
    mass = share.sum(-1)
    mean = np.divide((share * (at[1:] + at[:-1]) / 2).sum(-1), mass, out=np.full(mass.shape, np.nan), where=mass > 1e-12)
    mean = np.where(passed, 0.0, mean)
    early, median, late = (np.where(passed, 0.0, _when(before, at, p)) for p in (0.05, 0.5, 0.95))
    return Crossing(float(time_s[-1]), chance[..., -1], mean, early, median, late)


def _when(chance: Array, time_s: Array, p: float) -> Array:
    """The time by which it is passed with probability p; NaN: not within the horizon."""
    reached = chance >= p
    high = np.clip(reached.argmax(-1), 1, None)
    low = high - 1
    c0, c1 = (np.take_along_axis(chance, place[..., None], -1)[..., 0] for place in (low, high))
    share = np.divide(p - c0, c1 - c0, out=np.ones_like(c0), where=c1 - c0 > 1e-15)
    return np.asarray(np.where(reached.any(-1), time_s[low] + share * (time_s[high] - time_s[low]), np.nan))
