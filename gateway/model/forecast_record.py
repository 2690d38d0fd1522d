"""A tag's forecast as JSON values, as MQTT and REST show it. Pure. NaN becomes null where it is encoded."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import quality
from gateway.model.forecast import Outlook, Prediction
from gateway.model.instant import iso
from gateway.model.tag import Tag

BAND_POINTS: Final = 61


def scalars(outlook: Outlook, row: int, tag: Tag) -> dict[str, Any]:
    """What is foreseen at the lead: values in the tag's unit, and the instant they are valid for; how good such forecasts were."""
    lead = outlook.lead
    p05, p50, p95 = (_number(float(column[row, lead - 1])) for column in (outlook.p05, outlook.p50, outlook.p95))
    status = quality.BAD_WAITING_FOR_INITIAL_DATA if p50 is None else quality.UNCERTAIN_SIMULATED
    return {
        "tag": tag.name,
        "unit": tag.unit,
        "issued": iso(outlook.at_ns),
        "lead_s": lead * outlook.step_ns / 1e9,
        "timestamp": iso(outlook.at_ns + lead * outlook.step_ns),
        "p05": p05,
        "p50": p50,
        "p95": p95,
        "quality": quality.word(status),
        "status": quality.name(status),
        "model": outlook.model[row],
        "skill": _number(float(outlook.skill[row])),
        "limits": [limit(one) for one in outlook.predictions[row]],
    }


def limit(one: Prediction) -> dict[str, Any]:
    """time_s: by when it is passed with probability 0.05, 0.5 and 0.95, in seconds from `issued`; null: not within the horizon."""
    expected_ns = one.expected_ns
    return {
        "limit": one.limit,
        "threshold": _number(one.threshold),
        "probability": _number(one.probability),
        "time_s": {"p05": _number(one.early_s), "p50": _number(one.median_s), "p95": _number(one.late_s)},
        "expected": None if expected_ns is None else iso(expected_ns),
    }


def band(outlook: Outlook, row: int, points: int = BAND_POINTS) -> dict[str, Any]:
    """The trajectory as columns from t0, of at most so many instants: the first, the last, and evenly what is between.

    Numbers have the seven digits of a float32, which no band is sure of.
    """
    at = kept(outlook.p50.shape[1], points)
    step_ms = outlook.step_ns / 1e6
    dt_ms = (at + 1) * step_ms
    return {
        "t0": iso(outlook.at_ns),
        "dt_ms": dt_ms.astype(np.int64) if not (dt_ms % 1).any() else dt_ms,
        **{name: getattr(outlook, name)[row, at].astype(np.float32) for name in ("p05", "p50", "p95")},
    }


def drawn(outlook: Outlook, row: int, tag: Tag, points: int = 120) -> dict[str, Any]:
    """For a chart: value k is valid at t0 + k * step (ms since 1970, ms), on an even grid of at most so many instants."""
    stride = -(-outlook.p50.shape[1] // points)
    at, step_ms = slice(stride - 1, None, stride), stride * outlook.step_ns / 1e6
    return {
        "tag": tag.name,
        "t0": outlook.at_ns / 1e6 + step_ms,
        "step": step_ms,
        **{name: getattr(outlook, name)[row, at].astype(np.float32) for name in ("p05", "p50", "p95")},
        "issued": outlook.at_ns / 1e6,
        "model": outlook.model[row],
        "skill": _number(float(outlook.skill[row])),
        "limits": [limit(one) for one in outlook.predictions[row]],
    }


def instants(outlook: Outlook) -> NDArray[np.int64]:
    """(steps,) UTC ns for which an outlook has values."""
    return outlook.at_ns + np.arange(1, outlook.p50.shape[1] + 1, dtype=np.int64) * outlook.step_ns


def kept(steps: int, points: int) -> NDArray[np.int64]:
    """Which of the steps 0..steps-1 are shown."""
    if steps <= points:
        return np.arange(steps)
    return np.unique(np.round(np.linspace(0, steps - 1, points)).astype(np.int64))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
