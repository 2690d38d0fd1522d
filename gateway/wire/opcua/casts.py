"""Values in a where clause, and their conversions (Part 4, 7.7.3: conversion rules and data precedence rules)."""

import math
import re
import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from asyncua import ua
from asyncua.ua.uaerrors import UaError

from gateway.wire.opcua.contents import key_node_id, key_of
from gateway.wire.opcua.face import Builtin, Reading

EXPANDED_NODE_ID: Final = 18
_B = Builtin
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Typed(NamedTuple):
    """A value with its built-in type. NULL is None, never one of these.

    content: as in face.Reading, but texts are str, an array is a tuple, a NodeId that is of no namespace of ours is the library's NodeId.
    """

    kind: int
    content: Any


TRUE: Final = Typed(_B.BOOLEAN, True)
FALSE: Final = Typed(_B.BOOLEAN, False)

_PRECEDENCE: Final = {
    kind: rank
    for rank, kind in enumerate(
        (
            *(_B.DOUBLE, _B.FLOAT, _B.INT64, _B.UINT64, _B.INT32, _B.UINT32, _B.STATUS_CODE, _B.INT16, _B.UINT16, _B.SBYTE, _B.BYTE),
            *(_B.BOOLEAN, _B.GUID, _B.STRING, EXPANDED_NODE_ID, _B.NODE_ID, _B.LOCALIZED_TEXT, _B.QUALIFIED_NAME),
        )
    )
}
"""Data precedence rules: of two types the one further down is converted."""

_BOUNDS: Final[Mapping[int, tuple[int, int]]] = {
    _B.BOOLEAN: (0, 1),
    _B.SBYTE: (-(2**7), 2**7 - 1),
    _B.BYTE: (0, 2**8 - 1),
    _B.INT16: (-(2**15), 2**15 - 1),
    _B.UINT16: (0, 2**16 - 1),
    _B.INT32: (-(2**31), 2**31 - 1),
    _B.UINT32: (0, 2**32 - 1),
    _B.INT64: (-(2**63), 2**63 - 1),
    _B.UINT64: (0, 2**64 - 1),
}
INTEGERS: Final = frozenset(_BOUNDS) - {_B.BOOLEAN}
_FLOATS: Final = frozenset((_B.FLOAT, _B.DOUBLE))
_NUMBERS: Final = frozenset(_BOUNDS) | _FLOATS
_WIDE: Final = frozenset((_B.INT32, _B.UINT32, _B.INT64, _B.UINT64)) | _FLOATS

_IMPLICIT: Final[Mapping[int, frozenset[int]]] = {  # conversion rules, I; by source type
    _B.BOOLEAN: _NUMBERS - {_B.BOOLEAN},
    _B.BYTE: _NUMBERS - {_B.BOOLEAN, _B.BYTE},
    _B.SBYTE: _WIDE | {_B.INT16, _B.UINT16},
    _B.INT16: _WIDE,
    _B.UINT16: _WIDE | {_B.INT16, _B.STATUS_CODE},
    _B.INT32: _FLOATS | {_B.INT64, _B.UINT64},
    _B.UINT32: _FLOATS | {_B.INT32, _B.INT64, _B.UINT64},
    _B.INT64: _FLOATS,
    _B.UINT64: _FLOATS | {_B.INT64},
    _B.FLOAT: frozenset((_B.DOUBLE,)),
    _B.STATUS_CODE: frozenset((_B.INT32, _B.UINT32, _B.INT64, _B.UINT64)),
    _B.STRING: _NUMBERS | {_B.GUID},
    _B.LOCALIZED_TEXT: frozenset((_B.STRING,)),
    _B.QUALIFIED_NAME: frozenset((_B.STRING, _B.LOCALIZED_TEXT)),
    _B.NODE_ID: frozenset((EXPANDED_NODE_ID, _B.STRING)),
    EXPANDED_NODE_ID: frozenset((_B.STRING,)),
}
_EXPLICIT: Final[Mapping[int, frozenset[int]]] = {  # E; numbers among each other and to a String besides
    **{kind: _NUMBERS | {_B.STRING} for kind in _NUMBERS},
    **{kind: _NUMBERS | {_B.STRING, _B.STATUS_CODE} for kind in (_B.INT32, _B.UINT32, _B.INT64, _B.UINT64)},
    _B.STATUS_CODE: frozenset((_B.UINT16,)),
    _B.STRING: frozenset((_B.DATE_TIME, _B.NODE_ID, EXPANDED_NODE_ID, _B.LOCALIZED_TEXT, _B.QUALIFIED_NAME)),
    EXPANDED_NODE_ID: frozenset((_B.NODE_ID,)),
    _B.GUID: frozenset((_B.BYTE_STRING, _B.STRING)),
    _B.BYTE_STRING: frozenset((_B.GUID,)),
    _B.DATE_TIME: frozenset((_B.STRING,)),
}
_NONE: Final[frozenset[int]] = frozenset()
_LONGEST_NUMBER: Final = 400
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?INF|NaN")


def of_reading(reading: Reading | None) -> Typed | None:
    """An event's field. A field that has a StatusCode instead of its value is NULL (Part 4, 7.7.3, IsNull)."""
    if reading is None or reading.content is None or reading.status:
        return None
    content: Any = reading.content
    if reading.type is Builtin.LOCALIZED_TEXT:
        content = tuple(map(_text_of, content)) if isinstance(content, tuple) else _text_of(content)
        if content is None:
            return None
    return Typed(int(reading.type), content)


def of_variant(value: ua.Variant) -> Typed | None:
    """A literal."""
    if value.Value is None:
        return None
    if isinstance(value.Value, list | tuple):
        return Typed(int(value.VariantType), tuple(map(_plain, value.Value)))
    content = _plain(value.Value)
    return None if content is None else Typed(int(value.VariantType), content)


def common(left: Typed, right: Typed) -> tuple[int, Any, Any] | None:
    """The common type, and both contents in it, by implicit conversion; None where there is none, or where it fails."""
    if left.kind == right.kind:
        return left.kind, left.content, right.content
    ranks = _PRECEDENCE.get(left.kind), _PRECEDENCE.get(right.kind)
    if ranks[0] is None or ranks[1] is None:
        return None
    low, high = (left, right) if ranks[0] > ranks[1] else (right, left)
    if high.kind not in _IMPLICIT.get(low.kind, _NONE):
        return None
    converted = _convert(low, high.kind)
    if converted is None:
        return None
    return (high.kind, converted, high.content) if low is left else (high.kind, high.content, converted)


def cast(value: Typed, kind: int) -> Typed | None:
    """The Cast operator: any conversion that the rules know; NULL where it fails."""
    if value.kind == kind:
        return value
    if kind not in _IMPLICIT.get(value.kind, _NONE) and kind not in _EXPLICIT.get(value.kind, _NONE):
        return None
    converted = _convert(value, kind)
    return None if converted is None else Typed(kind, converted)


def _convert(value: Typed, kind: int) -> Any:
    """The content in another type, None where that fails."""
    if isinstance(value.content, tuple):
        elements = [_convert(Typed(value.kind, element), kind) for element in value.content]
        return None if None in elements else tuple(elements)
    if kind == _B.STATUS_CODE:
        return _to_status(value)
    if value.kind == _B.STATUS_CODE and kind == _B.UINT16:
        return value.content >> 16
    return _TO[kind](value) if kind in _TO else _number(value, kind)


def _to_status(value: Typed) -> int | None:
    """From a UInt16: the upper half, which is all that a code says; from others the lower 32 bits."""
    number: int = value.content
    if value.kind == _B.UINT16:
        return number << 16
    return number & 0xFFFF_FFFF if -(2**31) <= number < 2**32 else None


def _number(value: Typed, kind: int) -> Any:
    content = value.content
    if isinstance(content, str):
        content = _parsed(content, kind)
    if content is None or not isinstance(content, bool | int | float):
        return None
    if kind == _B.DOUBLE:
        return float(content)
    if kind == _B.FLOAT:
        return _single(float(content))
    if isinstance(content, float):
        if not math.isfinite(content):
            return None
        content = math.trunc(content + 0.5) if content >= 0 else math.trunc(content - 0.5)
    low, high = _BOUNDS[kind]
    if not low <= content <= high:
        return None
    return bool(content) if kind == _B.BOOLEAN else int(content)


def _parsed(text: str, kind: int) -> bool | int | float | None:
    text = text.strip()
    if len(text) > _LONGEST_NUMBER:
        return None
    if kind == _B.BOOLEAN:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
    if kind in _FLOATS:
        return float(text) if _DECIMAL.fullmatch(text) else None
    return int(text) if _WHOLE.fullmatch(text) else None


def _single(number: float) -> float | None:
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return None


def _to_text(value: Typed) -> str | None:
    content = value.content
    match value.kind:
        case _B.BOOLEAN:
            return "true" if content else "false"
        case _B.DATE_TIME:
            at, rest = divmod(content, 1_000_000_000)
            try:
                return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 100:07d}Z"
            except (OverflowError, ValueError, OSError):
                return None
        case _B.GUID:
            return str(uuid.UUID(bytes=content))
        case _B.NODE_ID | 18:
            return str((key_node_id(content) if isinstance(content, int | str) else content).to_string())
    return str(content)


def _to_time(value: Typed) -> int | None:
    try:
        at = datetime.fromisoformat(value.content)
    except ValueError:
        return None
    return _unix_ns(at if at.tzinfo else at.replace(tzinfo=UTC))


def _to_node_id(value: Typed) -> Any:
    if value.kind != _B.STRING:
        return value.content
    try:
        return _plain(ua.NodeId.from_string(value.content))
    except (UaError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def _to_guid(value: Typed) -> bytes | None:
    if value.kind == _B.BYTE_STRING:
        return value.content if len(value.content) == 16 else None
    try:
        return uuid.UUID(value.content).bytes
    except ValueError:
        return None


_TO: Final[Mapping[int, Callable[[Typed], Any]]] = {
    _B.STRING: _to_text,
    _B.LOCALIZED_TEXT: _to_text,
    _B.QUALIFIED_NAME: _to_text,
    _B.DATE_TIME: _to_time,
    _B.NODE_ID: _to_node_id,
    EXPANDED_NODE_ID: _to_node_id,
    _B.GUID: _to_guid,
    _B.BYTE_STRING: lambda value: value.content,
}


def _plain(content: Any) -> Any:
    """One scalar of the library as a content."""
    for kind, convert in _PLAIN:
        if isinstance(content, kind):
            return convert(content)
    return content


def _name_of(name: ua.QualifiedName) -> str | None:
    return name.Name if not name.NamespaceIndex else f"{name.NamespaceIndex}:{name.Name}"


def _key_of(nodeid: ua.NodeId) -> Any:
    key = key_of(nodeid)
    return nodeid if key is None else key


def _text_of(content: Any) -> str | None:
    text = getattr(content, "text", content)
    return None if text is None else str(text)


def _unix_ns(at: datetime) -> int:
    since = at - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


_PLAIN: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (datetime, lambda at: _unix_ns(at if at.tzinfo else at.replace(tzinfo=UTC))),
    (uuid.UUID, lambda guid: guid.bytes),
    (ua.NodeId, _key_of),
    (ua.QualifiedName, _name_of),
    (ua.LocalizedText, lambda text: text.Text),
    (ua.StatusCode, lambda status: status.value),
)
