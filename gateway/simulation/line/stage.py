"""One machine of the recursion, in all replications: the cycles of a block of parts, and the account of its states."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.distribution import Distribution
from gateway.simulation.line.chain import Link
from gateway.simulation.line.lanes import NOBODY, Array, Block, Countdown, Counts, Drawn, Places, Room, ordinals, running
from gateway.simulation.line.streams import Purpose, generators

_OFTEN: Final = 128  # draws at a time of what comes with each cycle
_SELDOM: Final = 8  # and of what comes now and then


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

    def count(self, at_s: Array, counts: Counts) -> Counts:
        """How many of a block's instants are inside, by lane."""
        found: Counts = (self.inside(at_s) & _here(at_s, counts)).sum(axis=0)
        return found

    def total(self, at_s: Array, counts: Counts) -> Array:
        """The sum of a block's instants, clipped, by lane."""
        clipped = self.clip(at_s)
        found: Array = (clipped if counts.min() == len(at_s) else np.where(_here(at_s, counts), clipped, 0.0)).sum(axis=0)
        return found


def _here(block: Array | Places, counts: Counts) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.arange(len(block))[:, None] < counts
    return found


@dataclass(slots=True)
class Took:
    """What became of a block. got: when each part was taken; gone: when the machine was free of it; found: the places of the parts made
    that inspection rejects; bad: of those that it missed; last_rows: the rows of the parts that complete a batch, (cycles, lanes);
    packed_bad: defective parts that went out of inspection's reach, by lane.
    """

    got: Array
    gone: Array
    found: Places
    bad: Places
    cycles: Counts
    last_rows: Places | None
    packed_bad: Counts | int = 0

    def places(self, cycles: Places) -> Places:
        """Where the parts are that complete these cycles (places in a block of cycles)."""
        if self.last_rows is None:
            return cycles
        lanes = self.last_rows.shape[1]
        found: Places = self.last_rows.ravel()[cycles] * lanes + cycles % lanes
        return found


@dataclass(slots=True)
class _Delays:
    """What holds up cycles: at these places of a block of cycles, so long after their start, for so many seconds."""

    place: list[Places] = field(default_factory=list)
    after_s: list[Array] = field(default_factory=list)
    seconds: list[Array] = field(default_factory=list)

    def add(self, place: Places, after_s: Array, seconds: Array) -> None:
        self.place.append(place)
        self.after_s.append(after_s)
        self.seconds.append(seconds)

    def joined(self) -> tuple[Places, Array, Array]:
        return np.concatenate(self.place), np.concatenate(self.after_s), np.concatenate(self.seconds)


class Stage:
    """free: since when the machine could take the next part, after its warm-up from begin_s on. The rest counts what was in the window."""

    def __init__(self, link: Link, seed: int, replications: Sequence[int], window: Window, begin_s: float) -> None:
        machine, lanes = link.machine, len(replications)
        self.link, self.window, self.lanes, self.batch_in = link, window, lanes, machine.batch_in
        self.free = np.full(lanes, begin_s)
        self.places = np.full((machine.servers, lanes), begin_s) if machine.servers > 1 else None
        self.room = Room(link.room, lanes) if link.room else None
        self.taken, self.spoiled, self.born = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64), np.zeros(lanes)
        self.starved, self.blocked, self.down, self.jammed, self.waiting, self.busy = (np.zeros(lanes) for _ in range(6))
        self.cycles, self.created, self.detected, self.rejected, self.failures, self.jams = (np.zeros(lanes, np.int64) for _ in range(6))

        def drawn(purpose: Purpose, distribution: Distribution, block: int, scale: float = 1.0) -> Drawn:
            return Drawn(distribution, list(generators(seed, replications, machine.name, purpose)), block, scale)

        def countdown(purpose: Purpose, probability: float) -> Countdown | None:
            streams = list(generators(seed, replications, machine.name, purpose)) if probability > 0 else []
            return Countdown(probability, streams, _SELDOM) if streams else None

        self._cycle = drawn(Purpose.CYCLE, machine.cycle_time_sec, _OFTEN, 1.0 / machine.performance.speed)
        self._jam = countdown(Purpose.JAM, link.jam_prob)
        self._jam_time = drawn(Purpose.JAM_TIME, machine.performance.jam_time_sec, _SELDOM)
        self._defect = countdown(Purpose.DEFECT, machine.quality.defect_rate)
        self._detect = drawn(Purpose.DETECT, Distribution("uniform", 0.0, 1.0), _SELDOM) if 0 < link.detection_prob < 1 else None
        self._lives: Drawn | None = None
        if machine.reliability is not None and link.fails:
            self._lives = drawn(Purpose.FAILURE, machine.reliability.mtbf, _SELDOM)
            self._repair = drawn(Purpose.REPAIR, machine.reliability.mttr, _SELDOM)
            self._within = machine.reliability.within_cycle
            self._life = self._lives.at(np.arange(lanes))

    def free_since(self, ordinals: Places) -> Array | None:
        """When the next parts, from 0 on, find a place before this machine; None where there always is one."""
        if self.link.room is None:
            return None
        if self.room is None:  # handed over: a block is one part then
            return self.free[None, :].copy()
        return self.room.free_since(ordinals)

    # --- a block ---

    def serve(self, block: Block, behind: "Stage | None") -> Took:
        """Collect, breakdown, microstop, execute, transform, inspect, and the wait for room behind."""
        last_rows, cycles = self._batches(block)
        service, downs, jams = self._service(cycles, len(block.at_s) if last_rows is None else len(last_rows))
        incoming, packed = self._packed(block, last_rows, cycles)
        struck = NOBODY if self._defect is None else np.setdiff1d(self._defect.struck(cycles), incoming, assume_unique=True)
        bad, found = self._inspected(np.sort(np.concatenate([incoming, struck])))
        room = None if behind is None else _room(behind, len(service), cycles, found)
        if last_rows is not None:
            rows = len(block.at_s)
            service = _spread(service, last_rows, cycles, rows, 0.0)
            room = None if room is None else _spread(room, last_rows, cycles, rows, -np.inf)
        before = self.free
        got, end, gone = self._recur(block.at_s, service, room)
        took = Took(got, gone, found, bad, cycles, last_rows)
        if self.room is not None:
            self.room.take(got, block.counts)
        self._account(block, took, before, end)
        self._hold(took, downs, self.down, self.failures)
        self._hold(took, jams, self.jammed, self.jams)
        self.created += self._inside(end, took.places(struck))
        self.detected += self._inside(end, took.places(found))
        if packed is not None:
            at = took.places(np.arange(packed.size))
            took.packed_bad = (packed * self.window.inside(end.ravel()[at].reshape(packed.shape))).sum(axis=0)
        return took

    def made(self, block: Block, took: Took) -> Block:
        """The parts made, those found defective still among them."""
        if took.last_rows is None:
            return Block(took.gone, block.born, took.bad, took.cycles)
        here = _here(took.last_rows, took.cycles)
        gone = np.where(here, took.gone.ravel().take(took.places(np.arange(here.size))).reshape(here.shape), -np.inf)
        return Block(gone, self._packed_born(block, took.last_rows, took.cycles), took.bad, took.cycles)

    # --- packing ---

    def _batches(self, block: Block) -> tuple[Places | None, Counts]:
        """The rows of the parts that complete a batch, and how many of them each lane has."""
        if self.batch_in == 1:
            return None, block.counts
        cycles = (self.taken + block.counts) // self.batch_in
        last_rows = self.batch_in * np.arange(1, int(cycles.max()) + 1)[:, None] - self.taken - 1
        return np.minimum(last_rows, len(block.at_s) - 1), cycles

    def _packed(self, block: Block, last_rows: Places | None, cycles: Counts) -> tuple[Places, Counts | None]:
        """The parts that come defective, of a machine that does not pack; else how many are packed in by each cycle."""
        if last_rows is None:
            return block.bad, None
        if not block.bad.size and not self.spoiled.any():
            return NOBODY, None
        who = block.bad % self.lanes
        batch = (self.taken[who] + block.bad // self.lanes) // self.batch_in
        packed = np.bincount(batch * self.lanes + who, minlength=(len(last_rows) + 1) * self.lanes).reshape(-1, self.lanes)
        packed[0] += self.spoiled
        self.spoiled = packed[cycles, np.arange(self.lanes)]
        return NOBODY, packed[:-1] * _here(last_rows, cycles)

    def _packed_born(self, block: Block, last_rows: Places, cycles: Counts) -> Array:
        """The mean over each batch; what is left of the block waits for the next."""
        rows, lanes = block.at_s.shape
        sums = running(np.concatenate([self.born[None, :], np.where(_here(block.at_s, block.counts), block.born, 0.0)]))
        ends = np.concatenate([np.zeros((1, lanes)), sums.ravel().take((last_rows + 1) * lanes + np.arange(lanes))])
        self.born = sums[rows] - ends[cycles, np.arange(lanes)]
        self.taken = (self.taken + block.counts) % self.batch_in
        found: Array = np.diff(ends, axis=0) / self.batch_in
        return found

    # --- service times ---

    def _service(self, cycles: Counts, rows: int) -> tuple[Array, _Delays, _Delays]:
        """Of each cycle, with what holds it up: (rows, lanes), 0 in empty rows."""
        service = np.zeros((rows, self.lanes)) + self._cycle.rows(rows, cycles)
        full, downs, jams = int(cycles.min()), _Delays(), _Delays()
        if full < rows:
            service[full:][~_here(service, cycles)[full:]] = 0.0
        held = np.zeros(service.size)
        if self._lives is not None and not self._within:
            self._break_down(service, cycles, held, downs)
        if self._jam is not None and (struck := self._jam.struck(cycles)).size:
            seconds = self._jam_time.several(struck % self.lanes)
            jams.add(struck, held[struck], seconds)
            held[struck] += seconds
        if self._lives is not None and self._within:
            self._fail_within(service, cycles, held, downs)
        if downs.place or jams.place:
            service += held.reshape(service.shape)
        return service, downs, jams

    def _break_down(self, service: Array, cycles: Counts, held: Array, downs: _Delays) -> None:
        """A life that ends within a cycle is found at its start; the cycle takes nothing of the next life."""
        assert self._lives is not None
        life, full = self._life, int(cycles.min())
        for row, seconds in enumerate(service):
            ends = life <= seconds
            life -= seconds
            if row >= full:
                ends &= row < cycles
            if ends.any():
                who = np.flatnonzero(ends)
                repair, place = self._repair.at(who), row * self.lanes + who
                downs.add(place, held[place], repair)
                held[place] += repair
                life[who] = self._lives.at(who)

    def _fail_within(self, service: Array, cycles: Counts, held: Array, downs: _Delays) -> None:
        """Failures at their instant, perhaps several in one cycle."""
        assert self._lives is not None
        life = self._life
        for row, seconds in enumerate(service):
            left = seconds.copy()
            while (who := np.flatnonzero((life < left) & (row < cycles))).size:
                repair, place = self._repair.at(who), row * self.lanes + who
                left[who] -= life[who]
                downs.add(place, held[place] + (seconds - left)[who], repair)
                held[place] += repair
                life[who] = self._lives.at(who)
            life -= left

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

    def _recur(self, at_s: Array, service: Array, room: Array | None) -> tuple[Array, Array, Array]:
        """When each part is taken, its cycle ends, and the machine is free of it."""
        if self.places is not None:
            return self._recur_in_places(at_s, service, self.places)
        got, end = np.empty_like(at_s), np.empty_like(at_s)
        gone, free = (end if room is None else np.empty_like(at_s)), self.free
        if room is None:
            for there, takes, seconds, ends in zip(at_s, got, service, end, strict=True):
                np.maximum(there, free, out=takes)
                np.add(takes, seconds, out=ends)
                free = ends
        else:
            for there, takes, seconds, ends, since, leaves in zip(at_s, got, service, end, room, gone, strict=True):
                np.maximum(there, free, out=takes)
                np.add(takes, seconds, out=ends)
                free = np.maximum(ends, since, out=leaves)
        self.free = free.copy()
        return got, end, gone

    def _recur_in_places(self, at_s: Array, service: Array, places: Array) -> tuple[Array, Array, Array]:
        """Each part in the place that is free first (Kiefer and Wolfowitz 1955)."""
        got, end, everyone = np.empty_like(at_s), np.empty_like(at_s), np.arange(self.lanes)
        for there, takes, seconds, ends in zip(at_s, got, service, end, strict=True):
            first = places.argmin(axis=0)
            np.maximum(there, places[first, everyone], out=takes)
            np.add(takes, seconds, out=ends)
            places[first, everyone] = ends
        self.free = places.min(axis=0)
        return got, end, end

    # --- the account ---

    def _account(self, block: Block, took: Took, before: Array, end: Array) -> None:
        got, gone, clip = took.got, took.gone, self.window.clip
        blocking, at_s = gone is not end, block.at_s
        if before.min() >= 0.0 and gone[-1].max() < self.window.end_s and self.places is None:
            self.cycles += took.cycles
        else:
            at = took.places(np.arange(int(took.cycles.max()) * self.lanes))
            self.cycles += self.window.count(end.ravel()[at].reshape(-1, self.lanes), took.cycles)
            before, got, gone, end, at_s = clip(before), clip(got), clip(gone), clip(end), clip(at_s)
        if self.places is not None:
            self.busy += (end - got).sum(axis=0) / len(self.places)
        elif block.waits:
            self.starved += got[0] - before
            self.starved += (got[1:] - gone[:-1]).sum(axis=0)
        if blocking:
            self.blocked += (gone - end).sum(axis=0)
        if block.waits:
            waited = got - at_s
            self.waiting += (waited if block.counts.min() == len(got) else np.where(_here(got, block.counts), waited, 0.0)).sum(axis=0)

    def close(self) -> None:
        """What lasts until the end."""
        if self.places is None:
            self.starved += self.window.end_s - self.window.clip(self.free)
        else:
            self.starved += self.window.end_s - self.busy

    def _hold(self, took: Took, delays: _Delays, spent: Array, count: Counts) -> None:
        if not delays.place:
            return
        place, after_s, seconds = delays.joined()
        start = took.got.ravel()[took.places(place)] + after_s
        clip, who = self.window.clip, place % self.lanes
        spent += np.bincount(who, clip(start + seconds) - clip(start), self.lanes)
        count += np.bincount(who[self.window.inside(start)], minlength=self.lanes)

    def _inside(self, at_s: Array, places: Places) -> Counts:
        """How many of these places' instants are inside, by lane."""
        inside = self.window.inside(at_s.ravel()[places])
        found: Counts = np.bincount(places[inside] % self.lanes, minlength=self.lanes)
        return found


def _room(behind: Stage, rows: int, cycles: Counts, found: Places) -> Array | None:
    """Since when there is a place behind for each part made; minus infinity for those that need none."""
    since = behind.free_since(ordinals(rows, len(cycles), found))
    if since is None:
        return None
    since.ravel()[found] = -np.inf
    full = int(cycles.min())
    if full < rows:
        since[full:][~_here(since, cycles)[full:]] = -np.inf
    return since


def _spread(values: Array, last_rows: Places, cycles: Counts, rows: int, fill: float) -> Array:
    """Of cycles, to the rows of the parts that complete them."""
    lanes = len(cycles)
    spread, here = np.full(rows * lanes, fill), _here(last_rows, cycles)
    spread[(last_rows * lanes + np.arange(lanes))[here]] = values[here]
    return spread.reshape(rows, lanes)
