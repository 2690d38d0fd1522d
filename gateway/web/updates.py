"""Fan-out of the engine's updates to those who watch: marks per tag instead of queues of values, so a slow client costs nothing.

Each tag carries the sequence number of the update that last reported it. What a client has not seen yet is `changed(ids, since)`:
the newest value of each tag, however long the client was busy. Nothing is queued per client and per value.
"""

from collections.abc import Callable

import numpy as np

from gateway.model.batch import TagIds, Times
from gateway.model.update import TwinUpdate

Listener = Callable[[TwinUpdate], None]


class Updates:
    """publish() is called once per engine step, in the engine's own call: O(rows of the update), nothing at all while nobody listens."""

    def __init__(self) -> None:
        self.seq = 0
        self.now_ns = 0  # engine time of the newest update
        self._changed_at: Times = np.zeros(0, np.int64)
        self._listeners: list[Listener] = []

    def publish(self, update: TwinUpdate) -> None:
        """Mark what this update reports (deadband passed or status changed) and wake who listens."""
        self.now_ns = update.now_ns
        if not self._listeners:
            return
        self.seq += 1
        tag_id = update.rows.tag_id[update.reported]
        if tag_id.size:
            self._reach(int(tag_id.max()) + 1)
            self._changed_at[tag_id] = self.seq
        if tag_id.size or update.transitions:
            for listener in tuple(self._listeners):
                listener(update)

    def changed(self, tag_id: TagIds, since: int) -> TagIds:
        """Those of the given tags that were reported after that sequence number, in the given order."""
        if tag_id.size:
            self._reach(int(tag_id.max()) + 1)
        return tag_id[self._changed_at[tag_id] > since]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call listener with each update that reports a value or a transition; what comes back ends it (idempotent)."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _reach(self, size: int) -> None:
        if size > self._changed_at.size:
            grown = np.zeros(max(size, 2 * self._changed_at.size), np.int64)
            grown[: self._changed_at.size] = self._changed_at
            self._changed_at = grown
