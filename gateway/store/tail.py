"""The tail: every commit's samples of all tags as one compressed row, until blocks are cut from it.

Layout before compression: header (version, steps, rows), the steps' table, then one shuffled column after the other over all steps:
store_id, value, status, source time; then the texts as (row, length) and their bytes. A CRC-32 stands before the frame.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Floats, Origin, TagIds, Times
from gateway.model.quality import Statuses
from gateway.model.update import Columns
from gateway.store.commit import Step
from gateway.store.packing import Scalar, pack, shuffle, to_bytes, to_text, unpack, unshuffle

_HEADER: Final = struct.Struct("<BxHIIq")
_VERSION: Final = 1
_STEP: Final = np.dtype([("now_ns", "<i8"), ("rows", "<u4"), ("late", "<u4"), ("origin", "u1")])
_TEXT: Final = np.dtype([("row", "<u4"), ("bytes", "<u4")])
_ID, _VALUE, _STATUS, _TIME = np.dtype("<i4"), np.dtype("<f8"), np.dtype("<u4"), np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class TailRow:
    """steps as stored (now_ns, rows, late, origin); the columns of all steps, each step's applied rows before its late ones."""

    steps: NDArray[np.void]
    store_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    text: dict[int, str]


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
        shuffle(row.store_id),
        shuffle(row.value),
        shuffle(row.status),
        shuffle(since),
        np.array([(place, len(words)) for place, words in texts], _TEXT).tobytes(),
        *(words for _, words in texts),
    )
    frame = pack(b"".join(raw), 1)
    return crc32(frame).to_bytes(4, "little") + frame


def decode(frame: bytes) -> TailRow:
    """Raises ValueError for a damaged row."""
    if crc32(memoryview(frame)[4:]).to_bytes(4, "little") != frame[:4]:
        raise ValueError(f"damaged tail row of {len(frame)} bytes")
    raw = memoryview(unpack(memoryview(frame)[4:]))
    version, steps, rows, texts, base = _HEADER.unpack_from(raw)
    if version != _VERSION:
        raise ValueError(f"tail row of version {version}")
    at = _HEADER.size
    table = np.frombuffer(raw, _STEP, steps, at)
    at += table.nbytes
    store_id, at = unshuffle(raw[at:], _ID, rows), at + rows * _ID.itemsize
    value, at = unshuffle(raw[at:], _VALUE, rows), at + rows * _VALUE.itemsize
    status, at = unshuffle(raw[at:], _STATUS, rows), at + rows * _STATUS.itemsize
    since, at = unshuffle(raw[at:], _TIME, rows), at + rows * _TIME.itemsize
    with np.errstate(over="ignore"):
        source_ns = since + np.int64(base)
    return TailRow(table, store_id, value, status, source_ns, _texts(raw, at, texts))


def _texts(raw: memoryview, at: int, n: int) -> dict[int, str]:
    table = np.frombuffer(raw, _TEXT, n, at)
    at += table.nbytes
    text = {}
    for row, length in table.tolist():
        text[row] = to_text(bytes(raw[at : at + length]))
        at += length
    return text


def only(row: TailRow, store_id: int) -> tuple[Times, Floats, Statuses, dict[int, str]]:
    """One tag's samples in the order in which they were committed; text by place among them."""
    places = np.flatnonzero(row.store_id == store_id)
    text = {k: row.text[place] for k, place in enumerate(places.tolist()) if place in row.text} if row.text else {}
    return row.source_ns[places], row.value[places], row.status[places], text


def applied(row: TailRow, tag_ids: TagIds) -> list[tuple[int, Origin, Columns]]:
    """(now_ns, origin, rows) of each step, without late rows; tag_ids by store_id, -1 for rows that are to be left out."""
    out = []
    offset = 0
    for now_ns, rows, late, origin in row.steps.tolist():
        span = slice(offset, offset + rows)
        ids = tag_ids[row.store_id[span]]
        kept = np.flatnonzero(ids >= 0)
        text = {k: row.text[place] for k, place in enumerate((kept + offset).tolist()) if place in row.text} if row.text else {}
        columns = Columns(ids[kept], row.value[span][kept], row.status[span][kept], row.source_ns[span][kept], text)
        if len(columns):
            out.append((now_ns, Origin(origin), columns))
        offset += rows + late
    return out
