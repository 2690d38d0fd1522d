"""The forecast tags on a grid of steps: what the twin shows at each of them, in columns."""

from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.batch import Floats, Mask, Times
from gateway.model.tag import Tag

KEPT: Final = 3600  # steps that wait while no worker takes them; then the oldest give way, and the models see a gap
HELD: Final = 2.0  # sampling intervals after which a value that was not sent again is taken to have stayed

Samples = tuple[Times, Floats, Mask]
"""steady_ns (m,), y (m, tags), good (m, tags)."""


class Sampler:
    """Rows of samples since the last take(). A sample is Good where the tag is, and is new or has been silent for long enough.

    So a tag that is sampled less often than the grid steps is not told as a staircase, while one that is only sent when it changes has
    its value at every step.
    """

    def __init__(self, tags: tuple[Tag, ...], step_ns: int) -> None:
        self._step_ns, self._at_ns = step_ns, -1
        self._tag_id = np.array([tag.tag_id for tag in tags], np.intp)
        intervals_ns = np.array([tag.sampling_interval_ns for tag in tags], np.int64)
        self._held_ns: npt.NDArray[np.int64] = np.where(intervals_ns <= step_ns, 0, (HELD * intervals_ns).astype(np.int64))
        self._seen_ns: Times = np.zeros(len(tags), np.int64)
        self._new_ns: Times = np.zeros(len(tags), np.int64)  # steady time at which each was new
        self._rows: list[tuple[int, Floats, Mask]] = []
        self.lost = 0

    def sample(self, view: TwinView, steady_ns: int) -> None:
        """The step of the grid that is nearest, once; O(tags) and without a loop over them."""
        steady_ns = round(steady_ns / self._step_ns) * self._step_ns
        if steady_ns <= self._at_ns:
            return
        self._at_ns = steady_ns
        rows = self._tag_id
        source_ns = view.source_ns[rows]
        new = source_ns != self._seen_ns
        self._seen_ns = source_ns
        self._new_ns[new] = steady_ns
        good = quality.is_good(view.status[rows]) & (new | (steady_ns - self._new_ns >= self._held_ns))
        if len(self._rows) >= KEPT:
            del self._rows[0]
            self.lost += 1
        self._rows.append((steady_ns, view.value[rows], good))

    def __len__(self) -> int:
        return len(self._rows)

    def take(self) -> Samples:
        """All that waits, oldest first."""
        rows, self._rows = self._rows, []
        y, good = np.empty((len(rows), self._tag_id.size)), np.empty((len(rows), self._tag_id.size), bool)
        for at, (_, values, there) in enumerate(rows):
            y[at], good[at] = values, there
        return np.array([row[0] for row in rows], np.int64), y, good
