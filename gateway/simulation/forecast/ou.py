"""The Ornstein-Uhlenbeck process about a mean that wanders slowly, exact between samples however far apart."""

import numpy as np

from gateway.simulation.forecast.forecaster import Array
from gateway.simulation.forecast.kalman import FORGET, Bank


def ornstein_uhlenbeck(tags: int, slowest_s: float, fastest_s: float, *, rates: int = 8, forget: float = FORGET) -> Bank:
    """Time constants from fastest_s to slowest_s (geometric), each without and with measurement noise, of which the likeliest speaks.

    dx = theta (m - x) dt + s dW, stationary variance 1 in the filter's scale; m moves by a hundredth of that per ten slowest_s.
    Exact over dt: phi = exp(-theta dt), var = 1 - phi^2.
    """
    if not 0 < fastest_s <= slowest_s:
        raise ValueError(f"time constants from {fastest_s} to {slowest_s} s are none")
    theta = np.tile(1 / np.geomspace(fastest_s, slowest_s, rates), 2)
    noise = np.repeat([1e-9, 0.1], rates)
    wander = 1e-3 / slowest_s

    def dynamics(dt: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
        phi, one = np.exp(-theta * dt), np.ones((1, 1))
        return phi, 1 - phi, one, 1 - phi * phi, 0.0 * one, wander * dt

    return Bank("ou", dynamics, noise, (1.0, 4.0), forget).start(tags)
