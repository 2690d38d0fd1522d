"""A what-if over the models of a site: looked over by name before it is run, run for all paths at once, and said in a document.

The names are tags, as inputs (setpoints, disturbances) and as outputs, and `model.parameter`. The document is JSON values at no more
instants than a person or a trend needs; the trajectories themselves stay arrays.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from gateway.model.process import Change
from gateway.simulation.distributions import Distribution, of_text, relative
from gateway.simulation.ensemble import MOST_CELLS, Progress, Target, simulate, simulate_until
from gateway.simulation.process.model import Array, Model, ModelError, finite, unknown
from gateway.simulation.trajectories import Trajectories, mean_interval

QUANTILES: Final = (0.05, 0.5, 0.95)
WORDS: Final = ("p05", "p50", "p95")
STEPS: Final = 10  # where nobody says how many
POINTS: Final = 121  # instants of a document
MOST_STEPS: Final = 1_000_000
MOST_RUNS: Final = 100_000
_Z: Final = 1.959964  # of a 95 % interval
_BELOW: Final = frozenset({"LO", "LOLO"})


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit alarm of a tag: HIHI, HI, LO or LOLO."""

    tag: str
    limit: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked. parameters: what is changed, by tag or model.parameter. uncertainty: relative standard deviation of all parameters.

    varied: what is drawn for each run, as text (`uniform(1.9, 2.1)`); half_width: runs end once the mean of each of these outputs at the
    horizon is known so well at 95 %, and `runs` is the most; antithetic: the second half of the runs has the negated noise of the first.
    """

    parameters: Mapping[str, Change] = field(default_factory=dict)
    horizon_s: float = 600.0
    step_s: float = 1.0
    runs: int = 200
    uncertainty: float = 0.0
    antithetic: bool = False
    half_width: Mapping[str, float] = field(default_factory=dict)
    varied: Mapping[str, str] = field(default_factory=dict)

    @property
    def held(self) -> dict[str, float]:
        """What is changed once, from the beginning."""
        return {name: float(change) for name, change in self.parameters.items() if isinstance(change, int | float)}

    @property
    def courses(self) -> dict[str, Sequence[Sequence[float]]]:
        """What is changed on the way."""
        return {name: change for name, change in self.parameters.items() if not isinstance(change, int | float)}

    @property
    def steps(self) -> int:
        """As many as reach the horizon."""
        return math.ceil(self.horizon_s / self.step_s - 1e-9)


def checked(model: Model, start: Mapping[str, float], ask: Ask, ranges: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """What a person should know of it. Raises ModelError that names what cannot work: a name, a range, a size, what is no number."""
    names = list(dict.fromkeys([*model.inputs, *model.outputs, *model.parameters]))
    unknown([*ask.parameters, *ask.varied], names, "tag or parameter in the models")
    finite({name: value for name, value in start.items() if name not in ask.held}, "the initial state")
    _sizes(model, ask)
    for name, change in ask.parameters.items():
        values = [change] if isinstance(change, int | float) else _course(model, name, change, ask.horizon_s)
        for value in values:
            finite({name: value}, "what is to be changed")
        low, high = ranges.get(name, (-math.inf, math.inf))
        if beyond := [value for value in values if not low <= value <= high]:
            raise ModelError(f"{name} = {beyond[0]:g} is outside its range [{low:g}, {high:g}]")
    _chances(model, ask)
    changed = model.with_parameters({name: value for name, value in ask.held.items() if name in model.parameters})
    known, fastest = {*start, *ask.parameters, *ask.varied}, changed.fastest_s
    parts = {name.partition(".")[0] for name in model.parameters}  # names that begin so are the models' own, and no tags
    silent = [name for name in (*model.inputs, *model.outputs) if name not in known and name.partition(".")[0] not in parts]
    warnings = [f"nothing is known of {', '.join(silent)}: the models' own start is taken"] if silent else []
    if ask.step_s > fastest:
        warnings.append(
            f"the step of {ask.step_s:g} s is longer than the fastest time constant, {fastest:g} s: what is between is not seen"
        )
    return tuple(warnings)


def _course(model: Model, name: str, course: Sequence[Sequence[float]], horizon_s: float) -> list[float]:
    """Its values."""
    if name not in model.inputs:
        raise ModelError(f"{name} cannot change during a run: only inputs can, which are {', '.join(model.inputs) or 'none here'}")
    if not course or any(len(pair) != 2 for pair in course):
        raise ModelError(f"the course of {name} is none: write [seconds, value] pairs")
    times = [float(pair[0]) for pair in course]
    if not all(math.isfinite(at) and 0 <= at < horizon_s for at in times):
        raise ModelError(f"the course of {name} has a time outside the run: each lies from 0 to below the horizon of {horizon_s:g} s")
    if any(later <= at for at, later in pairwise(times)):
        raise ModelError(f"the course of {name} is not in order of time")
    return [float(pair[1]) for pair in course]


def _chances(model: Model, ask: Ask) -> None:
    for name, text in ask.varied.items():
        if name in ask.parameters:
            raise ModelError(f"{name} is both changed and drawn: give one of the two")
        try:
            drawn = of_text(text)
            if name in model.parameters:
                for bound in (drawn.middle, *drawn.bounds):
                    model.with_parameters({name: bound})
        except ModelError as fault:
            raise ModelError(f"{name}: {fault}") from None
    if ask.antithetic and ask.runs % 2:
        raise ModelError(f"{ask.runs} runs are not pairs: antithetic runs need an even number")
    unknown(ask.half_width, model.outputs, "output")
    for name, width in ask.half_width.items():
        if not (math.isfinite(width) and width > 0):
            raise ModelError(f"a half-width of {width:g} of {name} is never met: it must be positive")


def _sizes(model: Model, ask: Ask) -> None:
    for word, value in (("horizon", ask.horizon_s), ("step", ask.step_s)):
        if not (math.isfinite(value) and value > 0):
            raise ModelError(f"a {word} of {value:g} s is none: it must be positive")
    if ask.step_s > ask.horizon_s:
        raise ModelError(f"the step of {ask.step_s:g} s is longer than the horizon of {ask.horizon_s:g} s")
    if ask.horizon_s / ask.step_s > MOST_STEPS:  # infinite where the one is huge and the other tiny
        made = f"{ask.horizon_s / ask.step_s:g}"
        raise ModelError(f"{made} steps are too many ({MOST_STEPS} can be made): a longer step, or a shorter horizon")
    if not 1 <= ask.runs <= MOST_RUNS:
        raise ModelError(f"{ask.runs} runs cannot be: 1 to {MOST_RUNS}")
    cells = ask.runs * (ask.steps + 1) * max(1, len(model.outputs))
    if cells > MOST_CELLS // 4:
        raise ModelError(f"{ask.runs} runs of {ask.steps} steps of {len(model.outputs)} outputs are too many: fewer runs, or a longer step")
    if not (math.isfinite(ask.uncertainty) and 0 <= ask.uncertainty <= 1):
        raise ModelError(f"an uncertainty of {ask.uncertainty:g} is none: 0 to 1")


def run(
    model: Model,
    start: Mapping[str, float],
    ask: Ask,
    varied: Mapping[str, Distribution],
    generator: "np.random.Generator",
    progress: Progress | None = None,
    *,
    noise: bool = True,
    measured: bool = False,
    driven: Mapping[str, Array] | None = None,
    blocked: bool = False,
) -> Trajectories:
    """The ensemble. What start says of tags that no model has is left out. Raises ModelError.

    measured: outputs with measurement noise; driven: inputs that are known for each step, (steps,), where nothing is changed of them.
    blocked: in blocks, also where no half-width is asked for, to be paired with an ensemble where one is.
    """
    spread = spread_of(model, ask, varied)
    fixed, x0, u = situation(model, start, ask, spread, driven or {})
    if not (ask.half_width or blocked):
        return simulate(
            model, x0, u, ask.step_s, ask.steps, generator, ask.runs, overrides=fixed, varied=spread,
            antithetic=ask.antithetic, process_noise=noise, measured=measured, progress=progress,
        )  # fmt: skip
    targets = [Target(name, width) for name, width in ask.half_width.items()]
    return simulate_until(
        targets, ask.runs, model, x0, u, ask.step_s, ask.steps, generator, overrides=fixed, varied=spread,
        antithetic=ask.antithetic, process_noise=noise, measured=measured, progress=progress,
    )  # fmt: skip


def situation(
    model: Model, start: Mapping[str, float], ask: Ask, spread: Mapping[str, Distribution], driven: Mapping[str, Array]
) -> tuple[dict[str, float], dict[str, float], dict[str, Array]]:
    """(what is held in all runs, the initial state, inputs by step)."""
    known = {*model.inputs, *model.outputs, *model.states}
    fixed = {name: value for name, value in ask.held.items() if name not in spread}
    x0 = {name: value for name, value in start.items() if name in known}
    inputs = {name: path for name, path in driven.items() if name in model.inputs}
    for name, course in ask.courses.items():
        path = np.array(inputs.get(name, np.full(ask.steps, start.get(name, 0.0))))
        for at_s, value in course:
            path[max(0, math.ceil(at_s / ask.step_s - 1e-9)) :] = value
        inputs[name] = path
    return fixed, x0, inputs


def spread_of(model: Model, ask: Ask, varied: Mapping[str, Distribution]) -> dict[str, Distribution]:
    """What varies between runs: what is not known for sure, what is asked to vary, and with an uncertainty all parameters."""
    spread = {name: one for name, one in varied.items() if name not in ask.parameters}
    spread |= {name: of_text(text) for name, text in ask.varied.items()}
    plain = {name: value for name, value in ask.held.items() if name in model.parameters}
    return relative({**model.parameters, **plain}, ask.uncertainty) | spread if ask.uncertainty else spread


def unmet(found: Trajectories, ask: Ask) -> list[str]:
    """In words, the half-widths that were asked for and not reached."""
    if not ask.half_width:
        return []
    reached = found.mean()[1][-1]
    return [
        f"the mean of {name} is known to +-{reached[found.outputs.index(name)]:.3g} after {found.runs} runs, not to {width:g}: more runs"
        for name, width in ask.half_width.items()
        if not reached[found.outputs.index(name)] <= width
    ]


def document(found: Trajectories, limits: Sequence[Limit], points: int = POINTS) -> dict[str, Any]:
    """What a run says: bands per output at no more than `points` instants, and first passages; NaN nowhere."""
    at = instants(found.steps, points)
    y = found.y[:, at]
    quantiles = np.quantile(y, QUANTILES, axis=0)
    mean, half = mean_interval(y, antithetic=found.antithetic)
    sd = y.std(axis=0, ddof=1 if found.runs > 1 else 0)
    outputs = {
        name: {
            "mean": mean[:, k].tolist(),
            "half_width": shown(half[:, k]),
            "sd": sd[:, k].tolist(),
            **{word: quantiles[q, :, k].tolist() for q, word in enumerate(WORDS)},
        }
        for k, name in enumerate(found.outputs)
    }
    return {
        "runs": found.runs,
        "steps": found.steps,
        "time_s": found.time_s[at].tolist(),
        "outputs": outputs,
        "limits": [passage(found, one) for one in limits if one.tag in found.outputs],
        "partial": found.partial,
        "warnings": list(found.warnings),
    }


def verdict(said: Mapping[str, Any], risk: float) -> dict[str, Any]:
    """Whether what a document says may be applied: it ran to its end, and no limit is reached with a probability above risk; why not."""
    why = [f"ended early: {said['partial']}"] if said["partial"] else []
    why += [
        f"{row['tag']} reaches {row['limit']} ({row['threshold']:g}) with a probability of {row['probability']:.3g}, above {risk:g}"
        for row in said["limits"]
        if row["probability"] > risk
    ]
    return {"valid": not why, "risk": risk, "why": why}


def instants(steps: int, points: int) -> list[int]:
    """Which of 0..steps are shown: evenly, the first and the last among them."""
    if steps < points:
        return list(range(steps + 1))
    return sorted({round(k * steps / (points - 1)) for k in range(points)})


def shown(values: Array) -> list[float | None]:
    """As JSON has numbers: None for what is none."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def passage(found: Trajectories, limit: Limit) -> dict[str, Any]:
    """How likely a limit is reached within the horizon, with Wilson's interval, and when: p05, p50, p95 over all runs.

    A quantile is None where fewer runs than that share reach the limit.
    """
    reached = crossed(found.of(limit.tag), limit)
    hit = reached.any(axis=1)
    count, n = int(hit.sum()), found.runs
    first = np.sort(np.where(hit, found.time_s[reached.argmax(axis=1)], np.inf))
    low, high = wilson(count, n)
    times = {word: _quantile(first, share) for word, share in zip(WORDS, QUANTILES, strict=True)}
    return {
        "tag": limit.tag,
        "limit": limit.limit,
        "threshold": limit.threshold,
        "probability": count / n,
        "low": low,
        "high": high,
        "time_s": times,
    }


def crossed(y: Array, limit: Limit) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(runs, steps+1): at or beyond the limit, as an alarm sees it."""
    return y <= limit.threshold if limit.limit in _BELOW else y >= limit.threshold


def _quantile(first: Array, share: float) -> float | None:
    value = float(first[max(0, math.ceil(share * first.size) - 1)])
    return value if math.isfinite(value) else None


def wilson(count: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): it stays within 0 and 1, also for none or all of them."""
    centre, z2 = count / n, _Z**2
    middle = (centre + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(centre * (1 - centre) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return (max(0.0, middle - half) if count else 0.0), (min(1.0, middle + half) if count < n else 1.0)


def difference(found: Trajectories, base: Trajectories, points: int = POINTS) -> dict[str, Any]:
    """found - base, run by run under the same chance: mean and half-width of its 95 % interval per output, and what of it is sure."""
    steps = min(found.steps, base.steps)
    at = instants(steps, points)
    pairs = found.y[:, at] - base.y[:, at]
    mean, half = mean_interval(pairs, antithetic=found.antithetic and base.antithetic)
    return {
        "time_s": found.time_s[at].tolist(),
        "outputs": {name: {"mean": mean[:, k].tolist(), "half_width": shown(half[:, k])} for k, name in enumerate(found.outputs)},
    }
