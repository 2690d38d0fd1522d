"""Which model speaks for a tag at a horizon: rolling origin, the best CRPS of those that do not lose to persistence."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.model.forecast import Codes
from gateway.simulation.forecast import normal
from gateway.simulation.forecast.forecaster import Array

FORGET: Final = 0.997  # per score
LEAST: Final = 10.0  # scores before anything but persistence may speak
DOUBT: Final = normal.quantile(0.99)
"""Standard errors by which a model's absolute error must lie below persistence's, twice as many after LEAST scores: with a handful of
models, chance alone has them win once in twenty tests."""
BEHIND: Final = 3.0
"""Of persistence's mean errors, by which a model may have fallen behind since it was last ahead: then it is no longer what it was."""


@dataclass(slots=True)
class Choice:
    """Sums with forgetting, (models, tags, knots); model 0 is persistence. overlap (knots,): scores whose horizons share their time.

    crps   of the model's own distribution      gain, square   |error| of persistence less the model's, and its square
    behind how far a model's errors exceed persistence's since it was last ahead (Page 1954)
    """

    crps: Array
    gain: Array
    square: Array
    weight: Array
    behind: Array
    still: Array
    overlap: Array

    @classmethod
    def of(cls, models: int, tags: int, overlap: Array) -> "Choice":
        """Nothing scored: persistence everywhere."""
        shape = (models, tags, overlap.size)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape[1:]), overlap)

    def learn(self, knot: int, crps: Array, error: Array, scored: Array) -> None:
        """Scores of one knot: crps and |error| (models, tags), NaN where a model had nothing to say; scored (tags,) bool."""
        told = scored & ~np.isnan(crps) & ~np.isnan(error[:1])
        gain = np.where(told, error[0] - error, 0.0)
        keep = np.where(told, FORGET, 1.0)
        for kept, new in ((self.crps, np.where(told, crps, 0.0)), (self.gain, gain), (self.square, gain * gain), (self.weight, told)):
            kept[:, :, knot] = keep * kept[:, :, knot] + new
        self.behind[:, :, knot] = np.maximum(self.behind[:, :, knot] - gain, 0.0)
        self.still[:, knot] = keep[0] * self.still[:, knot] + np.where(told[0], error[0], 0.0)

    def chosen(self) -> Codes:
        """int8 (tags, knots). None that loses to persistence in absolute error (MASE > 1), of late too, or beats it by chance alone."""
        weight = np.maximum(self.weight, 1.0)
        gain, crps = self.gain / weight, self.crps / weight
        doubt = np.sqrt(np.maximum(self.square / weight - gain * gain, 0.0) / np.maximum(weight / self.overlap, 1.0))
        fit = (self.weight >= LEAST) & (gain > DOUBT * (1 + LEAST / weight) * doubt)
        fit &= self.behind <= BEHIND * self.still / weight[0]
        fit[0] = True
        return np.asarray(np.argmin(np.where(fit, crps, np.inf), axis=0).astype(np.int8))
