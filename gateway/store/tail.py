"""The tail: every commit's samples of all tags as one compressed row, until blocks are cut from it.

Layout before compression: header (version, steps, rows), the steps' table, then one column after the other over all steps: store_id as
differences, and shuffled value, status, source time; then the texts as (row, length) and their bytes. A CRC-32 stands before the frame.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Series
from gateway.model.batch import Floats, Origin, Rows, TagIds, Times
from gateway.model.quality import Statuses
from gateway.model.update import Columns
from gateway.store.commit import Step
from gateway.store.errors import DamagedBlock, Lost
from gateway.store.packing import Scalar, pack, shuffle, to_bytes, to_text, unpack, unshuffle
from gateway.store.series import EMPTY

_HEADER: Final = struct.Struct("<BxHIIq")
_VERSION: Final = 1
_STEP: Final = np.dtype([("now_ns", "<i8"), ("rows", "<u4"), ("late", "<u4"), ("origin", "u1")])
_TEXT: Final = np.dtype([("row", "<u4"), ("bytes", "<u4")])
_ID, _VALUE, _STATUS, _TIME = np.dtype("<i4"), np.dtype("<f8"), np.dtype("<u4"), np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class TailRow:
    """What goes into one row: the steps (now_ns, rows, late, origin) and the columns of all, each step's rows before its late ones."""

    steps: NDArray[np.void]
    store_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    text: dict[int, str]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it lies in the file: the ids can be seen at once, the rest is decoded for the rows that are asked for."""

    steps: NDArray[np.void]
    store_id: TagIds
    base_ns: int
    raw: memoryview  # value, status, source time, texts
    texts: int

    def take(self, rows: Rows) -> Series:
        """Some rows, in the order given."""
        n = self.store_id.size
        value = unshuffle(self.raw, _VALUE, n, rows)
        status = unshuffle(self.raw[8 * n :], _STATUS, n, rows)
        since = unshuffle(self.raw[12 * n :], _TIME, n, rows)
        source_ns = since + np.full(1, self.base_ns)  # wraps for the wildest times
        text = _texts(self.raw, 20 * n, self.texts) if self.texts else {}
        return Series(source_ns, value, status, {k: text[row] for k, row in enumerate(rows.tolist()) if row in text} if text else {})

    def of(self, store_id: int) -> Series:
        """One tag's samples in the order in which they were committed."""
        rows = np.flatnonzero(self.store_id == store_id)
        return self.take(rows) if rows.size else EMPTY


def gather(steps: Sequence[Step], store_ids: TagIds) -> TailRow:
    """Join the columns of all steps under their store_ids (int32, by tag_id)."""
    table = np.array([(step.now_ns, len(step.rows), len(step.late), step.origin) for step in steps], _STEP)
    parts: list[Columns] = [part for step in steps for part in (step.rows, step.late) if len(part)]
    text: dict[int, str] = {}
    offset = 0
    for part in parts:
        text.update((offset + row, words) for row, words in part.text.items())
        offset += len(part)
    return TailRow(
        steps=table,
        store_id=store_ids[_join([part.tag_id for part in parts], np.dtype(np.int32))],
        value=_join([part.value for part in parts], _VALUE),
        status=_join([part.status for part in parts], _STATUS),
        source_ns=_join([part.source_ns for part in parts], _TIME),
        text=text,
    )


def _join(columns: list[NDArray[Scalar]], dtype: np.dtype[Scalar]) -> NDArray[Scalar]:
    return np.concatenate(columns) if columns else np.empty(0, dtype)


def encode(row: TailRow) -> bytes:
    texts = sorted((place, to_bytes(words)) for place, words in row.text.items())
    base = int(row.source_ns[0]) if row.source_ns.size else 0
    with np.errstate(over="ignore"):
        since = row.source_ns - np.int64(base)  # wraps for the wildest times, and back again when it is read
    raw = (
        _HEADER.pack(_VERSION, row.steps.size, row.store_id.size, len(texts), base),
        row.steps.tobytes(),
        np.diff(row.store_id, prepend=np.int32(0)).astype(_ID).tobytes(),
        shuffle(row.value),
        shuffle(row.status),
        shuffle(since),
        np.array([(place, len(words)) for place, words in texts], _TEXT).tobytes(),
        *(words for _, words in texts),
    )
    frame = pack(b"".join(raw), 1)
    return crc32(frame).to_bytes(4, "little") + frame


def decode(frame: bytes) -> StoredRow:
    """Raises DamagedBlock."""
    packed = memoryview(frame)[4:]
    if crc32(packed).to_bytes(4, "little") != frame[:4]:
        raise DamagedBlock(f"damaged tail row of {len(frame)} bytes")
    raw = memoryview(unpack(packed))
    version, steps, rows, texts, base_ns = _HEADER.unpack_from(raw)
    if version != _VERSION:
        raise DamagedBlock(f"tail row of version {version}")
    ids_at = _HEADER.size + steps * _STEP.itemsize
    table = np.frombuffer(raw, _STEP, steps, _HEADER.size)
    store_id = np.cumsum(np.frombuffer(raw, _ID, rows, ids_at), dtype=np.int32)
    return StoredRow(table, store_id, base_ns, raw[ids_at + store_id.nbytes :], texts)


def whole(frames: Iterable[tuple[bytes]], lost: Lost) -> Iterator[StoredRow]:
    """The rows that can be read; what is wrong with the others is added to `lost`."""
    for (frame,) in frames:
        try:
            yield decode(frame)
        except DamagedBlock as damage:
            lost.append(str(damage))


def _texts(raw: memoryview, at: int, n: int) -> dict[int, str]:
    table = np.frombuffer(raw, _TEXT, n, at)
    at += table.nbytes
    text = {}
    for row, length in table.tolist():
        text[row] = to_text(bytes(raw[at : at + length]))
        at += length
    return text


def applied(row: StoredRow, tag_ids: TagIds) -> list[tuple[int, Origin, Columns]]:
    """(now_ns, origin, rows) of each step, without late rows; tag_ids by store_id, -1 for rows that are to be left out."""
    out = []
    offset = 0
    for now_ns, rows, late, origin in row.steps.tolist():
        ids = tag_ids[row.store_id[offset : offset + rows]]
        kept = np.flatnonzero(ids >= 0)
        if kept.size:
            part = row.take(kept + offset)
            out.append((now_ns, Origin(origin), Columns(ids[kept], part.value, part.status, part.source_ns, part.text)))
        offset += rows + late
    return out
