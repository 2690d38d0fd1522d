"""Events out of the journal, in the order and number that a client asks for (Part 11, 6.5.2), page by page."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.contracts import EventView
from gateway.model.event import Event
from gateway.sinks.opcua.raw import Walk, begin
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.past import EventsQuery, RawQuery

_BATCH: Final = 500
SCANNED: Final = 20_000  # events that one answer looks at; it ends early and goes on from there


@dataclass(frozen=True, slots=True)
class EventCursor:
    """Where the next page begins: `sent` names the events at edge_ns that have been looked at already."""

    walk: Walk
    edge_ns: int
    sent: frozenset[str] = frozenset()

    def beyond(self, event: Event) -> "EventCursor":
        same = event.timestamp_ns == self.edge_ns
        return replace(self, edge_ns=event.timestamp_ns, sent=(self.sent if same else frozenset()) | {event.event_id})


async def read_events(
    journal: EventView,
    occurrence: Callable[[Event], Occurrence | None],
    query: EventsQuery,
    rest: EventCursor | None,
    most: int,
    wanted: Callable[[Occurrence], bool],
) -> tuple[list[Occurrence], EventCursor | None]:
    """Up to `most` that are wanted, and where to go on. Raises HistoryRefused where fewer than two of start, end and number are given."""
    if rest is None:
        first = begin(RawQuery(query.start_ns, query.end_ns, query.most, bounds=False))
        if query.start_ns == query.end_ns:
            return [], None
        rest = EventCursor(first.walk, first.edge_ns)
    left = rest.walk.left
    room = min(most, query.most or most, left or most)
    found, at = await _walked(journal, occurrence, rest, room, wanted)
    if at is None or left is None:
        return found, at
    return found, None if left <= len(found) else replace(at, walk=replace(at.walk, left=left - len(found)))


async def _walked(
    journal: EventView,
    occurrence: Callable[[Event], Occurrence | None],
    at: EventCursor,
    room: int,
    wanted: Callable[[Occurrence], bool],
) -> tuple[list[Occurrence], EventCursor | None]:
    found: list[Occurrence] = []
    scanned = 0
    while scanned < SCANNED:
        batch = await _batch(journal, at)
        fresh = [event for event in batch if event.timestamp_ns != at.edge_ns or event.event_id not in at.sent]
        if not fresh:
            return found, None
        for event in fresh:
            if len(found) == room:
                return found, at
            at = at.beyond(event)
            shown = occurrence(event)
            if shown is not None and wanted(shown):
                found.append(shown)
        scanned += len(fresh)
    return found, at


async def _batch(journal: EventView, at: EventCursor) -> list[Event]:
    walk, limit = at.walk, _BATCH + len(at.sent)
    if walk.backward:
        return await journal.query(start_ns=walk.low, end_ns=max(at.edge_ns + 1, walk.low), limit=limit)
    return await journal.query(start_ns=at.edge_ns, end_ns=walk.high, limit=limit, oldest_first=True)
