"""What is kept and counted: integrators, inventories, registers, and material through a machine with yield and scrap."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

import numpy as np

from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process, column
from gateway.simulation.process.power import HOUR_S


class Integrator(Process):
    """dy/dt = K u, with noise process_noise dW. K output per second and input, process_noise output per sqrt(s)."""

    defaults = MappingProxyType({"K": 1.0, "process_noise": 0.0, MEASUREMENT_NOISE: 0.0})
    not_negative = frozenset({"process_noise"})
    noises = 1

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact."""
        y = x[:, 0] + self.parameters["K"] * u[:, 0] * dt_s
        if noise is not None:
            y = y + self.parameters["process_noise"] * np.sqrt(dt_s) * noise[:, 0]
        return np.asarray(y)[:, None]


class EnergyRegister(Process):
    """kW.h of a power in kW: a meter, which never runs backwards."""

    states = outputs = ("energy",)
    inputs = ("power",)
    defaults = MappingProxyType({MEASUREMENT_NOISE: 0.0})

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - it has no noise
        """Exact for a power that holds."""
        return x + np.maximum(u, 0.0) * (dt_s / HOUR_S)


class Inventory(Process):
    """level' = inflow - outflow, between 0 and capacity; inputs per second. delivered counts what went out, spilled what found no place.

    start + inflow = level + delivered + spilled, always.
    """

    states = outputs = ("level", "delivered", "spilled")
    inputs = ("inflow", "outflow")
    defaults = MappingProxyType({"capacity": 1e12, MEASUREMENT_NOISE: 0.0})
    positive = frozenset({"capacity"})

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - it has no noise
        """Exact for flows that hold: an empty store delivers what flows in, a full one spills what does not flow out."""
        here = x[:, 0] + np.maximum(u[:, 0], 0.0) * dt_s
        out = np.minimum(np.maximum(u[:, 1], 0.0) * dt_s, here)
        spilled = np.maximum(here - out - self.parameters["capacity"], 0.0)
        return np.stack([here - out - spilled, x[:, 1] + out, x[:, 2] + spilled], axis=1)


class MaterialBalance(Process):
    """Units made from materials: each inventory falls by its draw for every unit and never below 0; what lacks one material is not made.

    materials are names. Inputs: rate (units asked for, per rate_s seconds), defects (share of otherwise good units that is lost, 0 to 1),
    <material>_feed (per second). Parameters: <material>_draw per unit, yield_ratio (good units of all), rate_s. States: the inventories,
    good and scrap units, <material>_consumed and <material>_fed; the output `made` is the rate that the materials allow, in the unit of
    rate. For each material start + fed = inventory + consumed and consumed = draw (good + scrap), to rounding.
    """

    not_negative = frozenset({"yield_ratio"})

    def __init__(self, materials: Sequence[str] = ("material",), parameters: Mapping[str, Parameter] | None = None) -> None:
        if not materials or len(set(materials)) != len(materials) or set(materials) & {"good", "scrap", "made", "rate", "defects"}:
            raise ModelError(f"the materials {', '.join(materials) or '(none)'} cannot be told apart from each other and from the units")
        self.materials = tuple(materials)
        self.states = (*materials, "good", "scrap", *(f"{m}_consumed" for m in materials), *(f"{m}_fed" for m in materials))
        self.outputs = (*self.states, "made")
        self.inputs = ("rate", "defects", *(f"{m}_feed" for m in materials))
        draws = {f"{m}_draw": 1.0 for m in materials}
        self._known = MappingProxyType({**draws, "yield_ratio": 1.0, "rate_s": 1.0, MEASUREMENT_NOISE: 0.0})
        super().__init__(parameters)

    @property
    def defaults(self) -> Mapping[str, float]:  # type: ignore[override] # by its materials
        """The draws and the rest."""
        return self._known

    @property
    def positive(self) -> frozenset[str]:  # type: ignore[override] # by its materials
        """The draws and rate_s."""
        return frozenset(self._known) - {"yield_ratio", MEASUREMENT_NOISE}

    @property
    def measurement_noises(self) -> int:
        """0: what is counted is exact."""
        return 0

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same materials with these parameters changed."""
        return type(self)(self.materials, {**self.parameters, **parameters})

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """As given, none of it below 0; made is of the inputs. Raises ModelError."""
        for name, value in given.items():
            if name in self.states and value < 0:
                raise ModelError(f"{name} is {value} in the initial state: there cannot be less than none")
        return super().initial({name: value for name, value in given.items() if name != "made"}, runs)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - it has no noise
        """Exact for rates that hold."""
        n, p = len(self.materials), self.parameters
        fed = np.maximum(u[:, 2:], 0.0) * dt_s
        here = x[:, :n] + fed
        draws = self._draws(x.shape[0])
        units = np.minimum(np.maximum(u[:, 0], 0.0) * dt_s / p["rate_s"], (here / draws).min(axis=1))
        good = units * np.clip(p["yield_ratio"] * (1 - np.clip(u[:, 1], 0.0, 1.0)), 0.0, 1.0)
        consumed = np.minimum(units[:, None] * draws, here)
        after = np.empty_like(x)
        after[:, :n] = here - consumed
        after[:, n], after[:, n + 1] = x[:, n] + good, x[:, n + 1] + (units - good)
        after[:, n + 2 : 2 * n + 2] = x[:, n + 2 : 2 * n + 2] + consumed
        after[:, 2 * n + 2 :] = x[:, 2 * n + 2 :] + fed
        return after

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:  # noqa: ARG002 - counters are exact
        """The states and the rate that the materials allow: where one is out, what its feed allows."""
        n = len(self.materials)
        fed = np.maximum(u[:, 2:], 0.0) * column(self.parameters["rate_s"])
        allowed = np.where(x[:, :n] > 0, np.inf, fed / self._draws(x.shape[0])).min(axis=1)
        return np.concatenate([x, np.minimum(np.maximum(u[:, 0], 0.0), allowed)[:, None]], axis=1)

    def _draws(self, runs: int) -> Array:
        draws = [self.parameters[f"{m}_draw"] for m in self.materials]
        if any(isinstance(draw, np.ndarray) for draw in draws):
            return np.stack([np.broadcast_to(draw, runs) for draw in draws], axis=1)
        return np.asarray([draws], np.float64)
