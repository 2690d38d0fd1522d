"""A ForecastView that holds what a test gives it, and outlooks made of a few numbers."""

from collections.abc import Sequence

import numpy as np

from gateway.model.forecast import Foretold, Outlook, Prediction, Predictions

SECOND = 1_000_000_000


class Held:
    """issue(outlook) is what the daemon does; foretold: what past() finds, by tag_id."""

    def __init__(self, tags: Sequence[int], lead_ns: int = 3 * SECOND, horizon_ns: int = 5 * SECOND):
        self.tags, self.lead_ns, self.horizon_ns = tuple(tags), lead_ns, horizon_ns
        self.foretold: dict[int, Foretold] = {}
        self.known_scores = None
        self._newest: Outlook | None = None
        self._told = []

    def issue(self, outlook: Outlook) -> None:
        self._newest = outlook
        for told in tuple(self._told):
            told(outlook)

    def newest(self):
        return self._newest

    def watch(self, told):
        self._told.append(told)
        return lambda: self._told.remove(told)

    @property
    def watched(self) -> int:
        return len(self._told)

    async def past(self, tag_id, start_ns, end_ns, limit=None):
        if tag_id not in self.tags:
            raise KeyError(tag_id)
        found = self.foretold.get(tag_id)
        if found is None:
            nothing = np.empty(0)
            return Foretold(np.empty(0, np.int64), nothing, nothing, nothing)
        rows = np.flatnonzero((found.valid_ns >= start_ns) & (found.valid_ns < end_ns))[:limit]
        return Foretold(found.valid_ns[rows], found.p05[rows], found.p50[rows], found.p95[rows])

    def scores(self):
        return self.known_scores


def outlook(
    at_ns: int,
    medians: Sequence[Sequence[float]],
    tag_id: Sequence[int] = (0,),
    *,
    lead: int = 3,
    step_ns: int = SECOND,
    half: float = 1.0,
    skill: float = 0.25,
    model: str = "kalman",
    predictions: Sequence[Sequence[Prediction]] | None = None,
) -> Outlook:
    """medians: one row for each tag; the band is `half` wide on either side."""
    p50 = np.array(medians, np.float64)
    n = len(tag_id)
    told = Predictions.of(predictions if predictions is not None else [()] * n)
    return Outlook(at_ns, step_ns, lead, np.array(tag_id, np.int64), p50 - half, p50, p50 + half, (model,) * n, np.full(n, skill), told)


def prediction(limit: str, probability: float, median_s: float, threshold: float = 30.0, issued_ns: int = 0) -> Prediction:
    return Prediction(limit, threshold, probability, median_s / 2, median_s, median_s * 2, issued_ns, "kalman")


def foretold(valid_ns: Sequence[int], p50: Sequence[float], half: float = 1.0) -> Foretold:
    middle = np.array(p50, np.float64)
    return Foretold(np.array(valid_ns, np.int64), middle - half, middle, middle + half)
