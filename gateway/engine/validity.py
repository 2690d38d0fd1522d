"""Which samples can be believed: the value against its type and its range (Part 8, 5.3.2 and 6.3)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.engine.where import Where, every, some
from gateway.model import quality
from gateway.model.batch import Floats, Mask
from gateway.model.quality import Statuses
from gateway.model.tag import EXACT_INT, TagTable, TagType

_BAD: Final = np.uint32(quality.BAD)
_LARGEST: Final = float(np.finfo(np.float64).max)
_UINT32: Final = float(2**32 - 1)


@dataclass(frozen=True, slots=True)
class Validity:
    """Bounds by tag: hard ones of the type (beyond: BadOutOfRange), soft ones of eu_range (beyond: UncertainEngineeringUnitsExceeded).

    least, most    float64[n]  the tighter of both: within them, and integral where that is asked, nothing is wrong
    hard_low/high  float64[n]  the type's bounds; NaN and the infinities lie outside of all
    integral       bool[n]     int, bool, enum
    boolean, text  bool[n]
    """

    least: Floats
    most: Floats
    hard_low: Floats
    hard_high: Floats
    integral: Mask
    boolean: Mask
    text: Mask
    any_integral: bool

    @classmethod
    def of(cls, tags: TagTable) -> "Validity":
        low, high = np.full(len(tags), -_LARGEST), np.full(len(tags), _LARGEST)
        low[tags.type == TagType.INT], high[tags.type == TagType.INT] = -EXACT_INT, EXACT_INT
        low[tags.type == TagType.ENUM], high[tags.type == TagType.ENUM] = 0.0, _UINT32
        boolean, text = tags.type == TagType.BOOL, tags.type == TagType.TEXT
        least, most = np.maximum(low, tags.low), np.minimum(high, tags.high)
        least[boolean], most[boolean] = 0.0, 1.0
        least[text], most[text] = np.inf, -np.inf  # no number is fine for a text
        integral = np.isin(tags.type, (TagType.INT, TagType.BOOL, TagType.ENUM))
        return cls(least, most, low, high, integral, boolean, text, bool(integral.any()))

    def check(self, where: Where, value: Floats, status: Statuses, last: Floats) -> tuple[Floats, Statuses, int, bool]:
        """value and status of k samples as the twin takes them, how many became BadOutOfRange, and whether all are plain Good.

        A Bad sample takes the twin's `last` value (a column of all rows). A bool that is not 0 becomes 1. Arrays given stay as they are.
        """
        if every(self.plain(where, value)) and not some(status != 0):
            return value, status, 0, True
        return *self._mend(where, value, status, last), False

    def plain(self, where: Where, value: Floats) -> Mask:
        """Which values of k samples lie within all bounds of their type and range. None of a text does."""
        fine = (value >= self.least[where]) & (value <= self.most[where])
        if self.any_integral:
            fine &= ~self.integral[where] | (value == np.rint(value))
        return fine

    def _mend(self, where: Where, value: Floats, status: Statuses, last: Floats) -> tuple[Floats, Statuses, int]:
        came_bad = status >= _BAD
        finite = np.isfinite(value)
        value = np.where(self.boolean[where] & finite, value != 0.0, value)
        usable = finite & (value >= self.hard_low[where]) & (value <= self.hard_high[where])
        usable &= ~self.integral[where] | (value == np.rint(value))
        text = self.text[where]
        usable |= text
        status = np.where(came_bad | usable, status, np.uint32(quality.BAD_OUT_OF_RANGE))
        outside = ~text & ((value < self.least[where]) | (value > self.most[where])) & (status < np.uint32(quality.UNCERTAIN))
        if some(outside):
            status = np.where(outside, np.uint32(quality.UNCERTAIN_EU_EXCEEDED), status)
        value = np.where(text, np.nan, np.where(status >= _BAD, last[where], value))
        return value, status, int(np.count_nonzero(~came_bad & ~usable))
