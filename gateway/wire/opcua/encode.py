"""DataChangeNotifications from columns (Part 4, 7.25.2; encoding Part 6, 5.2): one packed record type per layout, so that a whole
notification is one array.

A layout is a built-in type together with the timestamps a client asked for. Text has no fixed size and goes value by value.
"""

import functools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.tag import TagType
from gateway.wire.opcua import ticks
from gateway.wire.opcua.face import Reference

Bytes = NDArray[np.uint8]

# DataValue mask (Part 6, 5.2.2.17).
HAS_VALUE: Final = 0x01
HAS_STATUS: Final = 0x02
HAS_SOURCE_TIME: Final = 0x04
HAS_SERVER_TIME: Final = 0x08

_STAMPS: Final = (HAS_SOURCE_TIME, HAS_SERVER_TIME, HAS_SOURCE_TIME | HAS_SERVER_TIME, 0)  # by TimestampsToReturn
_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"
_NULL: Final = -1
_COUNT: Final = struct.Struct("<i")
_TEXT: Final = int(TagType.TEXT)
_WIRE: Final[Mapping[int, tuple[int, str]]] = {  # TagType -> built-in type, numpy code
    int(TagType.FLOAT): (11, "<f8"),
    int(TagType.INT): (8, "<i8"),
    int(TagType.BOOL): (1, "u1"),
    int(TagType.ENUM): (7, "<u4"),
}


@dataclass(frozen=True, slots=True)
class Values:
    """n values to report, in order of arrival.

    handle    uint32[n]   the client's
    layout    uint8[n]    layout_of(type, stamps)
    value     float64[n]  NaN where there never was one
    status    uint32[n]
    source    int64[n]    unix ns, 0 = none
    server    int64[n]    unix ns
    text      row -> text
    """

    handle: NDArray[np.uint32]
    layout: Bytes
    value: NDArray[np.float64]
    status: NDArray[np.uint32]
    source: NDArray[np.int64]
    server: NDArray[np.int64]
    text: Mapping[int, str]


def layout_of(kind: int, stamps: int) -> int:
    """One number for a TagType and a TimestampsToReturn."""
    return kind * 4 + stamps


def data_change_bodies(values: Values) -> list[bytes | memoryview]:
    """Bodies of DataChangeNotifications: one per layout. The order of one item's values is kept, since an item has one layout."""
    if not values.handle.size:
        return []
    first = values.layout.item(0)
    if not np.count_nonzero(values.layout != first):
        return _of_layout(values, first, None)
    return [
        body for layout in np.unique(values.layout).tolist() for body in _of_layout(values, layout, np.flatnonzero(values.layout == layout))
    ]


def _of_layout(values: Values, layout: int, rows: NDArray[np.intp] | None) -> list[bytes | memoryview]:
    kind, stamps = divmod(layout, 4)
    if kind == _TEXT:
        return [_texts(values, range(values.handle.size) if rows is None else rows.tolist(), _STAMPS[stamps])]
    value = values.value if rows is None else values.value[rows]
    null = np.isnan(value)
    if not np.count_nonzero(null):
        return [_records(values, kind, _STAMPS[stamps], rows)]
    every = np.arange(values.handle.size) if rows is None else rows
    # A null stands before the first value of its item, so nulls first keep the order.
    parts: list[bytes | memoryview] = [_records(values, _NULL, _STAMPS[stamps], every[null])]
    if not null.all():
        parts.append(_records(values, kind, _STAMPS[stamps], every[~null]))
    return parts


def data_values(
    kind: NDArray[np.int8],
    stamps: int,
    value: NDArray[np.float64],
    status: NDArray[np.uint32],
    source: NDArray[np.int64],
    server: NDArray[np.int64],
    texts: Sequence[str | None] | None,
) -> bytes:
    """n DataValues one after the other, without a count: the answer to a Read.

    kind: TagType per row; texts per row where there are text tags.
    """
    null = np.isnan(value) & (kind != _TEXT)
    if kind.size and (kind == kind[0]).all() and not null.any() and kind[0] != _TEXT and (not status.any() or status.all()):
        return _data_values(int(kind[0]), stamps, value, status, source, server).tobytes()
    parts: list[bytes] = [b""] * kind.size
    group = np.where(null, _NULL, kind).astype(np.int64) * 2 + (status != 0)
    for number in np.unique(group).tolist():
        rows = np.flatnonzero(group == number)
        if number // 2 == _TEXT:
            assert texts is not None
            for row in rows.tolist():
                parts[row] = _text_value(texts[row], int(status[row]), int(source[row]), int(server[row]), _STAMPS[stamps])
            continue
        record = _data_values(number // 2, stamps, value[rows], status[rows], source[rows], server[rows])
        packed, size = record.tobytes(), record.dtype.itemsize
        for place, row in enumerate(rows.tolist()):
            parts[row] = packed[place * size : (place + 1) * size]
    return b"".join(parts)


def _data_values(
    kind: int,
    stamps: int,
    value: NDArray[np.float64],
    status: NDArray[np.uint32],
    source: NDArray[np.int64],
    server: NDArray[np.int64],
) -> NDArray[np.void]:
    mask = _mask(kind, _STAMPS[stamps], status, source)
    record = np.empty(value.size, _record(kind, mask, handles=False))
    _fill(record, kind, mask, value, status, source, server)
    return record


def _fill(
    record: NDArray[np.void],
    kind: int,
    mask: int,
    value: NDArray[np.float64],
    status: NDArray[np.uint32],
    source: NDArray[np.int64],
    server: NDArray[np.int64],
) -> None:
    record["mask"] = mask
    if mask & HAS_VALUE:
        record["type"], record["value"] = _WIRE[kind][0], value
    if mask & HAS_STATUS:
        record["status"] = status
    if mask & HAS_SOURCE_TIME:
        record["source"] = ticks.from_ns(source)
    if mask & HAS_SERVER_TIME:
        record["server"] = ticks.from_ns(server)


def _mask(kind: int, stamps: int, status: NDArray[np.uint32], source: NDArray[np.int64]) -> int:
    """One for all rows: what no row has is left out, what some have is written for each (a time of 0 is none, Part 6, 5.2.2.5)."""
    if not np.count_nonzero(source):
        stamps &= ~HAS_SOURCE_TIME
    return stamps | (HAS_VALUE if kind != _NULL else 0) | (HAS_STATUS if np.count_nonzero(status) else 0)


@functools.cache
def _record(kind: int, mask: int, *, handles: bool = True) -> np.dtype[np.void]:
    fields = [("handle", "<u4"), ("mask", "u1")] if handles else [("mask", "u1")]
    if mask & HAS_VALUE:
        fields += [("type", "u1"), ("value", _WIRE[kind][1])]
    if mask & HAS_STATUS:
        fields.append(("status", "<u4"))
    if mask & HAS_SOURCE_TIME:
        fields.append(("source", "<i8"))
    if mask & HAS_SERVER_TIME:
        fields.append(("server", "<i8"))
    return np.dtype(fields)


def _records(values: Values, kind: int, stamps: int, rows: NDArray[np.intp] | None) -> memoryview:
    if rows is not None:
        values = Values(
            values.handle[rows], values.layout[rows], values.value[rows], values.status[rows], values.source[rows], values.server[rows], {}
        )
    mask = _mask(kind, stamps, values.status, values.source)
    layout = _record(kind, mask)
    body = np.empty(4 + values.handle.size * layout.itemsize + 4, np.uint8)
    _COUNT.pack_into(body.data, 0, values.handle.size)
    _COUNT.pack_into(body.data, body.size - 4, _NULL)  # no diagnostics
    record = body[4:-4].view(layout)
    record["handle"] = values.handle
    _fill(record, kind, mask, values.value, values.status, values.source, values.server)
    return body.data


def _texts(values: Values, rows: Sequence[int], stamps: int) -> bytes:
    parts = [struct.pack("<i", len(rows))]
    for row in rows:
        parts.append(struct.pack("<I", int(values.handle[row])))
        parts.append(_text_value(values.text.get(row), int(values.status[row]), int(values.source[row]), int(values.server[row]), stamps))
    return b"".join((*parts, _NO_DIAGNOSTICS))


def _text_value(text: str | None, status: int, source: int, server: int, stamps: int) -> bytes:
    stamps &= ~(0 if source else HAS_SOURCE_TIME)
    parts = [bytes([stamps | (HAS_VALUE if text is not None else 0) | (HAS_STATUS if status else 0)])]
    if text is not None:
        encoded = text.encode("utf-8", "replace")
        parts.append(struct.pack("<Bi", 12, len(encoded)) + encoded)
    if status:
        parts.append(struct.pack("<I", status))
    if stamps & HAS_SOURCE_TIME:
        parts.append(struct.pack("<q", _ticks(source)))
    if stamps & HAS_SERVER_TIME:
        parts.append(struct.pack("<q", _ticks(server)))
    return b"".join(parts)


def _ticks(unix_ns: int) -> int:
    return unix_ns // 100 + ticks.EPOCH_1970 if unix_ns else 0


def reference_record(reference: Reference, namespace: int) -> bytes:
    """A ReferenceDescription (Part 4, 7.30) with all fields; namespace is the index of string identifiers."""
    target = reference.target
    name = target.name.encode()
    text = struct.pack("<i", len(name)) + name
    return b"".join(
        (
            _node_id(reference.type, namespace),
            b"\x01" if reference.forward else b"\x00",
            _node_id(target.key, namespace),
            struct.pack("<H", 0 if target.standard or isinstance(target.key, int) else namespace),
            text,
            b"\x02",
            text,
            struct.pack("<i", target.node_class),
            _node_id(target.type_definition, namespace),
        )
    )


def _node_id(key: int | str, namespace: int) -> bytes:
    """Part 6, 5.2.2.9: two bytes, four bytes or a string; the numbers of namespace 0 that we use fit 16 bits."""
    if isinstance(key, str):
        encoded = key.encode()
        return struct.pack("<BHi", 3, namespace, len(encoded)) + encoded
    return struct.pack("<BB", 0, key) if key < 256 else struct.pack("<BBH", 1, 0, key)
