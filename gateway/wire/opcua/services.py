"""The services a source needs, in slices, with one answer per item: subscriptions, monitored items, transfer, limits (Part 4, 5.12-5.14)."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from asyncua import ua

from gateway.model.quality import BAD, BAD_NODE_ID_UNKNOWN
from gateway.wire.opcua.address import Address
from gateway.wire.opcua.client import Link, Refused

BAD_TOO_MANY_OPERATIONS: Final = 0x8010_0000
BAD_ENCODING_LIMITS: Final = 0x8008_0000
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


def node_id(address: Address, namespaces: Sequence[str]) -> ua.NodeId | None:
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


async def _create_items(link: Link, subscription: int, wanted: Sequence[tuple[Wanted, ua.NodeId]]) -> list[Monitored]:
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
