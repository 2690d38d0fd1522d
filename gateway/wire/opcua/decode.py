"""PublishResponse and NotificationMessage (Part 4, 5.14.5, 7.26) to columns, without an object per value.

A DataChangeNotification is a list of (client handle, DataValue). Items of one layout (mask, type) have one size where the type has one:
all of one layout are one array, mixed ones are gathered layout by layout (`layouts`). Texts, arrays and what else has no size beforehand
are read one by one.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

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
    NOTHING_MORE,
    STRING,
    XML,
    Cursor,
    Malformed,
    guid_text,
    seconds_of,
)
from gateway.wire.opcua.layouts import NUMBERS, SIZES, Chain, gathered, run
from gateway.wire.opcua.ticks import EPOCH_1970, to_ns

Handles = NDArray[np.uint32]
Elements = NDArray[np.int32]

MAX_TEXT_BYTES: Final = 65_536
OVERFLOW: Final = 0x0480  # InfoType DataValue and Overflow (Part 4, 7.39.1): the server's queue dropped samples before this one

_SERVICE_FAULT, _PUBLISH_RESPONSE, _REPUBLISH_RESPONSE = 397, 829, 835
_DATA_CHANGE, _STATUS_CHANGE = 811, 820
_BAD_INDEX_RANGE_NO_DATA: Final = 0x8037_0000
_ANSWER: Final = struct.Struct("<4sqII8sIi")  # type, time, handle, result, the rest of the header, subscription, available numbers
_HEAD: Final = struct.Struct("<BIqi5si")  # more, sequence, time, notifications, the first one's type and size
_USUAL_ANSWER: Final = b"\x01\x00" + _PUBLISH_RESPONSE.to_bytes(2, "little")
_USUAL_NOTIFICATION: Final = b"\x01\x00" + _DATA_CHANGE.to_bytes(2, "little") + b"\x01"
_UNPACK: Final = {kind: struct.Struct("<" + code) for kind, code in zip(NUMBERS, "?bBhHiIqQfdqI", strict=True)}
_MANY: Final = 32  # from so many on, finding all places at once is cheaper than reading one item after the other
_LEAST_BYTES: Final = 6  # handle, mask, type
_NO_DIAGNOSTICS: Final = 4  # bytes of the empty array that ends a notification
_PLAIN: Final = 2**63 // 100 - 1  # ticks since 1970, less one, that are nanoseconds within int64


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


class Message(NamedTuple):
    """One NotificationMessage. sequence of a keep-alive (no data) is that of the next message. status_change: the subscription's end."""

    sequence: int
    changes: tuple[DataChange, ...] = ()
    status_change: int | None = None
    empty: bool = True
    malformed: str = ""  # a notification that could not be read, and why; the others are there


class Published(NamedTuple):
    """One PublishResponse. result is the service's StatusCode; where it is Bad, nothing else is filled."""

    result: int
    subscription: int = 0
    available: tuple[int, ...] = ()
    more: bool = False
    message: Message = Message(0)


def decode_publish(data: bytes, element: Elements) -> Published:
    """A PublishResponse or ServiceFault. element[handle] = index of the array element wanted, -1 for a scalar.

    Raises Malformed where the envelope cannot be read; a notification inside that cannot be read is named in the message.
    """
    usual = _usual(data, element)
    if usual is not None:
        return usual
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
    return Published(result, subscription, available, more, _message(at, element))


def _usual(data: bytes, element: Elements) -> Published | None:
    """What nearly all answers are: Good, nothing in the header, one DataChangeNotification. Read in three steps; None for any other."""
    if len(data) < _ANSWER.size + _HEAD.size:
        return None
    kind, _, _, result, plain, subscription, length = _ANSWER.unpack_from(data)
    head = _ANSWER.size + 4 * length
    if kind != _USUAL_ANSWER or result or plain not in NOTHING_MORE or not 0 <= length <= len(data) - _HEAD.size - _ANSWER.size >> 2:
        return None
    more, sequence, _, notifications, kind, size = _HEAD.unpack_from(data, head)
    start = head + _HEAD.size
    if notifications != 1 or kind != _USUAL_NOTIFICATION or not 0 < size <= len(data) - start:
        return None
    available = struct.unpack_from(f"<{length}I", data, _ANSWER.size)
    try:
        message = Message(sequence, (data_change(data, start, start + size, element),), None, empty=False)
    except Malformed as why:
        message = Message(sequence, (), None, empty=False, malformed=str(why))
    return Published(0, subscription, available, more != 0, message)


def decode_republish(data: bytes, element: Elements) -> tuple[int, Message | None]:
    """(ServiceResult, message) of a RepublishResponse or ServiceFault; no message where the result is Bad. Raises Malformed."""
    at = Cursor(data)
    kind = at.node_id()
    result = at.response_header()
    if kind != _REPUBLISH_RESPONSE or result >= BAD:
        return result, None
    return result, _message(at, element)


def _numbers(at: Cursor) -> tuple[int, ...]:
    length = at.count(4)
    start = at.skip(4 * length)
    return struct.unpack_from(f"<{length}I", at.data, start)


def _message(at: Cursor, element: Elements) -> Message:
    sequence = at.u32()
    at.skip(8)  # PublishTime
    changes: list[DataChange] = []
    status_change, malformed, empty = None, "", True
    for _ in range(at.count(3)):
        kind, start, end = at.extension_object()
        empty = False
        try:
            if kind == _DATA_CHANGE:
                changes.append(data_change(at.data, start, end, element))
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


def data_change(data: bytes, start: int, end: int, element: Elements) -> DataChange:
    """The DataChangeNotification in data[start:end]. Raises Malformed."""
    at = Cursor(data, start, end)
    n = at.count(5)
    columns = _uniform(at, n)
    if columns is None:
        columns = Columns.of(n)
        if n >= _MANY:
            _mixed(at, n, columns, element)
        else:
            for row in range(n):
                _one(at, row, columns, element)
    status = columns.status
    overflow = 0
    if np.count_nonzero(status):
        flagged = (status & np.uint32(OVERFLOW)) == OVERFLOW
        overflow = int(np.count_nonzero(flagged))
        status[flagged] &= np.uint32(~OVERFLOW & 0xFFFF_FFFF)
        columns.value[status >= np.uint32(BAD)] = np.nan
    return DataChange(columns.handle, columns.value, status, columns.source_ns, columns.text, overflow)


def _uniform(at: Cursor, n: int) -> Columns | None:
    """The columns where all items have one layout: then the whole is one array."""
    if not n or at.end - at.pos < _LEAST_BYTES:
        return None
    key = at.data[at.pos + 4] | at.data[at.pos + 5] << 8
    size = SIZES.item(key)
    records = run(at.data, at.pos, key, n) if size and size * n == at.end - at.pos - _NO_DIAGNOSTICS else None
    if records is None:
        return None
    columns = Columns(
        handle=records["handle"].copy(),
        value=np.empty(n),
        status=records["status"].copy() if key & 0x02 else np.zeros(n, np.uint32),
        source_ns=_unix_ns(records["source"]) if key & 0x04 else np.zeros(n, np.int64),
        text={},
    )
    _put(columns, slice(None), records["value"], key >> 8)
    return columns


def _mixed(at: Cursor, n: int, columns: Columns, element: Elements) -> None:
    """Items of fixed size are found and gathered layout by layout, whatever stands between them is read one by one."""
    data, first, end = at.data, at.pos, at.end
    octets = np.frombuffer(data, np.uint8, end - first, first)
    chain, row, place = Chain(octets), 0, 0
    rows: list[Rows] = []
    places: list[Rows] = []
    while row < n:
        found, place = chain.follow(place, n - row)
        if found.size:
            rows.append(np.arange(row, row + found.size))
            places.append(found)
            row += found.size
            continue
        at.pos = first + place
        _one(at, row, columns, element)
        row, place = row + 1, at.pos - first
    if not rows:
        return
    items = gathered(data, first, end, np.concatenate(places))
    whole: slice | Rows = slice(0, n) if items.handle.size == n else np.concatenate(rows)
    columns.handle[whole], columns.status[whole], columns.source_ns[whole] = items.handle, items.status, _unix_ns(items.source)
    row_of = np.arange(n) if isinstance(whole, slice) else whole
    for picked, kind, value in items.values:
        _put(columns, row_of[picked], value, kind)


def _put(columns: Columns, rows: slice | Rows, value: NDArray[Any], kind: int) -> None:
    """The values, and a status for those that float64 cannot hold."""
    if kind == DATETIME:
        columns.value[rows] = np.where(value > 0, (value - EPOCH_1970) / 1e7, np.nan)
        return
    columns.value[rows] = value
    if value.dtype.itemsize == 8 and value.dtype.kind in "iu":
        inexact = (value > int(EXACT_INT)) | ((value < -int(EXACT_INT)) if value.dtype.kind == "i" else False)
        if inexact.any():
            status = columns.status[rows]
            columns.status[rows] = np.where(inexact & (status < np.uint32(BAD)), np.uint32(BAD_OUT_OF_RANGE), status)


def _unix_ns(ticks: Times) -> Times:
    since = ticks - EPOCH_1970
    if (since - 1).view(np.uint64).max() < _PLAIN:  # what lies before 1970 wraps round to the far end
        since *= 100
        return since
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
