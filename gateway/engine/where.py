"""Which rows of a table's columns a batch touches: a slice for a contiguous run (memory speed), an index array otherwise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Rows, TagIds, Times
from gateway.model.batch import Where as Where
from gateway.model.batch import every as every
from gateway.model.batch import some as some

NEVER: Final = 2**63 - 1
ALWAYS: Final = -(2**63)


def distinct(ids: TagIds, size: int) -> tuple[Where, Rows] | None:
    """The rows of n >= 1 ids, as it suits numpy and as indices; None where an id repeats or lies outside 0..size-1."""
    first, last = int(ids[0]), int(ids[-1])
    rows = ids.astype(np.intp)
    if every(rows[1:] > rows[:-1]):
        if first < 0 or last >= size:
            return None
        return (slice(first, last + 1) if last - first == ids.size - 1 else rows), rows
    if int(rows.min()) < 0 or int(rows.max()) >= size:
        return None
    return (rows, rows) if _unique(rows, size) else None


def _unique(rows: Rows, size: int) -> bool:
    if rows.size * 32 < size:  # a set costs by the batch, a mask by the table
        return len(set(rows.tolist())) == rows.size
    seen = np.zeros(size, bool)
    seen[rows] = True
    return int(np.count_nonzero(seen)) == rows.size


def occurrence(ids: TagIds, order: Rows) -> NDArray[np.intp]:
    """For each row, how many rows of the same id come before it in `order` (a permutation that groups equal ids)."""
    grouped = ids[order]
    starts = np.flatnonzero(np.concatenate((np.ones(1, bool), grouped[1:] != grouped[:-1])))
    lengths = np.diff(np.append(starts, ids.size))
    rank = np.empty(ids.size, np.intp)
    rank[order] = np.arange(ids.size) - np.repeat(starts, lengths)
    return rank


def least(times: Times) -> int:
    """The smallest of some times; NEVER of none."""
    return int(times.min()) if times.size else NEVER
