"""HistoryRead of events (Part 11, 6.5.2): at the Server object and at folders, with the filter of a subscription."""

import struct
from typing import Final

from asyncua import ua

from gateway.model.command import Caller
from gateway.wire.opcua import limits
from gateway.wire.opcua.contents import key_of
from gateway.wire.opcua.event_fields import Fields
from gateway.wire.opcua.event_filter import compile_filter
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.face import Face, Key
from gateway.wire.opcua.nodes import Nodes
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.past import HistoryRefused, Rest
from gateway.wire.opcua.past_requests import EventDetails

_CODES: Final = ua.StatusCodes
_PERMISSION: Final = "event:read"
_SERVER: Final = 2253
_HISTORY_READ: Final = 4  # Part 3, 8.59 (EventNotifierType)
_HISTORY_EVENT: Final = struct.pack("<BBHB", 1, 0, 661, 1)  # NodeId of the binary encoding, body is a ByteString


class PastEvents:
    """types: the server's EventTypes."""

    def __init__(self, face: Face, nodes: Nodes, types: EventTypes) -> None:
        self._face, self._nodes, self._types = face, nodes, types

    async def page(
        self, node: ua.NodeId, details: EventDetails, rest: Rest | None, share: int, caller: Caller
    ) -> tuple[bytes, Rest | None, bool]:
        """A HistoryEvent of at most about `share` bytes, where to go on, and whether it holds any. Raises HistoryRefused."""
        notifier = self._notifier(node)
        if not self._face.allowed(caller, _PERMISSION):
            raise HistoryRefused(_CODES.BadUserAccessDenied)
        compiled = compile_filter(details.filter, self._types)
        if compiled.status:
            raise HistoryRefused(compiled.status)
        asked = compiled.filter

        def wanted(occurrence: Occurrence) -> bool:
            if occurrence.permission and not self._face.allowed(caller, occurrence.permission):
                return False
            if notifier not in (_SERVER, occurrence.source, *self._face.space.notifiers(occurrence.source)):
                return False
            return asked.passes(Fields(occurrence))

        most = limits.HISTORY_EVENTS
        while True:
            found, more = await self._face.past.events(details.query, rest, most, wanted)
            body = b"".join((struct.pack("<i", len(found)), *(asked.encoded(Fields(one)) for one in found)))
            if len(body) <= share or len(found) <= 1:
                return _HISTORY_EVENT + struct.pack("<i", len(body)) + body, more, bool(found)
            most = max(len(found) * share // (2 * len(body)), 1)

    def _notifier(self, node: ua.NodeId) -> Key:
        held = self._nodes.read(node, ua.AttributeIds.EventNotifier)
        if held.StatusCode is not None and not held.StatusCode.is_good():
            known = node in self._nodes
            raise HistoryRefused(_CODES.BadHistoryOperationUnsupported if known else _CODES.BadNodeIdUnknown)
        key, bits = key_of(node), 0 if held.Value is None else held.Value.Value
        if key is None or not bits & _HISTORY_READ:
            raise HistoryRefused(_CODES.BadHistoryOperationUnsupported)
        return key
