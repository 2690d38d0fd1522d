"""A real machine's account from samples of its tags: time in state and counts, by the instants at which the plant says they changed.

A machine counts as UNKNOWN while one of its inputs (state, counters) is not Good, or its state is none that it is known by: that time is
not covered, and what was counted in it is production, but no part of OEE. In a planned stop it rests, whatever keeps it from work; only
work goes on.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from gateway.model.line import MachineState

STATES: Final = tuple(MachineState)
UNKNOWN: Final = len(STATES)
PASSIVE: Final = frozenset({MachineState.STARVED, MachineState.BLOCKED, MachineState.BREAK, MachineState.IDLE})
"""A machine is active while it is neither starved nor blocked nor resting (gateway.simulation.line.bottleneck)."""
_EXECUTE: Final = STATES.index(MachineState.EXECUTE)
_ACTIVE: Final = (*(state not in PASSIVE for state in STATES), False)
MOST: Final = 400_000
"""Samples of one machine that are kept; then the oldest are no longer there when something late comes."""
_TOPS: Final = (2.0**15, 2.0**16, 2.0**31, 2.0**32)  # at which counters of controllers begin anew
_NEAR: Final = 0.01


class Input(IntEnum):
    STATE = 0
    PRODUCED = 1
    REJECTED = 2
    ENERGY = 3
    POWER = 4
    LINK = 5  # NaN: nothing can be known of the machine from now on; 1: it can again


Sample = tuple[int, int, float]
"""at_ns, Input, value: NaN where it is not Good; of a state its place in STATES, UNKNOWN for a word that it is not known by."""
Edge = tuple[int, int]
"""at_ns, the planned state (its place in STATES) from then on; -1 for none."""
Entry = tuple[int, str, int, int]
"""at_ns, what (STATE_CHANGE, PRODUCED or REJECTED), the state in which the machine then is, how many."""
STATE_CHANGE: Final = "state_change"
PRODUCED: Final = "produced"
REJECTED: Final = "rejected"
_WORDS: Final = {Input.PRODUCED: PRODUCED, Input.REJECTED: REJECTED}


@dataclass(slots=True)
class Account:
    """Of one machine from begin_ns on: nanoseconds by state (UNKNOWN last), items. produced, rejected: all; made, bad: in covered time.

    turns: when it became active or passive; active: as it was last.
    """

    begin_ns: int
    end_ns: int
    spent_ns: list[int] = field(default_factory=lambda: [0] * (UNKNOWN + 1))
    produced: int = 0
    rejected: int = 0
    made: int = 0
    bad: int = 0
    energy_kwh: float = 0.0
    turns: list[int] = field(default_factory=list)
    active: bool = False

    @property
    def seconds(self) -> dict[MachineState, float]:
        """Covered seconds by state."""
        return {state: self.spent_ns[row] / 1e9 for row, state in enumerate(STATES)}

    @property
    def coverage(self) -> float:
        """The share of its time in which all inputs were Good; 0 before any time has passed."""
        whole = sum(self.spent_ns)
        return 1.0 - self.spent_ns[UNKNOWN] / whole if whole else 0.0

    def copy(self) -> "Account":
        """One that goes on by itself."""
        return replace(self, spent_ns=list(self.spent_ns), turns=list(self.turns))

    def pass_by(self, from_ns: int, to_ns: int, state: int) -> None:
        """The machine was in that state for so long."""
        start = max(from_ns, self.begin_ns)
        length = min(to_ns, self.end_ns) - start
        if length <= 0:
            return
        if _ACTIVE[state] is not self.active:
            self.active = _ACTIVE[state]
            if start > self.begin_ns:
                self.turns.append(start)
        self.spent_ns[state] += length

    def count(self, at_ns: int, what: str, number: int, state: int) -> None:
        """Items that were there at that instant, in the time before it."""
        if not self.begin_ns < at_ns <= self.end_ns:
            return
        covered = number if state != UNKNOWN else 0
        if what == PRODUCED:
            self.produced, self.made = self.produced + number, self.made + covered
        else:
            self.rejected, self.bad = self.rejected + number, self.bad + covered


@dataclass(slots=True)
class _Now:
    """Where a machine stands: what is needed to go on from there. last, good: by Input."""

    at_ns: int
    state: int = UNKNOWN
    last: list[float] = field(default_factory=lambda: [math.nan] * len(Input))
    good: list[bool] = field(default_factory=lambda: [one is Input.LINK for one in Input])

    def copy(self) -> "_Now":
        return _Now(self.at_ns, self.state, list(self.last), list(self.good))


class Book:
    """One machine. Samples come in any order (take); accounts and entries are complete up to the instant of the last advance().

    inputs: those that it has beside its state. periods: (begin_ns, end_ns) by name; edges: planned stops, in order of time.
    """

    def __init__(self, inputs: Sequence[Input], rollover: float | None = None) -> None:
        self._inputs, self._rollover = tuple(inputs), rollover
        self._needed = (Input.STATE, Input.LINK, *(one for one in inputs if one in _WORDS))
        self._samples: list[Sample] = []  # those that count in, in order
        self._waiting: list[Sample] = []
        self._edges: Sequence[Edge] = ()
        self._origin = self._now = _Now(0)
        self._shown, self._edge = UNKNOWN, 0
        self.accounts: dict[str, Account] = {}
        self.entries: list[Entry] = []
        self._base: dict[tuple[int, int], Account] = {}  # by begin and end: what was accounted for at the origin
        self._kept: list[Entry] = []  # entries before it
        self.since_ns = self.raw_since_ns = 0  # when the present state began, and that which its tag tells
        self.late = 0

    # --- what comes ------------------------------------------------------------------------------------------------------------------

    def take(self, at_ns: int, which: Input, value: float) -> None:
        """A sample, NaN for one that is not Good. One older than what is accounted for changes the account as if it had been in time."""
        self._waiting.append((at_ns, int(which), value))

    def advance(self, to_ns: int) -> None:
        """Account for everything up to that instant."""
        if self._waiting:
            waiting = sorted(self._waiting, key=_moment)
            due = bisect_right(waiting, to_ns, key=_moment)
            self._waiting = waiting[due:]
            self._put(waiting[:due])
        self._through(max(to_ns, self._now.at_ns))

    def _put(self, due: list[Sample]) -> None:
        late = [one for one in due if one[0] < self._now.at_ns]
        kept = [one for one in late if one[0] >= self._origin.at_ns]
        if kept:
            until_ns = self._now.at_ns
            for one in kept:
                insort(self._samples, one, key=_moment)
            self.late += len(kept)
            self._again(until_ns)
        for one in due[len(late) :]:
            self._samples.append(one)
            self._apply(one)
        if len(self._samples) > MOST:
            self._settle(MOST // 2)

    def _settle(self, count: int) -> None:
        """The first so many samples are accounted for good: what comes late before them changes nothing any more."""
        until_ns, rest = self._now.at_ns, self._samples[count:]
        self._samples = self._samples[:count]
        self._again(rest[0][0] if rest else until_ns)
        self._origin, self._kept = self._now.copy(), self.entries
        self._base = {(one.begin_ns, one.end_ns): one.copy() for one in self.accounts.values()}
        self._samples = rest
        self._again(until_ns)

    # --- periods ---------------------------------------------------------------------------------------------------------------------

    def begin(self, periods: Mapping[str, tuple[int, int]], edges: Sequence[Edge]) -> None:
        """From now on these periods, with what is kept of them; nothing older than the first of them is needed any more."""
        first_ns, until_ns = min(begin for begin, _ in periods.values()), self._now.at_ns
        self._edges, self._kept = edges, [one for one in self._kept if one[0] >= first_ns]
        if first_ns > self._origin.at_ns:
            self._forget(first_ns)
        self.accounts = {name: Account(*span) for name, span in periods.items()}
        self._again(max(until_ns, self._origin.at_ns))

    def _forget(self, before_ns: int) -> None:
        """What was before is no more than where it led to."""
        now, count = self._origin.copy(), bisect_right(self._samples, before_ns, key=_moment)
        for at_ns, which, value in self._samples[:count]:
            _turned(now, which, value)
            now.at_ns = at_ns
        now.at_ns = before_ns
        self._origin, self._samples = now, self._samples[count:]

    def _again(self, until_ns: int) -> None:
        """The accounts anew from the samples that are kept."""
        self._now, self.entries = self._origin.copy(), list(self._kept)
        spans = {name: (one.begin_ns, one.end_ns) for name, one in self.accounts.items()}
        self.accounts = {name: self._base[span].copy() if span in self._base else Account(*span) for name, span in spans.items()}
        self._edge = bisect_right(self._edges, self._now.at_ns, key=_moment)
        self._shown, self.since_ns = self._showing(), self._now.at_ns
        self.raw_since_ns = self._now.at_ns
        self.entries.append((self._now.at_ns, STATE_CHANGE, self._shown, 0))
        for one in self._samples:
            self._apply(one)
        self._through(until_ns)

    # --- one step --------------------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> int:
        """As it was at the end of what is accounted for; its place in STATES, or UNKNOWN."""
        return self._shown

    @property
    def raw(self) -> int:
        """What its tag tells, whatever is planned."""
        return self._now.state if self._shown != UNKNOWN else UNKNOWN

    @property
    def at_ns(self) -> int:
        return self._now.at_ns

    def _apply(self, sample: Sample) -> None:
        at_ns, which, value = sample
        self._through(at_ns)
        before = self._now.last[which]
        if which in _WORDS and not math.isnan(value) and not math.isnan(before):
            number = round(increase(before, value, self._rollover))
            if number > 0:
                self.entries.append((at_ns, _WORDS[Input(which)], self._shown, number))
                for account in self.accounts.values():
                    account.count(at_ns, _WORDS[Input(which)], number, self._shown)
        elif which == Input.ENERGY and not math.isnan(value) and not math.isnan(before):
            self._consumed(at_ns, max(increase(before, value, self._rollover), 0.0))
        was = self._now.state
        _turned(self._now, which, value)
        if self._now.state != was:
            self.raw_since_ns = at_ns
        self._show(at_ns)

    def _consumed(self, at_ns: int, energy_kwh: float) -> None:
        for account in self.accounts.values():
            if account.begin_ns < at_ns <= account.end_ns:
                account.energy_kwh += energy_kwh

    def _through(self, at_ns: int) -> None:
        """Time passes."""
        while self._edge < len(self._edges) and self._edges[self._edge][0] <= at_ns:
            edge_ns = self._edges[self._edge][0]
            self._pass(edge_ns)
            self._edge += 1
            self._show(edge_ns)
        self._pass(at_ns)

    def _pass(self, to_ns: int) -> None:
        from_ns = self._now.at_ns
        if to_ns <= from_ns:
            return
        power = self._now.last[Input.POWER] if self._now.good[Input.POWER] else 0.0
        for account in self.accounts.values():
            account.pass_by(from_ns, to_ns, self._shown)
            if power:
                account.energy_kwh += power * max(min(to_ns, account.end_ns) - max(from_ns, account.begin_ns), 0) / 3.6e12
        self._now.at_ns = to_ns

    def _showing(self) -> int:
        now = self._now
        if now.state == UNKNOWN or not all(now.good[one] for one in self._needed):
            return UNKNOWN
        planned = self._edges[self._edge - 1][1] if self._edge else -1
        return planned if planned >= 0 and now.state != _EXECUTE else now.state

    def _show(self, at_ns: int) -> None:
        shown = self._showing()
        if shown != self._shown:
            self._shown, self.since_ns = shown, at_ns
            self.entries.append((at_ns, STATE_CHANGE, shown, 0))


def _moment(one: tuple[int, ...] | Sample | Edge) -> int:
    return int(one[0])


def _turned(now: _Now, which: int, value: float) -> None:
    good = not math.isnan(value)
    now.good[which] = good
    if which == Input.STATE:
        now.state = int(value) if good else UNKNOWN
    elif good:
        now.last[which] = value


def increase(last: float, value: float, rollover: float | None) -> float:
    """By how much a counter went on: one that fell has rolled over at `rollover`, or at the top of a word of 15, 16, 31 or 32 bits that it
    was near; else it was set back to 0 and has counted from there."""
    if value >= last:
        return value - last
    tops = (rollover,) if rollover else _TOPS
    for top in tops:
        if last < top and (rollover or (last >= top * (1 - _NEAR) and value < top * _NEAR)):
            return value + top - last
    return max(value, 0.0)
