"""Counting what was lost: what the plant gave out, against what the gateway's history holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import HistoryView
from gateway.model.tag import TagTable

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Loss:
    """Of how many values of the plant how many are not in history, and of which tags."""

    emitted: int
    lost: int
    tags: Mapping[str, int]


def missing(emitted: Times, kept: Times, ready_ns: int) -> tuple[int, int]:
    """How many values of one tag were given out since its subscription, and how many of them are not kept.

    A tag was subscribed when its first value arrived, or at ready_ns where none did.
    """
    since = min(ready_ns, int(kept.min())) if kept.size else ready_ns
    due = emitted[emitted >= since]
    return int(due.size), int(np.setdiff1d(due, kept).size)


async def count_loss(emitted: Mapping[str, Times], history: HistoryView, tags: TagTable, start_ns: int, ready_ns: int) -> Loss:
    """Over all tags that the configuration takes from the plant; start_ns: when the plant began."""
    total, lost = 0, {}
    for name, times in emitted.items():
        tag = tags.named(name)
        if tag is None:
            continue
        series = await history.read(tag.tag_id, start_ns, int(times.max(initial=start_ns)) + 1)
        due, gone = missing(times, series.source_ns, ready_ns)
        total += due
        if gone:
            lost[name] = gone
    return Loss(total, sum(lost.values()), lost)
