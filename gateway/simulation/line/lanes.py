"""Columns over replications, the lanes of the recursion: blocks of parts, draws and buffers with a place of their own in each lane.

A block holds rows of parts by lanes. Lanes lose parts at different rows: such a row stays, without a part, and costs no time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
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
_MOST: Final = 256
"""Draws of one stream at a time at most, where more are needed each time than before."""


@dataclass(slots=True)
class Block:
    """at_s: since when each part is there, not later than the next of its lane; born: when it entered; bad: the places of defective ones.

    gone: the places without a part. order: where each part were if there were none of these, (rows, lanes); None where there are none.
    waits False: parts that are there whenever they are asked for, at_s minus infinity.
    """

    at_s: Array
    born: Array
    bad: Places
    counts: Counts
    order: Places | None = None
    gone: Places = field(default_factory=lambda: NOBODY)
    waits: bool = True

    def places(self) -> Places:
        """order, also where every row is a part."""
        return all_places(*self.at_s.shape) if self.order is None else self.order

    def here(self) -> NDArray[np.bool_]:
        """Which rows are parts."""
        found = np.ones(self.at_s.shape, bool)
        found.ravel()[self.gone] = False
        return found

    def sums(self, values: Array) -> Array:
        """By lane, of the rows that are parts."""
        found: Array = (np.where(self.here(), values, 0.0) if self.gone.size else values).sum(axis=0)
        return found


@lru_cache(maxsize=64)
def all_places(rows: int, lanes: int) -> Places:
    """(rows, lanes), each its own; not to be written to."""
    found = np.arange(rows * lanes).reshape(rows, lanes)
    found.flags.writeable = False
    return found


def ragged(counts: Counts, rows: int) -> tuple[Places | None, Places]:
    """The order, and the places without a part, of a block in which each lane has its parts first."""
    if counts.min() == rows:
        return None, NOBODY
    lanes = len(counts)
    order: Places = np.minimum(all_places(rows, lanes), counts * lanes + np.arange(lanes))
    return order, np.flatnonzero(np.arange(rows)[:, None] >= counts)


def without(block: Block, found: Places) -> Block:
    """These parts leave the line; their rows stay."""
    if not found.size:
        return block
    rows, lanes = block.at_s.shape
    before = np.zeros((rows + 1) * lanes, np.intp)
    before[found + lanes] = lanes
    order = running(before.reshape(rows + 1, lanes))[:rows]
    np.subtract(block.places(), order, out=order)
    counts = block.counts - np.bincount(found % lanes, minlength=lanes)
    gone = np.concatenate([block.gone, found]) if block.gone.size else found
    return Block(block.at_s, block.born, block.bad, counts, order, gone, block.waits)


def compact(block: Block) -> Block:
    """The same parts without empty rows between them; those behind them are minus infinity."""
    if block.order is None:
        return block
    order, gone = ragged(block.counts, len(block.at_s))
    at_s, born = together(block, block.at_s), together(block, block.born)
    at_s.ravel()[gone] = -np.inf
    return Block(at_s, born, block.order.ravel()[block.bad], block.counts, order, gone, block.waits)


def together(block: Block, values: Array) -> Array:
    """Values of a block's rows, those of each lane's parts first."""
    if block.order is None:
        return values
    source = np.zeros(values.size, np.intp)
    source[block.order.ravel()] = all_places(*values.shape).ravel()  # where several have one place, the last of them is the part
    found: Array = values.ravel().take(source).reshape(values.shape)
    return found


def rank(who: Places) -> Places:
    """Of each element, how many are equal to it before it."""
    order = np.argsort(who, kind="stable")
    lanes = who[order]
    first = np.flatnonzero(np.concatenate([[True], lanes[1:] != lanes[:-1]]))
    found = np.empty(who.size, np.intp)
    found[order] = np.arange(who.size) - np.repeat(first, np.diff(np.append(first, who.size)))
    return found


class Drawn:
    """Draws of a distribution times scale, made many at a time in each lane; a value without a stream where it is deterministic."""

    def __init__(self, distribution: Distribution, generators: Sequence[Generator], block: int, scale: float = 1.0) -> None:
        self.value = distribution.a * scale if distribution.kind == "deterministic" else None
        self._distribution, self._generators, self._block, self._scale = distribution, generators, block, scale
        if self.value is None:
            self._rows = self._more(block)
            self._next = np.zeros(len(generators), np.intp)
            self._most = 0  # of _next, or more

    def rows(self, count: int) -> Array | float:
        """(count, lanes), of a distribution that all lanes use alike."""
        if self.value is not None:
            return self.value
        self._ready(count)
        first = int(self._next[0])
        self._next += count
        self._most += count
        return np.ascontiguousarray(self._rows[:, first : first + count].T)

    def at(self, who: Places) -> Array:
        """The next of each of these lanes, none of them twice."""
        if self.value is not None:
            return np.full(who.size, self.value)
        self._ready(1)
        mine = self._next[who]
        found: Array = self._rows[who, mine]
        self._next[who] = mine + 1
        self._most += 1
        return found

    def several(self, who: Places) -> Array:
        """The next of each of these lanes, in their order, as often as they come."""
        if self.value is not None:
            return np.full(who.size, self.value)
        if not who.size:
            return np.zeros(0)
        turn = rank(who)
        most = int(turn.max()) + 1
        self._ready(most)
        found: Array = self._rows[who, self._next[who] + turn]
        self._next += np.bincount(who, minlength=len(self._next))
        self._most += most
        return found

    def _ready(self, count: int) -> None:
        """What all lanes have used is forgotten, and more is made, where one has not so many left."""
        if self._most + count <= self._rows.shape[1]:
            return
        self._most = int(self._next.max())
        if self._most + count > self._rows.shape[1]:
            gone = int(self._next.min())
            self._block = max(self._block, min(2 * self._block, _MOST))
            self._rows = np.concatenate([self._rows[:, gone:], self._more(max(count, self._block))], axis=1)
            self._next -= gone
            self._most -= gone

    def _more(self, count: int) -> Array:
        found = np.empty((len(self._generators), count))
        for row, one in zip(found, self._generators, strict=True):
            row[:] = sample(self._distribution, one, count)
        found *= self._scale
        return found


class Countdown:
    """Strikes each part with the same probability."""

    def __init__(self, probability: float, generators: Sequence[Generator], block: int) -> None:
        self._probability = probability
        self._drawn = Drawn(Distribution("exponential", 1.0), generators, block)
        self._left = self._gaps(np.arange(len(generators)))

    def struck(self, rows: int) -> Places:
        """Of the next rows parts in each lane, as sorted places of a block."""
        due, found = self._left, list[Places]()
        lanes = len(due)
        while (who := np.flatnonzero(due <= rows)).size:
            found.append((due[who].astype(np.intp) - 1) * lanes + who)
            due[who] += self._gaps(who)
        due -= rows
        return np.sort(np.concatenate(found)) if found else NOBODY

    def _gaps(self, who: Places) -> Array:
        return gaps(self._drawn.at(who), self._probability)


class Room:
    """The places of the buffer before a machine: when the machine took out the part that was `places` earlier.

    A ring with one row more than there are places, which takes what rows without a part would write.
    """

    def __init__(self, places: int, lanes: int) -> None:
        self._taken = np.full((places + 1, lanes), -np.inf)
        self._flat = self._taken.ravel()
        self._next = np.zeros(lanes, np.intp)
        self._size, self._lanes, self._even = places + 1, lanes, True

    def free_since(self, order: Places | None, rows: int) -> Array:
        """For the next parts, in the order of a block of at most `places` rows; the caller's own."""
        if self._even and order is None:
            found: Array = self._taken[(int(self._next[0]) + 1 + np.arange(rows)) % self._size]
            return found
        at = (all_places(rows, self._lanes) if order is None else order) + (self._next + 1) * self._lanes
        return self._flat.take(at, mode="wrap")

    def take(self, at_s: Array, order: Places | None, counts: Counts) -> None:
        """The machine took out so many parts."""
        rows = len(at_s)
        if self._even and order is None:
            self._taken[(int(self._next[0]) + np.arange(rows)) % self._size] = at_s
        else:
            self._even = False
            at = (all_places(rows, self._lanes) if order is None else order) + self._next * self._lanes
            np.put(self._flat, at, at_s, mode="wrap")
        self._next += counts
        self._next %= self._size


def running(rows: NDArray[Any]) -> NDArray[Any]:
    """The sums down each column, in place (faster here than cumsum, which walks along the columns)."""
    for before, row in pairwise(rows):
        np.add(before, row, out=row)
    return rows
