"""How old values are when they are handed on: a histogram with 20 steps a decade, so that a quantile is exact to 6 %."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_EDGES_NS: Final = np.round(np.logspace(5, 11, 121)).astype(np.int64)  # 0.1 ms to 100 s


@dataclass(slots=True)
class Latency:
    """counts int64[122]: values below, between and above the edges."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_EDGES_NS.size + 1, np.int64))

    def add(self, now_ns: int, source_ns: NDArray[np.int64]) -> None:
        """Values with these source times (int64[n]; 0 = none: not counted) were handed on at now_ns."""
        known = source_ns > 0
        times = source_ns if known.all() else source_ns[known]
        if not times.size:
            return
        first = np.flatnonzero(np.concatenate(([True], times[1:] != times[:-1])))  # values of one scan have one time: looked up once
        step = np.searchsorted(_EDGES_NS, now_ns - times[first])
        values = np.diff(np.concatenate((first, [times.size])))
        self.counts += np.bincount(step, weights=values, minlength=self.counts.size).astype(np.int64)

    def copy(self) -> "Latency":
        return Latency(self.counts.copy())

    def since(self, before: "Latency") -> "Latency":
        """What was added after that copy."""
        return Latency(self.counts - before.counts)

    def __add__(self, other: "Latency") -> "Latency":
        return Latency(self.counts + other.counts)

    def quantile_ms(self, share: float) -> float | None:
        """The age that this share of the values did not exceed, in ms (the upper edge of its step); None before the first value."""
        total = int(self.counts.sum())
        if not total:
            return None
        step = int(np.searchsorted(np.cumsum(self.counts), share * total))
        return round(float(_EDGES_NS[min(step, _EDGES_NS.size - 1)]) / 1e6, 2)
