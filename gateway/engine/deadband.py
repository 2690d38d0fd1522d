"""Report by exception: which samples are far enough from what was last reported. It filters reports, never alarms.

OPC UA Part 4, 7.22.2 (DataChangeFilter): a value passes when it differs from the value *last queued* by more than the band, so a slow drift is
reported as soon as it leaves the band. A change of status always passes.
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

        The twin's value is NaN only until its first usable sample and for text, so a change from or to NaN is a change of status or of text.
        """
        passes: Mask = np.abs(value - self.value[where]) > self.band[where]
        passes |= status != self.status[where]
        if also is not None:
            passes |= also
        if every(passes):
            self.value[where], self.status[where] = value, status
        elif some(passes):
            rows = np.flatnonzero(passes)
            reported = rows + where.start if isinstance(where, slice) else where[rows]
            self.value[reported], self.status[reported] = value[rows], status[rows]
        return passes
