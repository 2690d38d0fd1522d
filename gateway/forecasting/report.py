"""What is said of the forecasts as a whole: for status, Prometheus and the gateway's own nodes. Scores per tag stand at the tag."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from gateway.contracts import Figure
from gateway.forecasting.live import Live
from gateway.model.forecast import Scores
from gateway.model.instant import iso

Metric = tuple[str, Mapping[str, str], float, str]
WHOLE: Final = 100
"""Tags up to which Prometheus is given each horizon; of more than that, the lead alone."""
_SCORED: Final = ("crps", "mase", "coverage")


def figures(live: Live, now_ns: int) -> dict[str, Figure]:
    """Names and types never change. Coverage and Mase at the lead over all tags: NaN before anything was due."""
    newest, scores, lead = live.newest(), live.scores(), live.lead_knot
    none = scores is None or lead is None
    return {
        "Tags": len(live.tags),
        "Issued": live.issued,
        "Failed": live.failed,
        "Age": float("nan") if newest is None else max(now_ns - newest.at_ns, 0) / 1e9,
        "WorkerTime": live.seconds,
        "Coverage": float("nan") if none else _pooled(scores, "coverage", lead),
        "Mase": float("nan") if none else _middle(scores, lead),
    }


def _pooled(scores: Scores | None, name: str, knot: int | None) -> float:
    """The mean over all that came due."""
    assert scores is not None and knot is not None  # noqa: PT018  the caller has looked
    n, part = scores.n[:, knot], getattr(scores, name)[:, knot]
    return float(np.nansum(n * np.nan_to_num(part)) / n.sum()) if n.sum() else float("nan")


def _middle(scores: Scores | None, knot: int | None) -> float:
    """The median over tags: one whose persistence hardly erred must not speak for all."""
    assert scores is not None and knot is not None  # noqa: PT018  likewise
    known = scores.mase[:, knot][np.isfinite(scores.mase[:, knot])]
    return float(np.median(known)) if known.size else float("nan")


def status(live: Live) -> dict[str, Any] | None:
    """JSON values; None where nothing is forecast."""
    newest, scores = live.newest(), live.scores()
    if not live.tags:
        return None
    return {
        "tags": len(live.tags),
        "horizon_s": live.horizon_ns / 1e9,
        "lead_s": live.lead_ns / 1e9,
        "issued": live.issued,
        "failed": live.failed,
        "newest": None if newest is None else iso(newest.at_ns),
        "worker_s": round(live.seconds, 3),
        "fault": live.fault,
        "began": live.began,
        "models": {} if newest is None else dict(Counter(newest.model)),
        "horizons": [] if scores is None else [_horizon(scores, knot) for knot in range(scores.horizon_s.size)],
    }


def _horizon(scores: Scores, knot: int) -> dict[str, Any]:
    return {
        "horizon_s": float(scores.horizon_s[knot]),
        "n": int(scores.n[:, knot].sum()),
        "mase": _number(_middle(scores, knot)),
        "coverage": _number(_pooled(scores, "coverage", knot)),
    }


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def metrics(live: Live) -> Iterator[Metric]:
    """Base units and `_total` as Prometheus asks."""
    if not live.tags:
        return
    yield "edgetwin_forecasts_issued_total", {}, float(live.issued), "counter"
    yield "edgetwin_forecasts_failed_total", {}, float(live.failed), "counter"
    yield "edgetwin_forecast_worker_seconds", {}, live.seconds, "gauge"
    scores, lead = live.scores(), live.lead_knot
    if scores is None or lead is None:
        return
    knots = range(scores.horizon_s.size) if len(live.tags) <= WHOLE else (lead,)
    for row, tag in enumerate(live.names):
        for knot in knots:
            labels = {"tag": tag, "horizon_s": f"{scores.horizon_s[knot]:g}"}
            yield "edgetwin_forecasts_scored_total", labels, float(scores.n[row, knot]), "counter"
            for name in _SCORED:
                value = float(getattr(scores, name)[row, knot])
                if np.isfinite(value):
                    yield f"edgetwin_forecast_{name}", labels, value, "gauge"
