"""When a predicted limit is worth an alert: hysteresis in probability, so many forecasts in a row, and time enough to do something.

n limits in columns, one row each; every issue is one call. A limit that is passed already needs no alert, and one of which nothing is known
has none.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.forecaster import Array, Mask


@dataclass(frozen=True, slots=True)
class Manner:
    """raise_at, clear_at  probabilities: at or above the one it may begin, at or below the other it ends
    lead_s    it does not begin where the limit is expected sooner: too late for anybody to act
    issues    so many forecasts in a row must say so
    """

    raise_at: float = 0.7
    clear_at: float = 0.3
    lead_s: float = 10.0
    issues: int = 2


@dataclass(slots=True)
class Alerting:
    """stands (n,): for which limits there is an alert; streak (n,): how many issues in a row asked for one."""

    manner: Manner
    stands: Mask
    streak: npt.NDArray[np.int64]

    @classmethod
    def of(cls, limits: int, manner: Manner) -> Self:
        return cls(manner, np.zeros(limits, bool), np.zeros(limits, np.int64))

    def issue(self, probability: Array, median_s: Array, there: Mask) -> tuple[Mask, Mask]:
        """What the newest forecasts say; there: passed already. Which alerts begin by it, and which end. NaN: nothing is known."""
        manner, chance = self.manner, np.where(np.isnan(probability), 0.0, probability)
        asks = (chance >= manner.raise_at) & ~there
        in_time = ~(median_s < manner.lead_s)  # beyond the horizon (NaN) is time enough
        self.streak = np.where(asks & (in_time | self.stands), self.streak + 1, 0)
        begins = ~self.stands & (self.streak >= manner.issues)
        ends = self.stands & (there | (chance <= manner.clear_at))
        self.stands = (self.stands | begins) & ~ends
        return begins, ends
