"""The HistoryRead service (Part 4, 5.11.3; Part 11, 6): what may be asked, of which node, by whom, and the continuation points.

HistoryUpdate is not served: what the plant measured is not changed.
"""

import re
import secrets
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from asyncua import ua

from gateway.model.command import Caller
from gateway.wire.opcua import limits
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.face import Face
from gateway.wire.opcua.nodes import OURS, Nodes
from gateway.wire.opcua.past import HistoryRefused, Page, Rest, ValueQuery
from gateway.wire.opcua.past_encode import history_data, refused, result
from gateway.wire.opcua.past_events import PastEvents
from gateway.wire.opcua.past_requests import Details, EventDetails, HistoryRequest, Modified, NodeToRead, held_bytes

_CODES: Final = ua.StatusCodes
_PERMISSION: Final = "history:read"
_SERVER: Final = 1
_BINARY: Final = "Default Binary"
_RANGE: Final = re.compile(r"(\d{1,9})(?::(\d{1,9}))?(?:,.*)?")
_OVERHEAD_BYTES: Final = 8_192
_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"
_POINT_BYTES: Final = 500
_BYTES_PER_VALUE: Final = 22  # mask, type, value, status, time
GOOD_NO_DATA: Final = 0x00A5_0000


@dataclass(frozen=True, slots=True)
class Point:
    """Where a node's answer goes on, and what was asked: a client sends both again, and ours is the one that counts."""

    node: ua.NodeId
    details: Details
    rest: Rest | None

    @property
    def held_bytes(self) -> int:
        return _POINT_BYTES + held_bytes(self.details) + (0 if self.rest is None else self.rest.held_bytes)


class HistoryPoints:
    """The continuation points of one session, bounded in number and in bytes: the oldest gives way (Part 4, 7.9)."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, Point] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, point: Point) -> bytes:
        """Its name. Raises HistoryRefused for one that is too large by itself."""
        if point.held_bytes > limits.HISTORY_POINTS_BYTES:
            raise HistoryRefused(_CODES.BadNoContinuationPoints)
        name = secrets.token_bytes(8)
        self._held[name] = point
        self._bytes += point.held_bytes
        while len(self._held) > limits.HISTORY_POINTS_PER_SESSION or self._bytes > limits.HISTORY_POINTS_BYTES:
            self._bytes -= self._held.popitem(last=False)[1].held_bytes
        return name

    def take(self, name: bytes) -> Point | None:
        point = self._held.pop(name, None)
        if point is not None:
            self._bytes -= point.held_bytes
        return point


@dataclass(slots=True)
class _Room:
    """What is left of a response: bytes, and the nodes that still want some."""

    left_bytes: int
    nodes: int

    def share(self) -> int:
        return max(self.left_bytes // max(self.nodes, 1), _BYTES_PER_VALUE)

    def used(self, encoded: bytes) -> bytes:
        self.left_bytes, self.nodes = max(self.left_bytes - len(encoded), 0), self.nodes - 1
        return encoded


class Historian:
    """HistoryRead of one server. Continuation points belong to sessions."""

    def __init__(self, face: Face, nodes: Nodes, types: EventTypes) -> None:
        self._face, self._nodes = face, nodes
        self._events = PastEvents(face, nodes, types)

    async def read(self, request: HistoryRequest, caller: Caller, points: HistoryPoints, message_bytes: int) -> bytes:
        """Results and diagnostics of a HistoryReadResponse of at most about message_bytes. Raises nothing: each node has its own status."""
        most = min(message_bytes - _OVERHEAD_BYTES, limits.HISTORY_VALUES * _BYTES_PER_VALUE)
        room = _Room(max(most, _OVERHEAD_BYTES // 2), len(request.nodes))
        results = [
            room.used(
                _release(wanted, points)
                if request.release and wanted.point  # who passes none has none to release: clients with that default want to read
                else await self._node(wanted, details, request, caller, points, room.share())
            )
            for wanted, details in zip(request.nodes, request.details, strict=True)
        ]
        self._face.count("history_nodes_read", len(results))
        return b"".join((struct.pack("<i", len(results)), *results, _NO_DIAGNOSTICS))

    async def _node(
        self, wanted: NodeToRead, details: Details, request: HistoryRequest, caller: Caller, points: HistoryPoints, share: int
    ) -> bytes:
        try:
            self._check(wanted, request.stamps, caller, details)
            asked = self._asked(wanted, details, points)
            history, rest, any_ = await self._page(asked, share, caller)
            name = points.keep(Point(wanted.node, asked.details, rest)) if rest is not None else b""
        except HistoryRefused as why:
            return refused(why.status)
        return result(_CODES.Good if any_ or name else GOOD_NO_DATA, name, history)

    async def _page(self, asked: Point, share: int, caller: Caller) -> tuple[bytes, Rest | None, bool]:
        """Encoded, where to go on, and whether there is anything in it. Raises HistoryRefused."""
        if isinstance(asked.details, EventDetails):
            return await self._events.page(asked.node, asked.details, asked.rest, share, caller)
        if isinstance(asked.details, Modified):
            raise HistoryRefused(_CODES.BadHistoryOperationUnsupported)
        page, history = await self._values(self._source(asked.node), asked.details, asked.rest, share)
        return history, page.rest, bool(page.samples.source_ns.size)

    def _asked(self, wanted: NodeToRead, details: Details, points: HistoryPoints) -> Point:
        """What this is a page of. Raises HistoryRefused."""
        if not wanted.point:
            return Point(wanted.node, details, None)
        point = points.take(wanted.point)
        if point is None or point.node != wanted.node or type(point.details) is not type(details):
            raise HistoryRefused(_CODES.BadContinuationPointInvalid)
        return point

    async def _values(self, source: int | str, query: ValueQuery, rest: Rest | None, share: int) -> tuple[Page, bytes]:
        """A page that fits its share: numbers do at once, texts are asked for again with fewer of them."""
        most = max(share // _BYTES_PER_VALUE, 1)
        while True:
            page = await self._face.past.values(source, query, rest, most)
            history = history_data(page.samples)
            n = page.samples.source_ns.size
            if len(history) <= share + _OVERHEAD_BYTES // 4 or n <= 1:
                return page, history
            most = max(n * share // (2 * len(history)), 1)

    def _check(self, wanted: NodeToRead, stamps: int, caller: Caller, details: Details) -> None:
        """Of a tag; events have no time or range of their own. Raises HistoryRefused."""
        if isinstance(details, EventDetails):
            return
        if not self._face.allowed(caller, _PERMISSION):
            raise HistoryRefused(_CODES.BadUserAccessDenied if wanted.node in self._nodes else _CODES.BadNodeIdUnknown)
        if wanted.encoding not in ("", _BINARY):
            raise HistoryRefused(_CODES.BadDataEncodingInvalid)
        if wanted.index_range:
            raise HistoryRefused(_index_range(wanted.index_range))
        if stamps == _SERVER:  # HistoryServerCapabilities: ServerTimestampSupported is false
            raise HistoryRefused(_CODES.BadTimestampNotSupported)

    def _source(self, node: ua.NodeId) -> int | str:
        """The tag whose Variable that is, or the key of another one that has history. Raises HistoryRefused."""
        key = node.Identifier
        if node.NamespaceIndex == OURS and isinstance(key, str):
            tag_id = self._face.space.tag_id(key)
            if tag_id is not None:
                return tag_id
            own = self._face.space.node(key)
            if own is not None and own.historizing:
                return key
        raise HistoryRefused(_CODES.BadHistoryOperationUnsupported if node in self._nodes else _CODES.BadNodeIdUnknown)


def _release(wanted: NodeToRead, points: HistoryPoints) -> bytes:
    return refused(_CODES.Good if points.take(wanted.point) is not None else _CODES.BadContinuationPointInvalid)


def _index_range(text: str) -> int:
    """Part 4, 7.27: why not. No tag is an array."""
    found = _RANGE.fullmatch(text)
    wrong = found is None or (found[2] is not None and int(found[1]) >= int(found[2]))
    return _CODES.BadIndexRangeInvalid if wrong else _CODES.BadIndexRangeNoData
