"""The source's decoding of notifications, in this process: uniform and mixed layouts, and the library's on the same bytes."""

import struct
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from gateway.bench.rows import middle
from gateway.model.tag import TagType
from gateway.wire.opcua.decode import decode_publish
from gateway.wire.opcua.encode import Values, data_change_bodies, layout_of
from gateway.wire.opcua.peer import decode_library

VALUES: Final = 10_000
_SCALARS: Final = np.full(VALUES, -1, np.int32)
_HEAD: Final = b"\x01\x00\x3d\x03" + bytes(12) + struct.pack("<I", 0) + b"\x00\xff\xff\xff\xff\x00\x00\x00"
_NOTIFICATION: Final = b"\x01\x00\x2b\x03\x01"
_LIBRARY_VALUES: Final = 1_000
Change = bytes


def uniform(rounds: int) -> float:
    """us per value: 10 000 doubles with source times."""
    body = answer(_notification(np.zeros(VALUES, np.int64), np.zeros(VALUES, np.uint32)))
    return _us(lambda: decode_publish(body, _SCALARS), rounds)


def mixed(rounds: int) -> float:
    """us per value: five types, a tenth with a status, in no order, and another order in each message."""
    bodies = [answer(scattered(seed)) for seed in range(8)]
    turn = iter(range(1_000_000))
    return _us(lambda: decode_publish(bodies[next(turn) % len(bodies)], _SCALARS), rounds)


def library(rounds: int) -> float:
    """us per value of the plain library."""
    body = answer(_notification(np.zeros(_LIBRARY_VALUES, np.int64), np.zeros(_LIBRARY_VALUES, np.uint32)))
    return _us(lambda: decode_library(body), rounds, _LIBRARY_VALUES)


def scattered(seed: int) -> Change:
    """A DataChangeNotification of mixed types, some with a status, as a plant of many hands sends it."""
    rng = np.random.default_rng(seed)
    status = np.where(rng.random(VALUES) < 0.1, np.uint32(0x4000_0000), np.uint32(0)).astype(np.uint32)
    return _notification(rng.integers(0, 5, VALUES), status)


def _notification(kind: Any, status: Any) -> Change:
    """kind 0 double, 1 int64, 2 boolean, 3 uint32, 4 double again; rows in the order given."""
    types = np.array([TagType.FLOAT, TagType.INT, TagType.BOOL, TagType.ENUM, TagType.FLOAT], np.int64)[kind]
    group = types * 2 + (status != 0)
    size, now_ns = kind.size, time.time_ns()
    records: list[bytes] = [b""] * size
    for one in np.unique(group).tolist():
        rows = np.flatnonzero(group == one)
        layout = np.full(rows.size, layout_of(one // 2, 0), np.uint8)
        stamps = np.full(rows.size, now_ns)
        (body,) = data_change_bodies(Values(rows.astype(np.uint32), layout, np.ones(rows.size), status[rows], stamps, stamps, {}))
        packed = bytes(body)[4:-4]
        width = len(packed) // rows.size
        for place, row in enumerate(rows.tolist()):
            records[row] = packed[place * width : (place + 1) * width]
    return struct.pack("<i", size) + b"".join(records) + b"\xff\xff\xff\xff"


def answer(change: Change) -> bytes:
    """A PublishResponse with one notification."""
    body = _NOTIFICATION + struct.pack("<i", len(change)) + change
    return _HEAD + struct.pack("<IiB", 1, 0, 0) + struct.pack("<Iqi", 1, 0, 1) + body + struct.pack("<ii", 0, -1)


def _us(work: Callable[[], object], rounds: int, values: int = VALUES) -> float:
    times = []
    work()
    for _ in range(rounds):
        began = time.process_time_ns()
        for _ in range(8):
            work()
        times.append((time.process_time_ns() - began) / 8 / values / 1e3)
    return middle(times)
