"""Heat and air: Newton's cooling, and the climate of a room."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, Process, column


class NewtonCooling(Process):
    """dT/dt = -k (T - ambient) + heating, with noise process_noise dW.

    k 1/s; inputs ambient Cel and heating K/s; process_noise K per sqrt(s).
    """

    states = outputs = ("temperature",)
    inputs = ("ambient", "heating")
    defaults = MappingProxyType({"k": 0.01, "process_noise": 0.0, MEASUREMENT_NOISE: 0.0})
    positive = frozenset({"k"})
    not_negative = frozenset({"process_noise"})
    noises = 1

    @property
    def fastest_s(self) -> float:
        """1/k."""
        return float(1 / np.max(self.parameters["k"]))

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact: T' = rest + (T - rest) e^(-k dt), rest = ambient + heating/k."""
        p = self.parameters
        keep = np.exp(-np.asarray(p["k"]) * dt_s)
        rest = u[:, 0] + u[:, 1] / p["k"]
        after = rest + (x[:, 0] - rest) * keep
        if noise is not None:
            after = after + p["process_noise"] * np.sqrt((1 - keep**2) / (2 * p["k"])) * noise[:, 0]
        return np.asarray(after)[:, None]


def cooling_time_s(start: float, ambient: float, k: float, level: float) -> float:
    """Seconds until a body that cools (or warms) from start passes level; inf where it never does."""
    if (start - level) * (start - ambient) <= 0:
        return 0.0
    share = (start - ambient) / (level - ambient) if level != ambient else math.inf
    return math.log(share) / k if 1 <= share < math.inf else math.inf


class Room(Process):
    """Temperature (Cel) and relative humidity (%) of a room that is held: each an Ornstein-Uhlenbeck process about its target.

    *_target, *_tau s, *_noise per sqrt(s); inputs heat K/s and moisture %/s disturb them. Humidity is shown between 0 and 100 %.
    """

    states = outputs = ("temperature", "humidity")
    inputs = ("heat", "moisture")
    defaults = MappingProxyType(
        {
            "temperature_target": 22.0,
            "temperature_tau": 1800.0,
            "temperature_noise": 0.01,
            "humidity_target": 45.0,
            "humidity_tau": 3600.0,
            "humidity_noise": 0.05,
            MEASUREMENT_NOISE: 0.0,
        }
    )
    positive = frozenset({"temperature_tau", "humidity_tau"})
    not_negative = frozenset({"temperature_noise", "humidity_noise"})
    noises = 2

    @property
    def fastest_s(self) -> float:
        """The shorter tau."""
        return float(min(np.min(self.parameters["temperature_tau"]), np.min(self.parameters["humidity_tau"])))

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """Given, else the targets."""
        x = super().initial(given, runs)
        for k, name in enumerate(self.states):
            if name not in given:
                x[:, k] = self.parameters[f"{name}_target"]
        return x

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact for both."""
        after = np.empty_like(x)
        for k, name in enumerate(self.states):
            target, tau, s = (self.parameters[f"{name}_{part}"] for part in ("target", "tau", "noise"))
            keep = np.exp(-dt_s / np.asarray(tau))
            rest = target + tau * u[:, k]
            after[:, k] = rest + (x[:, k] - rest) * keep
            if noise is not None:
                after[:, k] += s * np.sqrt(tau / 2 * (1 - keep**2)) * noise[:, k]
        return after

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:  # noqa: ARG002 - it shows its states
        """Both, humidity within its bounds."""
        y = x.copy()
        if noise is not None and self.measurement_noises:
            y += column(self.parameters[MEASUREMENT_NOISE]) * noise
        np.clip(y[:, 1], 0.0, 100.0, out=y[:, 1])
        return y
