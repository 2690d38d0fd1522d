"""How old values are when they are handed on: a histogram with 20 steps a decade, so that a quantile is exact to 6 %."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_EDGES_NS: Final = np.round(np.logspace(5, 11, 121)).astype(np.int64)  # 0.1 ms to 100 s
_FEW: Final = 1000  # values; they are looked up together with those of other times
_TOGETHER: Final = 64

Counts = NDArray[np.int64]


class Latency:
    """counts int64[122]: values below, between and above the edges."""

    __slots__ = ("_counts", "_waiting")

    def __init__(self, counts: Counts | None = None) -> None:
        self._counts: Counts = np.zeros(_EDGES_NS.size + 1, np.int64) if counts is None else counts
        self._waiting: list[tuple[int, NDArray[np.int64]]] = []

    @property
    def counts(self) -> Counts:
        """All that was added."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            ages = np.concatenate([now_ns - source_ns[source_ns > 0] for now_ns, source_ns in waiting])
            self._count(ages, None)
        return self._counts

    def add(self, now_ns: int, source_ns: NDArray[np.int64]) -> None:
        """Values with these source times (int64[n]; 0 = none: not counted) were handed on at now_ns. The array must not change any more."""
        if source_ns.size <= _FEW:
            self._waiting.append((now_ns, source_ns))
            if len(self._waiting) >= _TOGETHER:
                _ = self.counts
            return
        known = source_ns > 0
        times = source_ns if known.all() else source_ns[known]
        if times.size:
            first = np.flatnonzero(np.concatenate(([True], times[1:] != times[:-1])))  # values of one scan have one time: looked up once
            self._count(now_ns - times[first], np.diff(np.concatenate((first, [times.size]))))

    def _count(self, ages_ns: NDArray[np.int64], values: NDArray[np.int64] | None) -> None:
        step = np.searchsorted(_EDGES_NS, ages_ns)
        self._counts += np.bincount(step, weights=values, minlength=self._counts.size).astype(np.int64)

    def copy(self) -> "Latency":
        return Latency(self.counts.copy())

    def since(self, before: "Latency") -> "Latency":
        """What was added after that copy."""
        return Latency(self.counts - before.counts)

    def __add__(self, other: "Latency") -> "Latency":
        return Latency(self.counts + other.counts)

    def quantile_ms(self, share: float) -> float | None:
        """The age that this share of the values did not exceed, in ms (the upper edge of its step); None before the first value."""
        counts = self.counts
        total = int(counts.sum())
        if not total:
            return None
        step = int(np.searchsorted(np.cumsum(counts), share * total))
        return round(float(_EDGES_NS[min(step, _EDGES_NS.size - 1)]) / 1e6, 3)
