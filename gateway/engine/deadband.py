"""Report by exception: which samples are far enough from what was last reported. It filters reports, never alarms.

OPC UA Part 4, 7.22.2 (DataChangeFilter): a value passes when it differs from the value *last queued* by more than the band, so a slow drift
is reported as soon as it leaves the band. A change of status always passes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.engine.where import Where, every, some
from gateway.model.batch import Floats, Mask
from gateway.model.quality import Statuses

NOTHING: Final = 0xFFFF_FFFF  # no StatusCode that a source can send: the first sample differs from it and passes


@dataclass(slots=True)
class Deadband:
    """What each tag last reported, one row per tag.

    band    float64[n]  in engineering units; 0 passes every change
    value   float64[n]  last reported value
    status  uint32[n]   last reported StatusCode, NOTHING before the first report
    """

    band: Floats
    value: Floats
    status: Statuses

    @classmethod
    def of(cls, band: Floats) -> "Deadband":
        """Nothing reported yet. Raises ValueError for a band that is negative or not a number."""
        if not (band >= 0).all():
            raise ValueError("a deadband is a number >= 0, in engineering units")
        return cls(band, np.zeros(band.size), np.full(band.size, NOTHING, np.uint32))

    def report(self, where: Where, value: Floats, status: Statuses, also: Mask | None = None) -> Mask:
        """Which of k samples to report; those count as reported from now on. No row stands twice; `also` passes in any case.

        The twin's value is NaN only until its first usable sample and for text: a change from or to NaN is one of status or of text.
        """
        with np.errstate(over="ignore"):  # from one end of float64 to the other is more than any band
            moved = value - self.value[where]
        passes: Mask = np.abs(moved, out=moved) > self.band[where]
        other = status != self.status[where]
        if some(other):
            passes |= other
            self.status[where] = status  # where it did not change, it stays the same
        if also is not None:
            passes |= also
        if every(passes):
            self.value[where] = value
        elif isinstance(where, slice):
            self.value[where] = np.where(passes, value, self.value[where])
        elif some(passes):
            self.value[where[passes]] = value[passes]
        return passes
