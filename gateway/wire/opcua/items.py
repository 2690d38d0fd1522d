"""The MonitoredItem service set of one subscription (Part 4, 5.12): translates between the library's records and our columns."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # what the decoder makes; ua's own name is a subclass of this

from gateway.wire.opcua import limits
from gateway.wire.opcua.event_items import EventHub, EventItems
from gateway.wire.opcua.face import Face, Filter, ItemRequest, Items, Mode
from gateway.wire.opcua.nodes import OURS, Nodes
from gateway.wire.opcua.pace import Pace
from gateway.wire.opcua.sampled import Gate, Sampled, gate_of, sampled_ms, sampled_size
from gateway.wire.opcua.terms import status_code
from gateway.wire.opcua.triggers import Triggers

if TYPE_CHECKING:
    from gateway.wire.opcua.publishing import Subscription

_log: Final = logging.getLogger(MonitoredItemService.__module__)
_VALUE: Final = ua.AttributeIds.Value
_EVENTS: Final = ua.AttributeIds.EventNotifier
_EARLY_NS: Final = 5_000_000  # a publishing timer that comes a little early still counts
_BREATH: Final = 500  # items made before the loop's other work has its turn


class MonitoredItems(MonitoredItemService):
    """Tags' values to `Items`, events to `EventItems`, anything else to `Sampled`."""

    isub: "Subscription"

    def __init__(self, isub: "Subscription", aspace: Any, items: Items, face: Face, hub: EventHub) -> None:
        super().__init__(isub, aspace)
        logging.Logger.manager.loggerDict.pop(self.logger.name, None)  # the library makes one for each subscription, for good
        self.logger = _log
        self._items, self._face = items, face
        self._sampled: dict[int, Sampled] = {}
        self._sample_ns = 0  # not before
        self._round: list[int] = []  # items still to be read, the next one last
        self.triggers = Triggers(self._known)
        self.events = EventItems(hub, self._may, self._queued, isub.counts)

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        room = limits.ITEMS_PER_SUBSCRIPTION - self.count()
        stamps, now_ns = int(params.TimestampsToReturn), self._face.now_ns()
        results, pace = [], Pace()
        for wanted in params.ItemsToCreate:
            if pace.due():
                await pace.rest()
            if room <= 0:
                results.append(_refused(ua.StatusCodes.BadTooManyMonitoredItems))
                continue
            result = await self._create(wanted, stamps, now_ns)
            room -= result.StatusCode.is_good()
            results.append(result)
        self._items.sample(now_ns)  # the first value of each is that of its creation
        return results

    async def create_tags(self, wanted: list[tuple[str, int, ItemRequest]], stamps: int) -> list[tuple[int, int, float, int]]:
        """Items on tags' Values, as decoded by hand: status, item id, sampling interval in ms and queue size of each."""
        room = limits.ITEMS_PER_SUBSCRIPTION - self.count()
        now_ns = self._face.now_ns()
        results: list[tuple[int, int, float, int]] = []
        for key, mode, request in wanted:
            tag_id = self._face.space.tag_id(key)
            if tag_id is None or mode not in (0, 1, 2) or room <= len(results):
                results.append((_why_not(tag_id, mode), 0, 0.0, 0))
                continue
            self._monitored_item_counter += 1
            made = self._items.create(self._monitored_item_counter, tag_id, request, Mode(mode), stamps, now_ns)
            results.append((made.status, 0 if made.status else self._monitored_item_counter, made.sampling_ms, made.queue_size))
            if len(results) % _BREATH == 0:
                self._items.sample(now_ns)
                await asyncio.sleep(0)
        self._items.sample(now_ns)
        return results

    async def _create(self, wanted: ua.MonitoredItemCreateRequest, stamps: int, now_ns: int) -> ua.MonitoredItemCreateResult:
        what, asked = wanted.ItemToMonitor, wanted.RequestedParameters
        unfit = _unfit(wanted)
        if unfit:
            return _refused(unfit)
        if what.AttributeId == _EVENTS:
            self._monitored_item_counter += 1
            return self.events.create(self._monitored_item_counter, wanted)
        tag_id = self._tag(what)
        if tag_id is None:
            return self._create_sampled(wanted, stamps)
        self._monitored_item_counter += 1
        made = self._items.create(self._monitored_item_counter, tag_id, _request(asked), Mode(int(wanted.MonitoringMode)), stamps, now_ns)
        if made.status:
            return _refused(made.status)
        return ua.MonitoredItemCreateResult(
            MonitoredItemId=self._monitored_item_counter, RevisedSamplingInterval=made.sampling_ms, RevisedQueueSize=made.queue_size
        )

    def _tag(self, what: ua.ReadValueId) -> int | None:
        nodeid = what.NodeId
        if what.AttributeId != _VALUE or nodeid.NamespaceIndex != OURS or not isinstance(nodeid.Identifier, str):
            return None
        return self._face.space.tag_id(nodeid.Identifier)

    def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[ua.MonitoredItemModifyResult]:
        return [self._modify(wanted, int(params.TimestampsToReturn)) for wanted in params.ItemsToModify]

    def _modify(self, wanted: ua.MonitoredItemModifyRequest, stamps: int) -> ua.MonitoredItemModifyResult:
        asked, item_id = wanted.RequestedParameters, wanted.MonitoredItemId
        if item_id in self._items:
            if not _data_change(asked.Filter):
                return ua.MonitoredItemModifyResult(status_code(ua.StatusCodes.BadMonitoredItemFilterUnsupported))
            made = self._items.modify(item_id, _request(asked), stamps)
            return ua.MonitoredItemModifyResult(status_code(made.status), made.sampling_ms, made.queue_size)
        sampled = self._sampled.get(item_id)
        if sampled is not None:
            gate = self._gate(sampled.nodeid, sampled.attribute, asked.Filter)
            if gate.refused:
                return ua.MonitoredItemModifyResult(status_code(gate.refused))
            sampled.handle, sampled.stamps, sampled.size, sampled.gate = asked.ClientHandle, stamps, sampled_size(asked), gate
            return ua.MonitoredItemModifyResult(ua.StatusCode(), self._sampled_ms(), sampled.size)
        if item_id in self.events:
            return self.events.modify(item_id, asked)
        return ua.MonitoredItemModifyResult(status_code(ua.StatusCodes.BadMonitoredItemIdInvalid))

    async def set_monitoring_mode(self, mode: ua.MonitoringMode, ids: list[int]) -> list[ua.StatusCode]:
        now_ns, wanted = self._face.now_ns(), Mode(int(mode))
        codes, pace = [], Pace()
        for item_id in ids:
            codes.append(status_code(self._set_mode(item_id, wanted, now_ns)))
            if pace.due():
                await pace.rest()
        self._items.sample(now_ns)
        return codes

    def _set_mode(self, item_id: int, mode: Mode, now_ns: int) -> int:
        if item_id in self._items:
            return self._items.set_mode(item_id, mode, now_ns)
        if item_id in self.events:
            self.events.set_mode(item_id, mode)
            return int(ua.StatusCodes.Good)
        sampled = self._sampled.get(item_id)
        if sampled is None:
            return int(ua.StatusCodes.BadMonitoredItemIdInvalid)
        sampled.free = 0
        if mode is Mode.DISABLED:
            sampled.queue.clear()
            sampled.seen = None
        sampled.mode = mode
        return int(ua.StatusCodes.Good)

    def count(self) -> int:
        """How many items there are."""
        return len(self._items) + len(self._sampled) + len(self.events)

    def _known(self, item_id: int) -> bool:
        return item_id in self._items or item_id in self._sampled or item_id in self.events

    def set_triggering(self, triggering: int, add: list[int], remove: list[int]) -> tuple[list[int], list[int]]:
        """Part 4, 5.12.5: StatusCodes of the removed links, then of the added ones. Raises ServiceError BadMonitoredItemIdInvalid."""
        if not self._known(triggering):
            raise ServiceError(ua.StatusCodes.BadMonitoredItemIdInvalid)
        removed = self.triggers.remove(triggering, remove)
        added = self.triggers.add(triggering, add)
        self._items.trigger(self.triggers.triggering, self.fired)
        return removed, added

    def fired(self, item_ids: list[int]) -> None:
        """These items have queued something: what the items linked to them have sampled goes with it."""
        freed = self.triggers.freed_by(item_ids)
        self._items.free(freed)
        self.events.let_go(freed)
        for item_id in freed:
            sampled = self._sampled.get(item_id)
            if sampled is not None and sampled.mode is Mode.SAMPLING:
                sampled.free = len(sampled.queue)

    def _may(self, permission: str) -> bool:
        """Whether who has signed in to the subscription's session has that permission; nobody does where the session is gone."""
        sessions = self.isub._service.iserver.sessions()
        caller = next((session.caller for session in sessions if session.session_id == self.isub.session_id), None)
        return caller is not None and self._face.allowed(caller, permission)

    def _queued(self, item_ids: list[int]) -> None:
        if self.triggers:
            self.fired(item_ids)

    def delete_monitored_items(self, ids: list[int]) -> list[ua.StatusCode]:
        codes = []
        for item_id in ids:
            if item_id in self._items:
                codes.append(status_code(self._items.delete(item_id)))
            elif self._sampled.pop(item_id, None) is not None:
                codes.append(ua.StatusCode())
            elif item_id in self.events:
                self.events.delete(item_id)
                codes.append(ua.StatusCode())
            else:
                codes.append(status_code(ua.StatusCodes.BadMonitoredItemIdInvalid))
        if self.triggers:
            for item_id in ids:
                self.triggers.forget(item_id)
            self._items.trigger(self.triggers.triggering, self.fired)
        return codes

    def delete_all_monitored_items(self) -> None:
        self._sampled.clear()
        self.events.close()

    # --- items on what is no tag ---

    def _create_sampled(self, wanted: ua.MonitoredItemCreateRequest, stamps: int) -> ua.MonitoredItemCreateResult:
        what, asked = wanted.ItemToMonitor, wanted.RequestedParameters
        try:
            attribute = ua.AttributeIds(what.AttributeId)
        except ValueError:
            return _refused(ua.StatusCodes.BadAttributeIdInvalid)
        first = self.aspace.read_attribute_value(what.NodeId, attribute)
        if first.StatusCode is not None and first.StatusCode.value in (
            ua.StatusCodes.BadNodeIdUnknown,
            ua.StatusCodes.BadAttributeIdInvalid,
        ):
            return _refused(first.StatusCode.value)
        if len(self._sampled) >= limits.SAMPLED_PER_SUBSCRIPTION:
            return _refused(ua.StatusCodes.BadTooManyMonitoredItems)
        gate = self._gate(what.NodeId, attribute, asked.Filter)
        if gate.refused:
            return _refused(gate.refused)
        self._monitored_item_counter += 1
        if self._round:
            self._round.append(self._monitored_item_counter)
        size = sampled_size(asked)
        self._sample_ns = 0  # a new item reports with the next message
        self._sampled[self._monitored_item_counter] = Sampled(
            what.NodeId, attribute, asked.ClientHandle, Mode(int(wanted.MonitoringMode)), stamps, size, gate, self._edition(what)
        )
        return ua.MonitoredItemCreateResult(
            MonitoredItemId=self._monitored_item_counter, RevisedSamplingInterval=self._sampled_ms(), RevisedQueueSize=size
        )

    def _edition(self, what: ua.ReadValueId) -> Callable[[], object] | None:
        nodes: Any = self.aspace._nodes
        own = nodes.own(what.NodeId) if what.AttributeId == _VALUE else None
        return None if own is None else own.edition

    def _gate(self, nodeid: ua.NodeId, attribute: ua.AttributeIds, asked: Any) -> Gate:
        """What an item's filter lets through; a deadband is of a Value that is a number, or an array of them (Part 8, 6.2)."""
        if attribute != _VALUE:
            return gate_of(asked, 0, None)
        nodes: Any = self.aspace._nodes  # ours, which the library takes for its dictionary
        assert isinstance(nodes, Nodes)
        held = nodes.read(nodeid, ua.AttributeIds.DataType).Value
        kind: Any = None if held is None else held.Value
        number = kind.Identifier if isinstance(kind, ua.NodeId) and not kind.NamespaceIndex else 0
        own = nodes.own(nodeid)
        return gate_of(asked, number if isinstance(number, int) else 0, None if own is None else own.eu_range)

    def _sampled_ms(self) -> float:
        return sampled_ms(self.isub.machine.publishing_ms)

    def sample(self, now_ns: int) -> None:
        """Part 4, 5.12.1.2: at the publishing interval, but not faster than SAMPLED_MS. What takes longer than SAMPLED_S goes on with the
        next message.
        """
        if not self._sampled or now_ns < self._sample_ns:
            return
        self._round = self._round or [*reversed(self._sampled)]
        fired, end_s = [], time.monotonic() + limits.SAMPLED_S
        while self._round and time.monotonic() < end_s:
            item_id = self._round.pop()
            item = self._sampled.get(item_id)
            if item is None or item.mode is Mode.DISABLED or item.idle():
                continue
            if item.offer(self.aspace.read_attribute_value(item.nodeid, item.attribute)):
                fired.append(item_id)
        self._sample_ns = 0 if self._round else now_ns + int(self._sampled_ms() * 1e6) - _EARLY_NS
        if self.triggers and fired:
            self.fired(fired)

    def resend(self) -> None:
        """What is read is reported anew with the next message, changed or not."""
        self._sample_ns = 0
        self._round.clear()
        for item in self._sampled.values():
            if item.mode is Mode.REPORTING:
                item.seen = None

    def handles(self) -> Iterator[tuple[int, int]]:
        """The client's handle of each item, by the item's identifier."""
        yield from self._items.handles()
        yield from ((item_id, item.handle) for item_id, item in self._sampled.items())
        yield from self.events.handles()

    def polled(self) -> bool:
        """Whether the timer has to look for itself: what is read, and events, do not say when there is something to report."""
        return bool(self._sampled) or len(self.events) > 0

    def has_sampled(self) -> bool:
        return any(item.due() for item in self._sampled.values())

    def take_sampled(self, limit: int) -> list[bytes]:
        """Encoded MonitoredItemNotifications, at most limit."""
        taken: list[bytes] = []
        for item in self._sampled.values():
            while item.due() and len(taken) < limit:
                taken.append(item.queue.popleft())
                item.free = max(0, item.free - 1)
        return taken


def _request(asked: ua.MonitoringParameters) -> ItemRequest:
    wanted = asked.Filter
    return ItemRequest(
        asked.ClientHandle,
        asked.SamplingInterval,
        asked.QueueSize,
        bool(asked.DiscardOldest),
        Filter(int(wanted.Trigger), int(wanted.DeadbandType), wanted.DeadbandValue) if isinstance(wanted, DataChangeFilter) else None,
    )


def _unfit(wanted: ua.MonitoredItemCreateRequest) -> int:
    """Why no item of ours can be like that; 0 = it can."""
    what, asked_filter = wanted.ItemToMonitor, wanted.RequestedParameters.Filter
    if wanted.MonitoringMode not in (0, 1, 2):
        return ua.StatusCodes.BadMonitoringModeInvalid
    if what.AttributeId == _EVENTS:
        return 0
    if what.IndexRange:
        return ua.StatusCodes.BadIndexRangeNoData
    if what.DataEncoding is not None and what.DataEncoding.Name:
        return ua.StatusCodes.BadDataEncodingUnsupported
    return 0 if _data_change(asked_filter) else ua.StatusCodes.BadMonitoredItemFilterUnsupported


def _why_not(tag_id: int | None, mode: int) -> int:
    if tag_id is None:
        return ua.StatusCodes.BadNodeIdUnknown
    return ua.StatusCodes.BadMonitoringModeInvalid if mode not in (0, 1, 2) else ua.StatusCodes.BadTooManyMonitoredItems


def _data_change(asked_filter: Any) -> bool:
    """A DataChangeFilter, or none at all (which is also how a null ExtensionObject reads)."""
    if asked_filter is None or isinstance(asked_filter, DataChangeFilter):
        return True
    return isinstance(asked_filter, ua.ExtensionObject) and asked_filter.TypeId.is_null()


def _refused(code: int) -> ua.MonitoredItemCreateResult:
    return ua.MonitoredItemCreateResult(status_code(code))
