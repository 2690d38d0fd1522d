"""Recordings, `*.etrec`: everything that the engine was given, in order, so that a replay reaches the same state bit for bit.

    file     8 magic bytes, then blocks: kind (H, B or E), bytes, crc32 (uint32 each), one zstd frame
    H        JSON: version, digest and texts of the configuration as given, and the engine's snapshot (base64)
    B        entries: kind, now_ns, bytes; a step's columns, or a command's JSON
    E        JSON: number of entries and the engine's state hash; missing where the recording was cut off

A block is written about every second of engine time or 256 kB: a crash loses no more than that.
"""

import base64
import json
import os
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Final
from zlib import crc32

import numpy as np

from gateway.engine.engine import Engine
from gateway.model.alarm import Action, ConditionRefused
from gateway.model.batch import Origin, SampleBatch
from gateway.model.forecast import Alert, Prediction
from gateway.model.update import TwinUpdate
from gateway.store.packing import pack, to_bytes, to_text, unpack

MAGIC: Final = b"ETREC\x01\r\n"
BLOCK_BYTES: Final = 256 * 1024
BLOCK_NS: Final = 10**9
WAITING_BLOCKS: Final = 64  # a disk that is further behind ends the recording, never the gateway
_FRAME: Final = struct.Struct("<cII")
_ENTRY: Final = struct.Struct("<BqI")
_STEP: Final = struct.Struct("<BxxxIIq")  # origin, rows, texts, received_ns
_TEXT: Final = np.dtype([("row", "<u4"), ("bytes", "<u4")])


class Kind(IntEnum):
    """What an entry does to the engine; a command's word is its name in small letters."""

    STEP = 0
    TICK = 1
    ACKNOWLEDGE = 2
    RELEASE = 3
    COMMIT = 4
    REBASE = 5
    OPERATE = 6
    SYSTEM = 7
    FORETELL = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """batch for STEP; args (JSON values) for the commands."""

    kind: Kind
    now_ns: int
    batch: SampleBatch | None = None
    args: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, engine: Engine) -> TwinUpdate | None:
        """Give it to an engine again; what that changed, None for a rebase."""
        if self.kind is Kind.STEP and self.batch is not None:
            return engine.step(self.batch, self.now_ns)
        if self.kind is Kind.TICK:
            return engine.tick(self.now_ns)
        if self.kind in _CONDITIONS:
            return self._condition(engine)
        if self.kind is Kind.RELEASE:
            return engine.release(self.args["tag_ids"], self.now_ns)
        if self.kind is Kind.COMMIT:
            return engine.commit(self.now_ns)
        engine.rebase(self.args["delta_ns"])
        return None

    def _condition(self, engine: Engine) -> TwinUpdate:
        """A command on a condition; where the engine has no such condition, or it stands otherwise, time alone passes."""
        args = dict(self.args)
        try:
            if self.kind is Kind.ACKNOWLEDGE:
                return engine.acknowledge(args["condition"], self.now_ns, args["user"], args["comment"])
            if self.kind is Kind.FORETELL:
                alerts = [Alert(name, stands, Prediction.of_row(row)) for name, stands, row in args["alerts"]]
                return engine.foretell(alerts, self.now_ns)
            if self.kind is Kind.SYSTEM:
                return engine.system(args["condition"], args["active"], self.now_ns, args.get("message", ""))
            name, action = args.pop("condition"), Action(args.pop("action"))
            return engine.operate(name, action, self.now_ns, **args)
        except (KeyError, ConditionRefused):
            return engine.tick(self.now_ns)


_CONDITIONS: Final = frozenset({Kind.ACKNOWLEDGE, Kind.OPERATE, Kind.SYSTEM, Kind.FORETELL})


class Recorder:
    """Collects entries on the engine's side and writes blocks on a thread of its own.

    A disk that is full or too slow ends the recording: `fault` says why, and what was written stays readable.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], snapshot: bytes | None = None) -> None:
        """header: JSON values (version, digest, configuration texts). snapshot: of the engine before the first entry. Raises OSError."""
        self.path = path
        self.fault: str | None = None
        self._entries = 0
        self._raw: list[bytes] = []
        self._bytes = 0
        self._since_ns: int | None = None
        self._file: BinaryIO | None = path.open("xb")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._waiting: list[Future[None]] = []
        self._submit(b"H", _encode_header(header, snapshot))

    def step(self, batch: SampleBatch, now_ns: int) -> None:
        """What `Engine.step` is given."""
        self._add(Kind.STEP, now_ns, _encode_batch(batch))

    def tick(self, now_ns: int) -> None:
        """What `Engine.tick` is given."""
        self._add(Kind.TICK, now_ns, b"")

    def command(self, kind: str, now_ns: int, args: Mapping[str, Any]) -> None:
        """operate, system, foretell, release, commit or rebase, with the engine's arguments by name."""
        self._add(Kind[kind.upper()], now_ns, json.dumps(dict(args)).encode())

    def flush(self) -> None:
        """Hand what is collected to the disk."""
        if self._raw:
            self._submit(b"B", b"".join(self._raw))
            self._raw.clear()
            self._bytes, self._since_ns = 0, None

    def close(self, state_hash: str | None) -> None:
        """Write the end, with the hash of the engine's state after the last entry, and wait for the disk. Idempotent."""
        self.flush()
        if state_hash is not None:
            self._submit(b"E", json.dumps({"entries": self._entries, "state_hash": state_hash}).encode())
        self._thread.submit(self._end)
        self._thread.shutdown(wait=True)

    def _add(self, kind: Kind, now_ns: int, body: bytes) -> None:
        self._entries += 1
        self._raw += (_ENTRY.pack(kind, now_ns, len(body)), body)
        self._bytes += _ENTRY.size + len(body)
        if self._since_ns is None:
            self._since_ns = now_ns
        if self._bytes >= BLOCK_BYTES or now_ns - self._since_ns >= BLOCK_NS:
            self.flush()

    def _submit(self, kind: bytes, raw: bytes) -> None:
        if self.fault is not None:
            return
        self._waiting = [future for future in self._waiting if not future.done()]
        if len(self._waiting) >= WAITING_BLOCKS:
            self.fault = f"{self.path}: the disk is {WAITING_BLOCKS} blocks behind; the recording ends here"
            return
        self._waiting.append(self._thread.submit(self._write, kind, raw))

    def _write(self, kind: bytes, raw: bytes) -> None:
        if self.fault is not None or self._file is None:
            return
        try:
            frame = pack(raw, 1)
            self._file.write((MAGIC if kind == b"H" else b"") + _FRAME.pack(kind, len(frame), crc32(frame)) + frame)
            self._file.flush()
        except OSError as error:
            self.fault = f"{self.path}: {error}; the recording ends here"

    def _end(self) -> None:
        if self._file is None:
            return
        try:
            if self.fault is None:
                os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.fault = self.fault or f"{self.path}: {error}; its end may not be on the disk"
        self._file = None


class Recording:
    """A recording as read. `state_hash` is None where it was cut off; `fault` says so, at the latest once `entries` are exhausted."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for a file that is no recording or has lost its header."""
        self.path = path
        self.fault: str | None = None
        self.state_hash: str | None = None
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{path} is no recording of this format")
            first = _read_block(file)
            if first is None or first[0] != b"H":
                raise ValueError(f"{path} has no whole header")
            self.header: Mapping[str, Any] = json.loads(first[1])
            snapshot = self.header.get("snapshot")
            self.snapshot = None if snapshot is None else base64.b64decode(snapshot)
            self._begin = file.tell()
            self._look_for_the_end(file)

    def _look_for_the_end(self, file: BinaryIO) -> None:
        length = file.seek(0, os.SEEK_END)
        at = self._begin
        while at + _FRAME.size <= length:
            file.seek(at)
            kind, size, _ = _FRAME.unpack(file.read(_FRAME.size))
            if kind == b"E":
                file.seek(at)
                end = _read_block(file)
                self.state_hash = None if end is None else json.loads(end[1])["state_hash"]
                break
            at += _FRAME.size + size
        if self.state_hash is None:
            self.fault = f"{self.path} has no end: it is read up to its last whole block"

    @property
    def entries(self) -> Iterator[Entry]:
        """From the beginning, in order, up to the end or the first block that is not whole."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            while (block := _read_block(file)) is not None:
                kind, raw = block
                if kind != b"B":
                    return
                yield from _decode_entries(raw)
            self.fault = f"{self.path} is cut off or damaged at byte {file.tell()}: it was read up to its last whole block"
            self.state_hash = None


def read(path: Path) -> Recording:
    """Open a recording. Raises ValueError where it is none, OSError where it cannot be read."""
    return Recording(path)


def prune(directory: Path, older_than_ns: int) -> int:
    """Remove recordings whose last change lies before that time; how many."""
    old = [path for path in directory.glob("*.etrec") if path.stat().st_mtime_ns < older_than_ns]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _read_block(file: BinaryIO) -> tuple[bytes, bytes] | None:
    """(kind, content), or None where the file ends or the block is not whole."""
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        return None
    kind, size, check = _FRAME.unpack(frame)
    packed = file.read(size)
    if len(packed) < size or crc32(packed) != check:
        return None
    return kind, unpack(packed)


def _encode_header(header: Mapping[str, Any], snapshot: bytes | None) -> bytes:
    return json.dumps({**header, "snapshot": None if snapshot is None else base64.b64encode(snapshot).decode()}).encode()


def _encode_batch(batch: SampleBatch) -> bytes:
    texts = [(row, to_bytes(words)) for row, words in batch.text.items()]
    columns = (batch.tag_id.astype("<i4"), batch.value.astype("<f8"), batch.status.astype("<u4"), batch.source_ns.astype("<i8"))
    return b"".join(
        (
            _STEP.pack(batch.origin, len(batch), len(texts), batch.received_ns),
            *(column.tobytes() for column in columns),
            np.array([(row, len(words)) for row, words in texts], _TEXT).tobytes(),
            *(words for _, words in texts),
        )
    )


def _decode_batch(raw: memoryview) -> SampleBatch:
    origin, n, texts, received_ns = _STEP.unpack_from(raw)
    at = _STEP.size
    columns = []
    for dtype in ("<i4", "<f8", "<u4", "<i8"):
        columns.append(np.frombuffer(raw, dtype, n, at).copy())
        at += columns[-1].nbytes
    table = np.frombuffer(raw, _TEXT, texts, at)
    at += table.nbytes
    text = {}
    for row, size in table.tolist():
        text[row] = to_text(bytes(raw[at : at + size]))
        at += size
    return SampleBatch(columns[0], columns[1], columns[2], columns[3], received_ns, text, origin=Origin(origin))


def _decode_entries(raw: bytes) -> Iterator[Entry]:
    view, at = memoryview(raw), 0
    while at < len(view):
        kind, now_ns, size = _ENTRY.unpack_from(view, at)
        at += _ENTRY.size
        body = view[at : at + size]
        at += size
        if kind == Kind.STEP:
            yield Entry(Kind.STEP, now_ns, _decode_batch(body))
        else:
            yield Entry(Kind(kind), now_ns, None, json.loads(bytes(body)) if size else {})
