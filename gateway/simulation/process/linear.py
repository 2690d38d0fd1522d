"""Linear processes, exact under a zero-order hold whatever the step: first and second order, dead time, Ornstein-Uhlenbeck, state space."""

import copy
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gateway.simulation.process.discrete import Discrete, discretised
from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process, column, finite, step_of, unknown

LONGEST_DELAY: Final = 100_000
"""Steps of a dead time."""


class FirstOrder(Process):
    """tau dy/dt = bias + K u - y, with noise process_noise dW on dy.

    K output per input, bias output, tau s, process_noise output per sqrt(s), measurement_noise output (standard deviation).
    """

    defaults = MappingProxyType({"K": 1.0, "tau": 1.0, "bias": 0.0, "process_noise": 0.0, MEASUREMENT_NOISE: 0.0})
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
        return relaxed(y, keep, p, noise)


def relaxed(y: Array, keep: Parameter, p: Mapping[str, Parameter], noise: Array | None) -> Array:
    """(runs, 1): y with the noise that a first order of p gathers while it keeps the share `keep` of itself."""
    if noise is not None:
        y = y + p["process_noise"] * np.sqrt(p["tau"] / 2 * (1 - keep**2)) * noise[:, 0]
    return np.asarray(y)[:, None]


class Delayed(Process):
    """A process whose input acts theta seconds later.

    Made ready for a step by `at`, it keeps the inputs of the last theta seconds as states u[-1], u[-2], ... (u[-1]: the step before). Where
    they are not given, the past input is `u`, else the one that would have held the output where it is. Exact also where theta is no
    multiple of the step.
    """

    def __init__(self, parameters: Mapping[str, Parameter] | None = None, dt_s: float | None = None) -> None:
        super().__init__(parameters)
        self._dt_s = dt_s
        if dt_s is not None:
            self.states = (*type(self).states, *past_inputs(self.parameters["theta"], dt_s))

    def at(self, dt_s: float) -> Self:
        """With a state for each step of the dead time."""
        return type(self)(self.parameters, step_of(dt_s))

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same with these parameters changed, ready for the same step."""
        return type(self)({**self.parameters, **parameters}, self._dt_s)

    def _made_for(self, dt_s: float) -> None:
        if self._dt_s is None or not math.isclose(dt_s, self._dt_s):
            raise ModelError(f"a dead time must be made ready for its step: at({dt_s:g}) before step")


class FirstOrderDeadTime(Delayed, FirstOrder):
    """tau dy/dt = bias + K u(t - theta) - y. As FirstOrder, theta s."""

    defaults = MappingProxyType({**FirstOrder.defaults, "theta": 0.0})
    not_negative = frozenset({"process_noise", "theta"})

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """y and the inputs of the dead time."""
        unknown(given, dict.fromkeys([*self.states, *self.inputs]), "state")
        finite(given, "the initial state")
        y, p = float(given.get("y", 0.0)), self.parameters
        held = _resting(y, p)
        x = np.empty((runs, len(self.states)))
        x[:, 0] = y
        x[:, 1:] = column(np.broadcast_to(given.get("u", held), runs))
        for k, name in enumerate(self.states):
            if name in given:
                x[:, k] = given[name]
        return x

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact: for the first r seconds the older of two inputs acts, then the younger, theta = d dt + r."""
        self._made_for(dt_s)
        p = self.parameters
        past = np.concatenate([u[:, :1], x[:, 1:]], axis=1)
        whole = np.floor(np.asarray(p["theta"]) / dt_s).astype(np.int64)
        rest = p["theta"] - whole * dt_s
        if whole.ndim:
            rows = np.arange(x.shape[0])
            younger, older = past[rows, whole], past[rows, whole + 1]
        else:
            younger, older = past[:, whole], past[:, whole + 1]
        keep = np.exp(-dt_s / np.asarray(p["tau"]))
        late = np.exp(-(dt_s - rest) / np.asarray(p["tau"]))
        y = keep * x[:, 0] + (1 - keep) * p["bias"] + p["K"] * ((late - keep) * older + (1 - late) * younger)
        return np.concatenate([relaxed(y, keep, p, noise), past[:, :-1]], axis=1)


class OrnsteinUhlenbeck(Process):
    """dy = theta (mean - y) dt + s dW. mean output, theta 1/s, s output per sqrt(s), measurement_noise output."""

    inputs = ()
    defaults = MappingProxyType({"mean": 0.0, "theta": 1.0, "s": 1.0, MEASUREMENT_NOISE: 0.0})
    positive = frozenset({"theta"})
    not_negative = frozenset({"s"})
    noises = 1

    @property
    def fastest_s(self) -> float:
        """1/theta."""
        return float(1 / np.max(self.parameters["theta"]))

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """y, else its mean."""
        x = super().initial(given, runs)
        if "y" not in given:
            x[:, 0] = self.parameters["mean"]
        return x

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - it has no input
        """Exact: y' = m + (y - m) e^(-theta dt) + s sqrt((1 - e^(-2 theta dt)) / (2 theta)) Z."""
        p = self.parameters
        keep = np.exp(-np.asarray(p["theta"]) * dt_s)
        y = p["mean"] + (x[:, 0] - p["mean"]) * keep
        if noise is not None:
            y = y + p["s"] * np.sqrt((1 - keep**2) / (2 * p["theta"])) * noise[:, 0]
        return np.asarray(y)[:, None]


class SecondOrder(Process):
    """tau^2 y'' + 2 zeta tau y' + y = bias + K u, with noise process_noise dW on y'.

    K output per input, tau s (1/natural frequency), zeta damping, bias output, process_noise output per s per sqrt(s).
    """

    states: tuple[str, ...] = ("y", "slope")
    defaults = MappingProxyType({"K": 1.0, "tau": 1.0, "zeta": 1.0, "bias": 0.0, "process_noise": 0.0, MEASUREMENT_NOISE: 0.0})
    positive = frozenset({"tau"})
    not_negative = frozenset({"zeta", "process_noise"})
    noises = 2

    def __init__(self, parameters: Mapping[str, Parameter] | None = None) -> None:
        super().__init__(parameters)
        self._ready: tuple[float, Discrete] | None = None

    @property
    def fastest_s(self) -> float:
        """Of the faster pole, tau (zeta - sqrt(zeta^2 - 1)); tau where it oscillates."""
        zeta = np.maximum(self.parameters["zeta"], 1.0)
        return float(np.min(self.parameters["tau"] * (zeta - np.sqrt(zeta**2 - 1))))

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact, by the matrix exponential."""
        if self._ready is None or self._ready[0] != dt_s:
            self._ready = (dt_s, self._discrete(dt_s))
        drive = self.parameters["bias"] + self.parameters["K"] * u[:, 0]
        return self._ready[1].step(x, drive[:, None], noise)

    def _discrete(self, dt_s: float) -> Discrete:
        tau, zeta, s = np.broadcast_arrays(*(np.asarray(self.parameters[n], np.float64) for n in ("tau", "zeta", "process_noise")))
        a, b, spread = np.zeros((*tau.shape, 2, 2)), np.zeros((*tau.shape, 2, 1)), np.zeros((*tau.shape, 2, 1))
        a[..., 0, 1], a[..., 1, 0], a[..., 1, 1] = 1.0, -1 / tau**2, -2 * zeta / tau
        b[..., 1, 0], spread[..., 1, 0] = 1 / tau**2, s
        return discretised(a, b, spread, dt_s)


class SecondOrderDeadTime(Delayed, SecondOrder):
    """tau^2 y'' + 2 zeta tau y' + y = bias + K u(t - theta). As SecondOrder, theta s."""

    defaults = MappingProxyType({**SecondOrder.defaults, "theta": 0.0})
    not_negative = frozenset({"zeta", "process_noise", "theta"})

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """y, its slope (0) and the inputs of the dead time."""
        unknown(given, dict.fromkeys([*self.states, *self.inputs]), "state")
        finite(given, "the initial state")
        x = np.zeros((runs, len(self.states)))
        x[:, 0], x[:, 1] = given.get("y", 0.0), given.get("slope", 0.0)
        x[:, 2:] = column(np.broadcast_to(given.get("u", _resting(float(given.get("y", 0.0)), self.parameters)), runs))
        for k, name in enumerate(self.states):
            if name in given:
                x[:, k] = given[name]
        return x

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact: theta = d dt + r; the older of two inputs acts for the first r seconds, then the younger."""
        self._made_for(dt_s)
        p, past = self.parameters, np.concatenate([u[:, :1], x[:, 2:]], axis=1)
        whole, late = self._split(dt_s)
        rows = np.arange(x.shape[0])
        younger, older = (past[rows, np.broadcast_to(whole + k, rows.shape)] for k in (0, 1))
        if self._ready is None or self._ready[0] != dt_s:
            self._ready = (dt_s, self._discrete(dt_s))
        y = self._ready[1].step(x[:, :2], (p["bias"] + p["K"] * older)[:, None], noise)
        return np.concatenate([y + (p["K"] * (younger - older))[:, None] * late, past[:, :-1]], axis=1)

    def _split(self, dt_s: float) -> tuple[npt.NDArray[np.int64], Array]:
        """(d, what a unit of drive adds to y and slope in the last dt - r seconds of a step: (2,) or (runs, 2))."""
        whole = np.floor(np.asarray(self.parameters["theta"]) / dt_s).astype(np.int64)
        rest = np.asarray(self.parameters["theta"] - whole * dt_s)
        return whole, step_response(dt_s - rest, np.asarray(self.parameters["tau"]), np.asarray(self.parameters["zeta"]))


def past_inputs(theta: Parameter, dt_s: float) -> tuple[str, ...]:
    """Names of the states that keep the inputs of a dead time. Raises ModelError where it is too long."""
    kept = int(np.floor(np.max(theta) / dt_s)) + 1
    if kept > LONGEST_DELAY:
        raise ModelError(f"a dead time of {kept} steps is too long: {LONGEST_DELAY} can be kept")
    return tuple(f"u[-{k}]" for k in range(1, kept + 1))


def _resting(y: float, p: Mapping[str, Parameter]) -> Array:
    """The input that would hold the output where it is."""
    gain = np.asarray(p["K"])
    return np.asarray(np.divide(y - p["bias"], gain, out=np.zeros(np.broadcast(gain, p["bias"]).shape), where=gain != 0))


def step_response(t: Array, tau: Array, zeta: Array) -> Array:
    """(..., 2): y and its slope t seconds after a unit of drive came upon a second order at rest."""
    t, tau, zeta = np.broadcast_arrays(t, tau, zeta)
    decay, root = zeta / tau, np.sqrt((zeta**2 - 1).astype(np.complex128)) / tau
    near = np.abs(root * t) < 1e-6  # critically damped: the limit
    safe = np.where(near, 1.0, root)
    both = np.exp((-decay + root) * t), np.exp((-decay - root) * t)
    even, odd = (both[0] + both[1]) / 2, np.where(near, t * np.exp(-decay * t), (both[0] - both[1]) / (2 * safe))
    found: Array = np.stack([(1 - even - decay * odd).real, (odd / tau**2).real], axis=-1)
    return found


class Linear(Process):
    """dx = (A x + B u + bias) dt + L dW, y = x: any number of coupled variables at one go.

    states and inputs are names; a (states, states) 1/s, b (states, inputs), bias and noise per state, noise per sqrt(s). Its only parameter
    is measurement_noise, of all outputs. Raises ModelError for shapes that do not fit.
    """

    defaults = MappingProxyType({MEASUREMENT_NOISE: 0.0})

    def __init__(
        self,
        states: Sequence[str],
        a: npt.ArrayLike,
        *,
        inputs: Sequence[str] = (),
        b: npt.ArrayLike | None = None,
        bias: npt.ArrayLike = 0.0,
        noise: npt.ArrayLike = 0.0,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> None:
        super().__init__(parameters)
        self.states = self.outputs = tuple(states)
        self.inputs, self.noises, size = tuple(inputs), len(self.states), len(self.states)
        self._a = np.asarray(a, np.float64)
        self._b = np.zeros((size, len(self.inputs))) if b is None else np.asarray(b, np.float64)
        self._bias = np.broadcast_to(np.asarray(bias, np.float64), size)
        self._noise = np.broadcast_to(np.asarray(noise, np.float64), size)
        if self._a.shape != (size, size) or self._b.shape != (size, len(self.inputs)):
            raise ModelError(f"a {self._a.shape} and b {self._b.shape} do not fit {size} states and {len(self.inputs)} inputs")
        if not all(np.isfinite(part).all() for part in (self._a, self._b, self._bias, self._noise)):
            raise ModelError("a, b, bias and noise must be finite numbers")
        self._ready: tuple[float, Discrete] | None = None

    @property
    def fastest_s(self) -> float:
        """One over the largest eigenvalue of A."""
        largest = float(np.abs(np.linalg.eigvals(self._a)).max(initial=0.0))
        return 1 / largest if largest else math.inf

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact, by the matrix exponential."""
        if self._ready is None or self._ready[0] != dt_s:
            both = np.concatenate([self._b, self._bias[:, None]], axis=1)
            self._ready = (dt_s, discretised(self._a, both, np.diag(self._noise), dt_s))
        return self._ready[1].step(x, u, noise, constant=True)

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same with another measurement_noise."""
        other = copy.copy(self)
        Process.__init__(other, {**self.parameters, **parameters})
        return other
