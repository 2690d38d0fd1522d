"""PublishResponse and NotificationMessage (Part 4, 5.14.5, 7.26) to columns, without an object per value.

A DataChangeNotification is a list of (client handle, DataValue). Items of one layout (mask, type) have one size where the type has one, so
a run of them is one array; mixed ones are walked once for their places and gathered by layout. Texts, arrays and what else has no size
beforehand are read one by one.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Floats, Rows, Times
from gateway.model.quality import (
    BAD,
    BAD_DECODING_ERROR,
    BAD_ENCODING_LIMITS,
    BAD_NO_DATA,
    BAD_OUT_OF_RANGE,
    BAD_TYPE_MISMATCH,
    Statuses,
)
from gateway.model.tag import EXACT_INT
from gateway.wire.opcua.cursor import (
    DATETIME,
    GUID,
    LOCALIZED_TEXT,
    STRING,
    XML,
    Cursor,
    Malformed,
    guid_text,
    seconds_of,
)
from gateway.wire.opcua.ticks import EPOCH_1970, to_ns

Handles = NDArray[np.uint32]
Elements = NDArray[np.int32]

MAX_TEXT_BYTES: Final = 65_536
OVERFLOW: Final = 0x0480  # InfoType DataValue and Overflow (Part 4, 7.39.1): the server's queue dropped samples before this one

_SERVICE_FAULT, _PUBLISH_RESPONSE, _REPUBLISH_RESPONSE = 397, 829, 835
_DATA_CHANGE, _STATUS_CHANGE = 811, 820
_BAD_INDEX_RANGE_NO_DATA: Final = 0x8037_0000
_NUMBERS: Final = {
    1: "u1",
    2: "i1",
    3: "u1",
    4: "<i2",
    5: "<u2",
    6: "<i4",
    7: "<u4",
    8: "<i8",
    9: "<u8",
    10: "<f4",
    11: "<f8",
    13: "<i8",
    19: "<u4",
}
_UNPACK: Final = {kind: struct.Struct("<" + code) for kind, code in zip(_NUMBERS, "?bBhHiIqQfdqI", strict=True)}
_STREAK: Final = 8  # so many of one layout in a row: look how far it goes
_WORTH, _SHAPES_MOST = 32, 64
_NO_DIAGNOSTICS: Final = 4  # bytes of the empty array that ends a notification
_PLAIN_AFTER: Final = EPOCH_1970
_PLAIN_BEFORE: Final = EPOCH_1970 + 2**63 // 100


@dataclass(frozen=True, slots=True)
class DataChange:
    """n values of one notification, in the order of the message.

    handle     uint32[n]   client handle of the monitored item
    value      float64[n]  NaN where Bad and for text; a DateTime is seconds since 1970
    status     uint32[n]   StatusCode without the overflow bits
    source_ns  int64[n]    SourceTimestamp, UTC ns; 0 = none
    text       row -> text, for String, LocalizedText, XmlElement and Guid
    overflow   how many values carried the overflow bits
    """

    handle: Handles
    value: Floats
    status: Statuses
    source_ns: Times
    text: dict[int, str] = field(default_factory=dict)
    overflow: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One NotificationMessage. sequence of a keep-alive (no data) is that of the next message. status_change: the subscription's end."""

    sequence: int
    changes: tuple[DataChange, ...] = ()
    status_change: int | None = None
    empty: bool = True
    malformed: str = ""  # a notification that could not be read, and why; the others are there


@dataclass(frozen=True, slots=True)
class Published:
    """One PublishResponse. result is the service's StatusCode; where it is Bad, nothing else is filled."""

    result: int
    subscription: int = 0
    available: tuple[int, ...] = ()
    more: bool = False
    message: Message = field(default_factory=lambda: Message(0))


Shapes = dict[tuple[int, int], list[tuple[int, Rows, Rows]]]
"""Where the items of mixed notifications stood last time, by (count, length): key of the layout, rows, places from the first item on."""


def decode_publish(data: bytes, element: Elements, shapes: Shapes | None = None) -> Published:
    """A PublishResponse or ServiceFault. element[handle] = index of the array element wanted, -1 for a scalar.

    shapes, kept from call to call, spares the walk through a mixed notification whose items stand where they stood before.

    Raises Malformed where the envelope cannot be read; a notification inside that cannot be read is named in the message.
    """
    at = Cursor(data)
    kind = at.node_id()
    result = at.response_header()
    if kind == _SERVICE_FAULT or result >= BAD:
        return Published(result)
    if kind != _PUBLISH_RESPONSE:
        raise Malformed(f"an answer of type {kind} to Publish")
    subscription = at.u32()
    available = _numbers(at)
    more = at.byte() != 0
    return Published(result, subscription, available, more, _message(at, element, {} if shapes is None else shapes))


def decode_republish(data: bytes, element: Elements) -> tuple[int, Message | None]:
    """(ServiceResult, message) of a RepublishResponse or ServiceFault; no message where the result is Bad. Raises Malformed."""
    at = Cursor(data)
    kind = at.node_id()
    result = at.response_header()
    if kind != _REPUBLISH_RESPONSE or result >= BAD:
        return result, None
    return result, _message(at, element, {})


def _numbers(at: Cursor) -> tuple[int, ...]:
    length = at.count(4)
    start = at.skip(4 * length)
    return struct.unpack_from(f"<{length}I", at.data, start)


def _message(at: Cursor, element: Elements, shapes: Shapes) -> Message:
    sequence = at.u32()
    at.skip(8)  # PublishTime
    changes: list[DataChange] = []
    status_change, malformed, empty = None, "", True
    for _ in range(at.count(3)):
        kind, start, end = at.extension_object()
        empty = False
        try:
            if kind == _DATA_CHANGE:
                changes.append(data_change(at.data, start, end, element, shapes))
            elif kind == _STATUS_CHANGE:
                status_change = Cursor(at.data, start, end).u32()
        except Malformed as why:
            malformed = str(why)
    return Message(sequence, tuple(changes), status_change, empty, malformed)


# --- one DataChangeNotification -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Columns:
    """A DataChange in the making."""

    handle: Handles
    value: Floats
    status: Statuses
    source_ns: Times
    text: dict[int, str]

    @classmethod
    def of(cls, n: int) -> "Columns":
        return cls(np.empty(n, np.uint32), np.empty(n), np.zeros(n, np.uint32), np.zeros(n, np.int64), {})


def data_change(data: bytes, start: int, end: int, element: Elements, shapes: Shapes) -> DataChange:
    """The DataChangeNotification in data[start:end]. Raises Malformed."""
    at = Cursor(data, start, end)
    n = at.count(5)
    columns = Columns.of(n)
    if not _as_before(at, n, columns, shapes):
        _walk(at, n, columns, element, shapes)
    status = columns.status
    overflow = 0
    if status.any():
        flagged = (status & np.uint32(OVERFLOW)) == OVERFLOW
        overflow = int(np.count_nonzero(flagged))
        status[flagged] &= np.uint32(~OVERFLOW & 0xFFFF_FFFF)
        columns.value[status >= np.uint32(BAD)] = np.nan
    return DataChange(columns.handle, columns.value, status, columns.source_ns, columns.text, overflow)


def _as_before(at: Cursor, n: int, columns: Columns, shapes: Shapes) -> bool:
    """Fills the columns where each item has the layout that stood in its place before: sizes follow from layouts, so places hold too."""
    shape = shapes.get((n, at.end - at.pos))
    if shape is None:
        return False
    octets = np.frombuffer(at.data, np.uint8)[at.pos :]
    for key, _, places in shape:
        if (octets[places + 4] != (key & 0xFF)).any() or (octets[places + 5] != key >> 8).any():
            return False
    for key, rows, places in shape:
        _gather(octets, key, rows, places, columns)
    return True


def _walk(at: Cursor, n: int, columns: Columns, element: Elements, shapes: Shapes) -> None:
    """Run by run; what stands alone is noted by layout and gathered at the end."""
    data, end, place, row = at.data, at.end, at.pos, 0
    first = place
    singles: dict[int, tuple[list[int], list[int]]] = {}
    last, streak = -1, 0
    uniform = n > 0 and end - place > 6 and _SIZES.get(data[place + 4] | data[place + 5] << 8, 0) * n == end - place - _NO_DIAGNOSTICS
    while row < n:
        if end - place < 6:
            at.pos = place
            _one(at, row, columns, element)  # a bare handle and an empty mask; less is malformed
            place, row = at.pos, row + 1
            continue
        key = data[place + 4] | data[place + 5] << 8
        size = _SIZES.get(key)
        if size is None:
            at.pos = place
            _one(at, row, columns, element)
            place, row, last = at.pos, row + 1, -1
            continue
        streak = streak + 1 if key == last else 1
        last = key
        if uniform or (streak > _STREAK and n - row > _STREAK):
            k = _run(data, place, end, key, n - row)
            _fill(columns, slice(row, row + k), np.frombuffer(data, _LAYOUTS[key], k, place), key >> 8)
            place, row, last, uniform = place + k * size, row + k, -1, False
            continue
        if key not in singles:
            singles[key] = ([], [])
        rows, places = singles[key]
        rows.append(row)
        places.append(place)
        place, row = place + size, row + 1
    if place > end:
        raise Malformed(f"{n} values announced, and fewer are there")
    octets = np.frombuffer(data, np.uint8)[first:]
    groups = [(key, np.array(rows), np.array(places) - first) for key, (rows, places) in singles.items()]
    for key, rows_, places_ in groups:
        _gather(octets, key, rows_, places_, columns)
    if n >= _WORTH and sum(rows_.size for _, rows_, _ in groups) == n:
        if len(shapes) >= _SHAPES_MOST:
            shapes.clear()
        shapes[n, end - first] = groups


def _layout(mask: int, kind: int) -> np.dtype[Any]:
    """One MonitoredItemNotification with a scalar of fixed size (Part 6, 5.2.2.17: value, status, source time, server time)."""
    fields = [("handle", "<u4"), ("mask", "u1"), ("kind", "u1"), ("value", _NUMBERS[kind])]
    for bit, name, code in (
        (0x02, "status", "<u4"),
        (0x04, "source", "<i8"),
        (0x10, "source_pico", "<u2"),
        (0x08, "server", "<i8"),
        (0x20, "server_pico", "<u2"),
    ):
        if mask & bit:
            fields.append((name, code))
    return np.dtype(fields)


_LAYOUTS: Final = {mask | kind << 8: _layout(mask, kind) for mask in range(1, 64, 2) for kind in _NUMBERS}
_SIZES: Final = {key: layout.itemsize for key, layout in _LAYOUTS.items()}


def _run(data: bytes, place: int, end: int, key: int, most: int) -> int:
    """How many items of this layout follow each other from here on: each one's place is right because all before it had the size."""
    layout = _LAYOUTS[key]
    if end - place < layout.itemsize:
        raise Malformed("the last value ends beyond its notification")
    records = np.frombuffer(data, layout, min(most, (end - place) // layout.itemsize), place)
    other = (records["mask"] != (key & 0xFF)) | (records["kind"] != key >> 8)
    first = int(other.argmax())
    return records.size if not other[first] else first


def _gather(octets: NDArray[np.uint8], key: int, rows: Rows, places: Rows, columns: Columns) -> None:
    layout = _LAYOUTS[key]
    picked = octets[places[:, None] + np.arange(layout.itemsize)]
    _fill(columns, rows, picked.view(layout).reshape(-1), key >> 8)


def _fill(columns: Columns, rows: slice | Rows, records: NDArray[Any], kind: int) -> None:
    columns.handle[rows] = records["handle"]
    names = records.dtype.names or ()
    if "status" in names:
        columns.status[rows] = records["status"]
    if "source" in names:
        columns.source_ns[rows] = _unix_ns(records["source"])
    value = records["value"]
    if kind == DATETIME:
        columns.value[rows] = np.where(value > 0, (value - EPOCH_1970) / 1e7, np.nan)
        return
    columns.value[rows] = value
    if value.dtype.itemsize == 8 and value.dtype.kind in "iu":
        inexact = (value > int(EXACT_INT)) | ((value < -int(EXACT_INT)) if value.dtype.kind == "i" else False)
        if inexact.any():
            columns.status[rows] = np.where(inexact, np.uint32(BAD_OUT_OF_RANGE), columns.status[rows])


def _unix_ns(ticks: Times) -> Times:
    if ticks.min() > _PLAIN_AFTER and ticks.max() < _PLAIN_BEFORE:
        return (ticks - EPOCH_1970) * 100
    return to_ns(ticks)


# --- one item without a fixed size -----------------------------------------------------------------------------------------------------


def _one(at: Cursor, row: int, columns: Columns, element: Elements) -> None:
    handle = at.u32()
    columns.handle[row] = handle
    data_value(at, row, columns, int(element[handle]) if handle < element.size else -1)


def data_value(at: Cursor, row: int, columns: Columns, wanted: int) -> None:
    """Reads one DataValue into a row; wanted = index of the array element, -1 for a scalar."""
    mask = at.byte()
    value, fault = _variant(at, wanted) if mask & 0x01 else (math.nan, BAD_NO_DATA)
    status = at.u32() if mask & 0x02 else 0
    columns.source_ns[row] = to_ns(np.array([at.i64()]))[0] if mask & 0x04 else 0
    for bit, size in ((0x10, 2), (0x08, 8), (0x20, 2)):
        if mask & bit:
            at.skip(size)
    columns.status[row] = status if status >= BAD or not fault else fault
    if isinstance(value, str):
        columns.value[row] = math.nan
        if columns.status[row] < BAD:
            columns.text[row] = value
    else:
        columns.value[row] = value if columns.status[row] < BAD else math.nan


def _variant(at: Cursor, wanted: int) -> tuple[float | str, int]:
    """(value, 0) or (NaN, why not). wanted: index of an array's element, -1 for a scalar."""
    kind = at.byte()
    if not kind & 0x80:
        return _scalar(at, kind & 0x3F)
    length, first = at.elements(kind & 0x3F)
    found = Cursor(at.data, first, at.pos)
    if kind & 0x40:
        at.skip(4 * at.count(4))
    if wanted < 0:
        return math.nan, BAD_TYPE_MISMATCH
    if length != 1:  # one element: the server kept to the IndexRange; more: it sent the whole array
        if wanted >= length:
            return math.nan, _BAD_INDEX_RANGE_NO_DATA
        for _ in range(wanted):
            found.value(kind & 0x3F)
    return _scalar(found, kind & 0x3F)


def _scalar(at: Cursor, kind: int) -> tuple[float | str, int]:
    if kind in {STRING, XML}:
        return _text(at.string())
    if kind == LOCALIZED_TEXT:
        return _text(at.localized_text())
    start = at.pos
    at.value(kind)
    if kind == GUID:
        return guid_text(at.data[start : at.pos]), 0
    if kind in _UNPACK:
        value = _UNPACK[kind].unpack_from(at.data, start)[0]
        if kind == DATETIME:
            return seconds_of(value), 0
        return (float(value), 0) if kind not in {8, 9} or abs(value) <= EXACT_INT else (math.nan, BAD_OUT_OF_RANGE)
    return math.nan, BAD_TYPE_MISMATCH if kind else BAD_NO_DATA


def _text(raw: bytes | None) -> tuple[float | str, int]:
    if raw is None:
        return "", 0
    if len(raw) > MAX_TEXT_BYTES:
        return math.nan, BAD_ENCODING_LIMITS
    try:
        return raw.decode("utf-8"), 0
    except UnicodeDecodeError:
        return math.nan, BAD_DECODING_ERROR
