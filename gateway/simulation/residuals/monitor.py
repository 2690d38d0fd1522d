"""One model beside its plant: residuals, made white, charted; an alarm names what explains them best, and a stand-in is at hand.

The model runs free, driven by the measured inputs alone, so that a sensor that is wrong does not pull it along. Until the noise of its
residuals is known (learned from the first ones, or given by a calibrated first order) it judges nothing.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from gateway.model.process import ProcessModel
from gateway.simulation.calibration.record import Unfit
from gateway.simulation.kinds import build
from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, Model, ModelError
from gateway.simulation.residuals.arl import cusum_limit
from gateway.simulation.residuals.charts import Cusum, Ewma, K, nis_band
from gateway.simulation.residuals.whitened import Noise, Whitener, filtered

LEARN: Final = 300
"""Residuals from which the noise is learned."""
KEPT: Final = 900  # steps that a diagnosis looks back
WINDOW: Final = 100  # steps of the mean NIS, and without an alarm until all is well again
RELATIVE: Final = 0.001  # of its own spread: a residual is never known better than that
SURE: Final = 3.0  # of log-likelihood: so much better explains a cause that others are not named
ONSETS: Final = 6  # times at which a parameter may have changed
SENSOR: Final = "sensor"
SHOCK: Final = 8.0  # standard deviations: a single residual beyond it is no matter of charts
_FIRST: Final = frozenset({"first_order", "first_order_dead_time"})
_FACTORS: Final = np.exp(np.linspace(math.log(0.2), math.log(5.0), 41))


class Health(StrEnum):
    LEARNING = "learning"
    GOOD = "good"
    SUSPECT = "suspect"
    BLIND = "blind"  # an input or the output is not known


@dataclass(frozen=True, slots=True)
class Cause:
    """What would explain the residuals: `sensor`, or a parameter; change: of the sensor's reading, or the parameter's new value.

    gain: of log-likelihood against no change.
    """

    name: str
    change: float
    gain: float


@dataclass(frozen=True, slots=True)
class Step:
    """One row of what a diagnosis needs: state before, inputs, residuals after."""

    x: Array
    u: Array
    e: Array


class Monitor:
    """One model with n outputs that are tied to tags. Not to be shared between threads."""

    def __init__(self, rule: ProcessModel, step_s: float, run_length: float) -> None:
        """run_length: steps between two false alarms, of all outputs together. Raises ModelError."""
        self.rule, self.step_s = rule, step_s
        self.model: Model = build(rule.kind, rule.parameters, rule.equations).at(step_s)
        self.outputs = tuple(rule.outputs)
        self._columns = [self.model.outputs.index(name) for name in self.outputs]
        self._run_length = run_length * len(self.outputs)
        self._learned: list[Array] = []
        self.noises = self._given()
        self.restart()

    def restart(self) -> None:
        """Nothing seen; what was learned of the noise stays."""
        n = len(self.outputs)
        self._x: Array | None = None
        self.told, self.residual = np.full(n, np.nan), np.full(n, np.nan)
        self.nis: deque[Array] = deque(maxlen=WINDOW)
        self.past: deque[Step] = deque(maxlen=KEPT)
        self.suspect = np.zeros(n, np.bool_)
        self.calm, self.silent = np.zeros(n, np.int64), 0
        self._ages = np.zeros(n, np.int64)
        self._begin()

    def _begin(self) -> None:
        n = len(self.outputs)
        self._whitener = None if self.noises is None else Whitener.of(self.noises)
        self.cusum, self.ewma = Cusum.of(np.full(n, cusum_limit(K, self._run_length))), Ewma.of(n)

    def _given(self) -> list[Noise] | None:
        """Of a first order whose both noises are known."""
        p = {name: float(np.asarray(value)) for name, value in self.model.parameters.items()}
        blur, push = p.get(MEASUREMENT_NOISE, 0.0), p.get("process_noise", 0.0)
        if self.rule.kind not in _FIRST or blur <= 0 or push <= 0:
            return None
        keep = math.exp(-self.step_s / p["tau"])
        return [Noise(keep, push**2 * p["tau"] / 2 * (1 - keep**2), blur**2)]

    # --- step by step --------------------------------------------------------------------------------------------------------------

    def step(self, u: Mapping[str, float], y: Mapping[str, float], start: Mapping[str, float] | None = None) -> list[str]:
        """One step of the grid: inputs and measured outputs by name, NaN where they are not known. Outputs whose alarm has just come.

        An input that is not known ends the run: it begins again from `start`, else from the measured outputs, once all are known.
        """
        inputs = np.array([[u.get(name, 0.0) for name in self.model.inputs]], np.float64)
        seen = np.array([y.get(name, math.nan) for name in self.outputs])
        if not np.isfinite(inputs).all():
            self._x = None
            self.told, self.residual = np.full(seen.size, np.nan), np.full(seen.size, np.nan)
            return []
        if self._x is None:
            first = {**dict(zip(self.outputs, seen.tolist(), strict=True)), **(start or {})}
            if not all(math.isfinite(value) for value in first.values()):
                return []
            given = {**dict(zip(self.model.inputs, inputs[0].tolist(), strict=True)), **first}
            self._x = self.model.initial({name: value for name, value in given.items() if name in self._names()}, 1)
        before = self._x
        with np.errstate(all="ignore"):
            self._x = self.model.step(before, inputs, self.step_s, None)
            self.told = self.model.observe(self._x, inputs, None)[0, self._columns]
        if not np.isfinite(self._x).all():
            raise ModelError(f"its state has diverged after {len(self.past)} steps")
        self.residual = seen - self.told
        self.silent = 0 if np.isfinite(self.residual).any() else self.silent + 1
        self.past.append(Step(before, inputs, self.residual.copy()))
        return self._judge()

    def _names(self) -> set[str]:
        return {*self.model.states, *self.model.inputs, *self.model.outputs}

    def _judge(self) -> list[str]:
        if self._whitener is None:
            self._learned.append(self.residual)
            return []
        z = self._whitener.step(self.residual)
        self.nis.append(z * z)
        shown = np.clip(z, -SHOCK, SHOCK)
        self.ewma.step(shown)
        passed = self.cusum.step(shown)
        self.calm = np.where(passed, 0, self.calm + np.isfinite(z))
        come = passed & ~self.suspect
        self._ages = self.cusum.age.copy()
        self.suspect = np.where(passed, True, self.suspect & (self.calm < WINDOW))
        self.cusum.reset(passed)
        return [name for name, new in zip(self.outputs, come.tolist(), strict=True) if new]

    @property
    def running(self) -> bool:
        """Whether it knows a state, and the noise of its residuals: then it may judge, and stand in."""
        return self._x is not None and self._whitener is not None

    def trust(self, noises: Sequence[Noise]) -> None:
        """The noise of its residuals, as it was learned before."""
        if self.noises is None and len(noises) == len(self.outputs):
            self.noises = list(noises)
            self._begin()

    def distrust(self, output: str) -> None:
        """This sensor was found wrong before: it has to agree for a while first."""
        k = self.outputs.index(output)
        self.suspect[k], self.calm[k] = True, 0

    @property
    def ready(self) -> bool:
        """Whether enough residuals are there to learn from."""
        return self._whitener is None and len(self._learned) >= LEARN

    def learn(self) -> bool:
        """Takes the noise from the residuals so far, which takes a tenth of a second; False where they do not move."""
        e = np.array(self._learned)
        self._learned = []
        try:
            found = [Noise.learned(e[:, k], self.step_s) for k in range(e.shape[1])]
        except Unfit:
            return False
        floor = [max(float(np.nanstd(e[:, k])) * RELATIVE, 1e-12) ** 2 for k in range(e.shape[1])]
        self.noises = [Noise(one.phi, one.q, max(one.r, low)) for one, low in zip(found, floor, strict=True)]
        self._begin()
        return True

    # --- what it says --------------------------------------------------------------------------------------------------------------

    @property
    def health(self) -> Health:
        if self._x is None or self.silent > WINDOW:
            return Health.BLIND
        if self._whitener is None:
            return Health.LEARNING
        return Health.SUSPECT if self.suspect.any() else Health.GOOD

    @property
    def share(self) -> float:
        """100: as the model expects it; 0: an alarm. NaN while nothing can be said."""
        if self.health in {Health.BLIND, Health.LEARNING}:
            return math.nan
        return 0.0 if self.suspect.any() else float(100 * (1 - np.max(self.cusum.worst / self.cusum.h)))

    @property
    def mean_nis(self) -> float:
        """Of the last residuals of all outputs; it should lie in the band."""
        z2 = np.array(self.nis)
        return float(np.nanmean(z2)) if np.isfinite(z2).any() else math.nan

    @property
    def band(self) -> tuple[float, float]:
        """Where the mean NIS lies in 95 % of cases, with as many residuals as there were; NaN without any."""
        count = int(np.isfinite(np.array(self.nis)).sum())
        return nis_band(count) if count else (math.nan, math.nan)

    @property
    def smoothed(self) -> float:
        """The EWMA that is furthest off, in its own standard deviations: beyond 2.814 in one of 500 steps of a plant that is its model."""
        own = self.ewma.value[np.argmax(np.abs(self.ewma.value))] / self.ewma.sd
        return math.nan if self._whitener is None else float(own)

    def stand_in(self, output: str) -> float:
        """What the sensor should say: the model, and the disturbance as it was last known, which decays."""
        k = self.outputs.index(output)
        d = 0.0 if self._whitener is None or self.suspect[k] else float(self._whitener.d[k])
        return float(self.told[k] + d)

    # --- why -----------------------------------------------------------------------------------------------------------------------

    def causes(self, output: str) -> tuple[Cause, ...]:
        """What explains the residuals of one output since its alarm's beginning, the best first. It takes tens of milliseconds."""
        k, steps = self.outputs.index(output), list(self.past)
        assert self.noises is not None
        noise, since = self.noises[k], int(min(max(self._ages[k] + 5, 10), len(steps)))
        steps = steps[-since:]
        e = np.array([step.e[k] for step in steps])
        z = filtered(e[None], noise)[0][0]
        known = np.isfinite(z)
        base = float(z[known] @ z[known])
        found = [_sensor(e, z, noise)]
        for name in self._candidates():
            values, best = self._around(name), Cause(name, math.nan, -math.inf)
            model = build(self.rule.kind, self.rule.parameters, self.rule.equations).with_parameters({name: values}).at(self.step_s)
            for onset in np.unique(np.linspace(0, max(len(steps) - 3, 0), ONSETS).astype(np.intp)).tolist():
                told = self._paths(steps[onset:], model, values.size, k)
                rows = np.tile(e, (values.size - 1, 1))
                rows[:, onset:] += told[-1] - told[:-1]
                ze = filtered(rows, noise)[0][:, known]
                cost = np.where(np.isfinite(ze).all(axis=1), np.sum(ze * ze, axis=1), np.inf)
                place = int(np.argmin(cost))
                if 0.5 * (base - float(cost[place])) > best.gain:
                    best = Cause(name, float(values[place]), 0.5 * (base - float(cost[place])))
            found.append(best)
        return tuple(sorted(found, key=lambda cause: -cause.gain))

    def _candidates(self) -> Sequence[str]:
        noises = {MEASUREMENT_NOISE, "process_noise", "s", "wobble", "period", "delay", "reference", "step_s", "rate_s"}
        return [name for name in self.model.parameters if name not in noises and not name.endswith("_noise")][:8]

    def _around(self, name: str) -> Array:
        """Values of a parameter about its present one, which stands last; an offset in steps of the output's own size."""
        now = float(np.asarray(self.model.parameters[name]))
        if now > 0 or (now < 0 and name == "K"):
            return np.append(now * _FACTORS, now)
        size = max(float(np.nanmax(np.abs([step.e for step in self.past]))), 1e-9) * 5
        low = 0.0 if name in getattr(self.model, "not_negative", ()) else -size
        return np.append(now + np.linspace(low, size, 41), now)

    def _paths(self, steps: Sequence[Step], model: Model, rows: int, k: int) -> Array:
        """(candidates, steps) of one output from the state before the first step."""
        x = np.zeros((rows, len(model.states)))
        old = steps[0].x
        width = min(old.shape[1], x.shape[1])
        x[:, :width] = old[:, :width]
        if x.shape[1] > width:  # a longer dead time than the present one: the inputs before were as the oldest known
            x[:, width:] = old[:, -1:]
        out = np.empty((rows, len(steps)))
        with np.errstate(all="ignore"):
            for place, step in enumerate(steps):
                u = np.broadcast_to(step.u, (rows, step.u.shape[1]))
                x = model.step(x, u, self.step_s, None)
                out[:, place] = model.observe(x, u, None)[:, self._columns[k]]
        return out


def _sensor(e: Array, z: Array, noise: Noise) -> Cause:
    """A reading that is off from some step on, by as much or ever more: both shapes, any onset, by least squares each."""
    known, n = np.isfinite(z), e.size
    late = np.maximum(np.arange(n)[None, :] - np.arange(n)[:, None] + 1, 0.0)
    shapes = np.concatenate([np.minimum(late, 1.0), late[: max(n - 10, 1)]])
    shape = filtered(np.where(np.isfinite(e), shapes, np.nan), noise)[0][:, known]
    weight = np.sum(shape * shape, axis=1)
    size = shape @ z[known] / np.maximum(weight, 1e-12)
    gain = 0.5 * size * size * weight
    best = int(np.argmax(gain))
    return Cause(SENSOR, float(size[best] * shapes[best, -1]), float(gain[best]))


def named(causes: Sequence[Cause]) -> list[str]:
    """The best cause, and those that the data do not tell from it."""
    return [cause.name for cause in causes if cause.gain >= causes[0].gain - SURE]
