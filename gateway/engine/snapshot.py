"""The engine's state as bytes: a small JSON head and raw little-endian columns, versioned, with a SHA-256 over all of it. No pickle."""

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = b"EDGETWIN"
_FORMAT: Final = 1
_HEAD: Final = struct.Struct("<8sHI")  # magic, format, length of the JSON head
_DIGEST: Final = 32
_TYPES: Final = frozenset({"<f8", "<i8", "<i4", "<u4", "|b1"})

Column = NDArray[Any]


def encode(head: Mapping[str, Any], columns: Mapping[str, Column]) -> bytes:
    """head (JSON values) and columns of float64, int64, int32, uint32 and bool as one blob."""
    raw = {name: np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"), copy=False) for name, column in columns.items()}
    shapes = [[name, column.dtype.str, int(column.size)] for name, column in raw.items()]
    text = json.dumps({"head": dict(head), "columns": shapes}, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()
    body = b"".join([_HEAD.pack(_MAGIC, _FORMAT, len(text)), text, *(column.tobytes() for column in raw.values())])
    return body + hashlib.sha256(body).digest()


def decode(blob: bytes) -> tuple[dict[str, Any], dict[str, Column]]:
    """What `encode` was given. Raises ValueError for a blob that is damaged, foreign or of another format."""
    if len(blob) < _HEAD.size + _DIGEST:
        raise ValueError("snapshot: too short")
    magic, version, length = _HEAD.unpack_from(blob)
    if magic != _MAGIC:
        raise ValueError("snapshot: not a snapshot of the engine")
    if version != _FORMAT:
        raise ValueError(f"snapshot: format {version}, this version reads {_FORMAT}")
    body, digest = blob[:-_DIGEST], blob[-_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("snapshot: checksum differs, the blob is damaged")
    described = json.loads(body[_HEAD.size : _HEAD.size + length])
    place, columns = _HEAD.size + length, {}
    for name, kind, size in described["columns"]:
        if kind not in _TYPES:
            raise ValueError(f"snapshot: column {name} of type {kind}")
        dtype = np.dtype(kind)
        columns[name] = np.frombuffer(body, dtype, size, place).astype(dtype.newbyteorder("="))
        place += size * dtype.itemsize
    if place != len(body):
        raise ValueError("snapshot: length differs")
    return described["head"], columns
