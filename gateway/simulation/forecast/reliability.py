"""Probabilities that mean what they say: what was said of each limit is corrected by how often it then came true.

Each limit has the bins of a reliability diagram. What falls into one is worth the share of it that came true, as soon as there is much of
it, and what was said until then: (prior p + came) / (prior + n), the mean of a beta distribution whose prior speaks for p (DeGroot and
Fienberg 1983; Briggs 2005). So a slope that always comes to rest before its limit is believed less and less, and one that never does more.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.forecaster import Array, Mask

EDGES: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])
BINS: Final = EDGES.size + 1
PRIOR: Final = 0.5  # horizons' worth of what was said: forecasts of one horizon share their time
WAITING: Final = 64  # forecasts of one horizon that are held against what came
Bins = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]


@dataclass(slots=True)
class Reliability:
    """said, came (tags, limits, BINS): how many probabilities fell into each bin, in horizons, and how many came true.

    limits, upper, delay_s (tags, limits): the limits, and how long a value must stay beyond one; since_s: for how long it has; passed_s:
    when it was passed last. waiting: when each was said, and the bins, -1 = not to be judged; judged_s: when the last judged one was said.
    """

    horizon_s: float
    limits: Array
    upper: Mask
    delay_s: Array
    said: Array
    came: Array
    since_s: Array
    passed_s: Array
    waiting: deque[tuple[float, Bins]]
    now_s: float | None = None
    judged_s: float = np.inf

    @classmethod
    def of(cls, horizon_s: float, limits: Array, upper: Mask, delay_s: Array) -> Self:
        """Nothing said yet."""
        counts = np.zeros((*limits.shape, BINS))
        return cls(
            horizon_s, limits, upper, delay_s, counts, counts.copy(), np.full(limits.shape, -1.0), np.full(limits.shape, -np.inf), deque()
        )

    def follow(self, limits: Array, upper: Mask, delay_s: Array) -> Self:
        """Of these limits: itself, or anew for those that are others."""
        if limits.shape != self.limits.shape:
            return self.of(self.horizon_s, limits, upper, delay_s)
        changed = ~np.isclose(limits, self.limits, rtol=0.0, atol=0.0, equal_nan=True) | (upper != self.upper)
        if changed.any():
            self.said[changed], self.came[changed], self.since_s[changed], self.passed_s[changed] = 0.0, 0.0, -1.0, -np.inf
            for _, bins in self.waiting:
                bins[changed] = -1
        self.limits, self.upper, self.delay_s = limits, upper, delay_s
        return self

    def step(self, now_s: float, y: Array, good: Mask) -> None:
        """Samples y (tags,) at now_s, as Rolling.step."""
        passed_s = 0.0 if self.now_s is None else now_s - self.now_s
        self.now_s = now_s
        beyond = np.where(self.upper, y[:, None] >= self.limits, y[:, None] <= self.limits) & good[:, None]
        self.since_s = np.where(
            beyond, np.where(self.since_s < 0, 0.0, self.since_s + passed_s), np.where(good[:, None], -1.0, self.since_s)
        )
        self.passed_s[beyond & (self.since_s >= self.delay_s)] = now_s
        while self.waiting and now_s - self.waiting[0][0] >= self.horizon_s:
            self._learn(*self.waiting.popleft())

    def _learn(self, said_s: float, bins: Bins) -> None:
        (tag, limit), share = np.nonzero(bins >= 0), float(np.clip((said_s - self.judged_s) / self.horizon_s, 1 / WAITING, 1.0))
        self.judged_s, place = said_s, (tag, limit, bins[tag, limit])
        self.said[place] += share
        self.came[place] += share * (self.passed_s[tag, limit] > said_s)

    def told(self, chance: Array, time_s: Array) -> Array:
        """Chances (tags, limits, times) to have passed by then, corrected, and held against what comes; what is passed already stays so.

        Of what is told beyond them nothing says when: it is spread evenly.
        """
        if self.now_s is None:
            return chance
        whole = chance[..., -1]
        place = np.searchsorted(EDGES, whole, "right")
        judged = ~np.isnan(whole) & (self.since_s < 0)
        if not self.waiting or self.now_s - self.waiting[-1][0] >= self.horizon_s / WAITING:
            self.waiting.append((self.now_s, np.where(judged, place, -1).astype(np.int8)))
        said, came = (np.take_along_axis(part, place[..., None], 2)[..., 0] for part in (self.said, self.came))
        meant = np.where(judged, (PRIOR * whole + came) / (PRIOR + said), whole)
        less = np.divide(meant, whole, out=np.ones(whole.shape), where=whole > meant)
        more = np.maximum(meant - whole, 0.0)
        return np.asarray(chance * less[..., None] + more[..., None] * (time_s / time_s[-1]))

    def saved(self) -> dict[str, Array]:
        """What a restart needs; what waits for its time is left out."""
        return {"limits": self.limits, "said": self.said, "came": self.came}

    def restore(self, kept: Mapping[str, Array], old: Rows, row: Rows) -> None:
        """Take up what was saved of tags (old) for these (row), where the limits are the same."""
        there = kept["limits"]
        if there.shape[1:] != self.limits.shape[1:]:
            return
        same = there[old] == self.limits[row]
        for part, name in ((self.said, "said"), (self.came, "came")):
            part[row] = np.where(same[..., None], kept[name][old], part[row])
