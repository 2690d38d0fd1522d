"""A line as a recursion over its parts, for many replications at once: the same instants as the discrete events, part by part.

With blocking after service, part k leaves machine m at D[m, k] = max(max(D[m-1, k], D[m, k-1]) + S[m, k], G[m+1, k-B]): when it is there
and the machine is free, after its service, and once the machine behind has taken (G) the part that makes room among the B places between
(Chen and Chen 1990; Cheng 1997; max-plus algebra: Baccelli et al. 1992). Service times S hold repairs and jams. Parts go through in blocks
no longer than a buffer, so that G is known; each step works on a column over the replications.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from gateway.model.line import Line
from gateway.simulation.line.chain import Link, chain
from gateway.simulation.line.lanes import NOBODY, Array, Block, Counts, Drawn, Places, compact, ragged
from gateway.simulation.line.stage import Stage, Took, Window
from gateway.simulation.line.streams import Purpose, generators

Trace = Callable[[int, Array, Counts], None]
"""Told (place of the machine in the row, when parts left it as rows by lanes, how many rows each lane has)."""

ROWS: Final = 128
"""Parts of one block at most."""


class Books:
    """What entered and left the line in the window, per lane; areas and residences in raw parts."""

    def __init__(self, lanes: int) -> None:
        self.entered, self.good, self.escaped, self.lost = (np.zeros(lanes, np.int64) for _ in range(4))
        self.residence, self.lead, self.area = (np.zeros(lanes) for _ in range(3))


class Recursion:
    """The line in the given replications under a seed. Raises Beyond where it cannot be expressed."""

    def __init__(self, line: Line, seed: int, replications: Sequence[int], trace: Trace | None = None) -> None:
        links, lanes = chain(line), len(replications)
        self.line, self.lanes, self.window, self.books = line, lanes, Window(line.duration_s), Books(lanes)
        self._trace = trace
        self.stages, self.weights = list[Stage](), list[int]()
        weight = 1
        for link in links:
            weight *= link.machine.batch_in
            self.weights.append(weight)
            self.stages.append(Stage(link, seed, replications, self.window, -line.warm_up_s))
        self._rows = _rows(links, lose=line.source.arrivals is not None and line.source.when_full == "lose")
        self.scrap_units = np.zeros(lanes, np.int64)
        self._inside = np.zeros(lanes, np.int64)  # raw parts on the line, whatever the window
        self._handed = np.full(lanes, -line.warm_up_s)  # when the source last gave a part away
        if line.source.arrivals is not None:
            streams = list(generators(seed, replications, line.source.name, Purpose.ARRIVAL))
            self._between = Drawn(line.source.arrivals, streams, ROWS)

    def run(self) -> "Recursion":
        """Until every lane's source is past the end."""
        source, done = self.line.source, 0
        make = self._supplied if source.arrivals is None else self._arrived if source.when_full == "wait" else self._arrived_or_lost
        while source.quantity is None or done < source.quantity:
            reached = self.stages[0].free if source.arrivals is None else self._handed
            if reached.min() >= self.window.end_s:
                break
            rows = self._rows if source.quantity is None else min(self._rows, source.quantity - done)
            make(rows)
            done += rows
        for stage in self.stages:
            stage.close()
        self.books.area += self._inside * self.window.end_s
        return self

    # --- the source ---

    def _supplied(self, rows: int) -> None:
        """Raw parts whenever the first machine is free."""
        block = Block(np.full((rows, self.lanes), -np.inf), np.zeros((rows, self.lanes)), NOBODY, np.full(self.lanes, rows), waits=False)
        self._through(block)

    def _arrived(self, rows: int) -> None:
        """Raw parts that come by themselves; one that finds no room waits, and the next is counted from then."""
        counts, first = np.full(self.lanes, rows), self.stages[0]
        between, came, offered = self._between.rows(rows), np.empty((rows, self.lanes)), np.empty((rows, self.lanes))
        room = first.free_since(None, rows)
        handed = self._handed
        for row in range(rows):
            np.add(handed, between if isinstance(between, float) else between[row], out=came[row])
            handed = came[row] if room is None else np.maximum(came[row], room[row], out=offered[row])
        self._handed = handed.copy()
        block = Block(came if room is None else offered, came, NOBODY, counts)
        self._enter(block, came)
        self._through(block)

    def _arrived_or_lost(self, _rows: int) -> None:
        """One raw part that comes by itself, and is lost where it finds no room."""
        came = self._handed + self._between.rows(1)
        self._handed = came[0].copy()
        room = self.stages[0].free_since(None, 1)
        counts = np.ones(self.lanes, np.int64)
        if room is not None:
            lost = room[0] > came[0]
            self.books.lost += lost & self.window.inside(came[0])
            counts[lost] = 0
        block = Block(np.where(counts > 0, came, -np.inf), came, NOBODY, counts, *ragged(counts, 1))
        self._enter(block, came)
        self._through(block)

    def _enter(self, block: Block, at_s: Array) -> None:
        self.books.entered += self.window.count(block, at_s)
        self.books.area -= block.sums(self.window.clip(at_s))
        self._inside += block.counts

    # --- a block of parts through all machines ---

    def _through(self, block: Block, first: int = 0) -> None:
        """From that machine on."""
        for place in range(first, len(self.stages)):
            if not len(block.at_s):  # what came is still being packed
                return
            stage = self.stages[place]
            took = stage.serve(block, self._behind(place))
            if not block.waits:
                self._enter(block, took.got)
                if stage.batch_in == 1:
                    took.made.born = took.got
            block = self._passed(place, took)
        if len(block.at_s):
            self._leave(block)

    def _behind(self, place: int) -> Stage | None:
        return self.stages[place + 1] if place + 1 < len(self.stages) else None

    def _passed(self, place: int, took: Took) -> Block:
        """What goes on of what a machine made."""
        if took.packed_bad is not None:
            self.books.escaped += took.packed_bad
        if self._trace is not None:
            self._trace(place, compact(took.made).at_s, took.made.counts)
        if took.found.size:
            self.stages[place].rejected += self._reject(took.made, took.found, place)
        return took.onward()

    def _reject(self, block: Block, found: Places, place: int) -> Counts:
        """Parts that leave the line at a machine where they were found defective; how many in the window."""
        weight = self.weights[place]
        who, at_s, born = found % self.lanes, block.at_s.ravel()[found], block.born.ravel()[found]
        inside = self.window.inside(at_s)
        count = np.bincount(who[inside], minlength=self.lanes)
        self.scrap_units += weight * count
        self.books.area += np.bincount(who, weight * self.window.clip(at_s), self.lanes)
        self.books.residence += np.bincount(who[inside], weight * (at_s - born)[inside], self.lanes)
        self._inside -= weight * np.bincount(who, minlength=self.lanes)
        return count

    def _leave(self, block: Block) -> None:
        """Good parts."""
        books, weight, window = self.books, self.weights[-1], self.window
        here = block.here() & window.inside(block.at_s)
        books.good += here.sum(axis=0)
        books.area += weight * block.sums(window.clip(block.at_s))
        lead = np.where(here, np.where(here, block.at_s, 0.0) - block.born, 0.0).sum(axis=0)
        books.lead += lead
        books.residence += weight * lead
        books.escaped += np.bincount(block.bad[here.ravel()[block.bad]] % self.lanes, minlength=self.lanes)
        self._inside -= weight * block.counts


def _rows(links: Sequence[Link], *, lose: bool) -> int:
    """Parts of a block: no buffer meets more of them than it has places."""
    if lose:
        return 1
    rows = ROWS
    while rows > 1:
        here, fits = rows, True
        for link in links:
            fits = fits and (link.room is None or here <= max(link.room, 1))
            here = -(-here // link.machine.batch_in)
        if fits:
            break
        rows -= 1
    return rows
