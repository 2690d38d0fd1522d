"""What one step of the engine changed: columns, plus the few things that are records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from gateway.model.alarm import Transition
from gateway.model.batch import Floats, Mask, TagIds, Times, laps
from gateway.model.quality import Statuses

_MANY_SCANS: Final = 4
_WIDE_SCAN: Final = 256  # rows


@dataclass(frozen=True, slots=True)
class Columns:
    """n rows of tag_id int32, value float64, status uint32, source_ns int64; text by row."""

    tag_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    text: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.tag_id.size


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to the rows of one step, for the counters."""

    applied: int = 0
    late: int = 0
    duplicate: int = 0
    skewed: int = 0  # source time missing or more than a year off: received time used instead
    refused: int = 0  # NaN, infinite, not representable: marked BadOutOfRange
    overridden: int = 0  # a sample of a tag under manual input: kept aside
    reordered: int = 0  # older than the newest, and applied: the source's clock was set back

    @property
    def unusual(self) -> bool:
        """Whether there is anything but applied rows."""
        return bool(self.late or self.duplicate or self.skewed or self.refused or self.overridden or self.reordered)


@dataclass(frozen=True, slots=True)
class TwinUpdate:
    """One step or tick.

    rows         every sample applied to the twin, derived values included, in the order of application; a tag may stand more than once.
                 value is the twin's: the last one where the status is Bad
    reported     bool[n]: rows that pass the tag's deadband
    late         samples for history only
    version      the twin's version after this step; it counts commits
    committed    True when this step ended a twin commit (paced by update_frequency)
    changed      how many tags changed in that commit, and at most 100 of them, for the state-changed event
    """

    now_ns: int
    rows: Columns
    reported: Mask
    late: Columns
    transitions: tuple[Transition, ...]
    version: int
    committed: bool
    changed: int
    changed_tags: tuple[int, ...]
    counts: Counts


def scans(rows: Columns) -> list[Columns] | None:
    """The rows in parts that have each tag once, without a copy; None where they do not lie like that, or in many small parts."""
    count = laps(rows.tag_id)
    if count < 2:
        return [rows] if count else None
    length = len(rows) // count
    if rows.text or count > _MANY_SCANS * max(1, length // _WIDE_SCAN):
        return None
    stretches = [slice(start, start + length) for start in range(0, len(rows), length)]
    return [Columns(rows.tag_id[at], rows.value[at], rows.status[at], rows.source_ns[at]) for at in stretches]


def conflate(updates: Sequence[TwinUpdate]) -> TwinUpdate:
    """One update in place of several, oldest first: the newest row per tag, all transitions; reported where any row of the tag was."""
    last = updates[-1]
    tag_id = np.concatenate([update.rows.tag_id for update in updates])
    reported = np.concatenate([update.reported for update in updates])
    ids, from_end = np.unique(tag_id[::-1], return_index=True)
    newest = tag_id.size - 1 - from_end
    text: dict[int, str] = {}
    start = 0
    for update in updates:
        text.update({start + row: words for row, words in update.rows.text.items()})
        start += len(update.rows)
    rows = Columns(
        tag_id=ids,
        value=np.concatenate([update.rows.value for update in updates])[newest],
        status=np.concatenate([update.rows.status for update in updates])[newest],
        source_ns=np.concatenate([update.rows.source_ns for update in updates])[newest],
        text={place: text[row] for place, row in enumerate(newest.tolist()) if row in text} if text else {},
    )
    return replace(
        last,
        rows=rows,
        reported=np.isin(ids, tag_id[reported]),
        transitions=tuple(transition for update in updates for transition in update.transitions),
        committed=any(update.committed for update in updates),
        changed=max(update.changed for update in updates),
        changed_tags=max((update.changed_tags for update in updates), key=len),
    )
