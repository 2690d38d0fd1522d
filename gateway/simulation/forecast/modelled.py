"""Process models as a forecaster: each follows the plant with the inputs that it names, and says where it goes with these held.

A model is corrected by each Good sample of its outputs: the state of that name takes the sample's value; an output that is no state keeps
its distance to the model (the constant disturbance of model predictive control). What it errs by is learned per horizon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.model.process import ProcessModel
from gateway.simulation.forecast.forecaster import Array, Mask, Normal
from gateway.simulation.kinds import build
from gateway.simulation.process.model import Model

FORGET: Final = 0.99  # per error of a horizon
LEAST: Final = 10.0  # errors before it says how sure it is
BOUND: Final = 1e12  # beyond it a model has diverged


@dataclass(slots=True)
class _Part:
    """One model. u_row: of each input the row among the inputs, -1 where it is held at u_held; y_row: of each output the tag, or -1."""

    model: Model
    u_row: npt.NDArray[np.intp]
    u_held: Array
    y_row: npt.NDArray[np.intp]
    state: npt.NDArray[np.intp]  # of each output the state of that name, or -1
    x: Array | None = None

    def u(self, inputs: Array) -> Array:
        """(1, inputs of the model)."""
        u, named = self.u_held.copy(), self.u_row >= 0
        u[named] = inputs[self.u_row[named]]
        return u[None]


@dataclass(slots=True)
class Modelled:
    """State of the models of n tags. square, weight (tags, knots): of their errors; clock_s: time since the beginning."""

    step_s: float
    knots_s: Array
    parts: tuple[_Part, ...]
    inputs: Array
    bias: Array
    square: Array
    weight: Array
    name: str = "model"
    _ahead: dict[int, Array] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rules: Sequence[ProcessModel], tags: Sequence[str], inputs: Sequence[str], step_s: float, knots_s: Array
    ) -> "Modelled | None":
        """None where no rule has a forecast tag as its output. inputs: names of the rows that `drive` gives. Raises ModelError."""
        tag, given = ({name: row for row, name in enumerate(names)} for names in (tags, inputs))
        parts = tuple(_part(rule, tag, given, step_s) for rule in rules if any(name in tag for name in rule.outputs.values()))
        if not parts:
            return None
        shape = (len(tags), knots_s.size)
        nan = np.full(len(inputs), np.nan)
        return cls(step_s, knots_s, parts, nan, np.zeros(len(tags)), np.zeros(shape), np.zeros(shape))

    def drive(self, u: Array) -> None:
        """Inputs (inputs,) from now on; NaN: not known, the last one stays."""
        self.inputs = np.where(np.isnan(u), self.inputs, u)

    def update(self, dt_s: Array, y: Array, good: Mask) -> None:
        """Every model goes on, and is put right by what was measured."""
        self._ahead.clear()
        steps = round(float(dt_s[0]) / self.step_s) if dt_s.size else 0
        for part in self.parts:
            u = part.u(self.inputs)
            if not np.isfinite(u).all():
                part.x = None
                continue
            known = (part.y_row >= 0) & good[part.y_row]
            if part.x is None or steps > self.knots_s[-1] / self.step_s:
                part.x = self._begun(part, u, y, known)
            else:
                for _ in range(steps):
                    part.x = part.model.step(part.x, u, self.step_s, None)
            self._right(part, u, y, known)

    def _begun(self, part: _Part, u: Array, y: Array, known: Mask) -> Array | None:
        """From its measured outputs; None where one of them is not known yet."""
        outputs = {name: float(y[row]) for name, row, there in zip(part.model.outputs, part.y_row, known, strict=True) if there}
        if len(outputs) < int((part.y_row >= 0).sum()):
            return None
        states = {name: value for name, value in outputs.items() if name in part.model.states}
        return part.model.initial(states | dict(zip(part.model.inputs, u[0].tolist(), strict=True)), 1)

    def _right(self, part: _Part, u: Array, y: Array, known: Mask) -> None:
        if part.x is None or not np.isfinite(part.x).all() or np.abs(part.x).max(initial=0.0) > BOUND:
            part.x = None
            return
        place = known & (part.state >= 0)
        if place.any():
            part.x = part.x.copy()
            part.x[0, part.state[place]] = y[part.y_row[place]]
        shown = part.model.observe(part.x, u, None)[0]
        self.bias[part.y_row[known]] = y[part.y_row[known]] - shown[known]

    def predict(self, horizon_s: Array) -> Normal:
        """With the inputs held; NaN for a tag that no model gives, and while it has not erred often enough to know how much it errs."""
        count = int(np.ceil(horizon_s[-1] / self.step_s - 1e-9))
        if count not in self._ahead:
            self._ahead[count] = self._run(count)
        place = np.clip(np.round(horizon_s / self.step_s).astype(np.intp) - 1, 0, count - 1)
        mean = self._ahead[count][:, place]
        usual = np.divide(self.square, self.weight, out=np.full(self.square.shape, np.nan), where=self.weight >= LEAST)
        sd = np.stack([np.interp(horizon_s, self.knots_s, row) for row in np.sqrt(usual)])
        return Normal(mean, sd)

    def _run(self, count: int) -> Array:
        found = np.full((self.bias.size, count), np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in self.parts:
                if part.x is None:
                    continue
                u, x, own = part.u(self.inputs), part.x, np.flatnonzero(part.y_row >= 0)
                said = np.empty((count, own.size))
                for step in range(count):
                    x = part.model.step(x, u, self.step_s, None)
                    said[step] = part.model.observe(x, u, None)[0, own]
                sound = np.where(np.abs(said) < BOUND, said, np.nan)
                found[part.y_row[own]] = sound.T + self.bias[part.y_row[own], None]
        return found

    def erred(self, knot: int, error: Array, scored: Mask) -> None:
        """|error| (tags,) of what it said of a knot; NaN where it said nothing."""
        told = scored & np.isfinite(error)
        keep = np.where(told, FORGET, 1.0)
        self.square[:, knot] = keep * self.square[:, knot] + np.where(told, error * error, 0.0)
        self.weight[:, knot] = keep * self.weight[:, knot] + told


def fed(rules: Sequence[ProcessModel], tags: Sequence[str], inputs: Sequence[str]) -> npt.NDArray[np.intp]:
    """(tags, m) of each tag the rows of the inputs that its models name, -1 where it has fewer."""
    acting = {name: [one for one in rule.inputs.values() if isinstance(one, str)] for rule in rules for name in rule.outputs.values()}
    rows = [[inputs.index(one) for one in acting.get(name, [])] for name in tags]
    width = max((len(row) for row in rows), default=0)
    return np.array([row + [-1] * (width - len(row)) for row in rows], np.intp).reshape(len(tags), width)


def _part(rule: ProcessModel, tag: Mapping[str, int], given: Mapping[str, int], step_s: float) -> _Part:
    model = build(rule.kind, rule.parameters, rule.equations).at(step_s)
    sources = [rule.inputs.get(name, 0.0) for name in model.inputs]
    u_row = np.array([given[one] if isinstance(one, str) else -1 for one in sources], np.intp)
    u_held = np.array([0.0 if isinstance(one, str) else float(one) for one in sources])
    shown = [rule.outputs.get(name, "") for name in model.outputs]
    y_row = np.array([tag.get(name, -1) for name in shown], np.intp)
    states = {name: place for place, name in enumerate(model.states)}
    return _Part(model, u_row, u_held, y_row, np.array([states.get(name, -1) for name in model.outputs], np.intp))
