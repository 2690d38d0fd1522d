"""The scoreboard of what was published: sums per tag and knot, so that its memory does not grow with time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.model.forecast import QUANTILES, Codes, Scores
from gateway.simulation.forecast import normal, score
from gateway.simulation.forecast.forecaster import Array

BINS: Final = 10
_Z: Final = {p: normal.quantile(p) for p in QUANTILES}


@dataclass(slots=True)
class Board:
    """Sums (tags, knots): n, crps, error, persistence's error and crps, covered; loss (quantiles, tags, knots); pit (tags, knots, bins)."""

    horizon_s: Array
    n: Array
    crps: Array
    error: Array
    still: Array
    still_crps: Array
    covered: Array
    loss: Array
    pit: Array

    @classmethod
    def of(cls, tags: int, horizon_s: Array) -> "Board":
        """Nothing scored."""
        shape = (tags, horizon_s.size)
        n, crps, error, still, still_crps, covered = np.zeros((6, *shape))
        return cls(horizon_s, n, crps, error, still, still_crps, covered, np.zeros((len(QUANTILES), *shape)), np.zeros((*shape, BINS)))

    def take(self, knot: int, row: npt.NDArray[np.intp], mean: Array, sd: Array, y: Array, still: Array, still_crps: Array) -> None:
        """Published forecasts of some tags (row) came due at a knot: mean, sd and sample y (len(row),), |error| and crps of persistence."""
        self.n[row, knot] += 1
        self.crps[row, knot] += score.crps_normal(mean, sd, y)
        self.error[row, knot] += np.abs(y - mean)
        self.still[row, knot] += still
        self.still_crps[row, knot] += still_crps
        band = normal.quantile(0.95) * sd
        self.covered[row, knot] += np.abs(y - mean) <= band * (1 + 1e-12)
        for place, z in enumerate(_Z.values()):
            self.loss[place, row, knot] += score.pinball(mean + z * sd, y, QUANTILES[place])
        self.pit[row, knot, score.pit_bin(mean, sd, y, BINS)] += 1

    def skill(self) -> Array:
        """(tags, knots) 1 - CRPS / CRPS of persistence on the same occasions; NaN where nothing was due, 0 where neither erred."""
        ratio = np.divide(self.crps, self.still_crps, out=np.where(self.crps > 0, np.inf, 1.0), where=self.still_crps > 0)
        return np.where(self.n > 0, 1 - ratio, np.nan)

    def scores(self, model: Codes, models: tuple[str, ...]) -> Scores:
        """The values, with the models that are chosen now."""
        none = np.where(self.n > 0, self.n, np.nan)
        error = self.error / none
        loss = dict(zip(QUANTILES, self.loss / none, strict=True))
        ratio = score.mase(error, self.still / none)
        return Scores(
            self.horizon_s.copy(), self.n.copy(), self.crps / none, error, ratio, self.covered / none, loss, self.pit.copy(), model, models
        )
