"""Services of many operations in one request (Part 4, 5.8 to 5.12): how many is known before anything is decoded, and a long one does
not hold up the others.
"""

import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.ua.ua_binary import nodeid_to_binary

from gateway.wire.opcua import limits

if TYPE_CHECKING:
    from gateway.wire.opcua.pace import Codec
    from gateway.wire.opcua.sessions import Session

_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"
_COUNT: Final = struct.Struct("<i")


def request_number(name: str) -> int:
    """Of a service's request, in the default binary encoding."""
    return int(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary"))


_MOST: Final[Mapping[int, tuple[int, int]]] = {
    request_number(name): (at, most)
    for name, at, most in (
        ("Read", 12, limits.NODES_PER_READ),
        ("Write", 0, limits.NODES_PER_WRITE),
        ("BrowseNext", 1, limits.NODES_PER_BROWSE),
        ("TranslateBrowsePathsToNodeIds", 0, limits.NODES_PER_TRANSLATE),
        ("RegisterNodes", 0, limits.NODES_PER_REGISTER),
        ("UnregisterNodes", 0, limits.NODES_PER_REGISTER),
        ("Call", 0, limits.METHODS_PER_CALL),
        ("CreateMonitoredItems", 8, limits.ITEMS_PER_CALL),
        ("ModifyMonitoredItems", 8, limits.ITEMS_PER_CALL),
        ("SetMonitoringMode", 8, limits.ITEMS_PER_CALL),
        ("DeleteMonitoredItems", 4, limits.ITEMS_PER_CALL),
        ("SetTriggering", 8, limits.ITEMS_PER_CALL),
        ("SetPublishingMode", 1, limits.ITEMS_PER_CALL),
        ("DeleteSubscriptions", 0, limits.ITEMS_PER_CALL),
        ("TransferSubscriptions", 0, limits.ITEMS_PER_CALL),
        ("Publish", 0, limits.ITEMS_PER_CALL),
    )
}
"""Service -> where in its parameters the number of operations stands, and how many there may be."""


def check_count(service: Any, body: Buffer) -> None:
    """Before an operation is decoded. Raises ServiceError BadTooManyOperations."""
    at, most = _MOST.get(service, (0, 0))
    if most and len(body) >= at + _COUNT.size and _COUNT.unpack_from(body._data, body._cur_pos + at)[0] > most:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)


@dataclass(frozen=True, slots=True)
class Bulk:
    """parameters: what follows the header; response: the type of the answer, which is a result for each operation and no diagnostics."""

    parameters: Any
    response: bytes
    run: "Callable[[Session, Any], Awaitable[list[Any]]]"

    async def answer(self, body: Buffer, session: "Session", codec: "Codec") -> bytes:
        """What follows the header of the response. Raises ServiceError, and what the codec raises."""
        results = await self.run(session, await codec.decode(self.parameters, body))
        return await codec.encode(results) + _NO_DIAGNOSTICS


def _bulk(name: str, parameters: Any, run: "Callable[[Session, Any], Awaitable[list[Any]]]") -> tuple[int, Bulk]:
    return request_number(name), Bulk(parameters, nodeid_to_binary(getattr(ua, f"{name}Response")().TypeId), run)


BULK: Final[Mapping[Any, Bulk]] = dict(
    (
        _bulk("Read", ua.ReadParameters, lambda session, params: session.read(params)),
        _bulk(
            "TranslateBrowsePathsToNodeIds",
            ua.TranslateBrowsePathsToNodeIdsParameters,
            lambda session, params: session.translate_browsepaths_to_nodeids(params.BrowsePaths),
        ),
        _bulk("CreateMonitoredItems", ua.CreateMonitoredItemsParameters, lambda session, params: session.create_monitored_items(params)),
        _bulk("ModifyMonitoredItems", ua.ModifyMonitoredItemsParameters, lambda session, params: session.modify_monitored_items(params)),
    )
)
