"""First passage of a process that returns to its mean, by Fortet's equation (1943): whoever is beyond the limit has passed it before.

    P(X_t > L) = integral over s < t of f(s) P(X_t > L | X_s = L) ds

A Gauss-Markov process makes both sides normal; the mass of each interval lies near its middle. Exact for a limit at the mean.
"""

from typing import Final

import numpy as np

from gateway.simulation.forecast import normal
from gateway.simulation.forecast.forecaster import Array

NODES: Final = 32
MASS: Final = 5 / 9  # of an interval: 4/9 from its end, where the square root of the time left has its mean
RELAXED: Final = 6.0  # time constants after which the hazard is constant


def passage(start: Array, mean: Array, variance: Array, horizon_s: Array, limit: Array, sign: Array, rate: Array, time_s: Array) -> Array:
    """P(passed by time_s): (n, m, times). start, rate (n,); mean, variance (n, steps) at horizon_s; limit, sign (n, m), 1 = upwards.

    Intervals grow from the start to RELAXED time constants; from there on the chance to pass is exponential in time.
    """
    until = np.minimum(RELAXED / rate, horizon_s[-1])
    grown = (np.arange(NODES + 1) / NODES) ** 1.5
    node = until[:, None] * grown
    middle = node[:, :-1] + MASS * np.diff(node)
    at_node, at_middle = (_read(start, mean, variance, horizon_s, when) for when in (node[:, 1:], middle))
    chance = _solve(at_node, at_middle, node[:, 1:], middle, limit, sign, rate)
    return _spread(chance, node, until, time_s)


def _read(start: Array, mean: Array, variance: Array, horizon_s: Array, when: Array) -> tuple[Array, Array]:
    """Mean and variance at times (n, k) of each tag; at 0 the start and 0."""
    known = np.concatenate([[0.0], horizon_s])
    high = np.clip(np.searchsorted(known, when), 1, known.size - 1)
    share = np.clip((when - known[high - 1]) / (known[high] - known[high - 1]), 0.0, 1.0)
    found = []
    for first, column in ((start[:, None], mean), (np.zeros((start.size, 1)), variance)):
        whole = np.concatenate([first, column], axis=1)
        low_part, high_part = (np.take_along_axis(whole, place, 1) for place in (high - 1, high))
        found.append(low_part * (1 - share) + high_part * share)
    return found[0], found[1]


def _solve(
    at_node: tuple[Array, Array], at_middle: tuple[Array, Array], node: Array, middle: Array, limit: Array, sign: Array, rate: Array
) -> Array:
    """Forward substitution over the nodes: (n, m, NODES) chance to have passed."""
    (mean, variance), (mean_before, variance_before) = at_node, at_middle
    off = sign[:, :, None] * (limit[:, :, None] - mean[:, None, :])  # (n, m, k): how far the limit is off the mean
    off_before = sign[:, :, None] * (limit[:, :, None] - mean_before[:, None, :])
    beyond = normal.distribution(-off / np.sqrt(variance)[:, None, :])
    mass = np.zeros_like(off)
    for k in range(NODES):
        fall = np.exp(-rate[:, None] * (node[:, k : k + 1] - middle[:, : k + 1]))
        left = np.maximum(variance[:, k : k + 1] - variance_before[:, : k + 1] * fall * fall, 1e-9 * variance[:, k : k + 1])
        gap = off[:, :, k : k + 1] - off_before[:, :, : k + 1] * fall[:, None, :]
        again = normal.distribution(-gap / np.sqrt(left)[:, None, :])
        rest = beyond[:, :, k] - (mass[:, :, :k] * again[:, :, :k]).sum(-1)
        mass[:, :, k] = np.clip(rest / np.maximum(again[:, :, k], 1e-3), 0.0, None)
    return np.minimum(np.cumsum(mass, axis=-1), 1.0)


def _spread(chance: Array, node: Array, until: Array, time_s: Array) -> Array:
    """From each tag's own nodes to times that all share."""
    whole = np.concatenate([np.zeros((*chance.shape[:2], 1)), chance], axis=2)
    place = np.minimum((np.minimum(time_s / until[:, None], 1.0) ** (1 / 1.5)) * NODES, NODES - 1e-9)
    low = place.astype(np.intp)
    begin, end = np.take_along_axis(node, low, 1), np.take_along_axis(node, low + 1, 1)
    share = np.clip((time_s - begin) / (end - begin), 0.0, 1.0)[:, None, :]
    low = np.broadcast_to(low[:, None, :], (*chance.shape[:2], time_s.size))
    near = np.take_along_axis(whole, low, 2) * (1 - share) + np.take_along_axis(whole, low + 1, 2) * share
    stays = np.maximum(1 - whole[..., [-6, -1]], 1e-12)
    hazard = np.maximum(np.log(stays[..., 0] / stays[..., 1]), 0.0) / (node[:, -1] - node[:, -6])[:, None]
    later = np.maximum(time_s - until[:, None], 0.0)[:, None, :]
    return np.asarray(1 - (1 - near) * np.exp(-hazard[..., None] * later))
