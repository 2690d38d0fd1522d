"""What the library leaves open towards a hostile or broken peer is closed here: lengths while decoding, sizes on the socket, numbers that
are none.

`guard_codec()` works on the library's codec for the whole process, clients included; the rest are classes that the server uses.
"""

import asyncio
import functools
import math
import struct
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData, ServiceError
from asyncua.server import uaprocessor
from asyncua.server.binary_server_asyncio import OPCUAProtocol
from asyncua.ua import ua_binary
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.wire.opcua import limits
from gateway.wire.opcua.terms import status_code

T = TypeVar("T")
MALFORMED: Final = (
    UaError,
    struct.error,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What decoding a message that is not one can raise in the library."""


class Malformed(ValueError):
    """A request that cannot be decoded: the client's fault, whatever the decoder made of it."""


class Decoding:
    """`with Decoding():` around decoding alone: what goes wrong there is Malformed; a refusal with a StatusCode stays what it is."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, fault: BaseException | None, __: object) -> None:
        if isinstance(fault, MALFORMED) and not isinstance(fault, ServiceError | UaStatusCodeError):
            raise Malformed(str(fault)) from fault


def decoded(kind: type[T], body: Buffer) -> T:
    """A structure of the library's. Raises Malformed, and ServiceError for what is too large."""
    with Decoding():
        return struct_from_binary(kind, body)


_TOO_LARGE: Final = ua.StatusCodes.BadEncodingLimitsExceeded
_elements_left: ContextVar[list[int] | None] = ContextVar("elements_left", default=None)
_TYPES: Final = (b"HEL", b"OPN", b"MSG", b"CLO")
_RESHAPED_ELEMENTS: Final = 100_000
_DIMENSIONS: Final = 10
_read = Buffer.read
_array = ua_binary._create_uatype_array_deserializer
_list = ua_binary._create_list_deserializer
_reshape = ua_binary._reshape


def finite(value: float | None, low: float, high: float) -> float:
    """A Duration within bounds; what is no number, or none, becomes the lower bound."""
    return min(max(float(value), low), high) if value is not None and math.isfinite(value) else low


class _Depth(threading.local):
    levels = 0


_depth: Final = _Depth()


def _nested(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode_nested(data: Any) -> Any:
        if _depth.levels >= limits.NESTING:
            raise ServiceError(_TOO_LARGE)
        _depth.levels += 1
        try:
            return decode(data)
        finally:
            _depth.levels -= 1

    return decode_nested


_variant = _nested(ua_binary.variant_from_binary)
_extension = _nested(ua_binary.extensionobject_from_binary)


def bound_elements(most: int) -> None:
    """From now on this task decodes at most so many elements of arrays: a byte on the wire may be an object of a hundred in memory."""
    _elements_left.set([most])


def guard_codec() -> None:
    """An array may not claim more elements than there are bytes left, nor a string a negative length (Part 6, 5.2.5), and Variants and
    ExtensionObjects are nested a hundred deep (5.2.2.16).

    Calling it again changes nothing.
    """
    codec: Any = ua_binary
    Buffer.read = _checked_read  # type: ignore[method-assign]
    codec._create_uatype_array_deserializer, codec._create_list_deserializer = _checked_array, _checked_list
    codec.variant_from_binary, codec.extensionobject_from_binary, codec._reshape = _variant, _extension, _checked_reshape
    codec.MAX_RESHAPE_ELEMENTS = _RESHAPED_ELEMENTS
    services: Any = uaprocessor
    services.struct_from_binary = decoded
    for made in (_array, _list, _checked_array, _checked_list, codec._create_uatype_deserializer):
        made.cache_clear()
    codec._create_type_deserializer.cache_clear()
    codec._create_dataclass_deserializer.cache_clear()


def _checked_read(self: Buffer, size: int) -> bytes:
    if size < 0:
        raise NotEnoughData(f"a length of {size}")
    return _read(self, size)


def _checked_reshape(flat: list[Any], dimensions: list[int]) -> list[Any]:
    if not 0 < len(dimensions) <= _DIMENSIONS or min(dimensions) < 0:
        raise NotEnoughData(f"{len(dimensions)} dimensions, or a negative one")
    return _reshape(flat, dimensions)


@functools.cache
def _checked_array(vtype: ua.VariantType) -> Callable[[Any], Any]:
    return _checked(_array(vtype))


@functools.cache
def _checked_list(uatype: Any) -> Callable[[Any], Any]:
    return _checked(_list(uatype))


def _checked(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode_checked(data: Buffer) -> Any:
        if isinstance(data, Buffer) and len(data) >= 4:
            (claimed,) = struct.unpack_from("<i", data._data, data._cur_pos)
            if claimed < -1 or claimed > len(data) - 4:
                raise NotEnoughData(f"an array of {claimed} elements in {len(data) - 4} bytes")
            left = _elements_left.get()
            if left is not None and claimed > 0:
                left[0] -= claimed
                if left[0] < 0:
                    raise ServiceError(_TOO_LARGE)
        return decode(data)

    return decode_checked


class GuardedProtocol(OPCUAProtocol):
    """One connection. A peer that breaks the protocol is told so once and cut off (Part 6, 7.1.5)."""

    _held = False  # the socket is not read: too many messages wait
    _busy = False  # with a message
    _breathed_s = 0.0
    _pending = b""  # received, and not yet a message

    def data_received(self, data: bytes) -> None:
        self._pending = self._pending + data if self._pending else data
        self._take()

    def _take(self) -> None:
        """Refuses what is no OPC UA message, or a chunk beyond the buffer, before anything of it is kept (Part 6, 7.1.2.2)."""
        at, pending, left = 0, self._pending, limits.AT_ONCE
        while len(pending) - at >= 8 and self.transport is not None and not self.transport.is_closing():
            (size,) = struct.unpack_from("<I", pending, at + 4)
            if pending[at : at + 3] not in _TYPES:
                return self.refuse(ua.StatusCodes.BadTcpMessageTypeInvalid)
            if not 8 <= size <= limits.RECEIVE_BUFFER_BYTES:
                return self.refuse(ua.StatusCodes.BadTcpMessageTooLarge)
            if len(pending) - at < size:
                break
            waiting = self.messages.qsize()
            if left and not waiting and not self._busy and self.at_once(pending, at, size):
                at, left = at + size, left - 1
                continue
            if waiting > limits.WAITING_MESSAGES:
                self._held = True
                self.transport.pause_reading()
                break
            self._buffer = b""
            super().data_received(pending[at : at + size])
            if self._buffer:
                return self.refuse(ua.StatusCodes.BadTcpMessageTypeInvalid)
            at += size
        self._pending = pending[at:]
        return None

    def at_once(self, data: bytes, at: int, size: int) -> bool:  # noqa: ARG002  what a connection with services does better
        """Whether the message in data[at : at + size] is done, with no need of the task: nothing that came before it waits."""
        return False

    def refuse(self, code: int) -> None:
        """Says why, and closes."""
        self._buffer = self._pending = b""
        if self.transport is not None and not self.transport.is_closing():
            error: Any = ua.MessageType.Error
            self.transport.write(ua_binary.uatcp_to_binary(error, ua.ErrorMessage(status_code(code))))
            self.transport.close()

    async def _process_one_msg(self, header: Any, buf: Buffer) -> bool:
        if self._held and self.transport is not None and self.messages.qsize() <= limits.WAITING_MESSAGES:
            self._held = False
            self.transport.resume_reading()
            self._take()
        if self.messages.qsize() and time.monotonic() - self._breathed_s > limits.BREATH_S:  # many in a row are a long one
            await asyncio.sleep(0)
            self._breathed_s = time.monotonic()
        self._busy = True
        try:
            return await super()._process_one_msg(header, buf)
        except ua.uaerrors.UaStatusCodeError as refused:
            self.refuse(refused.code)
        except MALFORMED:
            self.refuse(ua.StatusCodes.BadTcpInternalError)
        finally:
            self._busy = False
        return False
