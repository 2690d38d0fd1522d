"""Is a silent tag still, or is its subscription dead? One batched Read tells."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.opcua.plan import Plan
from gateway.wire.opcua.decode import DataChange

Handles = NDArray[np.intp]


class Probe:
    """Per item when something last came and what it was. Only items with a `stale_after` are probed."""

    def __init__(self, plan: Plan) -> None:
        n = len(plan.items)
        self._after_ns = plan.probe_ns
        self.wanted = bool((plan.probe_ns > 0).any())
        self._fresh_ns = np.full(n, time.monotonic_ns(), np.int64)  # a notification or a Read
        self._notified_ns = np.zeros(n, np.int64)
        self._value = np.full(n, np.nan)
        self._status = np.zeros(n, np.uint32)
        self._text: dict[int, str] = {}
        self._known = np.zeros(n, np.bool_)
        self._suspect_ns: dict[int, int] = {}  # handle -> when a Read showed what no notification had

    def seen(self, change: DataChange) -> None:
        """A notification came."""
        if not self.wanted:
            return
        handle = change.handle
        self._fresh_ns[handle] = self._notified_ns[handle] = time.monotonic_ns()
        self._value[handle], self._status[handle], self._known[handle] = change.value, change.status, True
        for row, text in change.text.items():
            self._text[int(handle[row])] = text

    def due(self, now_ns: int) -> Handles:
        """Handles that were silent for half their `stale_after`."""
        if not self.wanted:
            return np.empty(0, np.intp)
        return np.flatnonzero((self._after_ns > 0) & (now_ns - self._fresh_ns > self._after_ns))

    def learn(self, read: DataChange, now_ns: int) -> None:
        """What the Read gave. Another value than the last one is suspect: it may also be on its way."""
        for row, handle in enumerate(read.handle.tolist()):
            self._fresh_ns[handle] = now_ns
            if self._known[handle] and not self._same(read, row, handle):
                self._suspect_ns.setdefault(handle, now_ns)

    def _same(self, read: DataChange, row: int, handle: int) -> bool:
        if read.status[row] != self._status[handle] or read.text.get(row) != self._text.get(handle):
            return False
        old, new = self._value[handle], read.value[row]
        return bool(old == new or (np.isnan(old) and np.isnan(new)))

    def dead(self, now_ns: int, patience_ns: int) -> Sequence[int]:
        """Handles whose other value no notification brought within the patience: their subscription is dead. Each is told once."""
        over = [handle for handle, since_ns in self._suspect_ns.items() if now_ns - since_ns > patience_ns]
        dead = [handle for handle in over if self._notified_ns[handle] <= self._suspect_ns[handle]]
        for handle in over:
            del self._suspect_ns[handle]
        return dead
