"""A model from text: for each state its change per second, for each output what it shows, in the language of derived tags.

    states:  {level: "inflow - outflow_coefficient * sqrt(max(level, 0))"}
    outputs: {outflow: "outflow_coefficient * sqrt(max(level, 0))"}       # without outputs: the states

A name that is neither a state nor a parameter is an input. Beside the language's functions: exp, log, sin, cos, tanh, pow(x, y);
integral and rate are not: a state is an integral. Solved by Runge-Kutta of the fourth order, in sub-steps of at most a fifth of the fastest
time constant, found from the equations where `fastest` does not say it; process noise comes at the end of each step.
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

import numpy as np

from gateway.model.expression import Expression, ExpressionError, parse
from gateway.simulation.process.discrete import runge_kutta
from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process, unknown
from gateway.simulation.process.vector import VECTOR

FASTEST: Final = "fastest"
"""Parameter: the smallest time constant in seconds, where it is known better than by the slopes; 0: found from them."""
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORD: Final = re.compile(r"(?<![\w.])[A-Za-z_]\w*", re.ASCII)
_RESERVED: Final = frozenset({"and", "or", "not", "true", "false", "integral", "rate", *VECTOR.arity})
_NUDGE: Final = 1e-6


class Equations(Process):
    """x' = f(x, u), y = g(x, u). Parameters: those given, process_noise (per sqrt(s), every state; <state>_noise for one), fastest (s).

    Raises ModelError with the equation's name, the place in its text and a hint.
    """

    def __init__(
        self,
        states: Mapping[str, str],
        outputs: Mapping[str, str] | None = None,
        *,
        inputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> None:
        if not states:
            raise ModelError("a model of equations needs at least one state")
        own = dict(parameters or {})
        shown = dict(outputs) if outputs else {name: name for name in states}
        self._texts = (dict(states), shown)
        self.states, self.outputs, self.noises = tuple(states), tuple(shown), len(states)
        defaults = {"process_noise": 0.0, MEASUREMENT_NOISE: 0.0, FASTEST: 0.0}
        self._known = MappingProxyType({**dict.fromkeys(own, 0.0), **defaults})
        for name in (*states, *shown, *own, *(inputs or ())):
            if not _NAME.fullmatch(name) or name in _RESERVED:
                raise ModelError(f"{name!r} is no name for an equation: a word of letters, digits and _ that the language does not use")
        taken = {*states, *self._known}
        found = dict.fromkeys(word for text in (*states.values(), *shown.values()) for word in _WORD.findall(_numberless(text)))
        self.inputs = tuple(name for name in found if name not in taken and name not in _RESERVED) if inputs is None else tuple(inputs)
        if both := [name for name in states if name in self._known or name in self.inputs]:
            raise ModelError(f"{both[0]} is a state and something else too: choose another name")
        names = frozenset({*taken, *self.inputs})
        self._slopes = [_read(name, text, names) for name, text in states.items()]
        self._shown = [_read(name, text, names) for name, text in shown.items()]
        super().__init__(own)

    @property
    def defaults(self) -> Mapping[str, float]:  # type: ignore[override] # by its own parameters
        """Those given, and the noise."""
        return self._known

    @property
    def not_negative(self) -> frozenset[str]:  # type: ignore[override] # by its states
        """Noises and the time constant."""
        return frozenset({"process_noise", FASTEST, *(f"{name}_noise" for name in self.states)})

    @property
    def fastest_s(self) -> float:
        """As given, else of the slopes at the start with all inputs 0."""
        given = float(np.min(self.parameters[FASTEST]))
        if given:
            return given
        return self._fastest(np.zeros((1, len(self.states))), np.zeros((1, len(self.inputs))))

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """As given, else 0. An output that is no state says nothing of one."""
        unknown(given, dict.fromkeys([*self.states, *self.inputs, *self.outputs]), "state")
        return super().initial({name: value for name, value in given.items() if name not in self.outputs or name in self.states}, runs)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Fourth order in the sub-step; noise sqrt(dt) s Z at its end."""
        given = float(np.min(self.parameters[FASTEST]))
        fastest_s = given or self._fastest(x.mean(axis=0, keepdims=True), u.mean(axis=0, keepdims=True))
        after = runge_kutta(lambda at: self._evaluated(self._slopes, at, u, self.parameters), x, dt_s, fastest_s)
        if noise is not None:
            for k, name in enumerate(self.states):
                after[:, k] += self.parameters.get(f"{name}_noise", self.parameters["process_noise"]) * math.sqrt(dt_s) * noise[:, k]
        return after

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:
        """The outputs, with measurement noise."""
        return self._measured(self._evaluated(self._shown, x, u, self.parameters), noise)

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same equations with these parameters changed."""
        unknown(parameters, self._known, "parameter")
        return type(self)(*self._texts, inputs=self.inputs, parameters={**self.parameters, **parameters})

    def _evaluated(self, equations: Sequence[Expression], x: Array, u: Array, parameters: Mapping[str, Parameter]) -> Array:
        columns: dict[str, Parameter] = dict(parameters)
        columns |= {name: x[:, k] for k, name in enumerate(self.states)} | {name: u[:, k] for k, name in enumerate(self.inputs)}
        found = np.empty((x.shape[0], len(equations)))
        with np.errstate(all="ignore"):  # a state that is no number is found and named by who runs the model
            for k, equation in enumerate(equations):
                found[:, k] = equation.node([columns[name] for name in equation.names], ())  # type: ignore[misc] # columns
        return found

    def _fastest(self, x: Array, u: Array) -> float:
        """One over the largest eigenvalue of the slopes' derivative there; inf where there is none, or no number."""
        parameters = {name: float(np.mean(value)) for name, value in self.parameters.items()}
        here = self._evaluated(self._slopes, x, u, parameters)[0]
        size = len(self.states)
        slope = np.empty((size, size))
        for k in range(size):
            nudge = _NUDGE * max(1.0, abs(float(x[0, k])))
            moved = x.copy()
            moved[0, k] += nudge
            slope[:, k] = (self._evaluated(self._slopes, moved, u, parameters)[0] - here) / nudge
        if not np.isfinite(slope).all():
            return math.inf
        largest = float(np.abs(np.linalg.eigvals(slope)).max())
        return 1 / largest if largest > 1e-12 else math.inf


def from_text(equations: Mapping[str, Mapping[str, str]], parameters: Mapping[str, Parameter]) -> Equations:
    """Of {states: {...}, outputs: {...}} as a configuration has them. Raises ModelError."""
    unknown(equations, ("states", "outputs"), "part of a model's equations")
    return Equations(equations.get("states", {}), equations.get("outputs"), parameters=parameters)


def _numberless(text: str) -> str:
    """Without numbers, whose e is no name."""
    return re.sub(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", " ", text)


def _read(name: str, text: str, names: frozenset[str]) -> Expression:
    try:
        return parse(text, names, stateful=False, algebra=VECTOR)
    except ExpressionError as error:
        raise ModelError(f"the equation of {name}: {error}") from None
