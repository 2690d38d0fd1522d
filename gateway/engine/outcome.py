"""What one call of the engine gathers on its way, part by part, and hands back as a TwinUpdate."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gateway.model.alarm import Transition
from gateway.model.batch import Floats, Mask, TagIds, Times
from gateway.model.quality import Statuses
from gateway.model.update import Columns, Counts, TwinUpdate

_NO_ROWS: Final = Columns(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.uint32), np.zeros(0, np.int64))
_NO_MASK: Final = np.zeros(0, bool)
_SHOWN_TAGS: Final = 100


@dataclass(slots=True)
class Outcome:
    """Parts in the order of application, and counters."""

    now_ns: int
    rows: list[Columns] = field(default_factory=list)
    reported: list[Mask] = field(default_factory=list)
    late: list[Columns] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    n_late: int = 0
    n_duplicate: int = 0
    n_skewed: int = 0
    n_refused: int = 0
    n_overridden: int = 0
    n_reordered: int = 0

    def add(self, tag_id: TagIds, value: Floats, status: Statuses, source_ns: Times, reported: Mask, text: dict[int, str]) -> None:
        """One applied part; text by row of the part."""
        self.rows.append(Columns(tag_id, value, status, source_ns, text))
        self.reported.append(reported)

    def add_late(self, columns: Columns) -> None:
        """Samples for history only."""
        self.late.append(columns)
        self.n_late += len(columns)

    def update(self, version: int, changed: "np.ndarray[Any, Any] | None", n_changed: int) -> TwinUpdate:
        """changed: rows of the commit that this call ended, None without one."""
        rows = joined(self.rows)
        return TwinUpdate(
            now_ns=self.now_ns,
            rows=rows,
            reported=_joined_mask(self.reported),
            late=joined(self.late),
            transitions=tuple(self.transitions),
            version=version,
            committed=changed is not None,
            changed=n_changed,
            changed_tags=() if changed is None else tuple(changed[:_SHOWN_TAGS].tolist()),
            counts=Counts(len(rows), self.n_late, self.n_duplicate, self.n_skewed, self.n_refused, self.n_overridden, self.n_reordered),
        )


def joined(parts: list[Columns]) -> Columns:
    """The parts one after the other, without a copy where there is one."""
    if len(parts) < 2:
        return parts[0] if parts else _NO_ROWS
    text: dict[int, str] = {}
    before = 0
    for part in parts:
        text.update({before + row: words for row, words in part.text.items()})
        before += len(part)
    return Columns(
        np.concatenate([part.tag_id for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.source_ns for part in parts]),
        text,
    )


def _joined_mask(parts: list[Mask]) -> Mask:
    if len(parts) < 2:
        return parts[0] if parts else _NO_MASK
    return np.concatenate(parts)
