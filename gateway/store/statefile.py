"""Files of learned state: named arrays and a few words, whole or not at all.

"ETwS"  version (4 bytes)  BLAKE2b-128 of what follows (16 bytes)  length of the words (4 bytes)  words (JSON)  zstd frame of an .npz
"""

import io
import json
import struct
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.store import whole
from gateway.store.errors import DamagedBlock
from gateway.store.packing import pack, unpack

VERSION: Final = 1
_MAGIC: Final = b"ETwS"
_HEAD: Final = struct.Struct("<4sI16s")
_LENGTH: Final = struct.Struct("<I")


def write(path: Path, words: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Replaces the file; a crash on the way leaves the old one. words are JSON values. Raises OSError."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{str(number): array for number, array in enumerate(arrays.values())})
    text = json.dumps({"words": dict(words), "keys": list(arrays)}).encode()
    body = _LENGTH.pack(len(text)) + text + pack(buffer.getvalue(), 1)
    whole.replace(path, _HEAD.pack(_MAGIC, VERSION, blake2b(body, digest_size=16).digest()), body)


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Words and arrays. Raises OSError (FileNotFoundError where there is none), and DamagedBlock with the reason."""
    raw = path.read_bytes()
    if len(raw) < _HEAD.size:
        raise DamagedBlock(f"{path}: {len(raw)} bytes are no state file")
    magic, version, digest = _HEAD.unpack_from(raw)
    if magic != _MAGIC:
        raise DamagedBlock(f"{path}: this is no state file")
    if version != VERSION:
        raise DamagedBlock(f"{path}: version {version}, and this release knows {VERSION}")
    body = memoryview(raw)[_HEAD.size :]
    if blake2b(body, digest_size=16).digest() != digest:
        raise DamagedBlock(f"{path}: the checksum does not fit")
    (length,) = _LENGTH.unpack_from(body)
    text = json.loads(bytes(body[_LENGTH.size : _LENGTH.size + length]))
    with np.load(io.BytesIO(unpack(body[_LENGTH.size + length :])), allow_pickle=False) as found:
        return text["words"], {key: found[str(number)] for number, key in enumerate(text["keys"])}
