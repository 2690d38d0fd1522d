"""The publishing timer of a subscription (Part 4, 5.13.1): a grid of expirations. Those that could only count are slept through, and
counted afterwards.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from math import floor
from typing import Protocol


class Action(IntEnum):
    """What the owner of a subscription has to do next."""

    WAIT = 0
    NOTIFY = 1
    KEEP_ALIVE = 2
    CLOSE = 3


class Machine(Protocol):
    """The state of one subscription (Part 4, 5.13.1.2). It holds no clock: the caller says when the publishing timer expired."""

    publishing_enabled: bool
    publishing_ms: float
    lifetime_count: int
    keep_alive_count: int
    max_notifications: int
    priority: int
    lifetime_counter: int
    keep_alive_counter: int

    @property
    def late(self) -> bool: ...

    def timer(self, *, queued: bool, available: bool) -> Action: ...
    def publish(self, *, available: bool) -> Action: ...
    def used(self) -> None:
        """A service of the client concerned this subscription: its lifetime starts anew."""

    def revise(self, publishing_ms: float, lifetime_count: int, keep_alive_count: int, max_notifications: int, priority: int) -> None:
        """Takes what a client asks for and sets what it gets."""

    def quiet(self) -> int:
        """How many expirations from now on only count, as long as a Publish request waits and no notification does."""

    def rested(self, times: int) -> None:
        """So many of those are over: as if timer() had been called for each."""


class Beat:
    """One timer. expired() is called on the loop at each expiration that may have something to do."""

    def __init__(self, machine: Machine, expired: Callable[[], None]) -> None:
        self._machine, self._expired = machine, expired
        self._timer: asyncio.Handle | None = None
        self._period = self._next = 0.0  # seconds; the next expiration, whether slept through or not
        self._asleep = 0  # how many expirations are slept through

    @property
    def running(self) -> bool:
        return self._timer is not None

    def start(self) -> None:
        """The first expiration is at once."""
        loop = asyncio.get_running_loop()
        self._next = loop.time()
        self._timer = loop.call_soon(self._ring)

    def stop(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._asleep = None, 0

    def restart(self) -> None:
        """The interval has changed: the next expiration is one of the new ones from now."""
        if self._timer is not None:
            self._timer.cancel()
            self._next = asyncio.get_running_loop().time()
            self.go_on(0.0)

    def go_on(self, rest_s: float) -> None:
        """Wait for the next expiration. For rest_s seconds from now nothing is to be expected but by wake()."""
        loop = asyncio.get_running_loop()
        self._period = period = self._machine.publishing_ms / 1000.0
        self._next = max(self._next + period, loop.time())  # a late timer is not made up for by a burst
        self._asleep = int(min(self._machine.quiet(), rest_s / period)) if rest_s > period else 0
        self._timer = loop.call_at(self._next + self._asleep * period, self._ring)

    def wake(self) -> None:
        """Something is to be reported, or may be: the next expiration is not slept through."""
        if not self._asleep or self._timer is None:
            return
        loop = asyncio.get_running_loop()
        self._count(min(self._asleep, max(0, floor((loop.time() - self._next) / self._period) + 1)))
        self._asleep = 0
        self._timer.cancel()
        self._timer = loop.call_at(self._next, self._ring)

    def _count(self, over: int) -> None:
        if over:
            self._machine.rested(over)
            self._next += over * self._period

    def _ring(self) -> None:
        self._count(self._asleep)
        self._asleep = 0
        self._expired()
