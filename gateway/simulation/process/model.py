"""What a process model is: x' = f(x, u, w), y = g(x, u, v), for all runs of an ensemble at once.

Rows are runs, columns are states, inputs or outputs. A step lasts dt_s seconds; its input holds from its beginning to its end (zero-order
hold). Noise comes as standard normals of the caller, None where there is to be none. A model never changes: with_parameters and at answer
another one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import ClassVar, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Parameter = float | Array
"""One number for all runs, or (runs,): one for each."""

MEASUREMENT_NOISE: Final = "measurement_noise"


class ModelError(ValueError):
    """A model, its parameters, state or inputs are not what they must be; the message names the one that is not."""


class Model(Protocol):
    """A process model. Attributes are read only."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the columns of x."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns of u: setpoints and disturbances."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the columns of y."""
        ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """By name, all of them, in the units that the model's docstring names."""
        ...

    @property
    def fastest_s(self) -> float:
        """The smallest time constant, seconds; inf where there is none. Steps larger than it deserve a warning."""
        ...

    @property
    def noises(self) -> int:
        """Columns of process noise that a step takes."""
        ...

    @property
    def measurement_noises(self) -> int:
        """Columns of measurement noise that observe takes: one per output, or 0 where none of them has any."""
        ...

    def at(self, dt_s: float) -> "Model":
        """The model made ready for steps of dt_s: a dead time needs a state per step of it. Most answer themselves.

        It has the model's states, and may have more.
        """
        ...

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """x (runs, states) from states, outputs or held inputs by name; what is not given takes the model's own start.

        Raises ModelError for an unknown name and for what is no finite number.
        """
        ...

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """x (runs, states) after dt_s seconds of the input u (runs, inputs). noise (runs, noises). x is left as it was."""
        ...

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:
        """y (runs, outputs). noise (runs, measurement_noises), None for the true values."""
        ...

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> "Model":
        """The same model with some parameters changed; an array (runs,) is one value for each run. Raises ModelError."""
        ...


class Process(ABC):
    """What built-in models share: names, parameters with defaults and bounds, a start, outputs that are the first states.

    A subclass names its columns and defaults, says which parameters must be positive or not negative, and writes step.
    """

    states: tuple[str, ...] = ("y",)
    inputs: tuple[str, ...] = ("u",)
    outputs: tuple[str, ...] = ("y",)
    noises: int = 0
    defaults: ClassVar[Mapping[str, float]] = MappingProxyType({})
    positive: ClassVar[frozenset[str]] = frozenset()
    not_negative: ClassVar[frozenset[str]] = frozenset()
    seconds: ClassVar[frozenset[str]] = frozenset()  # parameters that are times, for who reads "5min"
    start: ClassVar[Mapping[str, float]] = MappingProxyType({})

    def __init__(self, parameters: Mapping[str, Parameter] | None = None) -> None:
        given = dict(parameters or {})
        unknown(given, self.defaults, "parameter")
        self.parameters: Mapping[str, Parameter] = MappingProxyType({**self.defaults, **given})
        for name, value in self.parameters.items():
            self._check(name, value)

    def _check(self, name: str, value: Parameter) -> None:
        if not np.all(np.isfinite(value)):
            raise ModelError(f"parameter {name} is {value}, which is no finite number")
        if name in self.positive and not np.all(np.asarray(value) > 0):
            raise ModelError(f"parameter {name} is {value} and must be positive")
        if (name in self.not_negative or name == MEASUREMENT_NOISE) and not np.all(np.asarray(value) >= 0):
            raise ModelError(f"parameter {name} is {value} and must not be negative")

    @property
    def fastest_s(self) -> float:
        """Seconds; inf: no time constant."""
        return math.inf

    @property
    def measurement_noises(self) -> int:
        """One per output where the model has measurement noise, else 0."""
        return len(self.outputs) if np.any(self.parameters.get(MEASUREMENT_NOISE, 0.0)) else 0

    def at(self, dt_s: float) -> "Model":
        """Itself: no dead time to hold."""
        step_of(dt_s)
        return self

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """x (runs, states): given, else `start`, else 0."""
        unknown(given, dict.fromkeys([*self.states, *self.inputs, *self.outputs]), "state")
        finite(given, "the initial state")
        return np.tile([float(given.get(name, self.start.get(name, 0.0))) for name in self.states], (runs, 1))

    @abstractmethod
    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """x after dt_s."""

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:  # noqa: ARG002 - others' outputs depend on u
        """The first states, with measurement noise."""
        return self._measured(x[:, : len(self.outputs)], noise)

    def _measured(self, y: Array, noise: Array | None) -> Array:
        if noise is None or not self.measurement_noises:
            return y
        return np.asarray(y + column(self.parameters[MEASUREMENT_NOISE]) * noise)

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """The same kind with these parameters changed."""
        return type(self)({**self.parameters, **parameters})


def column(value: Parameter) -> Parameter:
    """A parameter beside columns of several states: (runs, 1), or the number."""
    return value[:, None] if isinstance(value, np.ndarray) else value


def step_of(dt_s: float) -> float:
    """dt_s, refused where it is no step: ModelError."""
    if not (math.isfinite(dt_s) and dt_s > 0):
        raise ModelError(f"a step of {dt_s} s is none: it must be positive")
    return dt_s


def unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuse the first name that is not known: ModelError with the nearest."""
    names = list(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise ModelError(
                f"there is no {what} {name!r}" + (f" (did you mean {near[0]}?)" if near else f"; there are {', '.join(names)}")
            )


def finite(given: Mapping[str, object], where: str) -> None:
    """Refuse what is no finite number, by name: ModelError."""
    for name, value in given.items():
        if not np.all(np.isfinite(np.asarray(value, dtype=np.float64))):
            raise ModelError(f"{name} is {value} in {where}: no finite number")
