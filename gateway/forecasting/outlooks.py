"""From what the worker sends to what the faces read. Made on a thread: a thousand tags are megabytes."""

from collections.abc import Mapping

import numpy as np

from gateway.forecasting.plan import Plan
from gateway.model.forecast import QUANTILES, Outlook, Predictions, Scores
from gateway.store.forecasts import Issues
from gateway.work import Column, JobResult


def scores_of(result: JobResult) -> Scores:
    """As the worker's roll has them."""
    part = result.arrays
    wide = {name: np.asarray(part[f"score_{name}"], np.float64) for name in ("n", "crps", "error", "mase", "coverage", "pit", "pinball")}
    loss = dict(zip(QUANTILES, wide["pinball"], strict=True))
    return Scores(
        np.asarray(part["score_horizon_s"], np.float64), wide["n"], wide["crps"], wide["error"], wide["mase"], wide["coverage"], loss,
        wide["pit"], np.asarray(part["score_model"], np.int8), tuple(result.values["models"]),
    )  # fmt: skip


def outlook_of(plan: Plan, at_ns: int, result: JobResult) -> Outlook:
    """Of a forecast issued at at_ns."""
    part, models = result.arrays, result.values["models"]
    p50, half = np.asarray(part["mean"], np.float64), np.asarray(part["half"], np.float64)
    p05, p95 = plan.within(p50 - half, p50, p50 + half)
    scores, knot = scores_of(result), result.values["lead_knot"]
    scored = {name: np.ascontiguousarray(getattr(scores, name)[:, knot]) for name in ("n", "crps", "mase", "coverage")}
    at_lead = [models[number] for number in np.asarray(part["model"])[:, 0].tolist()]
    return Outlook(
        at_ns, plan.step_ns, plan.lead, plan.tag_id, p05, p50, p95, tuple(at_lead),
        np.asarray(part["skill"], np.float64), _predictions(plan, part, at_ns, result.values["of_limits"]), scored,
    )  # fmt: skip


def issues_of(plan: Plan, at_ns: int, result: JobResult) -> Issues:
    """What is stored of a forecast: its distribution at each horizon that is scored."""
    mean, half = np.asarray(result.arrays["knots"], np.float32)
    horizon_s = np.asarray(result.arrays["score_horizon_s"], np.float64)
    ids = plan.tag_id.astype(np.int32)
    return Issues(np.array([at_ns], np.int64), ids, horizon_s, result.values["lead_knot"], mean[None], half[None])


def _predictions(plan: Plan, part: Mapping[str, Column], at_ns: int, model: str) -> Predictions:
    columns = (np.asarray(part[name], np.float64) for name in ("probability", "early_s", "median_s", "late_s"))
    return Predictions(at_ns, model, plan.passable.words, plan.passable.threshold, *columns)
