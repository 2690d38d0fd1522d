"""The order of samples: by source time per tag; what is late, what is a duplicate, whose time cannot be believed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.engine.where import every, occurrence
from gateway.model.batch import Floats, Mask, Rows, SampleBatch, TagIds, Times, laps
from gateway.model.quality import Statuses
from gateway.model.update import Columns

_FEW: Final = 32  # below it, Python's own min and max are faster
YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
DEEP: Final = 4  # fewer samples per tag are as quick in rounds as in a run
WIDE: Final = 256  # and so are rounds of this many tags


@dataclass(frozen=True, slots=True)
class Round:
    """Samples of which each tag has one; row = their places in the batch, for the texts."""

    tag_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    row: Rows


def believable(source_ns: Times, received_ns: int) -> bool:
    """Every source time is there and within a year of the receipt."""
    earliest = max(received_ns - YEAR_NS, 1)
    if source_ns.size <= _FEW:
        times = source_ns.tolist()
        return bool(min(times) >= earliest and max(times) <= received_ns + YEAR_NS)
    since = (source_ns - earliest).view(np.uint64)  # what lies before wraps round to the far end
    return every(since <= received_ns + YEAR_NS - earliest)


def corrected(batch: SampleBatch, received_ns: int) -> tuple[Times, int]:
    """The source times with the receipt in place of those that are missing (0) or more than a year off, and how many these are.

    Several such samples of one tag keep the order in which they were read: each is a nanosecond after the one before.
    """
    times = batch.source_ns
    wrong = (times <= 0) | (times < received_ns - YEAR_NS) | (times > received_ns + YEAR_NS)
    places = np.flatnonzero(wrong)
    if not places.size:
        return times, 0
    ids = batch.tag_id[places]
    times = times.copy()
    times[places] = received_ns + occurrence(ids, np.argsort(ids, kind="stable"))
    return times, places.size


def rounds(batch: SampleBatch, source_ns: Times, keep: Rows) -> list[Round]:
    """The rows `keep` of a batch in rounds: the k-th sample of each tag by source time stands in round k, rows in order of the batch."""
    if not keep.size:
        return []
    ids, times = batch.tag_id[keep], source_ns[keep]
    rank = occurrence(ids, np.lexsort((times, ids)))
    order = np.argsort(rank, kind="stable")
    found = []
    for part in np.split(order, np.flatnonzero(np.diff(rank[order])) + 1):
        row = keep[part]
        found.append(Round(batch.tag_id[row], batch.value[row], batch.status[row], source_ns[row], row))
    return found


def lapped(batch: SampleBatch, size: int) -> int:
    """How many rounds the batch consists of as it stands: all with the same tags of the table, ascending, and each tag's times in order.

    0 where it has to be sorted out; 1 is left to those who ask for distinct tags. Narrow and deep ones are runs.
    """
    count = 0 if batch.text else laps(batch.tag_id)
    if count < 2:
        return 0
    length = len(batch) // count
    if (length < WIDE and count > DEEP) or batch.tag_id[0] < 0 or batch.tag_id[-1] >= size:
        return 0
    times = batch.source_ns.reshape(count, length)
    return count if every(times[1:] >= times[:-1]) else 0


def whole(batch: SampleBatch) -> Round:
    """The batch as one round, whose tags need not be distinct."""
    return Round(batch.tag_id, batch.value, batch.status, batch.source_ns, np.arange(len(batch)))


def overtaken(batch: SampleBatch, made: Mask, source_ns: Times) -> Mask:
    """Of samples that come again: those older than the newest of a tag that is marked. made, source_ns: the twin's columns."""
    rows = np.where((batch.tag_id >= 0) & (batch.tag_id < made.size), batch.tag_id, 0).astype(np.intp)
    found: Mask = (rows == batch.tag_id) & made[rows] & (batch.source_ns > 0) & (batch.source_ns < source_ns[rows])
    return found


def part(batch: SampleBatch, turn: Round, pick: Rows) -> Columns:
    """Some rows of a round, with their texts."""
    text: dict[int, str] = {}
    if batch.text:
        text = {place: batch.text[row] for place, row in enumerate(turn.row[pick].tolist()) if row in batch.text}
    return Columns(turn.tag_id[pick], turn.value[pick], turn.status[pick], turn.source_ns[pick], text)
