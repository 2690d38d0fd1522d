"""HistoryRead requests (Part 4, 5.11.3; Part 11, 6.5), decoded with every time to the tick: the library's DateTime holds microseconds."""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.ua.ua_binary import Primitives, nodeid_from_binary, struct_from_binary

from gateway.wire.opcua import limits, ticks
from gateway.wire.opcua.past import AggregateConfiguration, EventsQuery, ProcessedQuery, RawQuery, TimesQuery, ValueQuery

_RAW: Final = struct.Struct("<?qqI?")
_PROCESSED: Final = struct.Struct("<qqd")
_CONFIGURATION: Final = struct.Struct("<??BB?")
_EVENTS: Final = struct.Struct("<Iqq")
_OLDEST_NS: Final = -(2**63) + 1_000_000
_NEWEST_NS: Final = 2**63 - 1_000_000
_LONGEST_NS: Final = 2.0**62
_NEITHER: Final = 3
_OBJECTS: Final = 20  # bytes of objects for a byte on the wire
_TIME_BYTES: Final = 40


@dataclass(frozen=True, slots=True)
class NodeToRead:
    """HistoryReadValueId; point is the continuation point."""

    node: ua.NodeId
    index_range: str
    encoding: str
    point: bytes


@dataclass(frozen=True, slots=True)
class Modified:
    """ReadRawModifiedDetails with isReadModified, and other details that no node of ours has."""


@dataclass(frozen=True, slots=True)
class EventDetails:
    """filter: ua.EventFilter; held_bytes: about what it keeps in memory."""

    query: EventsQuery
    filter: Any
    held_bytes: int


Details = ValueQuery | EventDetails | Modified


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """details: one for each node (the aggregates differ), or none at all where all that is asked is to forget."""

    details: list[Details]
    stamps: int
    release: bool
    nodes: list[NodeToRead]


def history_request(body: Buffer) -> HistoryRequest:
    """Raises ServiceError: BadNothingToDo, BadTooManyOperations, BadTimestampsToReturnInvalid, BadHistoryOperationInvalid,
    BadAggregateListMismatch; and what decoding bytes raises that are no such request.
    """
    kind = nodeid_from_binary(body)
    inside = _extension_body(body)
    stamps, release, count = struct.unpack("<i?i", body.read(9))
    most = limits.NODES_PER_HISTORY_READ_EVENTS if kind.Identifier == _READ_EVENTS else limits.NODES_PER_HISTORY_READ
    if count <= 0:
        raise ServiceError(ua.StatusCodes.BadNothingToDo)
    if count > most:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)
    if not 0 <= stamps < _NEITHER:
        raise ServiceError(ua.StatusCodes.BadTimestampsToReturnInvalid)
    nodes = [_node_to_read(body) for _ in range(count)]
    decode = _DETAILS.get(int(kind.Identifier)) if kind.NamespaceIndex == 0 and isinstance(kind.Identifier, int) else None
    if decode is None or inside is None:
        raise ServiceError(ua.StatusCodes.BadHistoryOperationInvalid)
    details = decode(inside)
    if len(details) == 1:
        details = details * count if kind.Identifier != _READ_PROCESSED else details
    if len(details) != count:
        raise ServiceError(ua.StatusCodes.BadAggregateListMismatch)
    return HistoryRequest(details, stamps, release, nodes)


def held_bytes(details: Details) -> int:
    """About what these keep in memory while a client may go on."""
    if isinstance(details, TimesQuery):
        return _TIME_BYTES * len(details.times_ns)
    return details.held_bytes if isinstance(details, EventDetails) else 0


def _extension_body(body: Buffer) -> Buffer | None:
    """Of an ExtensionObject, after its type (Part 6, 5.2.2.15)."""
    if body.read(1)[0] != 1:
        return None
    (length,) = struct.unpack("<i", body.read(4))
    return None if length < 0 else Buffer(bytes(body.read(length)))


def _node_to_read(body: Buffer) -> NodeToRead:
    node = nodeid_from_binary(body)
    index_range = Primitives.String.unpack(body) or ""
    body.read(2)
    encoding = Primitives.String.unpack(body) or ""
    return NodeToRead(node, index_range, encoding, Primitives.Bytes.unpack(body) or b"")


def _raw(body: Buffer) -> list[Details]:
    modified, start, end, most, bounds = _RAW.unpack(body.read(_RAW.size))
    return [Modified() if modified else RawQuery(_time(start), _time(end), most, bounds)]


def _at_time(body: Buffer) -> list[Details]:
    (count,) = struct.unpack("<i", body.read(4))
    if count > limits.HISTORY_TIMES:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)
    times = np.frombuffer(bytes(body.read(8 * max(count, 0))), "<i8")
    (simple,) = struct.unpack("<?", body.read(1))
    return [TimesQuery(tuple(_time(tick) or 0 for tick in times.tolist()), simple)]


def _processed(body: Buffer) -> list[Details]:
    start, end, interval_ms = _PROCESSED.unpack(body.read(_PROCESSED.size))
    (count,) = struct.unpack("<i", body.read(4))
    if count > limits.NODES_PER_HISTORY_READ:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)
    kinds = [nodeid_from_binary(body) for _ in range(max(count, 0))]
    defaults, uncertain, percent_bad, percent_good, sloped = _CONFIGURATION.unpack(body.read(_CONFIGURATION.size))
    configuration = None if defaults else AggregateConfiguration(uncertain, percent_bad, percent_good, sloped)
    interval_ns = round(min(interval_ms * 1e6, _LONGEST_NS)) if interval_ms >= 0 else -1  # NaN too is refused
    return [ProcessedQuery(_time(start), _time(end), interval_ns, _number(kind), configuration) for kind in kinds]


def _events(body: Buffer) -> list[Details]:
    most, start, end = _EVENTS.unpack(body.read(_EVENTS.size))
    size = len(body)
    return [EventDetails(EventsQuery(_time(start), _time(end), most), struct_from_binary(ua.EventFilter, body), _OBJECTS * size)]


def _number(kind: ua.NodeId) -> int:
    return int(kind.Identifier) if kind.NamespaceIndex == 0 and isinstance(kind.Identifier, int) else 0


def _time(tick: int) -> int | None:
    """Unix ns; None for DateTime.MinValue. A time that int64 ns cannot hold is the first or last one that they can."""
    if tick <= 0:
        return None
    return min(max((tick - ticks.EPOCH_1970) * 100, _OLDEST_NS), _NEWEST_NS)


def _unsupported(_body: Buffer) -> list[Details]:
    return [Modified()]


_READ_EVENTS: Final = 646
_READ_PROCESSED: Final = 652
_READ_ANNOTATIONS: Final = 23500
_DETAILS: Final = {_READ_EVENTS: _events, 649: _raw, _READ_PROCESSED: _processed, 655: _at_time, _READ_ANNOTATIONS: _unsupported}
"""By the number of their binary encoding (Part 6, A.1)."""
