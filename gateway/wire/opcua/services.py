"""The services a source needs, in slices, one answer per item: subscriptions, monitored items, transfer, history (Part 4, 5.10-5.14)."""

import functools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import numpy as np
from asyncua import ua as _ua

from gateway.model.quality import BAD, BAD_DECODING_ERROR, BAD_NODE_ID_UNKNOWN
from gateway.wire.opcua.address import Address
from gateway.wire.opcua.client import Link, Refused
from gateway.wire.opcua.cursor import Malformed
from gateway.wire.opcua.decode import DataChange, Elements
from gateway.wire.opcua.values import decode_history, decode_read

ua: Any = _ua  # its types are NewTypes over int and str that nobody builds by hand
T = TypeVar("T")

BAD_TOO_MANY_OPERATIONS: Final = 0x8010_0000
BAD_ENCODING_LIMITS: Final = 0x8008_0000
HISTORY_PAGE: Final = 5000
HISTORY_PATIENCE_S: Final = 30.0
_SPLIT: Final = frozenset(
    {BAD_TOO_MANY_OPERATIONS, BAD_ENCODING_LIMITS, 0x80B8_0000, 0x80B9_0000}
)  # .. BadRequestTooLarge, BadResponseTooLarge


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a subscription. keepalive_s and lifetime_s become counts of publishing intervals."""

    publishing_interval_s: float
    keepalive_s: float
    lifetime_s: float


@dataclass(frozen=True, slots=True)
class Granted:
    """A subscription as the server revised it."""

    id: int
    publishing_interval_s: float
    keepalive_s: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """One item to monitor: its value, in reporting mode, without a deadband (the gateway's alarms see every sample)."""

    address: Address
    handle: int
    sampling_interval_s: float
    queue_size: int


@dataclass(frozen=True, slots=True)
class Monitored:
    """What became of an item: a StatusCode, and the server's id for it."""

    status: int
    id: int = 0


def node_id(address: Address, namespaces: Sequence[str]) -> Any | None:
    """The NodeId on this server now; None where it does not know the namespace."""
    uri = address.uri
    if uri and uri not in namespaces:
        return None
    index = namespaces.index(uri) if uri else 0
    match address.identifier:
        case int():
            return ua.NodeId(address.identifier, index)
        case uuid.UUID():
            return ua.NodeId(address.identifier, index, ua.NodeIdType.Guid)
        case bytes():
            return ua.NodeId(address.identifier, index, ua.NodeIdType.ByteString)
        case _:
            return ua.NodeId(address.identifier, index, ua.NodeIdType.String)


async def max_items_per_call(link: Link, default: int) -> int:
    """The lower of the default and what the server says in its OperationLimits (Part 5, 6.3.11); 0 there means no limit."""
    ids = (
        ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
        ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    )
    try:
        found = await link.read([(ua.NodeId(number), ua.AttributeIds.Value) for number in ids])
    except Refused:
        return default
    limits = [value.Value.Value for value in found if value.Value is not None and isinstance(value.Value.Value, int)]
    return max(1, min([default, *(limit for limit in limits if limit > 0)]))


async def create_subscription(link: Link, terms: Terms) -> Granted:
    """Raises Refused, NotConnected."""
    parameters = ua.CreateSubscriptionParameters()
    parameters.RequestedPublishingInterval = terms.publishing_interval_s * 1000
    parameters.RequestedMaxKeepAliveCount = max(1, round(terms.keepalive_s / terms.publishing_interval_s))
    parameters.RequestedLifetimeCount = max(
        3 * parameters.RequestedMaxKeepAliveCount, round(terms.lifetime_s / terms.publishing_interval_s)
    )
    parameters.MaxNotificationsPerPublish = 0
    parameters.PublishingEnabled = True
    request = ua.CreateSubscriptionRequest()
    request.Parameters = parameters
    answer = await link.request("CreateSubscription", request, ua.CreateSubscriptionResponse)
    revised = answer.Parameters
    interval_s = revised.RevisedPublishingInterval / 1000
    if not 0 < interval_s < float("inf"):  # a server may say 0 for its fastest, or nonsense
        interval_s = terms.publishing_interval_s
    return Granted(revised.SubscriptionId, interval_s, interval_s * max(1, revised.RevisedMaxKeepAliveCount))


async def delete_subscriptions(link: Link, ids: Sequence[int]) -> None:
    """Raises Refused, NotConnected."""
    request = ua.DeleteSubscriptionsRequest()
    request.Parameters.SubscriptionIds = list(ids)
    await link.request("DeleteSubscriptions", request, ua.DeleteSubscriptionsResponse)


async def transfer(link: Link, ids: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """TransferSubscriptions with initial values: per id (StatusCode, sequence numbers to be had again). Raises Refused, NotConnected."""
    request = ua.TransferSubscriptionsRequest()
    request.Parameters.SubscriptionIds = list(ids)
    request.Parameters.SendInitialValues = True
    answer = await link.request("TransferSubscriptions", request, ua.TransferSubscriptionsResponse)
    return [(found.StatusCode.value, tuple(found.AvailableSequenceNumbers or ())) for found in answer.Parameters.Results]


async def monitor(
    link: Link, subscription: int, wanted: Sequence[Wanted], namespaces: Sequence[str], slice_: int
) -> AsyncIterator[tuple[int, Monitored]]:
    """(handle, outcome) of each item, slice by slice; a slice too large for the server is halved. Raises Refused, NotConnected."""
    pending = [list(wanted[start : start + slice_]) for start in range(0, len(wanted), slice_)]
    while pending:
        part = pending.pop(0)
        nodes = [(item, node_id(item.address, namespaces)) for item in part]
        for item, node in nodes:
            if node is None:
                yield item.handle, Monitored(BAD_NODE_ID_UNKNOWN)
        known = [(item, node) for item, node in nodes if node is not None]
        if not known:
            continue
        try:
            answers = await _create_items(link, subscription, known)
        except Refused as refusal:
            if refusal.status not in _SPLIT or len(known) == 1:
                raise
            half = len(known) // 2
            pending[:0] = [[item for item, _ in known[:half]], [item for item, _ in known[half:]]]
            continue
        for (item, _), answer in zip(known, answers, strict=True):
            yield item.handle, answer


async def _create_items(link: Link, subscription: int, wanted: Sequence[tuple[Wanted, Any]]) -> list[Monitored]:
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = subscription
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    for item, node in wanted:
        create = ua.MonitoredItemCreateRequest()
        create.ItemToMonitor.NodeId = node
        create.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        if item.address.element >= 0:
            create.ItemToMonitor.IndexRange = str(item.address.element)
        create.MonitoringMode = ua.MonitoringMode.Reporting
        create.RequestedParameters.ClientHandle = item.handle
        create.RequestedParameters.SamplingInterval = item.sampling_interval_s * 1000
        create.RequestedParameters.QueueSize = item.queue_size
        create.RequestedParameters.DiscardOldest = True
        request.Parameters.ItemsToCreate.append(create)
    answer = await link.request("CreateMonitoredItems", request, ua.CreateMonitoredItemsResponse)
    if len(answer.Results) != len(wanted):
        raise Refused(BAD, "CreateMonitoredItems answered for another number of items")
    return [Monitored(found.StatusCode.value, found.MonitoredItemId) for found in answer.Results]


async def forget_items(link: Link, subscription: int, ids: Sequence[int]) -> None:
    """Raises Refused, NotConnected."""
    request = ua.DeleteMonitoredItemsRequest()
    request.Parameters.SubscriptionId = subscription
    request.Parameters.MonitoredItemIds = list(ids)
    await link.request("DeleteMonitoredItems", request, ua.DeleteMonitoredItemsResponse)


def _value_of(node: Any, element: int) -> Any:
    found = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
    if element >= 0:
        found.IndexRange = str(element)
    return found


async def read_values(link: Link, items: Sequence[tuple[int, Address]], namespaces: Sequence[str], element: Elements) -> DataChange | None:
    """The values of these (handle, address) now, in one Read; nodes in unknown namespaces are left out. Raises Refused, NotConnected."""
    known = [(handle, node, address.element) for handle, address in items if (node := node_id(address, namespaces)) is not None]
    if not known:
        return None
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    request.Parameters.NodesToRead = [_value_of(node, index) for _, node, index in known]
    body = await link.raw("Read", request)
    handles = np.array([handle for handle, _, _ in known], np.uint32)
    return _answered("Read", lambda: decode_read(body, handles, element))


async def historizing(link: Link, items: Sequence[tuple[int, Address]], namespaces: Sequence[str], slice_: int) -> list[int]:
    """Handles of the nodes whose history the server keeps (Part 3, 5.6.2). Raises Refused, NotConnected."""
    known = [(handle, node) for handle, address in items if (node := node_id(address, namespaces)) is not None]
    kept = []
    for start in range(0, len(known), slice_):
        part = known[start : start + slice_]
        answers = await link.read([(node, ua.AttributeIds.Historizing) for _, node in part])
        kept += [
            handle for (handle, _), answer in zip(part, answers, strict=True) if answer.Value is not None and answer.Value.Value is True
        ]
    return kept


async def history(
    link: Link, item: tuple[int, Address], namespaces: Sequence[str], span_ns: tuple[int, int], element: Elements
) -> AsyncIterator[DataChange]:
    """Raw history of one node from span_ns[0] to span_ns[1], page by page, oldest first. Raises Refused, NotConnected."""
    handle, address = item
    node = node_id(address, namespaces)
    continuation: bytes | None = None
    while node is not None:
        body = await link.raw("HistoryRead", _history_request(node, address.element, span_ns, continuation), HISTORY_PATIENCE_S)
        pages = _answered("HistoryRead", functools.partial(decode_history, body, np.array([handle], np.uint32), element))
        if not pages:
            return
        page = pages[0]
        if page.status >= BAD:
            raise Refused(page.status, "HistoryRead")
        if page.values.handle.size:
            yield page.values
        if not page.continuation or page.continuation == continuation:
            return
        continuation = page.continuation


def _history_request(node: Any, element: int, span_ns: tuple[int, int], continuation: bytes | None) -> Any:
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    details.StartTime, details.EndTime = (datetime.fromtimestamp(ns / 1e9, UTC) for ns in span_ns)
    details.NumValuesPerNode = HISTORY_PAGE
    details.ReturnBounds = False
    wanted = ua.HistoryReadValueId()
    wanted.NodeId = node
    if element >= 0:
        wanted.IndexRange = str(element)
    wanted.ContinuationPoint = continuation
    request = ua.HistoryReadRequest()
    request.Parameters.HistoryReadDetails = details
    request.Parameters.ReleaseContinuationPoints = False
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    request.Parameters.NodesToRead = [wanted]
    return request


def _answered(what: str, decode: Callable[[], tuple[int, T]]) -> T:
    try:
        result, found = decode()
    except Malformed as fault:
        raise Refused(BAD_DECODING_ERROR, f"{what} ({fault})") from fault
    if result >= BAD:
        raise Refused(result, what)
    return found
