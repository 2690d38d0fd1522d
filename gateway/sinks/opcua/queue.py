"""The queues of one subscription's items (Part 4, 5.12.1.5), kept together as columns in order of arrival and bounded when they are
read or grow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import Statuses

OVERFLOW: Final = 0x0000_0480
"""InfoType DataValue with the Overflow bit (Part 4, 7.39)."""
_LONGEST: Final = 1_000
_SLACK: Final = 65_536
_PIECES: Final = 128
_FEW: Final = 6


@dataclass(frozen=True, slots=True)
class Chunk:
    """k queued values in order of arrival. slot: the item's row; source, server: unix ns; text by row."""

    slot: Rows
    value: Floats
    status: Statuses
    source: Times
    server: Times
    text: Mapping[int, str] = field(default_factory=dict)

    def rows(self, keep: Mask | Rows | slice) -> "Chunk":
        """Some of it, in the order given."""
        if not self.text:
            text: Mapping[int, str] = self.text
        else:
            kept = np.arange(self.slot.size)[keep].tolist()
            text = {place: self.text[row] for place, row in enumerate(kept) if row in self.text}
        return Chunk(self.slot[keep], self.value[keep], self.status[keep], self.source[keep], self.server[keep], text)


@dataclass(slots=True)
class Budget:
    """Queue places that all subscriptions of the server share: what a client that stays away may fill."""

    places: int = 4_000_000

    def grant(self, wanted: int, held: int) -> int:
        """How many of the wanted places an item gets that holds some; one is always granted."""
        granted = max(1, min(wanted, self.places + held))
        self.places -= granted - held
        return granted

    def give_back(self, held: int) -> None:
        self.places += held


class Queue:
    """size and newest per slot: how many values are kept, and whether a full queue gives up its newest instead of its oldest."""

    def __init__(self, budget: Budget, room: int) -> None:
        self._budget = budget
        self._size = np.zeros(room, np.int64)
        self._newest = np.zeros(room, np.bool_)
        self._dead = np.zeros(room, np.bool_)
        self._any_dead = False
        self._chunks: list[Chunk] = []
        self._count = 0
        self._places = 0  # sum of all sizes
        self._deep = 0  # items whose queue holds more than one value
        self._bounded = True  # what is queued obeys the queue sizes already
        self.hold = False  # some items only sample: their values wait
        self._freed: list[Chunk] = []  # of items that only sample, let go by another one

    def room(self, size: int) -> None:
        for name in ("_size", "_newest", "_dead"):
            column = getattr(self, name)
            grown = np.zeros(size, column.dtype)
            grown[: column.size] = column
            setattr(self, name, grown)

    def resize(self, slot: int, wanted: int, *, newest: bool) -> int:
        """The revised queue size; 0 and 1 both mean one value (Part 4, 7.21)."""
        before = int(self._size[slot])
        size = self._budget.grant(max(1, min(wanted, _LONGEST)), before)
        self._places += size - before
        self._deep += (size > 1) - (before > 1)
        self._size[slot], self._newest[slot], self._bounded = size, newest, False
        return size

    def release(self, slot: int) -> None:
        """The item is gone, with what it had queued."""
        self._budget.give_back(int(self._size[slot]))
        self._places -= int(self._size[slot])
        self._deep -= int(self._size[slot]) > 1
        self._size[slot] = 0
        self.forget(slot)

    def forget(self, slot: int) -> None:
        """Deletes what this item has queued."""
        self._dead[slot] = self._any_dead = True

    def purge(self) -> None:
        if self._any_dead:
            self._chunks = [kept for kept in (chunk.rows(~self._dead[chunk.slot]) for chunk in self._chunks) if kept.slot.size]
            self._freed = [kept for kept in (chunk.rows(~self._dead[chunk.slot]) for chunk in self._freed) if kept.slot.size]
            self._count = sum(chunk.slot.size for chunk in self._chunks)
            self._dead[:] = self._any_dead = False

    def append(self, chunk: Chunk, *, repeats: bool = False) -> None:
        """Values that passed. repeats: a slot may stand in the chunk more than once."""
        self.purge()
        self._bounded = not self._chunks and not repeats
        self._chunks.append(chunk)
        self._count += chunk.slot.size
        if self._count > _SLACK + 2 * self._places:
            self._bound()
        elif (
            not self._deep and len(self._chunks) > _FEW
        ):  # the newest values alone: what is in the processor's cache is cheap to look through
            self._bound()
        elif len(self._chunks) > _PIECES:  # a client that stays away must not cost an object per update
            self._chunks = [_joined(self._chunks)]

    def free(self, slots: Mask) -> None:
        """What these items have queued up to now is reported with the next message, whatever their mode (Part 4, 5.12.1.6)."""
        self.purge()
        if not self._count:
            return
        chunk = self._bound()
        going = slots[chunk.slot]
        if going.any():
            freed = _joined([*self._freed, chunk.rows(going)])
            self._freed = [_bounded(freed, self._size, self._newest)]
            rest = chunk.rows(~going)
            self._chunks, self._count = ([rest] if rest.slot.size else []), rest.slot.size

    def ready(self, reporting: Callable[[], Mask]) -> bool:
        """Whether there is anything to take. reporting: which slots report, asked for only where it matters."""
        self.purge()
        if self._freed:
            return True
        if not self.hold or not self._count:
            return self._count > 0
        report = reporting()
        return any(report[chunk.slot].any() for chunk in self._chunks)

    def take(self, limit: int, reporting: Callable[[], Mask]) -> Chunk | None:
        """At most limit values of the items that report, oldest first; the rest stays."""
        self.purge()
        if self._freed:
            return self._take_freed(limit)
        if not self._count:
            return None
        chunk = self._bound()
        held = None
        if self.hold:
            reports = reporting()[chunk.slot]
            held, chunk = chunk.rows(~reports), chunk.rows(reports)
        taken, rest = (chunk, None) if chunk.slot.size <= limit else (chunk.rows(slice(0, limit)), chunk.rows(slice(limit, None)))
        self._chunks = [part for part in (held, rest) if part is not None and part.slot.size]
        self._count = sum(part.slot.size for part in self._chunks)
        self._bounded = len(self._chunks) < 2
        return taken if taken.slot.size else None

    def _take_freed(self, limit: int) -> Chunk:
        freed = _joined(self._freed)
        self._freed = [freed.rows(slice(limit, None))] if freed.slot.size > limit else []
        return freed.rows(slice(0, limit))

    def close(self) -> None:
        self._budget.give_back(self._places)
        self._size[:], self._places = 0, 0
        self._chunks, self._freed, self._count = [], [], 0

    def _bound(self) -> Chunk:
        """One chunk that obeys the queue sizes."""
        if self._bounded and len(self._chunks) == 1:
            return self._chunks[0]
        chunk = _bounded(_joined(self._chunks), self._size, self._newest)
        self._chunks, self._count, self._bounded = [chunk], chunk.slot.size, True
        return chunk


def _joined(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    text: dict[int, str] = {}
    start = 0
    for chunk in chunks:
        text |= {start + row: value for row, value in chunk.text.items()}
        start += chunk.slot.size
    return Chunk(
        np.concatenate([chunk.slot for chunk in chunks]),
        np.concatenate([chunk.value for chunk in chunks]),
        np.concatenate([chunk.status for chunk in chunks]),
        np.concatenate([chunk.source for chunk in chunks]),
        np.concatenate([chunk.server for chunk in chunks]),
        text,
    )


def _bounded(chunk: Chunk, size: Rows, newest: Mask) -> Chunk:
    """Part 4, 5.12.1.5: a full queue gives up its oldest value and marks the next one, or replaces its newest and marks that.

    A queue of one is never marked.
    """
    slot = chunk.slot
    count = np.bincount(slot, minlength=size.size)
    over = count > size
    if not over.any():
        return chunk
    if int(size.max()) <= 1:
        return chunk.rows(_newest(slot, size.size))
    order = np.argsort(slot, kind="stable")
    ordered = slot[order]
    start = np.cumsum(count) - count
    nth = np.empty(slot.size, np.int64)
    nth[order] = np.arange(slot.size) - start[ordered]
    full, length, total = over[slot], size[slot], count[slot]
    last = newest[slot] & (length > 1)
    keep = ~full | np.where(last, (nth < length - 1) | (nth == total - 1), nth >= total - length)
    marked = full & keep & (length > 1) & np.where(last, nth == total - 1, nth == total - length)
    return Chunk(
        slot, chunk.value, np.where(marked, chunk.status | np.uint32(OVERFLOW), chunk.status), chunk.source, chunk.server, chunk.text
    ).rows(keep)


def _newest(slot: Rows, slots: int) -> Rows:
    """The last row of each slot, in order of arrival."""
    row = np.arange(slot.size)
    last = np.empty(slots, np.intp)
    last[slot] = row  # of rows with one slot the last is written last
    return np.flatnonzero(last[slot] == row)
