"""Conversion by a reaction of first order whose rate follows Arrhenius' law."""

from types import MappingProxyType
from typing import Final

import numpy as np

from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process

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


class Reaction(Process):
    """A batch that reacts while it cools: its temperature (Cel), the converted share reaction_progress, the energy (kW.h) it has taken.

    Per step of its own clock, `step_s` seconds: reaction_rate converts at 20 Cel (Arrhenius with `activation`), cooling_factor is the share
    of the distance to `ambient` that the batch loses; energy_factor kW.h go into each whole batch that is converted. Any step of a
    simulation means the same process; the temperature at its beginning holds for the conversion of it.
    """

    states = outputs = ("temperature", "reaction_progress", "energy")
    inputs = ("ambient",)
    defaults = MappingProxyType(
        {
            "reaction_rate": 0.05,
            "cooling_factor": 0.1,
            "energy_factor": 1.5,
            "activation": ArrheniusConversion.defaults["activation"],
            "step_s": 60.0,
            "process_noise": 0.0,
            MEASUREMENT_NOISE: 0.0,
        }
    )
    positive = frozenset({"cooling_factor", "step_s"})
    not_negative = frozenset({"reaction_rate", "energy_factor", "activation", "process_noise"})
    seconds = frozenset({"step_s"})
    noises = 1

    def _check(self, name: str, value: Parameter) -> None:
        super()._check(name, value)
        if name == "cooling_factor" and not np.all(np.asarray(value) < 1):
            raise ModelError(f"parameter {name} is {value} and must be below 1: it is a share of a step")

    @property
    def fastest_s(self) -> float:
        """Of cooling, and of conversion at 20 Cel."""
        p, longest = self.parameters, float("inf")
        reaction = float(np.min(np.asarray(p["step_s"]) / p["reaction_rate"])) if np.all(p["reaction_rate"]) else longest
        return min(float(np.min(-np.asarray(p["step_s"]) / np.log1p(-np.asarray(p["cooling_factor"])))), reaction)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """T' = ambient + (T - ambient) (1 - cooling_factor)^(dt/step_s); p' = 1 - (1 - p) e^(-k dt); energy by what was converted."""
        p, after = self.parameters, np.empty_like(x)
        keep = (1 - np.asarray(p["cooling_factor"])) ** (dt_s / np.asarray(p["step_s"]))
        after[:, 0] = u[:, 0] + (x[:, 0] - u[:, 0]) * keep
        if noise is not None:
            tau = -np.asarray(p["step_s"]) / np.log1p(-np.asarray(p["cooling_factor"]))
            after[:, 0] += p["process_noise"] * np.sqrt(tau / 2 * (1 - keep**2)) * noise[:, 0]
        k = rate(x[:, 0], np.asarray(p["reaction_rate"]) / p["step_s"], p["activation"], 20.0)
        left = 1 - np.clip(x[:, 1], 0.0, 1.0)
        after[:, 1] = 1 - left * np.exp(-np.asarray(k) * dt_s)
        after[:, 2] = x[:, 2] + p["energy_factor"] * (after[:, 1] - (1 - left))
        return after
