"""Whether what drifts reaches a limit: the probability that the recent slope, if it goes on, passes it within the horizon.

A band that covers what may happen says little of where things go: after a jump it is wide, and wide bands touch every limit. So the
question of limits is put to the slope. It is taken from the medians of the three thirds of a window: the smaller of both differences, and
none where they disagree (minmod), so that one step or spike has no slope, wherever it lies. What slows down beyond chance goes on slowing
down at that ratio: a return to normal comes to rest there. Its uncertainty comes from the noise about the
line and its autocorrelation (Bayley and Hammersley 1946: n independent samples are n (1 - r)/(1 + r) of a first-order autoregression).
Windows of several lengths are asked, and their probabilities averaged (linear opinion pool).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast import normal
from gateway.simulation.forecast.forecaster import Array, Mask

Rows = npt.NDArray[np.intp]

DRIFT: Final = "drift"
"""Its name among models."""
WINDOWS: Final = (0.1, 0.2, 0.4)  # shares of the horizon
NODES: Final = 20  # instants of the horizon
BINS: Final = 120  # of the longest: each tag's mean over one
SLOWER: Final = 1.0  # standard deviations by which the second difference must be less, to count as slowing down
RATIO: Final = 0.75  # and to which share of the first it must have fallen
_MEDIAN: Final = 1.2533  # sd of a median over that of a mean
_LEAST: Final = 12  # bins that a window needs
_MOST: Final = 0.97  # autocorrelation


@dataclass(slots=True)
class Drift:
    """bins (BINS, tags): means, NaN where there was no Good sample; the row `place` is the oldest."""

    horizon_s: float
    bin_s: float
    bins: Array
    place: int
    total: Array
    count: Array
    ends_s: float | None = None

    @classmethod
    def of(cls, tags: int, horizon_s: float, step_s: float) -> Self:
        bin_s = max(WINDOWS[-1] * horizon_s / BINS, step_s)
        return cls(horizon_s, bin_s, np.full((BINS, tags), np.nan), 0, np.zeros(tags), np.zeros(tags))

    def step(self, now_s: float, y: Array, good: Mask) -> None:
        """Samples y (tags,) at now_s, as Rolling.step."""
        if self.ends_s is None:
            self.ends_s = now_s + self.bin_s
        over = 0
        while now_s >= self.ends_s - 1e-9 and over < BINS:
            self._close()
            over += 1
            self.ends_s += self.bin_s
        if now_s >= self.ends_s:  # a gap as long as all of it
            self.ends_s = now_s + self.bin_s
        self.total += np.where(good, y, 0.0)
        self.count += good

    def _close(self) -> None:
        self.bins[self.place] = np.divide(self.total, self.count, out=np.full(self.total.size, np.nan), where=self.count > 0)
        self.place = (self.place + 1) % BINS
        self.total, self.count = np.zeros(self.total.size), np.zeros(self.total.size)

    def chances(self, last: Array, limits: Array, *, upper: Mask) -> tuple[Array, Array, Mask]:
        """First passage of limits (tags, m), NaN where there is none, upper (tags, m), from last (tags,).

        (chance (tags, m, times) to have passed by then, time_s (times,) within the horizon, which are passed already), as crossing.times.
        """
        time = np.unique(np.geomspace(self.horizon_s / 100, self.horizon_s, NODES))
        sign = np.where(upper, 1.0, -1.0)
        passed = sign * (limits - last[:, None]) <= 0
        past = np.roll(self.bins, -self.place, axis=0)
        widths = [min(round(share * self.horizon_s / self.bin_s), BINS) // 3 * 3 for share in WINDOWS]
        chance, windows = np.zeros((*limits.shape, time.size)), [width for width in widths if width >= _LEAST]
        for width in windows:
            chance += self._window(past[BINS - width :], sign, limits, time) / len(windows)
        chance = np.maximum.accumulate(chance, axis=2)
        chance[passed], chance[np.isnan(limits)] = 1.0, np.nan
        return chance, time, passed

    def saved(self) -> dict[str, Array]:
        """What a restart needs."""
        ends = np.array([self.bin_s, np.nan if self.ends_s is None else self.ends_s])
        return {"bins": np.roll(self.bins, -self.place, axis=0), "total": self.total, "count": self.count, "ends_s": ends}

    def restore(self, kept: Mapping[str, Array], old: Rows, row: Rows) -> None:
        """Take up what was saved of tags (old) for these (row), by the same clock; bins of another length tell nothing."""
        bin_s, ends_s = kept["ends_s"].tolist()
        if bin_s != self.bin_s or np.isnan(ends_s):
            return
        self.ends_s, self.place = ends_s, 0
        self.bins[:, row], self.total[row], self.count[row] = kept["bins"][:, old], kept["total"][old], kept["count"][old]

    def _window(self, past: Array, sign: Array, limits: Array, time: Array) -> Array:
        """(tags, m, nodes): what one window says; 0 for tags that it does not have whole enough: a short past tells little."""
        third = past.shape[0] // 3
        with np.errstate(all="ignore"):
            parts = past.reshape(3, third, -1)
            known = (~np.isnan(parts)).sum(1).min(0) >= max(third // 2, 2)
            parts = np.where(known, parts, 0.0)
            middle = _medians(parts)
            first, second = middle[1] - middle[0], middle[2] - middle[1]
            slope = np.where(first * second > 0, np.sign(first) * np.minimum(np.abs(first), np.abs(second)), 0.0) / third  # per bin
            rest = parts - middle[:, None] - slope * (np.arange(third) - (third - 1) / 2)[None, :, None]
            rest = np.where(np.isnan(rest), 0.0, rest)
            sd = np.maximum(np.sqrt((rest**2).mean((0, 1))), 1e-12)
            like = (rest[:, 1:] * rest[:, :-1]).mean((0, 1)) / sd**2
            like = np.clip(like + (1 + 3 * like) / third, 0.0, _MOST)  # less its bias (Marriott and Pope 1954)
            wrong = sd * np.minimum(_MEDIAN * np.sqrt((1 + like) / (1 - like) / third), 1.0)
            ahead = time / self.bin_s / third + 0.5  # thirds from the middle of the last one
            ratio = np.clip(second / first, 0.0, 1.0)
            slows = (ratio < RATIO) & (np.abs(first) - np.abs(second) > SLOWER * np.sqrt(6) * wrong)
            mean = middle[2][:, None] + slope[:, None] * third * _travelled(np.where(slows, ratio, 1.0)[:, None], ahead)
            spread = np.sqrt(wrong[:, None] ** 2 * (1 + 2 * ahead**2) + sd[:, None] ** 2)
            far = sign[:, :, None] * (mean[:, None, :] - limits[:, :, None]) / spread[:, None, :]
        found = normal.distribution(far)
        found[~known] = 0.0
        return found


def _travelled(ratio: Array, ahead: Array) -> Array:
    """How far it goes in `ahead` thirds, as a multiple of the last third's way, where each third's is `ratio` times that before it."""
    slower = ratio < 1
    safe = np.where(slower, ratio, 0.5)
    return np.asarray(np.where(slower, safe * (1 - safe**ahead) / (1 - safe), ahead))


def _medians(parts: Array) -> Array:
    """(3, tags): of the bins that are known."""
    found = np.asarray(np.median(parts, axis=1))
    if (gaps := np.isnan(parts).any((0, 1))).any():
        found[:, gaps] = np.nanmedian(parts[:, :, gaps], axis=1)
    return found
