"""The messages between the daemon and a worker: a length of 4 bytes, a JSON header of that length, then the arrays as they lie in memory.

The header's key `arrays` lists name, dtype and shape of each array in order; so its length follows from the header alone. Little-endian,
C order, plain numbers only: nothing in a message is ever executed.
"""

import asyncio
import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import numpy as np
import orjson

from gateway.work import Column

HEADER_BYTES: Final = 16 * 2**20
ARRAY_BYTES: Final = 512 * 2**20  # of one message
ARRAYS: Final = 1000
DIMENSIONS: Final = 4
_LENGTH: Final = struct.Struct("<I")
_TYPES: Final = {name: np.dtype(name) for name in ("<f8", "<f4", "<i8", "<i4", "<u4", "|b1", "|i1", "|u1")}
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Nonsense(Exception):
    """These bytes are no message."""


def encode(header: Mapping[str, Any], arrays: Mapping[str, Column]) -> list[bytes | memoryview]:
    """The pieces of one message. Raises ValueError for an array that cannot travel, TypeError for a header that is no JSON."""
    parts, listed = list[memoryview](), list[tuple[str, str, tuple[int, ...]]]()
    for name, array in arrays.items():
        kind = array.dtype.newbyteorder("<").str
        if kind not in _TYPES or array.ndim > DIMENSIONS:
            raise ValueError(f"an array of {array.dtype} with {array.ndim} dimensions cannot travel")
        plain = np.ascontiguousarray(array, kind)
        listed.append((name, kind, array.shape))
        if plain.nbytes:
            parts.append(plain.data.cast("B"))
    text = orjson.dumps({**header, "arrays": listed}, option=_OPTIONS)
    if len(text) > HEADER_BYTES or sum(part.nbytes for part in parts) > ARRAY_BYTES or len(listed) > ARRAYS:
        raise ValueError("the message is larger than a message may be")
    return [_LENGTH.pack(len(text)), text, *parts]


def length_of(prefix: bytes) -> int:
    """How long the header is. Raises Nonsense."""
    (length,) = _LENGTH.unpack(prefix)
    if not 2 <= length <= HEADER_BYTES:
        raise Nonsense(f"a header of {length} bytes")
    return int(length)


def opened(text: bytes) -> tuple[dict[str, Any], list[tuple[str, np.dtype[Any], tuple[int, ...]]], int]:
    """(header, its arrays, how many bytes follow). Raises Nonsense."""
    try:
        header = orjson.loads(text)
        listed = header.pop("arrays")
        arrays = [(_name(name), _TYPES[kind], _shape(shape)) for name, kind, shape in listed]
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise Nonsense(f"a header that says nothing: {fault}") from None
    following = sum(kind.itemsize * math.prod(shape) for _, kind, shape in arrays)
    if following > ARRAY_BYTES or len(arrays) > ARRAYS:
        raise Nonsense(f"{len(arrays)} arrays of {following} bytes")
    return header, arrays, following


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError("the name of an array is a text")
    return name


def _shape(shape: Any) -> tuple[int, ...]:
    if len(shape) > DIMENSIONS or not all(isinstance(size, int) and 0 <= size <= ARRAY_BYTES for size in shape):
        raise ValueError("a shape that cannot be")
    return tuple(shape)


def split(body: bytes, arrays: list[tuple[str, np.dtype[Any], tuple[int, ...]]]) -> dict[str, Column]:
    """The arrays of a body, read only, without a copy."""
    found, at = dict[str, Column](), 0
    for name, kind, shape in arrays:
        count = math.prod(shape)
        found[name] = np.frombuffer(body, kind, count, at).reshape(shape)
        at += count * kind.itemsize
    return found


def read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Column]] | None:
    """The next message of a blocking stream; None at its end. Raises Nonsense, also for a message that breaks off."""
    prefix = stream.read(_LENGTH.size)
    if not prefix:
        return None
    header, arrays, following = opened(_exactly(stream, length_of(_whole(prefix, _LENGTH.size))))
    return header, split(_exactly(stream, following), arrays)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    return _whole(stream.read(size), size)


def _whole(found: bytes, size: int) -> bytes:
    if len(found) != size:
        raise Nonsense("the message breaks off")
    return found


async def receive(stream: asyncio.StreamReader) -> tuple[dict[str, Any], dict[str, Column]] | None:
    """As read, without blocking. None at the end of the stream, also where a message breaks off. Raises Nonsense."""
    try:
        prefix = await stream.readexactly(_LENGTH.size)
        header, arrays, following = opened(await stream.readexactly(length_of(prefix)))
        return header, split(await stream.readexactly(following), arrays)
    except asyncio.IncompleteReadError:
        return None
