"""The engine's state as bytes: names and head as JSON, raw little-endian columns, deflated, versioned, a SHA-256 over all. No pickle."""

import json
import struct
import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = b"EDGETWIN"
_FORMAT: Final = 1
_START: Final = struct.Struct("<8sHIII")  # magic, format, lengths: names, head, all of the payload
_DIGEST: Final = 32
_LEVEL: Final = 1  # the columns of a plant shrink tenfold at the lowest level already
_TYPES: Final = frozenset({"<f8", "<i8", "<i4", "<u4", "|b1"})

Column = NDArray[Any]


def payload(names: bytes, head: Mapping[str, Any], columns: Mapping[str, Column]) -> tuple[bytes, int]:
    """The state as it is hashed: names (a JSON object, encoded once by the caller), head (JSON values), and columns of float64, int64,
    int32, uint32 and bool; with the length of the head.
    """
    raw = {name: np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"), copy=False) for name, column in columns.items()}
    shapes = [[name, column.dtype.str, int(column.size)] for name, column in raw.items()]
    text = as_json({"head": dict(head), "columns": shapes})
    return b"".join([names, text, *(column.tobytes() for column in raw.values())]), len(text)


def as_json(value: Any) -> bytes:
    """Compact JSON in ASCII, without NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def encode(names: bytes, head: Mapping[str, Any], columns: Mapping[str, Column]) -> bytes:
    """The same as one blob to keep."""
    body, length = payload(names, head, columns)
    blob = _START.pack(_MAGIC, _FORMAT, len(names), length, len(body)) + zlib.compress(body, _LEVEL)
    return blob + sha256(blob).digest()


def decode(blob: bytes) -> tuple[dict[str, Any], dict[str, Column]]:
    """Names and head as one object, and the columns, as `encode` was given them. Raises ValueError for a damaged or foreign blob."""
    if len(blob) < _START.size + _DIGEST:
        raise ValueError("snapshot: too short")
    magic, version, n_names, n_head, size = _START.unpack_from(blob)
    if magic != _MAGIC:
        raise ValueError("snapshot: not a snapshot of the engine")
    if version != _FORMAT:
        raise ValueError(f"snapshot: format {version}, this version reads {_FORMAT}")
    if sha256(blob[:-_DIGEST]).digest() != blob[-_DIGEST:]:
        raise ValueError("snapshot: checksum differs, the blob is damaged")
    body = zlib.decompress(blob[_START.size : -_DIGEST], bufsize=size)
    described = json.loads(body[n_names : n_names + n_head])
    place, columns = n_names + n_head, {}
    for name, kind, count in described["columns"]:
        if kind not in _TYPES:
            raise ValueError(f"snapshot: column {name} of type {kind}")
        dtype = np.dtype(kind)
        columns[name] = np.frombuffer(body, dtype, count, place).astype(dtype.newbyteorder("="))
        place += count * dtype.itemsize
    if place != size or size != len(body):
        raise ValueError("snapshot: length differs")
    return json.loads(body[:n_names]) | described["head"], columns
