"""Runs of a model, all at once: one step of every run is one call.

Chance has three independent streams, of parameters, process and measurement, spawned from the caller's Generator: two ensembles of the same
seed meet the same noise whatever was changed between them (common random numbers), so that their difference is the change's.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.distributions import Distribution, drawn
from gateway.simulation.process.model import Array, Model, ModelError, Parameter, column, finite, step_of, unknown
from gateway.simulation.trajectories import Divergence, Trajectories, joined, mean_interval

BOUND: Final = 1e15
"""A state beyond it has diverged: no unit of a plant needs more, and above it a double has lost its fractions."""
MOST_CELLS: Final = 250_000_000
"""Numbers that one ensemble may keep: 2 GB."""
_PROGRESS: Final = 50
BLOCK: Final = 100
"""Runs between two looks at what is known already."""

Progress = Callable[[int, int], bool]
"""Told (steps made, steps asked for) now and then; False ends the ensemble there."""
State = Mapping[str, float] | Array


@dataclass(frozen=True, slots=True)
class Target:
    """Enough is known when the mean of `output` at the last instant has a half-width of at most `half_width` at `level`."""

    output: str
    half_width: float
    level: float = 0.95


def chance(seed: int) -> "np.random.Generator":
    """The generator of a seed: SFC64, the quickest of numpy's, and chance is most of what an ensemble costs."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))


def simulate(
    model: Model,
    x0: State,
    inputs: Mapping[str, npt.ArrayLike],
    dt_s: float,
    steps: int,
    generator: "np.random.Generator",
    runs: int = 1,
    *,
    overrides: Mapping[str, Parameter] | None = None,
    varied: Mapping[str, Distribution] | None = None,
    antithetic: bool = False,
    process_noise: bool = True,
    measured: bool = True,
    progress: Progress | None = None,
) -> Trajectories:
    """`runs` runs of `steps` steps from x0: by name, or (states,) or (runs, states).

    inputs: each a number, (steps,) or (runs, steps); those not named are what x0 says of them, else 0. overrides and varied name
    parameters, inputs and initial states, with one value or (runs,); an input of them is held. antithetic: the second half of the runs
    has the negated noise of the first. Raises ModelError for unknown names, no numbers, and sizes that cannot be. Neither x0 nor inputs
    are changed.
    """
    _sizes(model, steps, runs, antithetic)
    variation, process, measurement = generator.spawn(3)
    draws = drawn(varied or {}, runs, variation, antithetic=antithetic)
    ready, x, u = prepared(model, x0, inputs, step_of(dt_s), steps, runs, {**(overrides or {}), **draws})
    noise = _Normals(process if process_noise else None, runs, ready.noises, antithetic)
    blur = _Normals(measurement if measured else None, runs, ready.measurement_noises, antithetic)
    return _run(ready, x, u, dt_s, steps, noise, blur, progress, draws)


def simulate_until(
    targets: Sequence[Target],
    most_runs: int,
    model: Model,
    x0: Mapping[str, float],
    inputs: Mapping[str, npt.ArrayLike],
    dt_s: float,
    steps: int,
    generator: "np.random.Generator",
    *,
    overrides: Mapping[str, Parameter] | None = None,
    varied: Mapping[str, Distribution] | None = None,
    antithetic: bool = False,
    process_noise: bool = True,
    measured: bool = True,
    block: int = BLOCK,
    progress: Progress | None = None,
) -> Trajectories:
    """Blocks of runs until all targets are met, a run diverges, progress says no, or there are most_runs; without targets, all of these.

    progress counts the steps of all runs. Two ensembles of one seed and block meet the same chance, as those of simulate do.
    """
    unknown([target.output for target in targets], model.outputs, "output")
    for target in targets:
        if not target.half_width > 0:
            raise ModelError(f"a half-width of {target.half_width} is never met: it must be positive")
    parts: list[Trajectories] = []
    made = 0
    while made < most_runs:
        size = min(block, most_runs - made)
        size -= size % 2 if antithetic and size > 1 else 0
        told = _offset(progress, made * steps, most_runs * steps, size)
        part = simulate(
            model, x0, inputs, dt_s, steps, generator, size, overrides=overrides, varied=varied, antithetic=antithetic,
            process_noise=process_noise, measured=measured, progress=told,
        )  # fmt: skip
        parts.append(part)
        made += size
        if part.partial or (targets and all(_met(target, parts, antithetic) for target in targets)):
            break
    return joined(parts)


def _met(target: Target, parts: Sequence[Trajectories], antithetic: bool) -> bool:
    last = np.concatenate([_paired(part.of(target.output)[:, -1], antithetic) for part in parts])
    return bool(mean_interval(last, target.level)[1] <= target.half_width)


def _paired(values: Array, antithetic: bool) -> Array:
    half = values.size // 2
    return (values[:half] + values[half:]) / 2 if antithetic else values


def _offset(progress: Progress | None, before: int, total: int, runs: int) -> Progress | None:
    return None if progress is None else lambda step, _steps: progress(before + step * runs, total)


def merged(
    model: Model, *, saved: Mapping[str, float] | None = None, live: Mapping[str, float] | None = None, given: Mapping[str, float]
) -> dict[str, float]:
    """An initial state by name: what is given, else live, else saved. Of live and saved only names that the model has are taken.

    Raises ModelError for what is no finite number, and for a given name that the model has not.
    """
    names = [*model.states, *model.inputs, *model.outputs]
    unknown(given, names, "state")
    state = {name: value for source in (saved or {}, live or {}) for name, value in source.items() if name in names} | dict(given)
    finite(state, "the initial state")
    return state


def _sizes(model: Model, steps: int, runs: int, antithetic: bool) -> None:
    if steps < 0 or runs < 1:
        raise ModelError(f"{runs} runs of {steps} steps cannot be: there is at least one run, and no negative step")
    if antithetic and runs % 2:
        raise ModelError(f"{runs} runs are not pairs: antithetic runs need an even number")
    if (cells := runs * (steps + 1) * len(model.outputs)) > MOST_CELLS:
        raise ModelError(f"{runs} runs of {steps} steps of {len(model.outputs)} outputs are {cells} numbers: {MOST_CELLS} can be kept")


def prepared(
    model: Model,
    x0: State,
    inputs: Mapping[str, npt.ArrayLike],
    dt_s: float,
    steps: int,
    runs: int,
    changes: Mapping[str, Parameter],
) -> tuple[Model, Array, list[Array]]:
    """The model ready for its step, x (runs, states), and per step u (runs or 1, inputs). changes go to what has their name."""
    names = [*model.parameters, *model.inputs, *model.states, *model.outputs]
    unknown(changes, names, "parameter, input or state")
    finite(changes, "the overrides")
    parameters = {name: value for name, value in changes.items() if name in model.parameters}
    rest = {name: value for name, value in changes.items() if name not in parameters}
    ready = (model.with_parameters(parameters) if parameters else model).at(dt_s)
    base = x0 if isinstance(x0, Mapping) else None
    held = {name: column(value) for name, value in rest.items() if name in model.inputs}
    plan = {name: base[name] for name in model.inputs if base and name in base} | dict(inputs) | held
    u = _inputs(model, plan, steps, runs)
    x = _start(ready, x0, rest, runs)
    return ready, x, u


def _start(ready: Model, x0: State, rest: Mapping[str, Parameter], runs: int) -> Array:
    if isinstance(x0, Mapping):
        plain = {name: float(np.ravel(value)[0]) for name, value in rest.items() if name not in ready.inputs}
        x = ready.initial({**x0, **plain}, runs)
    else:
        width = len(ready.states)
        x = np.array(np.broadcast_to(np.asarray(x0, np.float64), (runs, width)))
        for run, state in np.argwhere(~np.isfinite(x))[:1]:
            raise ModelError(f"{ready.states[state]} is {x[run, state]} in the initial state: no finite number")
    for name, value in rest.items():
        if name in ready.states:
            x[:, ready.states.index(name)] = value
    return x


def _inputs(model: Model, plan: Mapping[str, npt.ArrayLike], steps: int, runs: int) -> list[Array]:
    """u of each step and, once more, of the last instant."""
    unknown(plan, model.inputs, "input")
    columns = [np.asarray(plan.get(name, 0.0), np.float64) for name in model.inputs]
    for name, values in zip(model.inputs, columns, strict=True):
        if (
            values.ndim > 2
            or (values.ndim and values.shape[-1] not in {steps, 1})
            or (values.ndim == 2 and values.shape[0] not in {runs, 1})
        ):
            raise ModelError(f"input {name} is {values.shape}: it can be a number, ({steps},) or ({runs}, {steps})")
        if not np.isfinite(values).all():
            raise ModelError(f"{name} is no finite number in the inputs")
    if all(values.ndim == 0 for values in columns):
        u = np.tile(np.asarray(columns, np.float64), (runs, 1))
        return [u] * (steps + 1)
    rows, moves = list[Array](), np.zeros(max(steps, 1), bool)
    moves[0] = True
    for values in columns:
        if values.ndim and values.shape[-1] > 1:
            moves[1:] |= np.diff(values).astype(bool).reshape(-1, steps - 1).any(axis=0)
    for k, moved in enumerate(moves.tolist()):  # an input that stands still costs nothing
        rows.append(_instant(columns, k, runs) if moved else rows[-1])
    return [*rows, rows[-1]] if steps else rows


def _instant(columns: Sequence[Array], k: int, runs: int) -> Array:
    """u (runs, inputs) of one step."""
    u = np.empty((runs, len(columns)))
    for place, values in enumerate(columns):
        u[:, place] = values[..., k if values.shape[-1] > 1 else 0] if values.ndim else values
    return u


class _Normals:
    """Standard normals, step by step, into one array."""

    def __init__(self, generator: "np.random.Generator | None", runs: int, columns: int, antithetic: bool) -> None:
        self._generator = generator if columns else None
        self._all = np.empty((runs, columns))
        self._half = self._all[: runs // 2] if antithetic else None

    @property
    def paired(self) -> bool:
        """Whether runs k and k + runs/2 belong together."""
        return self._half is not None

    def next(self) -> Array | None:
        if self._generator is None:
            return None
        if self._half is None:
            self._generator.standard_normal(out=self._all)
        else:
            self._generator.standard_normal(out=self._half)
            np.negative(self._half, out=self._all[self._half.shape[0] :])
        return self._all


def _run(
    model: Model,
    x: Array,
    u: Sequence[Array],
    dt_s: float,
    steps: int,
    noise: _Normals,
    blur: _Normals,
    progress: Progress | None,
    draws: Mapping[str, Array],
) -> Trajectories:
    runs, every = x.shape[0], max(1, steps // _PROGRESS)
    y = np.empty((steps + 1, runs, len(model.outputs)))
    y[0] = model.observe(x, u[0], blur.next())
    made, diverged, partial = 0, None, ""
    with np.errstate(all="ignore"):  # what is no number is found and named below
        for k in range(steps):
            after = model.step(x, u[k], dt_s, noise.next())
            if not (after.max(initial=0.0) < BOUND and after.min(initial=0.0) > -BOUND):
                diverged = _divergence(model, after, k + 1)
                break
            x, made = after, k + 1
            y[made] = model.observe(x, u[made], blur.next())
            if progress is not None and made % every == 0 and not progress(made, steps):
                break
    if diverged is not None:
        partial = str(diverged)
    elif made < steps:
        partial = f"ended after {made} of {steps} steps"
    time_s = np.arange(made + 1, dtype=np.float64) * dt_s
    return Trajectories(
        model.outputs,
        time_s,
        y[: made + 1].transpose(1, 0, 2),
        x,
        model.states,
        draws,
        noise.paired,
        diverged,
        partial,
        warnings_of(model, dt_s),
    )


def _divergence(model: Model, x: Array, step: int) -> Divergence:
    out = ~(np.abs(x) < BOUND)
    state = int(np.argmax(out.any(axis=0)))
    return Divergence(step, model.states[state], int(out.any(axis=1).sum()))


def warnings_of(model: Model, dt_s: float) -> tuple[str, ...]:
    """What a person should know of this step length."""
    fastest = model.fastest_s
    if math.isfinite(fastest) and dt_s > fastest:
        return (
            f"the step of {dt_s:g} s is longer than the fastest time constant, {fastest:g} s: what happens between two steps is not seen",
        )
    return ()
