"""Conversion by a reaction of first order whose rate follows Arrhenius' law."""

from types import MappingProxyType
from typing import Final

import numpy as np

from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, Parameter, Process

GAS_CONSTANT: Final = 8.314462618
"""J/(mol K), CODATA 2018."""
KELVIN: Final = 273.15


def rate(temperature_cel: Parameter, k_ref: Parameter, activation: Parameter, reference_cel: Parameter) -> Parameter:
    """k in the unit of k_ref: k_ref exp(-(activation/R) (1/T - 1/T_ref)), activation in J/mol, temperatures in Cel."""
    kelvin = np.maximum(np.asarray(temperature_cel) + KELVIN, 1.0)
    return np.asarray(k_ref * np.exp(-activation / GAS_CONSTANT * (1 / kelvin - 1 / (reference_cel + KELVIN))))


class ArrheniusConversion(Process):
    """dp/dt = k(T) (1 - p): the converted share p of a batch at temperature T (Cel).

    k_ref 1/s at reference Cel, activation J/mol. The default activation makes k grow at 20 Cel as exp((T - 20)/10) does.
    """

    states = outputs = ("conversion",)
    inputs = ("temperature",)
    defaults = MappingProxyType(
        {"k_ref": 0.05, "activation": GAS_CONSTANT * (20 + KELVIN) ** 2 / 10, "reference": 20.0, MEASUREMENT_NOISE: 0.0}
    )
    not_negative = frozenset({"k_ref", "activation"})

    @property
    def fastest_s(self) -> float:
        """1/k at the reference temperature."""
        largest = float(np.max(self.parameters["k_ref"]))
        return 1 / largest if largest else float("inf")

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - it has no noise
        """Exact: p' = 1 - (1 - p) e^(-k dt), never above 1."""
        p = self.parameters
        k = rate(u[:, 0], p["k_ref"], p["activation"], p["reference"])
        left = 1 - np.clip(x[:, 0], 0.0, 1.0)
        return np.asarray(1 - left * np.exp(-np.asarray(k) * dt_s))[:, None]
