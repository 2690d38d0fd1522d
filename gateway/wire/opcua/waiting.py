"""Services that wait for the plant or the disk: what is asked is looked over at once, the answer comes beside the other requests of its
connection. A client whose Write waits for a controller still gets its notifications.
"""

import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary

from gateway.wire.opcua import limits
from gateway.wire.opcua.guards import Decoding
from gateway.wire.opcua.past_requests import history_request
from gateway.wire.opcua.sessions import Session, check_operations

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior

CALL: Final[int] = int(ua.ObjectIds.CallRequest_Encoding_DefaultBinary)
WRITE: Final[int] = int(ua.ObjectIds.WriteRequest_Encoding_DefaultBinary)
HISTORY_READ: Final[int] = int(ua.ObjectIds.HistoryReadRequest_Encoding_DefaultBinary)
WAITING: Final = frozenset({CALL, WRITE, HISTORY_READ})

_CALL_RESPONSE: Final = nodeid_to_binary(ua.CallResponse().TypeId)
_WRITE_RESPONSE: Final = nodeid_to_binary(ua.WriteResponse().TypeId)
_HISTORY_READ_RESPONSE: Final = nodeid_to_binary(ua.HistoryReadResponse().TypeId)
_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"

Work = Callable[[], Awaitable[tuple[bytes, bytes]]]
"""The response's type and what follows its header."""


async def work_of(service: Any, body: Buffer, session: Session, interior: "Interior", message_bytes: int) -> Work:
    """What a request of one of these services asks for. Raises ServiceError, and what the decoder raises, before anything is done."""
    if service == CALL:
        return _call(await interior.codec.decode(ua.CallParameters, body), session)
    if service == WRITE:
        return _write(await interior.codec.decode(ua.WriteParameters, body), session)
    with Decoding():
        wanted = history_request(body)
    caller = session.caller

    async def read() -> tuple[bytes, bytes]:
        return _HISTORY_READ_RESPONSE, await interior.historian.read(wanted, caller, session.history_points, message_bytes)

    return read


def _call(params: Any, session: Session) -> Work:
    check_operations(params.MethodsToCall, limits.METHODS_PER_CALL)
    caller = session.caller  # another may sign in before it is this request's turn

    async def call() -> tuple[bytes, bytes]:
        results = await session.call(params.MethodsToCall, caller)
        return _CALL_RESPONSE, b"".join((struct.pack("<i", len(results)), *map(struct_to_binary, results), _NO_DIAGNOSTICS))

    return call


def _write(params: Any, session: Session) -> Work:
    check_operations(params.NodesToWrite, limits.NODES_PER_WRITE)
    caller = session.caller

    async def write() -> tuple[bytes, bytes]:
        codes = [result.value for result in await session.write(params, caller)]
        return _WRITE_RESPONSE, struct.pack(f"<i{len(codes)}I", len(codes), *codes) + _NO_DIAGNOSTICS

    return write
