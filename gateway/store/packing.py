"""Bytes of columns: shuffled by significance and compressed. One compressor per thread: a zstd context is not shared."""

import threading
from typing import TypeVar

import numpy as np
import zstandard
from numpy.typing import NDArray

from gateway.store.errors import DamagedBlock

Scalar = TypeVar("Scalar", bound=np.generic)
_FEW = 8  # rows; picked byte by byte


class _Contexts(threading.local):
    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        if level not in self.compressors:
            self.compressors[level] = zstandard.ZstdCompressor(level=level, write_content_size=True)
        return self.compressors[level]


_contexts = _Contexts()


def pack(raw: bytes, level: int = 3) -> bytes:
    """One zstd frame that knows its size. It carries no checksum: what is stored has its own."""
    return _contexts.compressor(level).compress(raw)


def unpack(frame: bytes | memoryview) -> bytes:
    """Raises DamagedBlock for a frame that is not whole."""
    try:
        return _contexts.decompressor.decompress(frame)
    except zstandard.ZstdError as error:
        raise DamagedBlock(f"damaged block of {len(frame)} bytes: {error}") from None


def shuffle(column: NDArray[np.generic]) -> bytes:
    """All first bytes, then all second bytes...: neighbours in time share their high bytes, and zstd finds that."""
    if column.itemsize == 1:
        return column.tobytes()
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, column.itemsize).T.tobytes()


def unshuffle(raw: memoryview | bytes, dtype: np.dtype[Scalar], n: int, rows: NDArray[np.intp] | None = None) -> NDArray[Scalar]:
    """The inverse; a fresh array of n items, or of those `rows` alone."""
    if rows is not None and rows.size <= _FEW:
        end = n * dtype.itemsize
        return np.frombuffer(bytearray(b"".join([bytes(raw[row:end:n]) for row in rows.tolist()])), dtype)
    planes = np.frombuffer(raw, np.uint8, n * dtype.itemsize).reshape(dtype.itemsize, n)
    if rows is not None:
        planes = planes[:, rows]
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def to_bytes(text: str) -> bytes:
    """UTF-8 that takes every str: a lone surrogate from a device must not stop the gateway."""
    return text.encode("utf-8", "surrogatepass")


def to_text(raw: bytes) -> str:
    """The inverse. Bytes that are no UTF-8 (a damaged file) come back as replacement characters."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")
