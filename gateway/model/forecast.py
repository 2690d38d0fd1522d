"""Forecasts and what became of them, as columns: one row per tag, the same order as the caller's tags."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

P05: Final = 0.05
P50: Final = 0.5
P95: Final = 0.95
QUANTILES: Final = (P05, P50, P95)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Predictive distributions of n tags at so many steps, the first of them one step after at_ns.

    mean, sd     (n, steps)   engineering units; NaN for a tag that has had no Good sample yet
    quantiles    probability -> (n, steps)
    model        int8 (n, steps)  which of `models` spoke; between two knots of different models the nearer one is named
    models       names of the models
    """

    at_ns: int
    step_ns: int
    mean: Floats
    sd: Floats
    quantiles: Mapping[float, Floats]
    model: Codes
    models: tuple[str, ...]

    @property
    def steps(self) -> int:
        """How many steps ahead."""
        return int(self.mean.shape[1])

    @property
    def horizon_s(self) -> Floats:
        """(steps,) seconds from at_ns."""
        return np.arange(1.0, self.steps + 1.0) * (self.step_ns / 1e9)

    def name(self, row: int, step: int = -1) -> str:
        """The model's name for a tag's row at a step."""
        return self.models[int(self.model[row, step])]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Whether and when limits are passed within the horizon: (n, limits) each; NaN where there is no limit.

    probability  that it is passed before the horizon's end; 1 where it is passed already
    expected_s   mean time to it, of those futures that pass it within the horizon; NaN where that is none
    early_s, median_s, late_s  by when it is passed with probability 0.05, 0.5 and 0.95; NaN: not within the horizon
    """

    horizon_s: float
    probability: Floats
    expected_s: Floats
    early_s: Floats
    median_s: Floats
    late_s: Floats


@dataclass(frozen=True, slots=True)
class Scores:
    """How forecasts did, per tag and knot (horizon): (n, knots) each unless said; NaN where nothing was due yet.

    horizon_s   (knots,)
    n           forecasts that came due with a Good sample
    crps        continuous ranked probability score, engineering units: mean
    error       absolute error, engineering units: mean
    mase        that error over persistence's error on the same occasions
    coverage    share of samples within the band P05..P95
    pinball     quantile -> mean loss, engineering units
    pit         (n, knots, bins): how often the sample fell in each tenth of the distribution; even counts = reliable
    model       int8: which of `models` is chosen now
    """

    horizon_s: Floats
    n: Floats
    crps: Floats
    error: Floats
    mase: Floats
    coverage: Floats
    pinball: Mapping[float, Floats]
    pit: Floats
    model: Codes
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One limit of one tag, as a forecast sees it. Seconds count from issued_ns; NaN: not within the horizon.

    probability  that it is passed before the horizon's end; 1 where it is passed already
    """

    limit: str  # HIHI, HI, LO, LOLO: of the alarm rule
    threshold: float
    probability: float
    early_s: float
    median_s: float
    late_s: float
    issued_ns: int
    model: str

    @property
    def expected_ns(self) -> int | None:
        """When it is passed, by the median; None where that is not within the horizon."""
        return None if math.isnan(self.median_s) else self.issued_ns + round(self.median_s * 1e9)

    def row(self) -> list[str | float | int | None]:
        """As JSON values, for `of_row`."""
        times = (None if math.isnan(at_s) else at_s for at_s in (self.early_s, self.median_s, self.late_s))
        return [self.limit, self.threshold, self.probability, *times, self.issued_ns, self.model]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> "Prediction":
        """Raises ValueError for a row of another shape."""
        limit, threshold, probability, early_s, median_s, late_s, issued_ns, model = row
        early, median, late = (math.nan if at_s is None else float(at_s) for at_s in (early_s, median_s, late_s))
        return cls(str(limit), float(threshold), float(probability), early, median, late, int(issued_ns), str(model))

    def moved(self, delta_ns: int) -> "Prediction":
        """By a clock that was set."""
        return replace(self, issued_ns=self.issued_ns + delta_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions(Sequence[tuple[Prediction, ...]]):
    """The limits of n tags as one forecast sees them, in columns; as a sequence, each tag's Predictions, made when they are asked for.

    words      (n,) which limits each tag has, in the order of its columns
    threshold, probability, early_s, median_s, late_s   (n, most limits of one tag), as in Prediction; NaN where a tag has fewer, and
                                                        a probability of NaN where nothing was heard of the tag
    """

    issued_ns: int
    model: str
    words: tuple[tuple[str, ...], ...]
    threshold: Floats
    probability: Floats
    early_s: Floats
    median_s: Floats
    late_s: Floats

    @classmethod
    def of(cls, each: Sequence[Sequence[Prediction]]) -> Self:
        """From Predictions of one forecast, tag by tag."""
        width = max(map(len, each), default=0)
        columns = [np.full((len(each), width), np.nan) for _ in range(5)]
        for row, predictions in enumerate(each):
            for place, one in enumerate(predictions):
                told = (one.threshold, one.probability, one.early_s, one.median_s, one.late_s)
                for column, value in zip(columns, told, strict=True):
                    column[row, place] = value
        first = next((one for predictions in each for one in predictions), None)
        words = tuple(tuple(one.limit for one in predictions) for predictions in each)
        return cls(0 if first is None else first.issued_ns, "" if first is None else first.model, words, *columns)

    def __len__(self) -> int:
        return len(self.words)

    @overload
    def __getitem__(self, row: int) -> tuple[Prediction, ...]: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[tuple[Prediction, ...], ...]: ...
    def __getitem__(self, row: int | slice) -> tuple[Prediction, ...] | tuple[tuple[Prediction, ...], ...]:
        if isinstance(row, slice):
            return tuple(self[one] for one in range(*row.indices(len(self))))
        places = range(len(self.words[row]))
        return tuple(self.one(row, place) for place in places if not math.isnan(self.probability.item(row, place)))

    def one(self, row: int, place: int) -> Prediction:
        """Of a tag's row and column."""
        columns = (self.threshold, self.probability, self.early_s, self.median_s, self.late_s)
        threshold, probability, early_s, median_s, late_s = (column.item(row, place) for column in columns)
        return Prediction(self.words[row][place], threshold, probability, early_s, median_s, late_s, self.issued_ns, self.model)


@dataclass(frozen=True, slots=True)
class Alert:
    """What is to be said of one predicted limit: whether its condition stands, and on which prediction."""

    condition: str  # <tag>/Forecast/<LIMIT>
    stands: bool
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Outlook:
    """The newest forecasts of all forecast tags, as faces publish them: one row per tag, the first step one step after at_ns.

    tag_id         (n,)
    p05, p50, p95  (n, steps) engineering units; NaN for a tag that has had no Good sample yet
    lead           the step whose values are the tag's scalars: horizon lead * step
    model          (n,) name of the model that speaks at the lead
    skill          (n,) 1 - CRPS / CRPS of persistence at the lead, over the forecasts that came due; NaN before the first
    scored         n, crps, mase, coverage at the lead, (n,) each: of the forecasts that came due; NaN before the first
    predictions    (n,) the limits of each tag's alarm rules
    """

    at_ns: int
    step_ns: int
    lead: int
    tag_id: NDArray[np.int64]
    p05: Floats
    p50: Floats
    p95: Floats
    model: tuple[str, ...]
    skill: Floats
    predictions: Predictions
    scored: Mapping[str, Floats] = field(default_factory=dict)

    def row_of(self, tag_id: int) -> int:
        """The tag's row. Raises KeyError where it has no forecast."""
        found = np.flatnonzero(self.tag_id == tag_id)
        if not found.size:
            raise KeyError(tag_id)
        return int(found[0])


@dataclass(frozen=True, slots=True)
class Foretold:
    """What was forecast of one tag, one lead earlier, by the instants it was forecast for: columns (rows,), oldest first."""

    valid_ns: NDArray[np.int64]
    p05: Floats
    p50: Floats
    p95: Floats
