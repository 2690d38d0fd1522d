"""Answers to HistoryRead (Part 4, 5.11.3; Part 11, 6.6; encoding Part 6, 5.2) packed from columns: no object for each sample."""

import functools
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.wire.opcua import ticks
from gateway.wire.opcua.encode import HAS_SOURCE_TIME, HAS_STATUS, HAS_VALUE
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.past import Samples

_HISTORY_DATA: Final = struct.pack("<BBHB", 1, 0, 658, 1)  # NodeId of the binary encoding, body is a ByteString
_NOTHING: Final = b"\x00\x00\x00"  # a null ExtensionObject
_CODES: Final = {
    Builtin.BOOLEAN: "u1",
    Builtin.INT32: "<i4",
    Builtin.UINT32: "<u4",
    Builtin.INT64: "<i8",
    Builtin.DOUBLE: "<f8",
}


def result(status: int, point: bytes, history: bytes) -> bytes:
    """A HistoryReadResult; history is an encoded ExtensionObject."""
    return struct.pack("<Ii", status, len(point) if point else -1) + point + history


def refused(status: int) -> bytes:
    return result(status, b"", _NOTHING)


def history_data(samples: Samples) -> bytes:
    """HistoryData as an ExtensionObject: DataValues with value, status and source time."""
    values = _texts(samples) if samples.type is Builtin.STRING else _numbers(samples)
    return _HISTORY_DATA + struct.pack("<ii", len(values) + 4, samples.source_ns.size) + values


def _numbers(samples: Samples) -> bytes:
    null = np.isnan(samples.value)
    stamped = HAS_SOURCE_TIME | (HAS_STATUS if samples.status.any() else 0)
    if not null.any():
        return _records(samples, samples.type, stamped | HAS_VALUE, None).tobytes()
    without = _records(samples, samples.type, stamped, np.flatnonzero(null))
    if null.all():
        return without.tobytes()
    with_ = _records(samples, samples.type, stamped | HAS_VALUE, np.flatnonzero(~null))
    size = np.where(null, without.dtype.itemsize, with_.dtype.itemsize)
    begin = np.cumsum(size) - size
    out = np.empty(int(size.sum()), np.uint8)
    for rows, record in ((null, without), (~null, with_)):
        width = record.dtype.itemsize
        out[begin[rows][:, None] + np.arange(width)] = record.view(np.uint8).reshape(-1, width)
    return out.tobytes()


def _records(samples: Samples, kind: Builtin, mask: int, rows: NDArray[np.intp] | None) -> NDArray[np.void]:
    chosen = slice(None) if rows is None else rows
    value = samples.value[chosen]
    record = np.empty(value.size, _layout(kind, mask))
    record["mask"] = mask
    if mask & HAS_VALUE:
        record["type"], record["value"] = int(kind), value
    if mask & HAS_STATUS:
        record["status"] = samples.status[chosen]
    record["source"] = ticks.from_ns(samples.source_ns[chosen])
    return record


@functools.cache
def _layout(kind: Builtin, mask: int) -> np.dtype[np.void]:
    fields = [("mask", "u1")]
    if mask & HAS_VALUE:
        fields += [("type", "u1"), ("value", _CODES[kind])]
    if mask & HAS_STATUS:
        fields.append(("status", "<u4"))
    return np.dtype([*fields, ("source", "<i8")])


def _texts(samples: Samples) -> bytes:
    """Value by value: a text has no fixed size."""
    parts = []
    stamps = ticks.from_ns(samples.source_ns).tolist()
    for row, (status, stamp) in enumerate(zip(samples.status.tolist(), stamps, strict=True)):
        text = samples.text.get(row)
        if text is None:
            parts.append(struct.pack("<BIq", HAS_STATUS | HAS_SOURCE_TIME, status, stamp))
        else:
            encoded = text.encode("utf-8", "replace")
            parts.append(struct.pack("<BBi", HAS_VALUE | HAS_STATUS | HAS_SOURCE_TIME, int(Builtin.STRING), len(encoded)))
            parts += [encoded, struct.pack("<Iq", status, stamp)]
    return b"".join(parts)
