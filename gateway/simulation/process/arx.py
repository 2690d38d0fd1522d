"""ARX: y[k+1] = bias + sum a_i y[k+1-i] + sum b_j u[k+1-delay-j] + e, for one fixed step."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

import numpy as np

from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process, column, finite, step_of, unknown

ORDER: Final = 5
"""Of a model by named coefficients."""


class Arx(Process):
    """Autoregression with one input, of a fixed period_s. Parameters a1.., b1.., bias, process_noise (standard deviation of e, per step).

    a and b are the coefficients, delay the steps of dead time beyond the one that a held input always has. States: y, y[-1].. and u[-1]..;
    what of them is not given is as y and u are, so that the model starts from rest.
    """

    noises = 1
    not_negative = frozenset({"process_noise"})

    def __init__(
        self,
        a: Sequence[float],
        b: Sequence[float],
        period_s: float,
        *,
        delay: int = 0,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> None:
        if delay < 0:
            raise ModelError(f"a delay of {delay} steps is none: it must not be negative")
        self._a, self._b, self._delay, self.period_s = tuple(a), tuple(b), delay, step_of(period_s)
        if not a:
            raise ModelError("an autoregression needs at least one coefficient a")
        named = {f"a{k}": float(v) for k, v in enumerate(a, 1)} | {f"b{k}": float(v) for k, v in enumerate(b, 1)}
        self._known = MappingProxyType({**named, "bias": 0.0, "process_noise": 0.0, MEASUREMENT_NOISE: 0.0})
        self._past_y, self._past_u = len(a) - 1, max(len(b) + delay - 1, 0)
        ys, us = (f"y[-{k}]" for k in range(1, self._past_y + 1)), (f"u[-{k}]" for k in range(1, self._past_u + 1))
        self.states = ("y", *ys, *us)
        self.inputs = ("u",) if b else ()
        super().__init__(parameters)

    @property
    def defaults(self) -> Mapping[str, float]:  # type: ignore[override] # by its orders
        """The coefficients and the rest."""
        return self._known

    @property
    def fastest_s(self) -> float:
        """Its period: between two steps it knows nothing."""
        return self.period_s

    def at(self, dt_s: float) -> Self:
        """Itself, for its own period alone."""
        if not math.isclose(dt_s, self.period_s, rel_tol=1e-9):
            raise ModelError(f"an ARX model of {self.period_s:g} s makes no steps of {dt_s:g} s")
        return self

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same orders with these parameters changed."""
        return type(self)(self._a, self._b, self.period_s, delay=self._delay, parameters={**self.parameters, **parameters})

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """At rest where the past is not given."""
        unknown(given, dict.fromkeys([*self.states, "u"]), "state")
        finite(given, "the initial state")
        y, u = given.get("y", 0.0), given.get("u", 0.0)
        return np.tile([float(given.get(name, y if name.startswith("y") else u)) for name in self.states], (runs, 1))

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """One period."""
        self.at(dt_s)
        p, ny = self.parameters, self._past_y + 1
        past = np.concatenate([u, x[:, ny:]], axis=1)
        y = np.zeros(x.shape[0]) + p["bias"]
        for k in range(ny):
            y += p[f"a{k + 1}"] * x[:, k]
        for k in range(len(self._b)):
            y += p[f"b{k + 1}"] * past[:, k + self._delay]
        if noise is not None:
            y += p["process_noise"] * noise[:, 0]
        return np.concatenate([column(y), x[:, : ny - 1], past[:, : self._past_u]], axis=1)


class NamedArx(Arx):
    """The same from named numbers alone, for a configuration: a1..a5, b1..b5 (0 where not given), period s, delay in periods."""

    seconds = frozenset({"period"})

    def __init__(self, parameters: Mapping[str, Parameter] | None = None) -> None:
        given = dict(parameters or {})
        period, delay = (given.pop(name, default) for name, default in (("period", 1.0), ("delay", 0.0)))
        if isinstance(period, np.ndarray) or isinstance(delay, np.ndarray) or delay != round(delay):
            raise ModelError("period and delay are one number for all runs, and delay is a whole number of periods")
        self._timing = MappingProxyType({"period": float(period), "delay": float(delay)})
        super().__init__([0.0] * ORDER, [0.0] * ORDER, float(period), delay=round(delay), parameters=given)
        self.parameters = MappingProxyType({**self.parameters, **self._timing})

    @property
    def defaults(self) -> Mapping[str, float]:  # type: ignore[override] # with its timing
        """The coefficients, noises and timing."""
        return MappingProxyType({**self._known, "period": 1.0, "delay": 0.0})

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same with these changed."""
        return type(self)({**self.parameters, **parameters})
