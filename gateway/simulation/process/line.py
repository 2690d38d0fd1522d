"""Models composed into a line: outputs of one are inputs of others.

Everything that flows from one part to the next holds for a step, as every input does: a part meets what those before it showed when the
step began. Names of the whole: a parameter is <part>.<parameter>, a state <part>.<state>, an output <part>.<output> or what the part
calls it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Self

import numpy as np

from gateway.simulation.process.model import Array, Model, ModelError, Parameter, finite, unknown


@dataclass(frozen=True, slots=True)
class Part:
    """One model of a line. inputs: its input -> an output of the line or an input of the line (one that is not named is <part>.<input>).

    outputs: its output -> the name that the line gives it.
    """

    name: str
    model: Model
    inputs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def sources(self) -> list[str]:
        """Where each input comes from, in the model's order."""
        return [self.inputs.get(name, f"{self.name}.{name}") for name in self.model.inputs]

    def shown(self) -> list[str]:
        """What each output is called, in the model's order."""
        return [self.outputs.get(name, f"{self.name}.{name}") for name in self.model.outputs]


@dataclass(frozen=True, slots=True)
class _Place:
    """A part's columns in the arrays of the line; board = inputs of the line, then all outputs."""

    part: Part
    states: slice
    noises: slice
    outputs: slice
    reads: "np.ndarray[tuple[int], np.dtype[np.intp]]"


class Line:
    """A model made of parts, in the order in which they feed each other. Raises ModelError for a cycle or a name that is there twice."""

    def __init__(self, parts: Sequence[Part]) -> None:
        _check_names(parts)
        self.parts = tuple(_ordered(parts))
        self.outputs = tuple(name for part in self.parts for name in part.shown())
        self.inputs = tuple(dict.fromkeys(name for part in self.parts for name in part.sources() if name not in self.outputs))
        self.states = tuple(f"{part.name}.{state}" for part in self.parts for state in part.model.states)
        self.parameters: Mapping[str, Parameter] = MappingProxyType(
            {f"{part.name}.{name}": value for part in self.parts for name, value in part.model.parameters.items()}
        )
        self.noises = sum(part.model.noises for part in self.parts)
        self._places = self._placed()
        fed = {name for part in self.parts for name in part.sources()}
        self._feeds = [any(name in fed for name in part.shown()) for part in self.parts]

    def _placed(self) -> list[_Place]:
        board = {name: k for k, name in enumerate([*self.inputs, *self.outputs])}
        places, x, w, y = [], 0, 0, len(self.inputs)
        for part in self.parts:
            model = part.model
            reads = np.asarray([board[name] for name in part.sources()], np.intp)
            ends = (x + len(model.states), w + model.noises, y + len(model.outputs))
            places.append(_Place(part, slice(x, ends[0]), slice(w, ends[1]), slice(y, ends[2]), reads))
            x, w, y = ends
        return places

    @property
    def fastest_s(self) -> float:
        """Of its fastest part."""
        return min(part.model.fastest_s for part in self.parts)

    @property
    def measurement_noises(self) -> int:
        """One per output where any part has some."""
        return len(self.outputs) if any(part.model.measurement_noises for part in self.parts) else 0

    def at(self, dt_s: float) -> "Line":
        """Of parts made ready."""
        return Line([replace(part, model=part.model.at(dt_s)) for part in self.parts])

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """Each to its part."""
        unknown(parameters, self.parameters, "parameter")
        return type(self)(changed(self.parts, parameters))

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """Each part's start; what feeds a part is, where not given, what the parts before it show at their start."""
        unknown(given, dict.fromkeys([*self.states, *self.outputs, *self.inputs]), "state")
        finite(given, "the initial state")
        x = np.zeros((runs, len(self.states)))
        board = np.zeros((runs, len(self.inputs) + len(self.outputs)))
        board[:, : len(self.inputs)] = [given.get(name, 0.0) for name in self.inputs]
        for place in self._places:
            model = place.part.model
            x[:, place.states] = model.initial(self._given(place, given, board), runs)
            board[:, place.outputs] = model.observe(x[:, place.states], board[:, place.reads], None)
        return x

    def _given(self, place: _Place, given: Mapping[str, float], board: Array) -> dict[str, float]:
        part, own = place.part, {}
        for name, source, at in zip(part.model.inputs, part.sources(), place.reads.tolist(), strict=True):
            if source in given:
                own[name] = given[source]
            elif source in self.outputs:
                own[name] = float(board[0, at])
        own |= {name: given[shown] for name, shown in zip(part.model.outputs, part.shown(), strict=True) if shown in given}
        return own | {name: given[f"{part.name}.{name}"] for name in part.model.states if f"{part.name}.{name}" in given}

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Every part, fed with what those before it show now."""
        after = np.empty_like(x)
        board = self._board(u)
        for place, feeds in zip(self._places, self._feeds, strict=True):
            own, fed, model = x[:, place.states], board[:, place.reads], place.part.model
            if feeds:
                board[:, place.outputs] = model.observe(own, fed, None)
            after[:, place.states] = model.step(own, fed, dt_s, None if noise is None else noise[:, place.noises])
        return after

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:
        """What every part shows; parts are fed with true values, and noise is on what is shown alone."""
        board, first = self._board(u), len(self.inputs)
        y = np.empty((x.shape[0], len(self.outputs)))
        for place in self._places:
            own, fed, model = x[:, place.states], board[:, place.reads], place.part.model
            board[:, place.outputs] = model.observe(own, fed, None)
            shown = slice(place.outputs.start - first, place.outputs.stop - first)
            noisy = noise is not None and model.measurement_noises
            y[:, shown] = model.observe(own, fed, noise[:, shown]) if noise is not None and noisy else board[:, place.outputs]
        return y

    def _board(self, u: Array) -> Array:
        board = np.empty((u.shape[0], len(self.inputs) + len(self.outputs)))
        board[:, : len(self.inputs)] = u
        return board


def changed(parts: Sequence[Part], parameters: Mapping[str, Parameter]) -> list[Part]:
    """The parts with those of the parameters <part>.<parameter> that are theirs."""
    found = []
    for part in parts:
        own = {name: parameters[f"{part.name}.{name}"] for name in part.model.parameters if f"{part.name}.{name}" in parameters}
        found.append(replace(part, model=part.model.with_parameters(own)) if own else part)
    return found


def _check_names(parts: Sequence[Part]) -> None:
    names = [part.name for part in parts]
    shown = [name for part in parts for name in part.shown()]
    for found, what in ((names, "part"), (shown, "output")):
        twice = next((name for name in found if found.count(name) > 1), None)
        if twice is not None:
            raise ModelError(f"there are two {what}s {twice!r}")
    for part in parts:
        unknown(part.inputs, part.model.inputs, f"input of {part.name}")
        unknown(part.outputs, part.model.outputs, f"output of {part.name}")


def _ordered(parts: Sequence[Part]) -> list[Part]:
    """Sources first, otherwise as given. A cycle is refused: ModelError with the parts on it."""
    by_name = {part.name: part for part in parts}
    maker = {shown: part.name for part in parts for shown in part.shown()}
    graph = {part.name: [maker[source] for source in part.sources() if source in maker] for part in parts}
    try:
        return [by_name[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise ModelError(f"{' -> '.join(error.args[1])} feed each other in a circle: cut it, or make them one model") from None
