"""Event MonitoredItems (Part 4, 5.12 and 7.22.3): who listens where, with which filter, and what waits for it to be published."""

import asyncio
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.ua.uaprotocol_auto import EventFilter as AskedFilter  # what the decoder makes

from gateway.wire.opcua import limits
from gateway.wire.opcua.contents import key_of
from gateway.wire.opcua.event_fields import Fields
from gateway.wire.opcua.event_filter import EventFilter, compile_filter
from gateway.wire.opcua.event_queue import Budget, EventQueue
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.face import Face, Key, Mode
from gateway.wire.opcua.nodes import Nodes
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.refresh import Refresh
from gateway.wire.opcua.server_events import EVENT_QUEUE_OVERFLOW_EVENT_TYPE, SERVER, server_event
from gateway.wire.opcua.terms import status_code

_EVENT_NOTIFIER: Final = ua.AttributeIds.EventNotifier
_SUBSCRIBE_TO_EVENTS: Final = 1  # Part 3, 8.59 (EventNotifierType)
_HANDLE: Final = struct.Struct("<I")
_BODY_HEAD: Final = b"\x01\x00" + struct.pack("<HB", ua.ObjectIds.EventNotificationList_Encoding_DefaultBinary, 1)


@dataclass(slots=True, eq=False)
class EventItem:
    """One item on one notifier."""

    notifier: Key
    handle: int
    filter: EventFilter
    mode: Mode
    queue: EventQueue
    lost: Callable[[], None]
    above: Callable[[Fields], Collection[Key]]
    free: int = 0  # how many of the oldest another item has let go (Part 4, 5.12.1.6)

    def tell(self, event: Fields, *, always: bool = False) -> bool:
        """Queue the event if the item listens above its source and its filter lets it through; always: whatever they say. Whether it was
        queued.
        """
        if self.mode is Mode.DISABLED or not (always or (self._hears(event) and self.filter.passes(event))):
            return False
        if self.queue.push(self.filter.encoded(event)):
            self.lost()
        return True

    def _hears(self, event: Fields) -> bool:
        return self.notifier == SERVER or self.notifier in self.above(event)

    def spare(self) -> int:
        """Half of its queue is for what happens during a refresh; an item that does not report loses what it must."""
        return self.queue.room - self.queue.size // 2 if self.mode is Mode.REPORTING else 1

    def due(self) -> int:
        """How many may be reported."""
        return len(self.queue) if self.mode is Mode.REPORTING else min(self.free, len(self.queue))


class EventHub:
    """All event items of the server. types: the tree of EventTypes, for other rooms too."""

    def __init__(self, face: Face, nodes: Nodes) -> None:
        self.face, self.nodes = face, nodes
        self.types = EventTypes(nodes.standard, face.event_types())
        self.budget = Budget()
        self.work = 0  # of all where clauses, for each event
        self._listening: dict[EventItems, None] = {}
        self._refreshing: dict[EventItems, None] = {}  # whose turn it is
        self._pending: asyncio.Handle | None = None

    @property
    def listened_to(self) -> bool:
        return bool(self._listening)

    def occur(self, occurrences: Iterable[Occurrence]) -> None:
        """To every item that it concerns. Costs nothing where nobody listens."""
        if not self._listening:
            return
        for occurrence in occurrences:
            event = Fields(occurrence)
            for items in tuple(self._listening):
                items.tell(event)

    def above(self, event: Fields) -> Collection[Key]:
        """The notifiers that report the event, the Server apart."""
        if event.notifiers is None:
            event.notifiers = self.face.space.notifiers(event.source)
        return event.notifiers

    def listens(self, items: "EventItems", *, yes: bool) -> None:
        if yes:
            self._listening[items] = None
        else:
            self._listening.pop(items, None)

    def refresh_soon(self, items: "EventItems") -> None:
        """Its refresh goes on when its turn comes: one piece of all refreshes, then the loop's other work."""
        self._refreshing[items] = None
        if self._pending is None:
            self._pending = asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._pending = None
        if not self._refreshing:
            return
        items = next(iter(self._refreshing))
        del self._refreshing[items]
        if items.go_on():
            self._refreshing[items] = None
        if self._refreshing:
            self._pending = asyncio.get_running_loop().call_soon(self._go_on)


@dataclass(slots=True, eq=False)
class EventItems:
    """The event items of one subscription. may: whether its user has that permission; fired: these items have queued something;
    counts: for its diagnostics.
    """

    hub: EventHub
    may: Callable[[str], bool]
    fired: Callable[[list[int]], None]
    counts: dict[str, int]
    _items: dict[int, EventItem] = field(default_factory=dict)
    _work: int = 0  # of all where clauses, for each event
    _refresh: Refresh = field(default_factory=Refresh)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: int) -> bool:
        return item_id in self._items

    def handles(self) -> Iterator[tuple[int, int]]:
        """The client's handle of each item, by the item's identifier."""
        yield from ((item_id, item.handle) for item_id, item in self._items.items())

    # --- services ---

    def create(self, item_id: int, wanted: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        """Part 4, 5.12.2."""
        asked, nodeid = wanted.RequestedParameters, wanted.ItemToMonitor.NodeId
        unfit = self._unfit(nodeid)
        if unfit or not isinstance(asked.Filter, AskedFilter):
            return ua.MonitoredItemCreateResult(status_code(unfit or ua.StatusCodes.BadEventFilterInvalid))
        if len(self._items) >= limits.EVENT_ITEMS_PER_SUBSCRIPTION:
            return ua.MonitoredItemCreateResult(status_code(ua.StatusCodes.BadTooManyMonitoredItems))
        compiled = compile_filter(asked.Filter, self.hub.types)
        if compiled.status:
            return ua.MonitoredItemCreateResult(status_code(compiled.status), FilterResult=_shown(compiled.result))
        if not self._takes(compiled.filter, None):
            return ua.MonitoredItemCreateResult(status_code(ua.StatusCodes.BadTooManyMonitoredItems))
        notifier, size = key_of(nodeid), _revised(asked.QueueSize)
        assert notifier is not None
        queue = EventQueue(size, discard_oldest=bool(asked.DiscardOldest), overflow=lambda: self._overflow(item_id), budget=self.hub.budget)
        self._items[item_id] = EventItem(
            notifier,
            asked.ClientHandle,
            compiled.filter,
            Mode(int(wanted.MonitoringMode)),
            queue,
            lost=self._lost,
            above=self.hub.above,
        )
        self.hub.listens(self, yes=True)
        return ua.MonitoredItemCreateResult(
            MonitoredItemId=item_id, RevisedSamplingInterval=0.0, RevisedQueueSize=size, FilterResult=_shown(compiled.result)
        )

    def modify(self, item_id: int, asked: ua.MonitoringParameters) -> ua.MonitoredItemModifyResult:
        """Part 4, 5.12.3: what is queued already stays as it is."""
        item = self._items[item_id]
        if not isinstance(asked.Filter, AskedFilter):
            return ua.MonitoredItemModifyResult(status_code(ua.StatusCodes.BadEventFilterInvalid))
        compiled = compile_filter(asked.Filter, self.hub.types)
        if compiled.status:
            return ua.MonitoredItemModifyResult(status_code(compiled.status), FilterResult=_shown(compiled.result))
        if not self._takes(compiled.filter, item.filter):
            return ua.MonitoredItemModifyResult(status_code(ua.StatusCodes.BadTooManyMonitoredItems))
        item.handle, item.filter = asked.ClientHandle, compiled.filter
        if item.queue.resize(_revised(asked.QueueSize), discard_oldest=bool(asked.DiscardOldest)):
            self._lost()
        return ua.MonitoredItemModifyResult(ua.StatusCode(), 0.0, item.queue.size, _shown(compiled.result))

    def set_mode(self, item_id: int, mode: Mode) -> None:
        """Part 4, 5.12.4: a disabled item forgets what it had queued."""
        item = self._items[item_id]
        item.mode, item.free = mode, 0
        if mode is Mode.DISABLED:
            item.queue.clear()

    def delete(self, item_id: int) -> None:
        item = self._items.pop(item_id)
        item.queue.clear()
        self._work -= item.filter.where.work
        self.hub.work -= item.filter.where.work
        self._refresh.forget(item)
        if self._refresh.under_way:
            self.hub.refresh_soon(self)  # it may have waited for this one
        self.hub.listens(self, yes=bool(self._items))

    def close(self) -> None:
        for item_id in tuple(self._items):
            self.delete(item_id)

    def let_go(self, item_ids: Collection[int]) -> None:
        """What these items have only sampled so far is reported with the next message."""
        for item_id in item_ids:
            item = self._items.get(item_id)
            if item is not None and item.mode is Mode.SAMPLING:
                item.free = len(item.queue)

    def _takes(self, comes: EventFilter, goes: EventFilter | None) -> bool:
        """Whether there is still room for the work of a filter, in the place of another; it is counted then."""
        more = comes.where.work - (goes.where.work if goes is not None else 0)
        own, every = limits.FILTER_WORK
        if more > 0 and (self._work + more > own or self.hub.work + more > every):
            return False
        self._work += more
        self.hub.work += more
        return True

    def _unfit(self, nodeid: ua.NodeId) -> int:
        """Why nobody can listen at that node; 0 = one can."""
        held = self.hub.nodes.read(nodeid, _EVENT_NOTIFIER)
        status = 0 if held.StatusCode is None else int(held.StatusCode.value)
        notifier: Any = None if status or held.Value is None else held.Value.Value
        if status or notifier is None:
            return status or ua.StatusCodes.BadAttributeIdInvalid
        return 0 if notifier & _SUBSCRIBE_TO_EVENTS and key_of(nodeid) is not None else ua.StatusCodes.BadNotSupported

    # --- events ---

    def tell(self, event: Fields) -> None:
        """A live event."""
        if event.permission and not self.may(event.permission):
            return
        self._refresh.changed(event)
        queued = [item_id for item_id, item in self._items.items() if item.tell(event)]
        if queued:
            self.fired(queued)

    def refresh(self, item_id: int | None) -> int:
        """ConditionRefresh, or ConditionRefresh2 for one item: Good, BadMonitoredItemIdInvalid or BadRefreshInProgress."""
        if item_id is not None and item_id not in self._items:
            return ua.StatusCodes.BadMonitoredItemIdInvalid
        targets = self._items.values() if item_id is None else [self._items[item_id]]
        face = self.hub.face
        status = self._refresh.begin(targets, face.retained(), face.now_ns())
        if not status:
            self.hub.refresh_soon(self)
        return status

    def go_on(self) -> bool:
        """The refresh's next piece; whether there is room for another."""
        more = self._refresh.go_on(self.hub.face.now_ns())
        self.fired(list(self._items))
        return more

    def ready(self) -> bool:
        """Whether anything waits to be reported."""
        return any(item.due() for item in self._items.values())

    def take(self, most: int, room_bytes: int) -> bytes:
        """The NotificationData of at most that many events: an encoded EventNotificationList. One event always fits."""
        parts: list[bytes] = []
        count, most = 0, min(most, limits.EVENTS_PER_NOTIFICATION)
        for item_id in tuple(self._items):
            item = self._items[item_id]
            while item.due() and count < most and (room_bytes > 0 or not count):
                entry = item.queue.take()
                item.free = max(0, item.free - 1)
                parts += (_HANDLE.pack(item.handle), entry)
                room_bytes -= len(entry) + _HANDLE.size
                count += 1
            if item.due():
                self._items[item_id] = self._items.pop(item_id)  # the others come first next time
                break
        if self._refresh.under_way:
            self.hub.refresh_soon(self)
        self.counts["event"] += count
        body = struct.pack("<i", count) + b"".join(parts)
        return _BODY_HEAD + struct.pack("<i", len(body)) + body

    def _lost(self) -> None:
        self.counts["event_overflow"] += 1
        self.hub.face.count("event_queue_overflows")

    def _overflow(self, item_id: int) -> bytes:
        event = Fields(server_event(EVENT_QUEUE_OVERFLOW_EVENT_TYPE, self.hub.face.now_ns()))
        return self._items[item_id].filter.encoded(event)


def _revised(asked: int) -> int:
    """Part 4, 7.21 (queueSize): 0 asks for the server's choice, 1 for the least, the greatest number for the most."""
    least, chosen, most = limits.EVENT_QUEUE
    return chosen if asked == 0 else int(min(max(asked, least), most))


def _shown(result: ua.EventFilterResult | None) -> Any:
    """A filterResult; the null ExtensionObject where nothing is wrong."""
    return ua.ExtensionObject() if result is None else result
