"""What was said a while ago: for each horizon a ring of a few slots, each looked at once its horizon has passed. Bounded memory."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.forecaster import Array, Mask

SLOTS: Final = 16


@dataclass(slots=True)
class Lags:
    """value, at_s (tags, knots, SLOTS): what was, and when by the tag's clock; slot (tags, knots): the one last written, -1 = none."""

    knots_s: Array
    value: Array
    at_s: Array
    slot: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tags: int, knots_s: Array) -> "Lags":
        """Nothing said yet."""
        shape = (tags, knots_s.size, SLOTS)
        return cls(knots_s, np.full(shape, np.nan), np.full(shape, -np.inf), np.full(shape[:2], -1, np.int64))

    def turn(self, clock_s: Array, value: Array) -> tuple[Array, Mask]:
        """(what was a knot ago (tags, knots), where there is such a value); then value (tags,) is kept for a knot from now.

        A slot is a sixteenth of its knot: its value is taken at the first call within it and given back at the first call a knot on. After
        a gap, a value that is older than a knot and a half is not given back.
        """
        number = np.floor(clock_s[:, None] * SLOTS / self.knots_s + 1e-6).astype(np.int64)
        fresh = number != self.slot
        place = (number % SLOTS)[..., None]
        age = clock_s[:, None] - np.take_along_axis(self.at_s, place, 2)[..., 0]
        before = np.take_along_axis(self.value, place, 2)[..., 0]
        due: Mask = fresh & (age < 1.5 * self.knots_s) & (age > 0.75 * self.knots_s) & ~np.isnan(before)
        row, knot = np.nonzero(fresh)
        at = (number % SLOTS)[row, knot]
        self.value[row, knot, at], self.at_s[row, knot, at] = value[row], clock_s[row]
        self.slot = np.where(fresh, number, self.slot)
        return before, due
