"""Columns over replications, the lanes of the recursion: blocks of parts, draws and buffers with a place of their own in each lane.

A block holds rows of parts by lanes. Where lanes hold different numbers of parts, a lane's rows from `counts` on are empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gateway.model.distribution import Distribution
from gateway.simulation.line.sampling import sample
from gateway.simulation.line.streams import gaps

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Places = NDArray[np.intp]
"""Positions in a block read row by row: row * lanes + lane."""

NOBODY: Final = np.zeros(0, np.intp)


@dataclass(slots=True)
class Block:
    """at_s: since when each part is there, minus infinity in empty rows; born: when it entered; bad: the places of the defective ones.

    waits False: parts that are there whenever they are asked for, at_s minus infinity.
    """

    at_s: Array
    born: Array
    bad: Places
    counts: Counts
    waits: bool = True

    @property
    def full_rows(self) -> int:
        """Rows without an empty one."""
        return int(self.counts.min())

    def empty(self) -> NDArray[np.bool_]:
        """Of the rows after the full ones."""
        rows = np.arange(self.full_rows, len(self.at_s))
        return rows[:, None] >= self.counts


def in_turn(who: Places) -> Iterator[Places]:
    """Positions in `who`, in rounds in which no lane comes twice; a lane's own stay in their order."""
    if not who.size:
        return
    order = np.argsort(who, kind="stable")
    lanes = who[order]
    first = np.flatnonzero(np.r_[True, lanes[1:] != lanes[:-1]])
    rank = np.arange(who.size) - np.repeat(first, np.diff(np.r_[first, who.size]))
    for turn in range(int(rank.max()) + 1):
        yield order[rank == turn]


class Drawn:
    """Draws of a distribution times scale, made `block` at a time in each lane; a value without a stream where it is deterministic."""

    def __init__(self, distribution: Distribution, generators: Sequence[Generator], block: int, scale: float = 1.0) -> None:
        self.value = distribution.a * scale if distribution.kind == "deterministic" else None
        self._distribution, self._generators, self._block, self._scale = distribution, generators, block, scale
        if self.value is None:
            self._rows = self._more(block)
            self._next = np.zeros(len(generators), np.intp)

    def rows(self, count: int, used: Counts) -> Array | float:
        """(count, lanes); each lane then goes on after those that it used."""
        if self.value is not None:
            return self.value
        self._ready(count)
        found: Array = self._rows.ravel().take(self._starts() + np.arange(count)[:, None])
        self._next += used
        return found

    def at(self, who: Places) -> Array:
        """The next of each of these lanes, none of them twice."""
        if self.value is not None:
            return np.full(who.size, self.value)
        self._ready(1)
        found: Array = self._rows[who, self._next[who]]
        self._next[who] += 1
        return found

    def several(self, who: Places) -> Array:
        """The next of each of these lanes, in their order, as often as they come."""
        found = np.zeros(who.size)
        for turn in in_turn(who):
            found[turn] = self.at(who[turn])
        return found

    def _starts(self) -> Places:
        found: Places = self._next + np.arange(len(self._rows)) * self._rows.shape[1]
        return found

    def _ready(self, count: int) -> None:
        """What all lanes have used is forgotten, and more is made, where one has not so many left."""
        if int(self._next.max()) + count > self._rows.shape[1]:
            gone = int(self._next.min())
            self._rows = np.concatenate([self._rows[:, gone:], self._more(max(count, self._block))], axis=1)
            self._next -= gone

    def _more(self, count: int) -> Array:
        return np.stack([sample(self._distribution, one, count) for one in self._generators]) * self._scale


class Countdown:
    """Strikes each part with the same probability."""

    def __init__(self, probability: float, generators: Sequence[Generator], block: int) -> None:
        self._probability = probability
        self._drawn = Drawn(Distribution("exponential", 1.0), generators, block)
        self._left = self._gaps(np.arange(len(generators)))

    def struck(self, counts: Counts) -> Places:
        """Of the next counts parts in each lane, as sorted places of a block."""
        lanes, found = len(counts), list[Places]()
        due = self._left
        while (who := np.flatnonzero(due <= counts)).size:
            found.append((due[who].astype(np.intp) - 1) * lanes + who)
            due[who] += self._gaps(who)
        due -= counts
        return np.sort(np.concatenate(found)) if found else NOBODY

    def _gaps(self, who: Places) -> Array:
        return gaps(self._drawn.at(who), self._probability)


class Room:
    """The places of the buffer before a machine: when the machine took out the part that was `places` earlier."""

    def __init__(self, places: int, lanes: int) -> None:
        self._taken = np.full((places, lanes), -np.inf)
        self._next = np.zeros(lanes, np.intp)
        self._places, self._lanes, self._even = places, lanes, True
        self._offset = np.arange(2 * places) % places * lanes
        self._lane = np.arange(lanes)

    def free_since(self, ordinals: Places) -> Array:
        """For the next parts, ordinals (rows, 1 or lanes) from 0 on and below `places`; the caller's own."""
        if self._even and ordinals.shape[1] == 1:
            found: Array = self._taken[(self._next[0] + ordinals[:, 0]) % self._places]
        else:
            found = self._taken.ravel().take(self._at(ordinals))
        return found

    def take(self, at_s: Array, counts: Counts) -> None:
        """The machine took out so many parts."""
        full, rows = int(counts.min()), int(counts.max())
        if self._even and full == rows:
            self._taken[(self._next[0] + np.arange(rows)) % self._places] = at_s[:rows]
        else:
            self._even, flat, at = False, self._taken.ravel(), self._at(np.arange(rows)[:, None])
            flat[at[:full]] = at_s[:full]
            here = np.arange(full, rows)[:, None] < counts
            flat[at[full:][here]] = at_s[full:rows][here]
        self._next = (self._next + counts) % self._places

    def _at(self, ordinals: Places) -> Places:
        found: Places = self._offset.take(self._next + ordinals)
        found += self._lane
        return found


def running(rows: NDArray[Any]) -> NDArray[Any]:
    """The sums down each column, in place (faster here than cumsum, which walks along the columns)."""
    for row in range(1, len(rows)):
        rows[row] += rows[row - 1]
    return rows


def without(block: Block, gone: Places) -> Block:
    """The parts at these places are taken out; those behind them in their lane move up."""
    if not gone.size:
        return block
    rows, lanes = block.at_s.shape
    who, row = gone % lanes, gone // lanes
    rank = np.zeros(gone.size, np.intp)
    for turn, those in enumerate(in_turn(who)):
        rank[those] = turn
    steps = np.zeros(rows * lanes, np.intp)
    np.add.at(steps, (row - rank) * lanes + who, lanes)
    source = running(steps.reshape(rows, lanes))
    source += np.arange(rows * lanes).reshape(rows, lanes)
    np.minimum(source, rows * lanes - 1, out=source)
    bad = NOBODY
    counts = block.counts - np.bincount(who, minlength=lanes)
    if block.bad.size:
        mask = np.zeros(rows * lanes, bool)
        mask[block.bad] = True
        mask[gone] = False
        moved = mask.take(source) & (np.arange(rows)[:, None] < counts)
        bad = np.flatnonzero(moved)
    left = Block(block.at_s.ravel().take(source), block.born.ravel().take(source), bad, counts)
    left.at_s[left.full_rows :][left.empty()] = -np.inf
    return left


def ordinals(rows: int, lanes: int, gone: Places) -> Places:
    """Of each part among those of its lane that are not gone, from 0 on; (rows, 1) where none is gone."""
    if not gone.size:
        return np.arange(rows)[:, None]
    found: Places = np.repeat(np.arange(rows), lanes).reshape(rows, lanes)
    before = np.zeros((rows + 1) * lanes, np.intp)
    before[gone + lanes] = 1
    found -= running(before.reshape(rows + 1, lanes))[:rows]
    return found
