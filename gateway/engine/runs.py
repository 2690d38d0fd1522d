"""Many samples of one tag in one message (a backlog, fast sampling): applied as one run where no sample of it needs a look of its own.

That holds for a tag whose samples are all newer than the one before, plain Good and valid, inside the calm band of its alarms, and whose
rate nobody watches and no formula reads. The result is what the rounds would give: only the deadband has to be walked through sample by
sample.
"""

from dataclasses import dataclass

import numpy as np

from gateway.engine.alarms import Alarms
from gateway.engine.align import DEEP, WIDE
from gateway.engine.deadband import Deadband
from gateway.engine.twin import Twin
from gateway.engine.validity import Validity
from gateway.model.batch import Floats, Mask, Rows, SampleBatch, Times
from gateway.model.update import Columns


@dataclass(frozen=True, slots=True)
class Runs:
    """rest: the batch's rows that go in rounds; the others as columns, tag by tag in order of time; last: each tag's last row of them."""

    rest: Rows
    columns: Columns
    last: Rows


def split(batch: SampleBatch, source_ns: Times, keep: Rows, twin: Twin, validity: Validity, alarms: Alarms, feeds: Mask) -> Runs | None:
    """The rows `keep` of a batch (tags in the table and enabled), parted; None where rounds are as good."""
    deepest = int(np.bincount(batch.tag_id[keep]).max()) if keep.size else 0
    if deepest <= DEEP or keep.size >= deepest * WIDE:
        return None
    rows = keep[np.lexsort((source_ns[keep], batch.tag_id[keep]))]
    ids, value, times = batch.tag_id[rows].astype(np.intp), batch.value[rows], source_ns[rows]
    first = np.concatenate((np.ones(1, bool), ids[1:] != ids[:-1]))
    before = np.where(first, twin.gate_ns[ids], np.concatenate((times[:1], times[:-1])))
    easy = (times > before) & (batch.status[rows] == 0) & validity.plain(ids, value) & ~feeds[ids]
    easy &= (value >= alarms.calm_low[ids]) & (value <= alarms.calm_high[ids])
    if alarms.related.any_rate:
        easy &= alarms.related.rate_row[ids] < 0
    starts = np.flatnonzero(first)
    whole = np.repeat(np.logical_and.reduceat(easy, starts), np.diff(np.append(starts, ids.size)))
    run = rows[whole]
    if not run.size:
        return None
    last = np.flatnonzero(np.append(ids[whole][1:] != ids[whole][:-1], True))
    columns = Columns(batch.tag_id[run], batch.value[run], batch.status[run], source_ns[run])
    return Runs(np.sort(rows[~whole]), columns, last)


def report(deadband: Deadband, columns: Columns, last: Rows) -> Mask:
    """Which samples of the runs pass their tag's deadband, as Deadband.report decides for one after the other."""
    passes = np.zeros(len(columns), bool)
    start = 0
    for stop in (last + 1).tolist():
        row = int(columns.tag_id[start])
        passes[start:stop] = _walk(deadband, row, columns.value[start:stop])
        start = stop
    return passes


def _walk(deadband: Deadband, row: int, value: Floats) -> list[bool]:
    band, shown, found = deadband.band.item(row), deadband.value.item(row), []
    fresh = bool(deadband.status[row] != 0)
    for number in value.tolist():
        moved = fresh or abs(number - shown) > band
        if moved:
            shown, fresh = number, False
        found.append(moved)
    deadband.value[row], deadband.status[row] = shown, 0
    return found
