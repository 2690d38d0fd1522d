"""The twin: one row per tag in columns, kept once and served without a copy."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gateway.engine.alarms import Alarms
from gateway.engine.history import Frame, Past, Ring, frozen, tree
from gateway.engine.where import ALWAYS, NEVER, Where
from gateway.model import quality
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Condition
from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import Statuses
from gateway.model.sync import Sync
from gateway.model.tag import DERIVED, TagTable

_ALL_AT_ONCE = 65_536
_A_FEW = 100


class Twin:
    """The live columns (contracts.TwinView), row = tag_id.

    value, status, source_ns, received_ns   what is served
    gate_ns   int64[n]  a sample from its source must be newer than this to be applied: the newest one's time; ALWAYS before the first
                        sample and while the gateway itself has spoken (link lost, silent); NEVER where no sample may pass unseen
                        (overridden, out of service, derived)
    made      bool[n]   the status shown is the gateway's own word, not a source's
    overridden  bool[n]  under manual input
    """

    def __init__(self, tags: TagTable, sync: Sync) -> None:
        self.ring = Ring(sync.history_length, sync.history_bytes)
        self.alarms = Alarms((), len(tags))
        self.clear(tags)

    def clear(self, tags: TagTable) -> None:
        """As if nothing had been received yet."""
        size = len(tags)
        self.tags = tags
        self.version = 0
        self.at_ns = 0
        self.value: Floats = np.full(size, np.nan)
        self.status: Statuses = np.where(
            tags.enabled, np.uint32(quality.BAD_WAITING_FOR_INITIAL_DATA), np.uint32(quality.BAD_OUT_OF_SERVICE)
        )
        self.source_ns: Times = np.zeros(size, np.int64)
        self.received_ns: Times = np.zeros(size, np.int64)
        self.gate_ns: Times = np.where(shut(tags), np.int64(NEVER), np.int64(ALWAYS))
        self.made: Mask = np.zeros(size, bool)
        self.overridden: Mask = np.zeros(size, bool)
        self.text: dict[int, str] = {}
        self._all: Rows = np.arange(size)
        self._touched: list[Rows] = []
        self._touched_text: dict[int, str] = {}
        self._touched_rows = 0
        self._frame: Frame | None = None
        self.ring.start(self.value, self.status, self.source_ns, self.text)

    def grow(self, tags: TagTable) -> None:
        """A reloaded table: rows stay, new ones begin without data."""
        fresh, size = Twin(tags, Sync()), len(self.tags)
        for name in ("value", "status", "source_ns", "received_ns", "gate_ns", "made", "overridden"):
            column = getattr(fresh, name)
            column[:size] = getattr(self, name)
            setattr(self, name, column)
        self.tags = tags
        self._frame = None
        self._all = fresh._all
        self.ring.grow(fresh.value, fresh.status, fresh.source_ns, size)

    def adopt(self, version: int, at_ns: int, dirty: Rows) -> None:
        """The columns came from a snapshot: of that version, with these rows changed since. The ring begins here."""
        self.version, self.at_ns = version, at_ns
        self._touched, self._touched_rows = ([dirty], dirty.size) if dirty.size else ([], 0)
        self._frame = None
        self.ring.start(self.value, self.status, self.source_ns, self.text)

    def put(self, where: Where, rows: Rows, value: Floats, status: Statuses, source_ns: Times) -> None:
        """Show k samples (each row once; rows = where as indices). Gate, receipt and made are left to the caller."""
        self.value[where], self.status[where], self.source_ns[where] = value, status, source_ns
        self.touch(rows)

    def put_text(self, tag_id: int, text: str) -> None:
        """Show a text; its status and time come by `put`."""
        self.text[tag_id] = text
        self._touched_text[tag_id] = text

    def touch(self, rows: Rows) -> None:
        """These rows changed since the last commit."""
        self._frame = None
        self._touched.append(rows)
        self._touched_rows += rows.size
        if self._touched_rows > _ALL_AT_ONCE + 4 * self.value.size:
            folded = self.touched()
            self._touched, self._touched_rows = [folded], folded.size

    @property
    def dirty(self) -> bool:
        """Something changed since the last commit."""
        return self._touched_rows > 0

    def touched(self) -> Rows:
        """The rows changed since the last commit, each once, ascending."""
        if len(self._touched) == 1:  # each row stands once in a part
            return self._all if self._touched_rows == self.value.size else np.sort(self._touched[0])
        if self._touched_rows * 16 < self.value.size:
            return np.array(sorted({row for rows in self._touched for row in rows.tolist()}), np.intp)
        mask = np.zeros(self.value.size, bool)
        for rows in self._touched:
            mask[rows] = True
        return np.flatnonzero(mask)

    def commit(self, now_ns: int) -> Rows:
        """Ends a twin commit: a new version, which the ring keeps. Returns the rows that changed in it."""
        rows = self.touched()
        self.version += 1
        self.ring.commit(self.version, now_ns, rows, self.value, self.status, self.source_ns, self._touched_text)
        self._touched, self._touched_text, self._touched_rows = [], {}, 0
        self._frame = None
        return rows

    # --- TwinView -----------------------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Frame:
        """The twin now, as a frame that stays; the same object until something changes."""
        if self._frame is None:
            self._frame = Frame(
                self.version,
                self.at_ns,
                frozen(self.value.copy()),
                frozen(self.status.copy()),
                frozen(self.source_ns.copy()),
                dict(self.text),
            )
        return self._frame

    def at(self, at_ns: int) -> Frame | Past | None:
        """The last commit at or before that time, from the ring; None where the ring does not reach back so far."""
        return self.ring.at(at_ns)

    def history(self, limit: int | None = None) -> list[Any]:
        """The latest commits, oldest first."""
        return list(self.ring.history(limit))

    def clear_history(self) -> None:
        """Forget the commits of the ring; the state stays."""
        self.ring.forget()

    def conditions(self) -> list[Condition]:
        """Each rule's condition."""
        return list(self.alarms.conditions())

    def condition(self, name: str) -> Condition:
        """One condition. Raises KeyError."""
        return self.alarms.condition(name)

    def rules_of(self, tag_id: int) -> tuple[AlarmRule, ...]:
        """The rules on a tag, those of predicted limits last; or on the gateway itself (SYSTEM_TAG)."""
        alarms = self.alarms
        if tag_id == SYSTEM_TAG:
            return alarms.rules[int(alarms.count.sum()) : alarms.foreseen]
        first = alarms.first.item(tag_id)
        predicted = np.searchsorted(alarms.shows[alarms.foreseen :], (tag_id, tag_id + 1)) + alarms.foreseen
        return alarms.rules[first : first + alarms.count.item(tag_id)] + alarms.rules[predicted.item(0) : predicted.item(1)]

    def ruled(self) -> list[int]:
        """The tags that have rules, ascending."""
        found: list[int] = np.flatnonzero(self.alarms.count > 0).tolist()
        return found

    def retained(self) -> list[Condition]:
        """The conditions of interest now."""
        return self.alarms.states(self.alarms.standing())

    def each_retained(self) -> Iterator[Condition]:
        """The conditions that are of interest now, a few at a time, as they stand when they are taken."""
        return (condition for condition in self._few(self.alarms.standing()) if condition.retained)

    def silenced(self) -> list[Condition]:
        """The conditions that are shelved, suppressed, out of service or disabled."""
        return self.alarms.states(self.alarms.set_aside())

    def each_silenced(self) -> Iterator[Condition]:
        """The same, likewise."""
        return (condition for condition in self._few(self.alarms.set_aside()) if condition.silenced or not condition.enabled)

    def _few(self, rows: Rows) -> Iterator[Condition]:
        alarms = self.alarms
        for start in range(0, rows.size, _A_FEW):
            if self.alarms is not alarms:
                return
            yield from alarms.states(rows[start : start + _A_FEW])

    def standing(self) -> tuple[int, int]:
        """How many alarms are active, and how many are not acknowledged; a prediction is none."""
        alarms = self.alarms
        return int(np.count_nonzero(alarms.active[: alarms.foreseen])), int(np.count_nonzero(~alarms.acknowledged[: alarms.foreseen]))

    def tree(self) -> dict[str, Any]:
        """The live hierarchical dictionary."""
        return tree(self.at_ns, self.value, self.status, self.text, self.tags)


def shut(tags: TagTable) -> Mask:
    """The tags that take no sample from a source: disabled or derived."""
    derived: Mask = np.array([tag.source == DERIVED for tag in tags], bool)
    return derived | ~tags.enabled
