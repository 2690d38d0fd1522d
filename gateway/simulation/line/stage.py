"""One machine of the recursion, in all replications: the cycles of a block of parts, and the account of its states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.distribution import Distribution
from gateway.simulation.line.chain import Link
from gateway.simulation.line.lanes import (
    NOBODY,
    Array,
    Block,
    Counts,
    Drawn,
    Places,
    Room,
    all_places,
    compact,
    ragged,
    running,
    together,
    without,
)
from gateway.simulation.line.streams import Purpose, generators
from gateway.simulation.line.watched import Watch
from gateway.simulation.line.work import Delays, Head, Work

_DETECTIONS: Final = 64  # draws at a time


class Window:
    """From 0 s until just before end_s, as the discrete events count; what was before is warm-up."""

    def __init__(self, end_s: float) -> None:
        self.end_s = end_s

    def clip(self, at_s: Array) -> Array:
        found: Array = np.clip(at_s, 0.0, self.end_s)
        return found

    def inside(self, at_s: Array) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (at_s >= 0.0) & (at_s < self.end_s)
        return found

    def count(self, block: Block, at_s: Array) -> Counts:
        """How many of the instants of a block's parts are inside, by lane."""
        found: Counts = (self.inside(at_s) & block.here()).sum(axis=0)
        return found


@dataclass(slots=True)
class Took:
    """What became of a block. got: when each part was taken; made: the parts made, those among them that inspection rejects at the places
    found; left: where the others are; packed_bad: defective parts that went out of inspection's reach, by lane.
    """

    got: Array
    made: Block
    found: Places
    left: Block
    packed_bad: Counts | None = None

    def onward(self) -> Block:
        made, left = self.made, self.left
        return Block(made.at_s, made.born, made.bad, left.counts, left.order, left.gone)


class Stage:
    """free: since when the machine could take the next part, after its warm-up from begin_s on. The rest counts what was in the window."""

    def __init__(self, link: Link, seed: int, replications: Sequence[int], window: Window, begin_s: float) -> None:
        machine, lanes = link.machine, len(replications)
        self.link, self.window, self.lanes, self.batch_in = link, window, lanes, machine.batch_in
        self.free = np.full(lanes, begin_s)
        self.places = np.full((machine.servers, lanes), begin_s) if machine.servers > 1 else None
        self.room = Room(link.room, lanes) if link.room else None
        self.work = Work(link, seed, replications)
        self.taken, self.spoiled, self.born = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64), np.zeros(lanes)
        self.starved, self.blocked, self.down, self.jammed, self.busy = (np.zeros(lanes) for _ in range(5))
        self.cycles, self.created, self.detected, self.rejected, self.failures, self.jams = (np.zeros(lanes, np.int64) for _ in range(6))
        self.watch: Watch | None = None
        self._head: Head | None = None
        self._detect: Drawn | None = None
        if 0 < link.detection_prob < 1:
            streams = list(generators(seed, replications, machine.name, Purpose.DETECT))
            self._detect = Drawn(Distribution("uniform", 0.0, 1.0), streams, _DETECTIONS)

    def free_since(self, order: Places | None, rows: int) -> Array | None:
        """When the next parts, in the order of a block, find a place before this machine; None where there always is one."""
        if self.link.room is None:
            return None
        if self.room is None:  # handed over: a block is one part then
            return self.free[None, :].copy()
        return self.room.free_since(order, rows)

    # --- a run that begins amid its work ---

    def wear(self, lives_s: Array) -> None:
        """Working time until the next failure, instead of a new machine's."""
        self.work.life = lives_s

    def finish(self, head: Head, behind: "Stage | None") -> Took:
        """The cycle that has begun, as one part that is there; what it makes."""
        ones, zeros, room = np.ones(self.lanes, np.int64), np.zeros((1, self.lanes)), self.room
        self._head, self.room = head, None
        took = self._one_by_one(Block(zeros, zeros.copy(), NOBODY, ones), behind)
        self._head, self.room = None, room
        return took

    # --- a block ---

    def serve(self, block: Block, behind: "Stage | None") -> Took:
        """Collect, breakdown, microstop, execute, transform, inspect, and the wait for room behind."""
        return self._one_by_one(block, behind) if self.batch_in == 1 else self._packing(compact(block), behind)

    def _one_by_one(self, block: Block, behind: "Stage | None") -> Took:
        did = self.work.done.copy()
        service, struck = self.work.take(block) if self._head is None else self.work.finish(self._head)
        bad, found = self._inspected(np.sort(np.concatenate([block.bad, struck])) if block.bad.size else struck)
        before, onward = self.free, without(block, found)
        room = None if behind is None else _room(behind, onward)
        got, end, gone = self._recur(block, service, room)
        self._taken(block, got)
        if self.watch is not None:
            self.watch.cycles(together(block, got), together(block, end), together(block, gone), block.counts)
        self._account(block, before, got, end, gone, did)
        self._count(end, struck, found)
        return Took(got, Block(gone, block.born, bad, block.counts, block.order, block.gone), found, onward)

    def _packing(self, block: Block, behind: "Stage | None") -> Took:
        """Parts that complete no batch are taken at once, so that a cycle starts when its last part is there."""
        rows, lanes, did = len(block.at_s), self.lanes, self.work.done.copy()
        cycles = (self.taken + block.counts) // self.batch_in
        count = int(cycles.max())
        last = np.minimum(self.batch_in * np.arange(1, count + 1)[:, None] - self.taken - 1, rows - 1) * lanes + np.arange(lanes)
        order, gone = ragged(cycles, count) if count else (None, NOBODY)
        batches = Block(block.at_s.ravel().take(last), np.zeros((count, lanes)), NOBODY, cycles, order, gone, block.waits)
        batches.at_s.ravel()[gone] = -np.inf
        before, packed = self.free, self._packed(block, count, cycles)
        service, struck = self.work.take(batches) if count else (0.0, NOBODY)
        bad, found = self._inspected(struck)
        onward = without(batches, found)
        room = None if behind is None or not count else _room(behind, onward)
        start, end, left = self._recur(batches, service, room)
        batch = (self.taken + np.arange(rows)[:, None]) // self.batch_in * lanes + np.arange(lanes)
        free = np.concatenate([before[None, :], left]).ravel().take(batch, mode="clip")  # rows without a part may point behind
        got = np.maximum(block.at_s, free)
        self._taken(block, got)
        if self.watch is not None:
            self.watch.cycles(start, end, left, cycles)
        made = Block(left, self._born(block if block.waits else _since(block, got), last, cycles), bad, cycles, order, gone)
        took = Took(got, made, found, onward)
        if count:
            self._account(batches, before, start, end, left, did)
            self._count(end, struck, found)
            took.packed_bad = None if packed is None else (packed * self.window.inside(end)).sum(axis=0)
        return took

    def _taken(self, block: Block, got: Array) -> None:
        """The buffer, and who watches."""
        watch, room, rows, later = self.watch, self.room, len(got), None
        if watch is not None and room is not None:
            later = room.free_since(all_places(rows, self.lanes) + self.lanes, rows)
        if room is not None:
            room.take(got, block.order, block.counts)
        if watch is not None and self._head is None:
            watch.parts(compact(block), together(block, got), room, later)

    def _packed(self, block: Block, count: int, cycles: Counts) -> Counts | None:
        """How many defective parts are packed in by each cycle."""
        if not block.bad.size and not self.spoiled.any():
            return None
        who = block.bad % self.lanes
        batch = (self.taken[who] + block.bad // self.lanes) // self.batch_in
        packed = np.bincount(batch * self.lanes + who, minlength=(count + 1) * self.lanes).reshape(-1, self.lanes)
        packed[0] += self.spoiled
        self.spoiled = packed[cycles, np.arange(self.lanes)]
        return packed[:-1] * (np.arange(count)[:, None] < cycles)

    def _born(self, block: Block, last: Places, cycles: Counts) -> Array:
        """The mean over each batch; what is left of the block waits for the next."""
        rows, lanes = block.at_s.shape
        sums = np.concatenate([self.born[None, :], block.born])
        sums.ravel()[block.gone + lanes] = 0.0
        running(sums)
        ends = np.concatenate([np.zeros((1, lanes)), sums.ravel().take(last + lanes)])
        self.born = sums[rows] - ends[cycles, np.arange(lanes)]
        self.taken = (self.taken + block.counts) % self.batch_in
        found: Array = (ends[1:] - ends[:-1]) / self.batch_in
        return found

    def _inspected(self, bad: Places) -> tuple[Places, Places]:
        """Those that inspection misses, and those that it finds."""
        probability = self.link.detection_prob
        if not bad.size or not probability > 0:
            return bad, NOBODY
        if self._detect is None:
            return NOBODY, bad
        hit = self._detect.several(bad % self.lanes) < probability
        return bad[~hit], bad[hit]

    # --- time ---

    def _recur(self, block: Block, service: Array | float, room: Array | None) -> tuple[Array, Array, Array]:
        """When each part is taken, its cycle ends, and the machine is free of it."""
        at_s = block.at_s
        seconds = [service] * len(at_s) if isinstance(service, float) else service
        if self.places is not None:
            return self._recur_in_places(at_s, seconds, self.places)
        got, end, free = np.empty_like(at_s), np.empty_like(at_s), self.free
        if room is None:
            for there, takes, takes_s, ends in zip(at_s, got, seconds, end, strict=True):
                np.maximum(there, free, out=takes)
                free = np.add(takes, takes_s, out=ends)
            gone = end
        else:
            gone = np.empty_like(at_s)
            for there, takes, takes_s, ends, since, leaves in zip(at_s, got, seconds, end, room, gone, strict=True):
                np.maximum(there, free, out=takes)
                np.add(takes, takes_s, out=ends)
                free = np.maximum(ends, since, out=leaves)
        self.free = free.copy()
        return got, end, gone

    def _recur_in_places(self, at_s: Array, seconds: Sequence[float] | Array, places: Array) -> tuple[Array, Array, Array]:
        """Each part in the place that is free first (Kiefer and Wolfowitz 1955)."""
        got, end, everyone = np.empty_like(at_s), np.empty_like(at_s), np.arange(self.lanes)
        for there, takes, takes_s, ends in zip(at_s, got, seconds, end, strict=True):
            first = places.argmin(axis=0)
            np.maximum(there, places[first, everyone], out=takes)
            np.add(takes, takes_s, out=ends)
            places[first, everyone] = ends
        self.free = places.min(axis=0)
        return got, end, end

    # --- the account ---

    def _account(self, block: Block, before: Array, got: Array, end: Array, gone: Array, did: Counts) -> None:
        clip, blocking = self.window.clip, gone is not end
        if before.min() >= 0.0 and gone[-1].max() < self.window.end_s and self.places is None:
            self.cycles += block.counts
        else:
            self.cycles += self.window.count(block, end)
            if self.work.eventful:
                self._cut(self.work.downs, block, got, did)
                self._cut(self.work.jams, block, got, did)
            before, got, gone, end = clip(before), clip(got), clip(gone), clip(end)
        if self.places is not None:
            self.busy += (end - got).sum(axis=0) / len(self.places)
        elif block.waits:
            self.starved += got[0] - before
            self.starved += (got[1:] - gone[:-1]).sum(axis=0)
        if blocking:
            self.blocked += (gone - end).sum(axis=0)

    def _count(self, end: Array, struck: Places, found: Places) -> None:
        """Defects made and found by cycles that end in the window."""
        if struck.size:
            self.created += self._inside(end, struck)
        if found.size:
            self.detected += self._inside(end, found)

    def _inside(self, at_s: Array, places: Places) -> Counts:
        """How many of these places' instants are in the window, by lane."""
        found: Counts = np.bincount(places[self.window.inside(at_s.ravel()[places])] % self.lanes, minlength=self.lanes)
        return found

    def _cut(self, delays: Delays, block: Block, got: Array, did: Counts) -> None:
        """Of what holds up the cycles of a block at the window's edge, only what is inside counts."""
        at, after_s, seconds, counted = delays.joined()
        who, cycle = at % self.lanes, at // self.lanes
        mine = np.flatnonzero((cycle >= did[who]) & (cycle < (did + block.counts)[who]))
        row = np.zeros(block.at_s.size, np.intp)
        row[block.places().ravel()] = all_places(*block.at_s.shape).ravel()
        start = got.ravel()[row[at[mine] - did[who[mine]] * self.lanes]] + after_s[mine]
        whole, end_s = seconds[mine], self.window.end_s
        clipped = self.window.clip(start + whole) - self.window.clip(start)
        seconds[mine] = np.where((start >= 0.0) & (start + whole <= end_s), whole, clipped)
        counted[mine] = self.window.inside(start)

    def close(self) -> None:
        """What lasts until the end, and what held up the cycles."""
        if self.places is None:
            self.starved += self.window.end_s - self.window.clip(self.free)
        else:
            self.starved += self.window.end_s - self.busy
        self.down, self.failures = self._spent(self.work.downs)
        self.jammed, self.jams = self._spent(self.work.jams)

    def _spent(self, delays: Delays) -> tuple[Array, Counts]:
        """Seconds and how often, by lane."""
        at, _, seconds, counted = delays.joined()
        who = at % self.lanes
        did = at // self.lanes < self.work.done[who]
        spent = np.zeros(self.lanes) + np.bincount(who[did], seconds[did], self.lanes)
        return spent, np.bincount(who[did & counted], minlength=self.lanes)


def _since(block: Block, got: Array) -> Block:
    """Parts that were there whenever they were asked for are born when they are taken."""
    return Block(block.at_s, got, block.bad, block.counts, block.order, block.gone)


def _room(behind: Stage, block: Block) -> Array | None:
    """Since when there is a place behind for each part that goes on; minus infinity in the other rows."""
    since = behind.free_since(block.order, len(block.at_s))
    if since is not None:
        since.ravel()[block.gone] = -np.inf
    return since
