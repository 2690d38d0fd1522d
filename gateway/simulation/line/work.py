"""What the cycles of one machine of the recursion take, and which of them spoil their part, in all replications.

Failures, jams and defects strike by cycles and work, never by the clock: so they are made ahead, many cycles at a time in all lanes alike,
and the recursion over instants meets them where each lane has come to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.distribution import Distribution
from gateway.simulation.line.chain import Link
from gateway.simulation.line.lanes import NOBODY, Array, Block, Countdown, Drawn, Places
from gateway.simulation.line.streams import Purpose, generators

_AHEAD: Final = 64  # cycles made at a time
_SELDOM: Final = 8  # draws at a time of what comes now and then


@dataclass(slots=True)
class Delays:
    """What held up cycles: at cycle * lanes + lane, so long after the start of the cycle, for so many seconds."""

    at: list[Places] = field(default_factory=list)
    after_s: list[Array] = field(default_factory=list)
    seconds: list[Array] = field(default_factory=list)
    counted: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, at: Places, after_s: Array, seconds: Array) -> None:
        self.at.append(at)
        self.after_s.append(after_s)
        self.seconds.append(seconds)
        self.counted.append(np.ones(at.size, bool))

    def joined(self) -> tuple[Places, Array, Array, NDArray[np.bool_]]:
        """All, as they are kept: what is written to them stays."""
        if not self.at:
            self.add(NOBODY, np.zeros(0), np.zeros(0))
        self.at, self.after_s = [np.concatenate(self.at)], [np.concatenate(self.after_s)]
        self.seconds, self.counted = [np.concatenate(self.seconds)], [np.concatenate(self.counted)]
        return self.at[0], self.after_s[0], self.seconds[0], self.counted[0]


@dataclass(frozen=True, slots=True)
class Head:
    """The cycle that a machine has begun before the run, by lane: held_s until it goes on, then cycle_s, None for a whole one. fails, jams:
    whether it still can.
    """

    held_s: Array
    cycle_s: Array | None
    fails: bool
    jams: bool


class Work:
    """done: cycles of each lane so far; life: the work left until each lane's next failure, as far as cycles are made."""

    def __init__(self, link: Link, seed: int, replications: Sequence[int]) -> None:
        machine, self.lanes = link.machine, len(replications)

        def drawn(purpose: Purpose, distribution: Distribution, block: int, scale: float = 1.0) -> Drawn:
            steady = distribution.kind == "deterministic"
            return Drawn(distribution, [] if steady else list(generators(seed, replications, machine.name, purpose)), block, scale)

        def countdown(purpose: Purpose, probability: float) -> Countdown | None:
            streams = list(generators(seed, replications, machine.name, purpose)) if probability > 0 else []
            return Countdown(probability, streams, _SELDOM) if streams else None

        self._cycle = drawn(Purpose.CYCLE, machine.cycle_time_sec, _AHEAD, 1.0 / machine.performance.speed)
        self._jam = countdown(Purpose.JAM, link.jam_prob)
        self._jam_time = drawn(Purpose.JAM_TIME, machine.performance.jam_time_sec, _SELDOM)
        self._defect = countdown(Purpose.DEFECT, machine.quality.defect_rate)
        self._lives: Drawn | None = None
        if machine.reliability is not None and link.fails:
            self._lives = drawn(Purpose.FAILURE, machine.reliability.mtbf, _SELDOM)
            self._repair = drawn(Purpose.REPAIR, machine.reliability.mttr, _SELDOM)
            self._within = machine.reliability.within_cycle
            self.life = self._lives.at(np.arange(self.lanes))
        self.downs, self.jams = Delays(), Delays()
        self.done = np.zeros(self.lanes, np.int64)
        self._most, self._begun, self._even = 0, 0, True  # of done, or more; the first cycle that is kept
        self._service, self._spoiled = np.zeros((0, self.lanes)), np.zeros((0, self.lanes), bool)
        self.eventful = self._jam is not None or self._lives is not None
        self._same = self._cycle.value if not self.eventful else None

    def take(self, block: Block) -> tuple[Array | float, Places]:
        """Of the next cycle for each part: how long it takes, 0 in empty rows, and the places of those it spoils anew."""
        rows, even = len(block.at_s), self._even and block.order is None
        self._ready(rows)
        first = int(self.done[0]) - self._begun
        here = slice(first, first + rows)
        self._even = even
        at = NOBODY if even else block.places() + (self.done - self._begun) * self.lanes
        service: Array | float
        if self._same is not None:
            service = self._same if block.order is None else np.where(block.here(), self._same, 0.0)
        elif even:
            service = self._service[here]
        else:
            service = self._service.ravel().take(at)
            service.ravel()[block.gone] = 0.0
        struck = NOBODY
        if self._defect is not None:
            spoiled = self._spoiled[here].copy() if even else self._spoiled.ravel().take(at)
            spoiled.ravel()[block.gone] = False
            spoiled.ravel()[block.bad] = False
            struck = np.flatnonzero(spoiled)
        self.done += block.counts
        self._most += rows
        return service, struck

    def finish(self, head: Head) -> tuple[Array, Places]:
        """As take, of the cycle that has begun: the first of all."""
        drawn = self._cycle.rows(1) if head.cycle_s is None else head.cycle_s
        service, held = np.zeros((1, self.lanes)) + drawn, head.held_s.copy()
        if head.jams:
            self._jams(1, held, 0)
        if self._lives is not None and self._within and head.fails:
            self._fail_within(service, held, 0, self._lives)
        struck = NOBODY if self._defect is None else self._defect.struck(1)
        self.done += 1
        self._most, self._begun = 1, 1
        return service + held, struck

    def _ready(self, rows: int) -> None:
        kept = len(self._service) if self._same is None else len(self._spoiled)
        if (self._same is not None and self._defect is None) or self._most + rows <= self._begun + kept:
            return
        self._most = int(self.done.max())
        if self._most + rows <= self._begun + kept:
            return
        gone, count = int(self.done.min()) - self._begun, max(rows, _AHEAD)
        if self._defect is not None:
            spoiled = np.zeros(count * self.lanes, bool)
            spoiled[self._defect.struck(count)] = True
            self._spoiled = np.concatenate([self._spoiled[gone:], spoiled.reshape(count, self.lanes)])
        if self._same is None:
            self._service = np.concatenate([self._service[gone:], self._made(count, (self._begun + kept) * self.lanes)])
        self._begun += gone

    def _made(self, count: int, first: int) -> Array:
        """Service times of the next cycles, in all lanes; first: the place of the first of them."""
        cycles = self._cycle.rows(count)
        service = np.full((count, self.lanes), cycles) if isinstance(cycles, float) else cycles
        if not self.eventful:
            return service
        held = np.zeros(service.size)
        if self._lives is not None and not self._within:
            self._break_down(service, held, first, self._lives)
        self._jams(count, held, first)
        if self._lives is not None and self._within:
            self._fail_within(service, held, first, self._lives)
        service += held.reshape(service.shape)
        return service

    def _jams(self, count: int, held: Array, first: int) -> None:
        if self._jam is not None and (struck := self._jam.struck(count)).size:
            seconds = self._jam_time.several(struck % self.lanes)
            self.jams.add(first + struck, held[struck], seconds)
            held[struck] += seconds

    def _break_down(self, service: Array, held: Array, first: int, lives: Drawn) -> None:
        """A life that ends within a cycle is found at its start; the cycle takes nothing of the next life."""
        count, rows, lived = len(service), np.arange(len(service)), self.life
        self.life = lived.copy()
        for seconds in service:
            np.subtract(self.life, seconds, out=self.life)
        who = np.flatnonzero(self.life <= 0)
        lived, begun = lived[who], np.zeros(who.size, np.intp)
        while who.size:
            lives_here = rows >= begun[:, None]
            spent = np.where(lives_here, service[:, who].T, 0.0)
            left = np.subtract.accumulate(np.concatenate([lived[:, None], spent], axis=1), axis=1)[:, 1:]
            self.life[who] = left[:, -1]
            row = ((left > 0) | ~lives_here).sum(axis=1)
            died = row < count
            who, begun = who[died], row[died] + 1
            repair, at = self._repair.at(who), row[died] * self.lanes + who
            self.downs.add(first + at, held[at], repair)
            held[at] += repair
            lived = lives.at(who)

    def _fail_within(self, service: Array, held: Array, first: int, lives: Drawn) -> None:
        """Failures at their instant, perhaps several in one cycle."""
        life = self.life
        for row, seconds in enumerate(service):
            left = seconds.copy()
            while (who := np.flatnonzero(life < left)).size:
                repair, at = self._repair.at(who), row * self.lanes + who
                left[who] -= life[who]
                self.downs.add(first + at, held[at] + (seconds - left)[who], repair)
                held[at] += repair
                life[who] = lives.at(who)
            life -= left
