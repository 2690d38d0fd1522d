"""By when a limit is passed, and how probably, from the chance to have passed it at each of a few instants."""

import numpy as np

from gateway.model.forecast import Crossing
from gateway.simulation.forecast.forecaster import Array, Mask


def times(chance: Array, time_s: Array, passed: Mask) -> Crossing:
    """chance (n, m, times) to have passed by time_s (times,) ascending, which is the horizon at its end; passed (n, m): already.

    Between two instants, and from 0 to the first, chance grows evenly.
    """
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
