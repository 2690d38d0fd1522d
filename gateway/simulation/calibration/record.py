"""A window of measured data as calibration takes it: inputs on a grid, outputs at the times at which they were measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.model import quality
from gateway.simulation.process.model import Array

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
MOST_STEPS: Final = 20_000
"""Steps of a grid; a longer window gets longer ones."""
FEWEST: Final = 30
"""Good samples of each output."""
SHORTEST: Final = 10  # steps of a stretch between two gaps that is worth its unknown start


class Unfit(ValueError):
    """These data, or this model, cannot be calibrated: what, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Samples:
    """One tag over the window, ascending: time_s (n,) from any origin, value (n,), good (n,): not Bad, not Uncertain, not by hand."""

    time_s: Array
    value: Array
    good: Mask

    @classmethod
    def of(cls, time_s: Array, value: Array, status: npt.NDArray[np.uint32] | None = None) -> "Samples":
        """With the status of each. Times need not ascend: they are put in order, and of equal ones the last counts."""
        code = np.zeros(value.size, np.uint32) if status is None else np.asarray(status, np.uint32)
        by_hand = (code & np.uint32(0xFFFF_0000)) == np.uint32(quality.GOOD_LOCAL_OVERRIDE)
        good = quality.is_good(code) & ~by_hand & np.isfinite(value) & np.isfinite(time_s)
        order = np.argsort(time_s, kind="stable")
        at, last = time_s[order], np.ones(order.size, np.bool_)
        last[:-1] = at[1:] != at[:-1]
        keep = order[last]
        return cls(time_s[keep], value[keep], good[keep])


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch without a gap of the inputs: steps first..last-1 of the grid, and which of the measurements lie within it."""

    first: int
    last: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Record:
    """k steps of step_s from start_s, N measurements.

    u      (k, inputs)  mean of each input over each step: what a process that is slower than the step feels of it
    y, at  (N,)         measured values, and their times in steps (not whole)     which (N,): column of the output
    """

    step_s: float
    start_s: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    u: Array
    y: Array
    at: Array
    which: Rows
    parts: tuple[Part, ...]

    @property
    def steps(self) -> int:
        return int(self.u.shape[0])

    @property
    def rows(self) -> Rows:
        """The measurements that lie in a part."""
        return np.concatenate([part.rows for part in self.parts])

    def coarse(self, most: int) -> "Record":
        """The same data on a grid of at most so many steps."""
        by = math.ceil(self.steps / most)
        if by <= 1:
            return self
        count = self.steps // by
        u = self.u[: count * by].reshape(count, by, -1).mean(axis=1)
        return _record(self.step_s * by, self.start_s, self.inputs, self.outputs, u, self.y, self.at / by, self.which)


def record(
    outputs: Mapping[str, Samples],
    inputs: Mapping[str, Samples | float],
    start_s: float,
    end_s: float,
    step_s: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> Record:
    """Of one window. An input holds from sample to sample (its value at the start comes from before it), and is unknown where it is Bad.

    step_s: by default the median interval of the outputs. tags: what the faults call outputs and inputs. Raises Unfit that names one.
    """
    if not (math.isfinite(start_s) and math.isfinite(end_s) and end_s > start_s):
        raise Unfit("the window is empty: its end lies before its start")
    if not outputs:
        raise Unfit("the model gives no tag: tie one of its outputs to a measured one")
    said = tags or {}
    windows = {name: _within(samples, start_s, end_s) for name, samples in outputs.items()}
    for name, (time, _) in windows.items():
        if time.size < FEWEST:
            raise Unfit(
                f"{said.get(name, name)} has {time.size} Good samples in the window, and {FEWEST} are the fewest: take a longer window"
            )
    first = max([start_s, *(_begin(one) for one in inputs.values() if isinstance(one, Samples))])
    if first >= end_s:
        silent = next(name for name, one in inputs.items() if isinstance(one, Samples) and _begin(one) >= end_s)
        raise Unfit(f"nothing is known of the input {said.get(silent, silent)} in the window: take one in which it was measured")
    times = np.concatenate([time[time >= first] for time, _ in windows.values()])
    if not times.size:
        raise Unfit("no output was measured while all inputs were known: take a longer window")
    begin = float(times.min())
    step = max(step_s or _interval(windows), (end_s - begin) / MOST_STEPS)
    count = max(math.ceil((float(times.max()) - begin) / step - 1e-6), 1)
    edges: Array = np.asarray(begin + step * np.arange(count + 1), np.float64)
    u = np.stack([_held(one, edges) for one in inputs.values()], axis=1) if inputs else np.zeros((count, 0))
    y = np.concatenate([value[time >= begin] for time, value in windows.values()])
    at = np.concatenate([(time[time >= begin] - begin) / step for time, _ in windows.values()])
    which = np.concatenate([np.full(int((time >= begin).sum()), k, np.intp) for k, (time, _) in enumerate(windows.values())])
    found = _record(step, begin, tuple(inputs), tuple(outputs), u, y, at, which)
    if found.rows.size < FEWEST:
        raise Unfit(f"between the gaps of its inputs {found.rows.size} measurements are left, and {FEWEST} are the fewest: another window")
    return found


def _record(
    step: float, start: float, inputs: tuple[str, ...], outputs: tuple[str, ...], u: Array, y: Array, at: Array, which: Rows
) -> Record:
    known: Mask = np.asarray(np.isfinite(u).all(axis=1), np.bool_)
    turns = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    parts = []
    for first, last in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True):
        rows = np.flatnonzero((at >= first) & (at <= last if last == known.size else at < last))
        if last - first >= SHORTEST and rows.size >= SHORTEST:
            parts.append(Part(first, last, rows))
    if not parts:
        raise Unfit("the inputs have too many gaps: there is no stretch long enough between two of them; take another window")
    return Record(step, start, inputs, outputs, u, y, at, which, tuple(parts))


def _within(samples: Samples, start_s: float, end_s: float) -> tuple[Array, Array]:
    rows = samples.good & (samples.time_s >= start_s) & (samples.time_s < end_s)
    return samples.time_s[rows], samples.value[rows]


def _begin(samples: Samples) -> float:
    known = samples.time_s[samples.good]
    return float(known[0]) if known.size else math.inf


def _interval(windows: Mapping[str, tuple[Array, Array]]) -> float:
    return float(min(np.median(np.diff(time)) for time, _ in windows.values()))


def _held(one: Samples | float, edges: Array) -> Array:
    """Means over the steps of what holds from sample to sample; NaN where any of it is not known."""
    if not isinstance(one, Samples):
        return np.full(edges.size - 1, float(one))
    time, value = one.time_s, np.where(one.good, one.value, 0.0)
    area = np.concatenate([[0.0], np.cumsum(np.diff(time) * value[:-1])])
    blind = np.concatenate([[0.0], np.cumsum(np.diff(time) * ~one.good[:-1])])
    return np.where(_risen(edges, time, blind, ~one.good) > 0, np.nan, _risen(edges, time, area, value) / np.diff(edges))


def _risen(edges: Array, time: Array, area: Array, rate: npt.NDArray[np.generic]) -> Array:
    """How much an integral grows over each step; it goes on at its last rate."""
    place = np.clip(np.searchsorted(time, edges, side="right") - 1, 0, None)
    whole = area[place] + (edges - time[place]) * rate[place].astype(np.float64)
    return np.asarray(np.diff(whole))
