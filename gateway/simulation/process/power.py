"""Power by the state of a machine, and its energy as a register that never runs backwards."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

import numpy as np

from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process

HOUR_S: Final = 3600.0
STATES: Final = ("stopped", "running", "idle")


class StatePower(Process):
    """power = (power of the state + per_rate rate) (1 + wobble), kW, never below 0; energy = its time integral, kW.h.

    Inputs: state, the place of a name in `names` (other numbers mean the nearest), and rate. Parameters: <name> kW for each state,
    per_rate kW per unit of rate, wobble: the relative standard deviation of a slow fluctuation, wobble_tau s. The fluctuation is an
    Ornstein-Uhlenbeck process, so that the energy of an hour does not depend on the step.
    """

    states = ("energy", "wobble")
    outputs = ("power", "energy")
    inputs = ("state", "rate")
    noises = 1
    positive = frozenset({"wobble_tau"})

    def __init__(self, names: Sequence[str] = STATES, parameters: Mapping[str, Parameter] | None = None) -> None:
        if not names or set(names) & {"per_rate", "wobble", "wobble_tau", MEASUREMENT_NOISE} or len(set(names)) != len(names):
            raise ModelError(
                f"the states {', '.join(names) or '(none)'} cannot be told apart from each other and from the other parameters"
            )
        self.names = tuple(names)
        self._known = {**dict.fromkeys(names, 0.0), "per_rate": 0.0, "wobble": 0.0, "wobble_tau": 60.0, MEASUREMENT_NOISE: 0.0}
        super().__init__(parameters)
        self._table = np.stack(np.broadcast_arrays(*(np.asarray(self.parameters[name], np.float64) for name in names)), axis=-1)

    @property
    def defaults(self) -> Mapping[str, float]:  # type: ignore[override] # by the names of its states
        """Of its states and the rest."""
        return MappingProxyType(self._known)

    @property
    def not_negative(self) -> frozenset[str]:  # type: ignore[override] # by the names of its states
        """All but wobble_tau, which is positive."""
        return frozenset(self._known) - self.positive

    @property
    def fastest_s(self) -> float:
        """wobble_tau where there is a fluctuation."""
        return float(np.min(self.parameters["wobble_tau"])) if np.any(self.parameters["wobble"]) else math.inf

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same states with these parameters changed."""
        return type(self)(self.names, {**self.parameters, **parameters})

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """energy as given; power is of the inputs."""
        return super().initial({name: value for name, value in given.items() if name != "power"}, runs)

    def power(self, x: Array, u: Array) -> Array:
        """kW of each run."""
        p, place = self.parameters, np.clip(np.rint(u[:, 0]), 0, len(self.names) - 1).astype(np.int64)
        base = self._table[place] if self._table.ndim == 1 else self._table[np.arange(x.shape[0]), place]
        return np.maximum((base + p["per_rate"] * u[:, 1]) * (1 + x[:, 1]), 0.0)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """The fluctuation is exact; the energy takes its mean over both ends."""
        p, after = self.parameters, x.copy()
        if noise is not None:
            keep = np.exp(-dt_s / np.asarray(p["wobble_tau"]))
            after[:, 1] = keep * x[:, 1] + p["wobble"] * np.sqrt(1 - keep**2) * noise[:, 0]
        after[:, 0] += (self.power(x, u) + self.power(after, u)) / 2 * (dt_s / HOUR_S)
        return after

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:
        """power with measurement noise, energy as its register has it."""
        y = np.stack([self.power(x, u), x[:, 0]], axis=1)
        if noise is not None and self.measurement_noises:
            y[:, 0] += self.parameters[MEASUREMENT_NOISE] * noise[:, 0]
        return y
