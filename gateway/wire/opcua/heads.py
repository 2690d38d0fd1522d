# mypy: disallow-untyped-calls=False
# (the library's codec carries no types)
"""What stands at the head of every request, and all of a Publish: read by hand in their usual form, else by the library (Part 4, 7.32)."""

import functools
import struct
from typing import Any, Final, NamedTuple

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import Primitives, nodeid_from_binary

from gateway.wire.opcua.guards import decoded
from gateway.wire.opcua.terms import node_id

_FOUR_BYTE: Final = b"\x01\x00"  # a numeric type of namespace 0 (Part 6, 5.2.2.9)
_OPAQUE: Final = 5
_PUBLISH: Final = _FOUR_BYTE + struct.pack("<H", ua.ObjectIds.PublishRequest_Encoding_DefaultBinary)
_TOKEN: Final = struct.Struct("<Hi")  # namespace, length
_TOKEN_AT: Final = 11  # type 4 bytes, kind of the token's NodeId 1, namespace 2, length 4
_TOKEN_MOST: Final = 64
_REST: Final = struct.Struct("<qIIiIBBB")  # time, handle, diagnostics, no audit entry, timeout, no additional header
_COUNT: Final = struct.Struct("<i")
_FIXED: Final = struct.Struct("<qII")  # time, handle, diagnostics
_U32: Final = struct.Struct("<I")


class Acknowledgement(NamedTuple):
    """Part 4, 5.13.5.2; named as the library names them."""

    SubscriptionId: int
    SequenceNumber: int


class Publish(NamedTuple):
    """What a Publish request holds that is of use: its handle, how long the client waits in s, acknowledgements."""

    handle: int
    patience_s: float
    acknowledgements: "list[Acknowledgement]"


def usual_publish(data: bytes, begin: int, end: int, token: bytes) -> Publish | None:
    """The Publish in data[begin:end] where it has its usual form and this authentication token; None for anything else."""
    rest = begin + _TOKEN_AT + len(token)
    if end - rest < _REST.size + _COUNT.size or data[begin : begin + 4] != _PUBLISH or data[begin + 4] != _OPAQUE:
        return None
    if data[rest - len(token) : rest] != token or _TOKEN.unpack_from(data, begin + 5) != (0, len(token)):
        return None
    _, handle, _, audit, timeout, *additional = _REST.unpack_from(data, rest)
    if audit != -1 or any(additional):
        return None
    found = _pairs(data, rest + _REST.size, end)
    return None if found is None else Publish(handle, timeout / 1000, found)


def request_head(body: Buffer) -> tuple[ua.NodeId, ua.RequestHeader]:
    """The request's type and header; body goes on behind them. Raises what the library raises for what is none."""
    data, at = body._data, body._cur_pos
    end = at + len(body)
    if len(body) > _TOKEN_AT + _REST.size and data[at : at + 2] == _FOUR_BYTE and data[at + 4] == _OPAQUE:
        namespace, length = _TOKEN.unpack_from(data, at + 5)
        rest = at + _TOKEN_AT + length
        if 0 <= length <= _TOKEN_MOST and rest + _REST.size <= end:
            _, handle, diagnostics, audit, timeout, *additional = _REST.unpack_from(data, rest)
            if audit == -1 and not any(additional):
                token = node_id(bytes(data[rest - length : rest]), namespace)
                kind = _type(bytes(data[at : at + 4]))
                body.skip(rest + _REST.size - at)
                return kind, ua.RequestHeader(
                    AuthenticationToken=token, RequestHandle=handle, ReturnDiagnostics=diagnostics, TimeoutHint=timeout
                )
    return nodeid_from_binary(body), _header(body)


def _header(body: Buffer) -> ua.RequestHeader:
    """Any other form. What a client adds is nothing to us and is not decoded: it may be anything. Raises UaError, struct.error."""
    token = nodeid_from_binary(body)
    _, handle, diagnostics = _FIXED.unpack(body.read(_FIXED.size))
    audit = Primitives.String.unpack(body)
    (timeout,) = _U32.unpack(body.read(_U32.size))
    nodeid_from_binary(body)
    if body.read(1) != b"\x00":
        body.read(*_COUNT.unpack(body.read(_COUNT.size)))
    return ua.RequestHeader(
        AuthenticationToken=token, RequestHandle=handle, ReturnDiagnostics=diagnostics, AuditEntryId=audit, TimeoutHint=timeout
    )


@functools.lru_cache(maxsize=256)
def _type(encoded: bytes) -> ua.NodeId:
    return nodeid_from_binary(Buffer(encoded))


def acknowledgements(body: Buffer) -> Any:
    """Those of a Publish, all that its request holds beside the header."""
    found = _pairs(body._data, body._cur_pos, body._cur_pos + len(body))
    return decoded(ua.PublishParameters, body).SubscriptionAcknowledgements if found is None else found


def _pairs(data: bytes, at: int, end: int) -> list[Acknowledgement] | None:
    if end - at < _COUNT.size:
        return None
    (count,) = _COUNT.unpack_from(data, at)
    if end - at != _COUNT.size + 8 * max(count, 0):
        return None
    if count <= 0:
        return []
    numbers = struct.unpack_from(f"<{2 * count}I", data, at + _COUNT.size)
    return [Acknowledgement(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
