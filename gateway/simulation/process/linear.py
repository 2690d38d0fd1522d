"""Linear processes, exact under a zero-order hold whatever the step: first and second order, dead time, Ornstein-Uhlenbeck, integrator."""

from types import MappingProxyType

import numpy as np

from gateway.simulation.process.model import Array, Process


class FirstOrder(Process):
    """tau dy/dt = bias + K u - y, with noise process_noise dW.

    K output per input, bias output, tau s, process_noise output per sqrt(s), measurement_noise output (standard deviation).
    """

    defaults = MappingProxyType({"K": 1.0, "tau": 1.0, "bias": 0.0, "process_noise": 0.0, "measurement_noise": 0.0})
    positive = frozenset({"tau"})
    not_negative = frozenset({"process_noise"})
    noises = 1

    @property
    def fastest_s(self) -> float:
        """tau."""
        return float(np.min(self.parameters["tau"]))

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact: y' = e^(-dt/tau) y + (1 - e^(-dt/tau)) (bias + K u)."""
        p = self.parameters
        keep = np.exp(-dt_s / np.asarray(p["tau"]))
        y = keep * x[:, 0] + (1 - keep) * (p["bias"] + p["K"] * u[:, 0])
        if noise is not None:
            y = y + p["process_noise"] * np.sqrt(p["tau"] / 2 * (1 - keep**2)) * noise[:, 0]
        return np.asarray(y)[:, None]
