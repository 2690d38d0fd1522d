"""What a forecast wants to know of one machine of the recursion, and of the buffer before it, lane by lane."""

import numpy as np
from numpy.typing import NDArray

from gateway.model.line import MachineStart, MachineState
from gateway.simulation.line.bottleneck import Period
from gateway.simulation.line.courses import TIE_S, Ask
from gateway.simulation.line.lanes import Array, Block, Counts, Places, Room

Mask = NDArray[np.bool_]


class Watch:
    """starved_s, blocked_s: until the next long wait; empty_s, full_s: of the buffer; periods: the long active periods of each lane."""

    def __init__(self, name: str, start: MachineStart, active_s: float, level: int, room: int | None, lanes: int, ask: Ask) -> None:
        self.name, self._ask, self._lanes = name, ask, np.arange(lanes)
        self.starved_s, self.blocked_s = np.full(lanes, np.inf), np.full(lanes, np.inf)
        self.empty_s = np.full(lanes, np.inf if level else 0.0)
        self.full_s = np.full(lanes, 0.0 if level == room else np.inf)
        self.periods: list[list[Period]] = [[] for _ in range(lanes)]
        waits = start.state == MachineState.STARVED
        idle = waits or start.state == MachineState.BLOCKED or start.state in {MachineState.BREAK, MachineState.IDLE}
        self._gone = np.full(lanes, -start.elapsed_s if waits else 0.0)  # since when it could take another part
        self._blocked_before_s = start.elapsed_s if start.state == MachineState.BLOCKED else 0.0
        self._up = np.full(lanes, np.inf if idle else -active_s)  # since when it is active
        self._done = np.full(lanes, -1.0 if idle else 0.0)  # when it last was
        self._taken = np.zeros(lanes)

    def parts(self, block: Block, got: Array, room: Room | None, later: Array | None) -> None:
        """Parts were taken out of the buffer. later: what Room.free_since said of the parts after each of them, before they were."""
        here = np.arange(len(got))[:, None] < block.counts
        before = np.concatenate([self._taken[None], got[:-1]])
        self.empty_s = np.minimum(self.empty_s, np.where(here & (block.at_s > before), before, np.inf).min(axis=0))
        self._taken = np.where(block.counts > 0, got[block.counts - 1, self._lanes], self._taken)
        if room is None or later is None:
            return
        last, someone = block.counts - 1, block.counts > 0
        later[last[someone], self._lanes[someone]] = room.free_since(None, 1)[0][someone]
        self.full_s = np.minimum(self.full_s, np.where(here & (later > block.at_s), block.at_s, np.inf).min(axis=0))

    def cycles(self, got: Array, end: Array, gone: Array, counts: Counts) -> None:
        """Cycles: when the last part of each was taken, when it ended, and when the machine was free of it; (cycles, lanes)."""
        if not len(got):
            return
        horizon, at_least = self._ask.horizon_s, self._ask.at_least_s
        here = np.arange(len(got))[:, None] < counts
        since = np.concatenate([self._gone[None], gone[:-1]])
        self.starved_s = np.minimum(self.starved_s, _first(since, np.minimum(got, horizon), here, at_least))
        ended = end
        if self._blocked_before_s:
            ended, self._blocked_before_s = end - self._blocked_before_s, 0.0
        self.blocked_s = np.minimum(self.blocked_s, _first(ended, np.minimum(gone, horizon), here, at_least))
        some, last = counts > 0, counts - 1
        self._gone = np.where(some, gone[last, self._lanes], self._gone)
        self._gaps(got, end, here)
        self._done = np.where(some, end[last, self._lanes], self._done)

    def _gaps(self, got: Array, end: Array, here: Mask) -> None:
        """Each wait ends one active period, and begins another."""
        done = np.concatenate([self._done[None], end[:-1]])
        lanes, rows = np.nonzero((here & (got - done > TIE_S)).T)
        if not lanes.size:
            return
        begins, ends = got[rows, lanes], done[rows, lanes]
        first = np.r_[True, lanes[1:] != lanes[:-1]]
        since = np.where(first, self._up[lanes], np.r_[0.0, begins[:-1]])
        final = np.r_[first[1:], True]
        self._up[lanes[final]] = begins[final]
        self._keep(lanes, since, ends)

    def _keep(self, lanes: Places, begins: Array, ends: Array) -> None:
        ends = np.minimum(ends, self._ask.horizon_s)
        for place in np.flatnonzero((ends - begins >= self._ask.at_least_s) & (ends > 0)).tolist():
            self.periods[lanes[place]].append((float(begins[place]), float(ends[place])))

    def close(self, free: Array) -> None:
        """What lasts until the horizon."""
        horizon = self._ask.horizon_s
        self._keep(self._lanes, self._up, self._done)
        self.starved_s = np.minimum(
            self.starved_s, _first(self._gone[None], np.full((1, len(free)), horizon), np.True_, self._ask.at_least_s)
        )
        self.empty_s = np.minimum(self.empty_s, self._taken)
        for found in (self.starved_s, self.blocked_s, self.empty_s, self.full_s):
            found[found >= horizon] = np.inf


def _first(begin: Array, end: Array, here: Mask | np.bool_, at_least: float) -> Array:
    """When the first wait of at least that length begins, 0 for one that lasts already; by lane."""
    long = here & (end - begin >= at_least) & (end > 0)
    found: Array = np.where(long, np.maximum(begin, 0.0), np.inf).min(axis=0)
    return found
