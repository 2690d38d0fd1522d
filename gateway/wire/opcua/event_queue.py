"""The queue of one event item (Part 4, 5.12.1.5), without clock and without sockets.

A queue that overflows gives up its oldest or its newest event and holds, besides what its size allows, an event that says so: at its
beginning where the oldest are given up, else at its end.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.wire.opcua import limits


@dataclass(slots=True)
class Budget:
    """Bytes that all event queues of the server may still fill."""

    left: int = limits.EVENT_QUEUES_BYTES


class EventQueue:
    """Encoded events, oldest first. overflow() makes the encoded EventQueueOverflowEventType event."""

    def __init__(self, size: int, *, discard_oldest: bool, overflow: Callable[[], bytes], budget: Budget) -> None:
        self.size, self.discard_oldest = size, discard_oldest
        self._overflow, self._budget = overflow, budget
        self._entries: deque[tuple[bytes, bool]] = deque()  # with whether it is the overflow event
        self._events = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def room(self) -> int:
        """How many events fit before one must go."""
        return max(0, self.size - self._events)

    def push(self, event: bytes) -> bool:
        """One more event; whether one was given up for it."""
        if self._events < self.size and len(event) <= self._budget.left:
            self._append(event)
            return False
        if self.discard_oldest:
            self._give_up_oldest(len(event))
        else:
            self._give_up_newest()
        if len(event) <= self._budget.left:
            marker = None if self.discard_oldest or not self._entries or not self._entries[-1][1] else self._entries.pop()
            self._append(event)
            if marker is not None:
                self._entries.append(marker)
        self._mark()
        return True

    def take(self) -> bytes:
        """The next to be reported. IndexError where there is none."""
        entry, marker = self._entries.popleft()
        self._budget.left += len(entry)
        self._events -= not marker
        return entry

    def resize(self, size: int, *, discard_oldest: bool) -> bool:
        """Another size or policy; whether events were given up for it."""
        self.size, self.discard_oldest = size, discard_oldest
        if self._events <= size:
            return False
        while self._events > size:
            self._drop(0 if discard_oldest else -1)
        self._mark()
        return True

    def clear(self) -> None:
        while self._entries:
            self.take()

    def _append(self, event: bytes) -> None:
        self._entries.append((event, False))
        self._events += 1
        self._budget.left -= len(event)

    def _give_up_oldest(self, wanted: int) -> None:
        """One at least, and as many as the bytes of the new one ask for."""
        while self._events and (self._events >= self.size or wanted > self._budget.left):
            self._drop(0)

    def _give_up_newest(self) -> None:
        if self._events:
            self._drop(-1)

    def _drop(self, end: int) -> None:
        """The first or last event, whatever stands before or behind it."""
        step = 1 if end == 0 else -1
        place = end
        while self._entries[place][1]:
            place += step
        self._budget.left += len(self._entries[place][0])
        del self._entries[place]
        self._events -= 1

    def _mark(self) -> None:
        """One overflow event at the right end."""
        end = 0 if self.discard_oldest else -1
        if self._entries and self._entries[end][1]:
            return
        entry = self._overflow()
        self._budget.left -= len(entry)
        if self.discard_oldest:
            self._entries.appendleft((entry, True))
        else:
            self._entries.append((entry, True))
