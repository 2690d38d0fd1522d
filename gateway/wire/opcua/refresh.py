"""ConditionRefresh of one subscription (Part 9, 5.5.7 and 5.5.8): RefreshStart, the conditions that are of interest, RefreshEnd.

The conditions are taken in pieces, as fast as the queues of the items have room for them, so that neither their number nor a client that
asks again and again holds up anybody else. A condition that changed in the meantime has been reported anew, and is not told of as it was.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from gateway.wire.opcua import limits
from gateway.wire.opcua.event_fields import Fields
from gateway.wire.opcua.face import Key
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.server_events import REFRESH_END_EVENT_TYPE, REFRESH_START_EVENT_TYPE, server_event

_GOOD: Final = 0
_IN_PROGRESS: Final = 0x8097_0000  # BadRefreshInProgress
_CONDITION_ID: Final = ()


class Target(Protocol):
    """An item that is refreshed."""

    def spare(self) -> int:
        """How many events it takes without one being lost; it keeps room for what happens meanwhile."""

    def tell(self, event: Fields, *, always: bool = False) -> bool:
        """Queue the event if it concerns this item; always: whatever its filter says. Whether it was queued."""


class Refresh:
    """What is under way, and how often it has been asked for."""

    def __init__(self) -> None:
        self._conditions: Iterator[Occurrence] | None = None
        self._targets: list[Target] = []
        self._changed: set[Key] = set()
        self._credit = float(limits.REFRESHES_IN_A_ROW)
        self._asked_ns = 0

    @property
    def under_way(self) -> bool:
        return self._conditions is not None

    def begin(self, targets: Iterable[Target], conditions: Iterable[Occurrence], now_ns: int) -> int:
        """Good, or BadRefreshInProgress: one is under way, or there have been too many."""
        self._credit += max(0, now_ns - self._asked_ns) / 1e9 / limits.REFRESH_EVERY_S
        self._credit, self._asked_ns = min(self._credit, limits.REFRESHES_IN_A_ROW), now_ns
        if self.under_way or self._credit < 1.0:
            return _IN_PROGRESS
        self._credit -= 1.0
        self._targets, self._conditions = list(targets), iter(conditions)
        self._changed.clear()
        self._tell_all(Fields(server_event(REFRESH_START_EVENT_TYPE, now_ns)))
        return _GOOD

    def changed(self, event: Fields) -> None:
        """A condition has been reported live."""
        if self._conditions is not None and (condition := _condition(event)) is not None:
            self._changed.add(condition)

    def forget(self, target: Target) -> None:
        """The item is no more."""
        if target in self._targets:
            self._targets.remove(target)

    def go_on(self, now_ns: int) -> bool:
        """One piece more; whether there is room for another at once."""
        if self._conditions is None:
            return False
        for _ in range(limits.REFRESH_CHUNK):
            if min((target.spare() for target in self._targets), default=1) < 1:
                return False
            found = next(self._conditions, None) if self._targets else None
            if found is None:
                self._tell_all(Fields(server_event(REFRESH_END_EVENT_TYPE, now_ns)))
                self._conditions, self._targets = None, []
                return False
            event = Fields(found)
            if _condition(event) not in self._changed:
                for target in self._targets:
                    target.tell(event)
        return True

    def _tell_all(self, event: Fields) -> None:
        for target in self._targets:
            target.tell(event, always=True)


def _condition(event: Fields) -> Key | None:
    reading = event.reading(_CONDITION_ID)
    content = None if reading is None else reading.content
    return content if isinstance(content, int | str) else None
