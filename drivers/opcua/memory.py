"""What a source remembers over a restart: its subscriptions, to take them over, and up to when everything was committed. Pure."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.contracts import Memory
from gateway.wire.opcua.services import Granted

KEY = "subscriptions"


@dataclass(frozen=True, slots=True)
class Remembered:
    """granted: the subscription of each group, empty where they are not ours to take; refused: handles without an item."""

    committed_ns: int
    granted: tuple[Granted, ...] = ()
    refused: tuple[int, ...] = ()


def recall(memory: Memory, digest: str) -> Remembered | None:
    """What was put before; without subscriptions where the tags have changed since. None on the first run, or where it cannot be read."""
    text = memory.get(KEY)
    if not text:
        return None
    try:
        found = json.loads(text)
        remembered = Remembered(
            committed_ns=int(found["committed_ns"]),
            granted=tuple(Granted(int(id_), float(interval), float(keepalive)) for id_, interval, keepalive in found["granted"]),
            refused=tuple(int(handle) for handle in found["refused"]),
        )
        same = found["digest"] == digest and all(math.isfinite(g.keepalive_s) for g in remembered.granted)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return remembered if same else Remembered(remembered.committed_ns)


def remember(memory: Memory, digest: str, committed_ns: int, granted: Sequence[Granted], refused: Sequence[int]) -> None:
    """Durable with the next commit."""
    told = [[one.id, one.publishing_interval_s, one.keepalive_s] for one in granted]
    memory.put(KEY, json.dumps({"digest": digest, "committed_ns": committed_ns, "granted": told, "refused": list(refused)}))
