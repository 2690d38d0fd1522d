"""The job `forecast`: samples in, the newest outlook out. Its worker keeps the roll between jobs, and saves it now and then.

A worker that is new (the first of a boot, or one whose forerunner died) takes up the file that was saved last; time that passed
meanwhile is told to the models as a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.model.forecast import P95, Crossing, Scores
from gateway.simulation.forecast.forecaster import Array
from gateway.simulation.forecast.rolling import Rolling
from gateway.work import Column, Progress

Found = tuple[dict[str, Any], dict[str, Column]]
_SCORED: Final = ("n", "crps", "error", "mase", "coverage", "pit")


@dataclass(slots=True)
class _Roll:
    """What a worker keeps. origin_ns: the steady time at which the roll's own clock stood at 0."""

    token: str
    tags: tuple[str, ...]
    rolling: Rolling
    origin_ns: int
    told: dict[str, Any]


_kept: dict[str, _Roll] = {}


def forecast(args: Mapping[str, Any], arrays: Mapping[str, Column], _generator: np.random.Generator, _progress: Progress) -> Found:
    """Samples of all tags by step: arrays steady_ns (m,), y and good (m, tags), limits and upper (tags, l), scan_s (tags,).

    args: roll (which one: another word begins anew), tags, horizon_s, step_s, every_s, lead (a step), at_ns (the wall clock at the last
    sample). Out come mean and half, the half-width of the 90 % band, float32 (tags, steps); the crossings; and the scores.
    """
    roll = _kept.get("")
    if roll is None or roll.token != args["roll"]:
        roll = _kept[""] = _begun(args, arrays)
    steady_ns = np.asarray(arrays["steady_ns"], np.int64)
    for row, at_ns in enumerate(steady_ns.tolist()):
        roll.rolling.step((at_ns - roll.origin_ns) / 1e9, np.asarray(arrays["y"][row], np.float64), np.asarray(arrays["good"][row], bool))
    values, found = _outlook(roll.rolling, args, arrays)
    told, roll.told = roll.told, {}
    return values | told, found


def _begun(args: Mapping[str, Any], arrays: Mapping[str, Column]) -> _Roll:
    tags = tuple(args["tags"])
    rolling = Rolling.of(len(tags), args["horizon_s"], args["step_s"], every_s=args["every_s"], lead_s=args["lead"] * args["step_s"])
    return _Roll(args["roll"], tags, rolling, int(arrays["steady_ns"][0]), {"began": "anew"})


def _outlook(rolling: Rolling, args: Mapping[str, Any], arrays: Mapping[str, Column]) -> Found:
    ahead = rolling.forecast(args["at_ns"])
    limits, upper = np.asarray(arrays["limits"], np.float64), np.asarray(arrays["upper"], bool)
    crossing = rolling.crossing(ahead, limits, upper=upper, scan_s=np.asarray(arrays["scan_s"], np.float64))
    silent = rolling.age_s > args["horizon_s"]  # nothing was heard of it for longer than is looked ahead
    mean, half = (np.asarray(part, np.float32) for part in (ahead.mean, ahead.quantiles[P95] - ahead.mean))
    mean[silent], half[silent] = np.nan, np.nan
    found: dict[str, Column] = {"mean": mean, "half": half, "model": ahead.model[:, [args["lead"] - 1, -1]], **_passages(crossing, silent)}
    found["skill"] = rolling.board.skill()[:, np.searchsorted(rolling.knots_s, args["lead"] * args["step_s"] - 1e-6)]
    return {"models": list(rolling.names)}, found | _scored(rolling.scores())


def _passages(crossing: Crossing, silent: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> dict[str, Array]:
    found = {"probability": crossing.probability, "early_s": crossing.early_s, "median_s": crossing.median_s, "late_s": crossing.late_s}
    return {name: np.where(silent[:, None], np.nan, part) for name, part in found.items()}


def _scored(scores: Scores) -> dict[str, Column]:
    parts: dict[str, Column] = {f"score_{name}": np.asarray(getattr(scores, name), np.float32) for name in _SCORED}
    loss = np.stack([scores.pinball[p] for p in scores.pinball]).astype(np.float32)
    return parts | {"score_pinball": loss, "score_model": scores.model, "score_horizon_s": scores.horizon_s}
