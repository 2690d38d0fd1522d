"""One subscription's state (Part 4, 5.13.1.2, table of state transitions), without sockets and without a clock: who owns it says
when the timer expired.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.wire.opcua.beat import Action

_MOST_LIFETIME: Final = 15_000
_MOST_KEEP_ALIVE: Final = 5_000
_LIFETIME_PER_KEEP_ALIVE: Final = 3  # Part 4, 5.13.2.2: the lifetime is at least three times the keep-alive
_LONGEST_LIFETIME_MS: Final = 3_600_000.0  # what a client that went away may hold is given back within the hour


class State(Enum):
    NORMAL = "normal"
    LATE = "late"
    KEEP_ALIVE = "keep-alive"
    CLOSED = "closed"


@dataclass(slots=True)
class Subscription:
    """The rows' variables by their names in the standard. publishing_bounds_ms is what intervals are revised into."""

    publishing_bounds_ms: tuple[float, float] = (10.0, 3_600_000.0)
    publishing_ms: float = 1000.0
    lifetime_count: int = 30
    keep_alive_count: int = 10
    max_notifications: int = 0
    priority: int = 0
    publishing_enabled: bool = True
    state: State = State.NORMAL
    lifetime_counter: int = 30
    keep_alive_counter: int = 10
    message_sent: bool = False

    @property
    def late(self) -> bool:
        return self.state is State.LATE

    def revise(self, publishing_ms: float, lifetime_count: int, keep_alive_count: int, max_notifications: int, priority: int) -> None:
        """CreateSubscription, and row 18 (ModifySubscription). 0 asks for the server's own choice; what is no number is the shortest."""
        low, high = self.publishing_bounds_ms
        self.publishing_ms = min(max(publishing_ms, low), high) if math.isfinite(publishing_ms) else low
        most = max(min(_MOST_LIFETIME, int(_LONGEST_LIFETIME_MS / self.publishing_ms)), _LIFETIME_PER_KEEP_ALIVE)
        keep_alive = keep_alive_count or max(1, int(10_000 / self.publishing_ms))
        self.keep_alive_count = max(1, min(keep_alive, _MOST_KEEP_ALIVE, most // _LIFETIME_PER_KEEP_ALIVE))
        self.lifetime_count = min(max(lifetime_count, _LIFETIME_PER_KEEP_ALIVE * self.keep_alive_count), most)
        self.max_notifications, self.priority = max_notifications, priority
        self.keep_alive_counter = min(self.keep_alive_counter, self.keep_alive_count)
        self.used()

    def used(self) -> None:
        """Rows 18 to 22: any service of the owner resets the lifetime."""
        self.lifetime_counter = self.lifetime_count

    def timer(self, *, queued: bool, available: bool) -> Action:
        """The publishing timer expired. queued: a Publish request waits; available: notifications do."""
        if self.state is State.CLOSED:
            return Action.WAIT
        notify = self.publishing_enabled and available
        if queued:
            self.used()
        elif self.lifetime_counter <= 1:  # row 27
            self.state = State.CLOSED
            return Action.CLOSE
        else:
            self.lifetime_counter -= 1
        if self.state is State.NORMAL:
            return self._normal(queued=queued, notify=notify)
        if self.state is State.KEEP_ALIVE:
            return self._keep_alive(queued=queued, notify=notify)
        return Action.WAIT  # row 12: LATE stays late until a request comes

    def quiet(self) -> int:
        """How many expirations of the timer from now on only count (rows 9 and 16), while a request waits and no notification does."""
        if self.state is State.KEEP_ALIVE:
            return self.keep_alive_counter - 1
        return self.keep_alive_count if self.state is State.NORMAL and self.message_sent else 0

    def rested(self, times: int) -> None:
        """So many of those are over."""
        self.used()
        if self.state is State.NORMAL:
            self.state, self.keep_alive_counter, times = State.KEEP_ALIVE, self.keep_alive_count, times - 1
        self.keep_alive_counter -= times

    def publish(self, *, available: bool) -> Action:
        """A Publish request came and this subscription, being late, is the one to answer it."""
        self.used()
        if self.state is not State.LATE:  # rows 4, 13: the request is queued
            return Action.WAIT
        self.message_sent = True
        if self.publishing_enabled and available:  # row 10
            self.state = State.NORMAL
            return Action.NOTIFY
        self.state, self.keep_alive_counter = State.KEEP_ALIVE, self.keep_alive_count  # row 11
        return Action.KEEP_ALIVE

    def _normal(self, *, queued: bool, notify: bool) -> Action:
        if queued and notify:  # row 6
            self.message_sent = True
            return Action.NOTIFY
        if queued and not self.message_sent:  # row 7: the first message says that the subscription is alive
            self.message_sent = True
            return Action.KEEP_ALIVE
        if not queued and (notify or not self.message_sent):  # row 8
            self.state = State.LATE
            return Action.WAIT
        self.state, self.keep_alive_counter = State.KEEP_ALIVE, self.keep_alive_count  # row 9
        return Action.WAIT

    def _keep_alive(self, *, queued: bool, notify: bool) -> Action:
        if notify and queued:  # row 14
            self.state, self.message_sent = State.NORMAL, True
            return Action.NOTIFY
        if not queued and (notify or self.keep_alive_counter == 1):  # row 17
            self.state = State.LATE
            return Action.WAIT
        if self.keep_alive_counter > 1:  # row 16
            self.keep_alive_counter -= 1
            return Action.WAIT
        self.keep_alive_counter = self.keep_alive_count  # row 15
        return Action.KEEP_ALIVE
