"""A source's clock that was set back: its samples are not newer than the newest one, but keep an order of their own.

A backlog and messages that overtake each other look the same for a while, and go to history; what lasts longer restarts the order.
"""

from typing import Final

import numpy as np

from gateway.engine.where import NEVER
from gateway.model.batch import Mask, Rows, Times

PATIENCE_NS: Final = 10_000_000_000


class Strays:
    """Per tag, the series of late samples that runs: each newer than the one before, all older than the newest one of the twin.

    since_ns  int64[n]  engine time of its first sample; NEVER without one
    last_ns   int64[n]  source time of its latest
    gate_ns   int64[n]  the twin's gate that it is behind: a newer sample moves that one, and so ends the series at no cost
    """

    def __init__(self, size: int) -> None:
        self.since_ns: Times = np.full(size, NEVER, np.int64)
        self.last_ns: Times = np.zeros(size, np.int64)
        self.gate_ns: Times = np.zeros(size, np.int64)

    def weigh(self, rows: Rows, source_ns: Times, gate_ns: Times, now_ns: int) -> Mask:
        """k samples not newer than their tag's gate, each tag once: which of them restart the order. One at the gate says nothing."""
        last, since = self.last_ns[rows], self.since_ns[rows]
        behind = source_ns < gate_ns
        goes_on = behind & (since != NEVER) & (self.gate_ns[rows] == gate_ns) & (source_ns >= last)
        restart: Mask = goes_on & (source_ns > last) & (since <= now_ns - PATIENCE_NS)
        begin = rows[behind & ~goes_on]
        self.since_ns[begin], self.gate_ns[begin] = now_ns, gate_ns[behind & ~goes_on]
        self.last_ns[rows[behind]] = source_ns[behind]
        self.since_ns[rows[restart]] = NEVER
        return restart

    def forget(self, rows: Rows) -> None:
        """The order of these rows is learned anew by other means."""
        self.since_ns[rows] = NEVER

    def running(self, gate_ns: Times) -> Mask:
        """Which rows have a series that counts; gate_ns: the twin's column."""
        found: Mask = (self.since_ns != NEVER) & (self.gate_ns == gate_ns)
        return found
