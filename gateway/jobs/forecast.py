"""The job `forecast`: samples in, the newest outlook out. Its worker keeps the roll between jobs, and saves it when it is told to.

A worker that is new (the first of a boot, or one whose forerunner died) takes up the file that was saved last; time that passed meanwhile
is told to the models as a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.jobs.table import Impossible
from gateway.model.forecast import P95, Crossing, Forecast, Scores
from gateway.model.process import ProcessModel
from gateway.simulation.forecast.crossing import times
from gateway.simulation.forecast.drift import DRIFT, Drift
from gateway.simulation.forecast.forecaster import Array, Forecaster, Mask
from gateway.simulation.forecast.keep import Unfit, restore, saved
from gateway.simulation.forecast.modelled import Modelled, fed
from gateway.simulation.forecast.reliability import Reliability
from gateway.simulation.forecast.rolling import Rolling, forecasters, knots
from gateway.simulation.process.model import ModelError
from gateway.store import statefile
from gateway.store.errors import DamagedBlock
from gateway.work import Column, Progress

Found = tuple[dict[str, Any], dict[str, Column]]
_SCORED: Final = ("n", "crps", "error", "mase", "coverage", "pit")


@dataclass(slots=True)
class _Roll:
    """What a worker keeps. origin_ns: the steady time at which the roll's own clock stood at 0; feeds: as Rolling.drive has them."""

    token: str
    tags: tuple[str, ...]
    rolling: Rolling
    drift: Drift
    reliability: Reliability
    origin_ns: int
    feeds: npt.NDArray[np.intp]

    def step(self, at_ns: int, y: Array, good: Mask) -> None:
        """Samples of all tags, and then of the inputs, at a steady time."""
        now_s, n = (at_ns - self.origin_ns) / 1e9, len(self.tags)
        if y.size > n:
            self.rolling.drive(np.where(good[n:], y[n:], np.nan), self.feeds)
        self.rolling.step(now_s, y[:n], good[:n])
        self.drift.step(now_s, y[:n], good[:n])
        self.reliability.step(now_s, y[:n], good[:n])

    def saved(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learned, as arrays."""
        beside = [(f"{word}.{name}", part) for word, one in self._beside() for name, part in one.saved().items()]
        return saved(self.rolling) | dict(beside)

    def restore(self, kept: Mapping[str, npt.NDArray[Any]], row: list[int], models: list[str]) -> None:
        """As keep.restore. Raises Unfit."""
        restore(self.rolling, kept, row, models)
        new = np.flatnonzero(np.array(row) >= 0)
        for word, one in self._beside():
            parts = {key.removeprefix(f"{word}."): part for key, part in kept.items() if key.startswith(f"{word}.")}
            if parts:
                one.restore(parts, np.array(row, np.intp)[new], new)

    def _beside(self) -> tuple[tuple[str, Drift | Reliability], ...]:
        return ("drift", self.drift), ("reliability", self.reliability)

    def words(self, at_ns: int) -> dict[str, Any]:
        return {"tags": list(self.tags), "models": list(self.rolling.names), "at_ns": at_ns}


_kept: dict[str, _Roll] = {}  # by the file in which it is saved: one


def forecast(args: Mapping[str, Any], arrays: Mapping[str, Column], _generator: np.random.Generator, _progress: Progress) -> Found:
    """Samples of all tags by step: arrays steady_ns (m,), y and good (m, tags), limits and upper (tags, l), delay_s (tags, l): how
    long a value must stay beyond a limit.

    y and good may have more columns: the inputs of the models.

    args: inputs (names of those), models (as ProcessModel has them), roll (which one: another word begins another, with what fits of the
    old one), tags, was (their earlier names or ""), horizon_s, step_s, every_s, lead (a step), at_ns (the wall clock at the last sample),
    file and save (whether it is written now).
    Out come mean and half, the half-width of the 90 % band, float32 (tags, steps); the crossings; the scores; `knots`: mean and half at
    each of score_horizon_s, float32 (2, tags, knots); and `began`, in words, where a roll was begun or taken up.
    """
    steady_ns = np.asarray(arrays["steady_ns"], np.int64)
    roll, began = _kept.get(args["file"]), ""
    if roll is None or roll.token != args["roll"]:
        roll, began = _begun(args, arrays, roll)
        _kept[args["file"]] = roll
    roll.reliability = roll.reliability.follow(*_limits(arrays))
    for row, at_ns in enumerate(steady_ns.tolist()):
        roll.step(at_ns, np.asarray(arrays["y"][row], np.float64), np.asarray(arrays["good"][row], bool))
    if args["save"]:
        statefile.write(Path(args["file"]), roll.words(args["at_ns"]), roll.saved())
    values, found = _outlook(roll, args, arrays)
    return values | {"began": began}, found


def _begun(args: Mapping[str, Any], arrays: Mapping[str, Column], before: _Roll | None) -> tuple[_Roll, str]:
    """(the roll that these arguments ask for, with what is known already; what became of that, in words)."""
    steady_ns = np.asarray(arrays["steady_ns"], np.int64)
    if not steady_ns.size:
        raise Impossible("no roll without a sample")
    tags, lead_s = tuple(args["tags"]), args["lead"] * args["step_s"]
    rules = [ProcessModel(**one) for one in args["models"]]
    feeds = fed(rules, tags, args["inputs"])
    members: list[Forecaster] = [*forecasters(len(tags), args["horizon_s"], args["step_s"], lead_s=lead_s, inputs=feeds.shape[1])]
    try:
        modelled = Modelled.of(rules, tags, args["inputs"], args["step_s"], knots(args["horizon_s"], args["step_s"], lead_s))
    except ModelError as fault:
        raise Impossible(str(fault)) from None
    members += [] if modelled is None else [modelled]
    rolling = Rolling.of(len(tags), args["horizon_s"], args["step_s"], every_s=args["every_s"], lead_s=lead_s, members=members)
    drift = Drift.of(len(tags), args["horizon_s"], args["step_s"])
    roll = _Roll(args["roll"], tags, rolling, drift, Reliability.of(args["horizon_s"], *_limits(arrays)), int(steady_ns[0]), feeds)
    try:
        words, kept = (before.words(0), before.saved()) if before is not None else statefile.read(Path(args["file"]))
        there = {name: row for row, name in enumerate(words["tags"])}
        row = [there.get(name, there.get(was, -1)) for name, was in zip(tags, args["was"], strict=True)]
        roll.restore(kept, row, words["models"])
    except FileNotFoundError:
        return roll, "it begins anew: nothing was kept"
    except (Unfit, DamagedBlock, OSError) as fault:
        return roll, f"it begins anew: {fault}"
    if rolling.now_s is not None:
        if before is not None:
            roll.origin_ns = before.origin_ns
        else:  # what the wall clock says has passed, and a step at least
            passed_ns = args["at_ns"] - int(steady_ns[-1] - steady_ns[0]) - words["at_ns"]
            roll.origin_ns -= round(rolling.now_s * 1e9) + max(passed_ns, round(args["step_s"] * 1e9))
    return roll, f"it goes on with what was learned of {sum(place >= 0 for place in row)} of {len(tags)} tags"


def _outlook(roll: _Roll, args: Mapping[str, Any], arrays: Mapping[str, Column]) -> Found:
    rolling = roll.rolling
    ahead = rolling.forecast(args["at_ns"])
    limits, upper, _ = _limits(arrays)
    chance, time_s, passed = roll.drift.chances(rolling.last, limits, upper=upper)
    chance = roll.reliability.told(chance, time_s)
    crossing = times(np.maximum(chance, _crossed(ahead, limits, upper, time_s)), time_s, passed)
    silent = rolling.age_s > args["horizon_s"]  # nothing was heard of it for longer than is looked ahead
    mean, half = (np.asarray(part, np.float32) for part in (ahead.mean, ahead.quantiles[P95] - ahead.mean))
    mean[silent], half[silent] = np.nan, np.nan
    at_knots = np.round(rolling.knots_s / args["step_s"]).astype(np.intp) - 1
    lead = int(np.searchsorted(at_knots, args["lead"] - 1))
    found: dict[str, Column] = {
        "mean": mean,
        "half": half,
        "knots": np.stack([mean[:, at_knots], half[:, at_knots]]),
        "model": ahead.model[:, [args["lead"] - 1, -1]],
        "skill": rolling.board.skill()[:, lead],
        **_passages(crossing, silent),
        **_scored(rolling.scores()),
    }
    return {"models": list(rolling.names), "of_limits": DRIFT, "lead_knot": lead}, found


def _crossed(ahead: Forecast, limits: Array, upper: Mask, time_s: Array) -> Array:
    """(tags, limits, times): one half from where on the published median is beyond the limit, so that both say the same; else 0."""
    median = ahead.mean[:, np.clip(np.round(time_s / (ahead.step_ns / 1e9)).astype(np.intp) - 1, 0, ahead.steps - 1)][:, None]
    beyond = np.where(upper[..., None], median >= limits[..., None], median <= limits[..., None])
    return 0.5 * np.maximum.accumulate(beyond, axis=2)


def _limits(arrays: Mapping[str, Column]) -> tuple[Array, Mask, Array]:
    return np.asarray(arrays["limits"], np.float64), np.asarray(arrays["upper"], bool), np.asarray(arrays["delay_s"], np.float64)


def _passages(crossing: Crossing, silent: Mask) -> dict[str, Array]:
    found = {"probability": crossing.probability, "early_s": crossing.early_s, "median_s": crossing.median_s, "late_s": crossing.late_s}
    return {name: np.where(silent[:, None], np.nan, part) for name, part in found.items()}


def _scored(scores: Scores) -> dict[str, Column]:
    parts: dict[str, Column] = {f"score_{name}": np.asarray(getattr(scores, name), np.float32) for name in _SCORED}
    loss = np.stack([scores.pinball[p] for p in scores.pinball]).astype(np.float32)
    return parts | {"score_pinball": loss, "score_model": scores.model, "score_horizon_s": scores.horizon_s}
