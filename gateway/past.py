"""What is known of tags from a past time on: samples of the history on disk and, of tags that have none there, commits of the ring."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gateway.contracts import HistoryView, Snapshot, TwinView
from gateway.model import quality
from gateway.model.series import Series
from gateway.model.tag import TagTable
from gateway.simulation.branch import Course

MOST: Final = 2_000_000
"""Samples of one tag: of a longer past the beginning."""


async def since(
    history: HistoryView, tags: TagTable, names: Sequence[str], at_ns: int, until_ns: int, view: TwinView | None = None
) -> Mapping[str, Course]:
    """By tag, from the sample that held at at_ns until until_ns; NaN where it was Bad. What the history raises goes through."""
    found, without = dict[str, Course](), list[str]()
    for name in names:
        tag_id = tags.index[name]
        held = await history.read_at(tag_id, at_ns)
        course = _joined([held, await history.read(tag_id, at_ns + 1, until_ns + 1, MOST)])
        if held.source_ns.size == 0 and view is not None:
            without.append(name)
        found[name] = course
    first = None if view is None or not without else view.at(at_ns)
    if first is not None and view is not None:
        later = [one for one in view.history() if at_ns < one.at_ns <= until_ns]
        found |= await asyncio.to_thread(_of_ring, [first, *later], {name: tags.index[name] for name in without})
    return found


def _joined(parts: Sequence[Series]) -> Course:
    value = np.concatenate([np.where(quality.is_bad(part.status), np.nan, part.value) for part in parts])
    return Course(np.concatenate([part.source_ns for part in parts]), value)


def _of_ring(commits: Sequence[Snapshot], rows: Mapping[str, int]) -> dict[str, Course]:
    """Each commit is rebuilt for this: not on the loop."""
    at_ns, ids = np.array([one.at_ns for one in commits], np.int64), list(rows.values())
    value = np.array([np.where(quality.is_bad(one.status[ids]), np.nan, one.value[ids]) for one in commits])
    return {name: Course(at_ns, value[:, place]) for place, name in enumerate(rows)}
