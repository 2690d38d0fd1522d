"""The MonitoredItems of one subscription on tags (Part 4, 5.12), as columns: an item is a row ("slot"), a batch of samples passes them
all at once.

Samples that pass the filter are queued as chunks of columns in order of arrival. What a queue size forbids is thrown out when the queue
is read, or before it grows beyond bounds.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Mask, Rows, Where, every
from gateway.model.tag import TagType
from gateway.model.update import Columns as Batch
from gateway.sinks.opcua.filters import STATUS_VALUE, Reported, band_of, trigger_of
from gateway.sinks.opcua.queue import Budget, Chunk, Queue
from gateway.wire.opcua.encode import Values, data_change_bodies, layout_of
from gateway.wire.opcua.face import Columns, ItemRequest, ItemResult, Mode

_BAD_ITEM: Final = 0x8042_0000  # BadMonitoredItemIdInvalid
_SLOWEST_NS: Final = 3_600_000_000_000
_FIRST_ROOM: Final = 64
_TEXT: Final = int(TagType.TEXT)
_NONE: Final = -1
_DISABLED: Final = int(Mode.DISABLED)  # plain numbers: comparing an array's element with a member of an enumeration takes microseconds
_SAMPLING: Final = int(Mode.SAMPLING)
_REPORTING: Final = int(Mode.REPORTING)


class TagItems:
    """Implements wire's Items. publishing_ms is the subscription's, for items that ask to be sampled as often as it publishes."""

    def __init__(self, view: Columns, budget: Budget, publishing_ms: Callable[[], float], closed: Callable[["TagItems"], None]) -> None:
        self._view, self._publishing_ms, self._closed = view, publishing_ms, closed
        self._slots: dict[int, int] = {}  # item id -> slot
        self._free: list[int] = []
        self._used = 0
        self._fresh: list[int] = []  # slots whose first value is still to be queued
        self._queue = Queue(budget, _FIRST_ROOM)
        self._reported = Reported.of(_FIRST_ROOM)
        self._tag = np.zeros(_FIRST_ROOM, np.int32)
        self._handle = np.zeros(_FIRST_ROOM, np.uint32)
        self._mode = np.zeros(_FIRST_ROOM, np.uint8)
        self._layout = np.zeros(_FIRST_ROOM, np.uint8)
        self._interval = np.zeros(_FIRST_ROOM, np.int64)
        self._due = np.zeros(_FIRST_ROOM, np.int64)
        self._item = np.zeros(_FIRST_ROOM, np.int64)  # the item's id
        self._fires = np.zeros(_FIRST_ROOM, np.bool_)  # lets go what other items have sampled
        self._fired: Callable[[list[int]], None] | None = None
        self._told: Callable[[], None] = _nobody
        self._slow = np.zeros(_FIRST_ROOM, np.bool_)
        self._dirty = np.zeros(_FIRST_ROOM, np.bool_)
        self._table = view.tags
        self._tag_slot: Rows | None = None  # tag_id -> slot, _NONE where none; None = to be made anew
        self._order: Rows = np.zeros(0, np.intp)
        self._each: Rows = np.zeros(0, np.intp)  # 0, 1, 2, ...: a view of it is a stretch of rows, and taken without a copy
        self._run: tuple[int, int, int] | None = None  # tags first..last have the slots from here on, in their order
        self._starts: Rows | None = None  # several items on one tag: slots of tag t are order[starts[t]:starts[t + 1]]
        self._sampling = 0  # items that only sample
        self._any_slow = False
        self._any_text = False

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, item_id: int) -> bool:
        return item_id in self._slots

    def handles(self) -> Iterator[tuple[int, int]]:
        """The client's handle of each item, by the item's identifier."""
        return ((item_id, int(self._handle[slot])) for item_id, slot in self._slots.items())

    # --- services ---

    def create(self, item_id: int, tag_id: int, request: ItemRequest, mode: Mode, stamps: int, now_ns: int) -> ItemResult:
        tag = self._view.tags[tag_id]
        status, _ = band_of(request.filter, tag)
        if status:
            return ItemResult(status)
        slot = self._take_slot()
        self._slots[item_id] = slot
        self._tag[slot], self._mode[slot], self._item[slot], self._fires[slot] = tag_id, mode, item_id, False
        self._dirty[slot] = False
        self._reported.known[slot] = False
        self._reported.text.pop(slot, None)
        self._any_text |= tag.type is TagType.TEXT
        result = self._set(slot, request, stamps)
        self._due[slot] = now_ns + self._interval[slot]
        if mode is not Mode.DISABLED:
            self._fresh.append(slot)
        self._sampling += mode is Mode.SAMPLING
        self._queue.hold = self._sampling > 0
        self._tag_slot = None
        return result

    def modify(self, item_id: int, request: ItemRequest, stamps: int) -> ItemResult:
        slot = self._slots.get(item_id)
        if slot is None:
            return ItemResult(_BAD_ITEM)
        status, _ = band_of(request.filter, self._view.tags[int(self._tag[slot])])
        return ItemResult(status) if status else self._set(slot, request, stamps)

    def set_mode(self, item_id: int, mode: Mode, now_ns: int) -> int:
        """Part 4, 5.12.4: Disabled deletes what is queued; coming back from it starts with the value of now."""
        slot = self._slots.get(item_id)
        if slot is None:
            return _BAD_ITEM
        before = Mode(int(self._mode[slot]))
        self._mode[slot] = mode
        if mode is Mode.DISABLED and before is not Mode.DISABLED:
            self._queue.forget(slot)
        elif before is Mode.DISABLED and mode is not Mode.DISABLED:
            self._reported.known[slot] = False
            self._due[slot] = now_ns + self._interval[slot]
            self._fresh.append(slot)
        self._sampling += (mode is Mode.SAMPLING) - (before is Mode.SAMPLING)
        self._queue.hold = self._sampling > 0
        self._tag_slot = None
        return 0

    def delete(self, item_id: int) -> int:
        slot = self._slots.pop(item_id, None)
        if slot is None:
            return _BAD_ITEM
        self._sampling -= int(self._mode[slot]) == _SAMPLING
        self._queue.hold = self._sampling > 0
        self._mode[slot] = _DISABLED
        self._queue.release(slot)
        self._free.append(slot)
        self._tag_slot = None
        return 0

    def trigger(self, item_ids: Collection[int], fired: Callable[[list[int]], None]) -> None:
        """From now on exactly these items say, by their ids, that they have queued something (Part 4, 5.12.1.6)."""
        self._fires[:] = False
        self._fires[[self._slots[item_id] for item_id in item_ids if item_id in self._slots]] = True
        self._fired = fired if self._fires.any() else None

    def free(self, item_ids: Collection[int]) -> None:
        """What these items have sampled is reported with the next message."""
        slots = np.zeros(self._mode.size, np.bool_)
        slots[[self._slots[item_id] for item_id in item_ids if item_id in self._slots]] = True
        self._queue.free(slots & (self._mode == _SAMPLING))
        self._told()

    def close(self) -> None:
        self._queue.close()
        self._slots.clear()
        self._closed(self)

    # --- samples ---

    def push(self, batch: Batch, *, repeats: bool, now_ns: int) -> None:
        """Samples as the engine applied them. repeats: a tag stands in it more than once."""
        if not self._slots:
            return
        if self._fresh:
            self.sample(now_ns)
        rows, slots = self._match(batch.tag_id)
        if not slots.size:
            return
        if self._any_slow:
            slow = self._slow[slots]
            if slow.any():
                self._dirty[slots[slow]] = True
                rows, slots = rows[~slow], slots[~slow]
                self._sample_due(now_ns)
        if repeats and slots.size:
            rows, slots = self._offer_in_turn(batch, rows, slots, now_ns)
        for chunk in _waves(slots, repeats=repeats and slots.size > 0):
            self._offer(batch, rows if chunk is None else rows[chunk], slots if chunk is None else slots[chunk], now_ns)

    def sample(self, now_ns: int) -> None:
        if self._fresh:
            fresh = np.unique(np.array(self._fresh, np.intp))
            self._fresh = []
            self._offer_now(fresh[self._mode[fresh] != _DISABLED], now_ns)
        if self._any_slow:
            self._sample_due(now_ns)

    def refresh(self, now_ns: int) -> None:
        self._fresh = np.flatnonzero(self._mode != _DISABLED).tolist()
        self._reported.known[self._fresh] = False
        self.sample(now_ns)

    def ready(self) -> bool:
        return bool(self._fresh) or self._queue.ready(self._reporting)

    def polled(self) -> bool:
        return bool(self._fresh) or self._any_slow

    def told(self, queued: Callable[[], None]) -> None:
        self._told = queued

    def take(self, limit: int) -> list[bytes | memoryview]:
        taken = self._queue.take(limit, self._reporting)
        if taken is None:
            return []
        at = self._at(taken.slot)
        return data_change_bodies(
            Values(
                self._handle[at],
                self._layout[at],
                taken.value,
                taken.status,
                taken.source,
                taken.server,
                taken.text,
            )
        )

    def _reporting(self) -> Mask:
        reporting: Mask = self._mode == _REPORTING
        return reporting

    def _sample_due(self, now_ns: int) -> None:
        due = np.flatnonzero(self._dirty & (self._due <= now_ns) & (self._mode != _DISABLED))
        if due.size:
            self._dirty[due] = False
            missed = (now_ns - self._due[due]) // self._interval[due] + 1  # stay on the grid of the sampling interval
            self._due[due] += missed * self._interval[due]
            self._offer_now(due, now_ns)

    def _offer_now(self, slots: Rows, now_ns: int) -> None:
        tags, view = self._tag[slots], self._view
        text = {row: view.text[tag] for row, tag in enumerate(tags.tolist()) if tag in view.text} if self._any_text else {}
        now = Batch(tags, view.value[tags], view.status[tags], view.source_ns[tags], text)
        self._offer(now, np.arange(slots.size), slots, now_ns)

    def _offer_in_turn(self, batch: Batch, rows: Rows, slots: Rows, now_ns: int) -> tuple[Rows, Rows]:
        """Samples of plain items, all at once although tags repeat; returns what is left: items with a band, another trigger or text."""
        plain = (self._reported.band[slots] == 0) & (self._reported.trigger[slots] == STATUS_VALUE) & (self._layout[slots] // 4 != _TEXT)
        if plain.any():
            at, to = rows[plain], slots[plain]
            passed = self._reported.passes_in_turn(to, batch.value[at], batch.status[at])
            at, to = at[passed], to[passed]
            if to.size:
                self._append(Chunk(to, batch.value[at], batch.status[at], batch.source_ns[at], np.full(to.size, now_ns)), repeats=True)
        return rows[~plain], slots[~plain]

    def _offer(self, batch: Batch, rows: Rows, slots: Rows, now_ns: int) -> None:
        at = self._at(rows)
        value, status, source = batch.value[at], batch.status[at], batch.source_ns[at]
        texts = self._layout[slots] // 4 == _TEXT if self._any_text else None
        passed = self._reported.passes(self._at(slots), value, status, source) if texts is None else self._mixed(batch, rows, slots, texts)
        text = {}
        if not every(passed):
            rows, slots, value, status, source = rows[passed], slots[passed], value[passed], status[passed], source[passed]
        if batch.text and texts is not None:
            text = {place: batch.text[row] for place, row in enumerate(rows.tolist()) if row in batch.text}
        if slots.size:
            self._append(Chunk(slots, value, status, source, np.full(slots.size, now_ns), text))

    def _append(self, chunk: Chunk, *, repeats: bool = False) -> None:
        self._queue.append(chunk, repeats=repeats)
        self._told()
        if self._fired is not None:
            firing = chunk.slot[self._fires[chunk.slot]]
            if firing.size:
                self._fired(np.unique(self._item[firing]).tolist())

    def _mixed(self, batch: Batch, rows: Rows, slots: Rows, texts: Mask) -> Mask:
        passed = np.zeros(slots.size, np.bool_)
        numbers = ~texts
        at = rows[numbers]
        passed[numbers] = self._reported.passes(slots[numbers], batch.value[at], batch.status[at], batch.source_ns[at])
        for place in np.flatnonzero(texts).tolist():
            row = int(rows[place])
            passed[place] = self._reported.passes_text(
                int(slots[place]), batch.text.get(row), int(batch.status[row]), int(batch.source_ns[row])
            )
        return passed

    # --- the index ---

    def _match(self, tag_id: NDArray[np.int32]) -> tuple[Rows, Rows]:
        """Rows of a batch and the slots they go to."""
        if self._tag_slot is None or self._table is not self._view.tags:
            self._index()
        assert self._tag_slot is not None
        run = self._run
        if run is not None and tag_id.size:
            first, last = tag_id.item(0), tag_id.item(-1)
            if run[0] <= first and last <= run[1] and last - first + 1 == tag_id.size and every(tag_id[1:] > tag_id[:-1]):
                slot = run[2] + first - run[0]
                return self._each[: tag_id.size], self._each[slot : slot + tag_id.size]
        if self._starts is None:
            slots = self._tag_slot[tag_id]
            rows = self._each[: slots.size] if slots.size <= self._each.size else np.arange(slots.size)
            there = slots != _NONE
            if there.all():
                return rows, slots
            return rows[there], slots[there]
        counts = self._starts[tag_id + 1] - self._starts[tag_id]
        rows = np.repeat(np.arange(tag_id.size), counts)
        nth = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self._order[self._starts[tag_id][rows] + nth]

    def _index(self) -> None:
        self._table = self._view.tags
        active = np.flatnonzero(self._mode != _DISABLED)  # free slots are disabled too
        tags = self._tag[active]
        table = np.full(len(self._table), _NONE, np.intp)
        self._each = np.arange(max(table.size, self._mode.size))
        table[tags] = active
        self._tag_slot, self._starts = table, None
        if np.count_nonzero(table != _NONE) < active.size:
            self._order = active[np.argsort(tags, kind="stable")]
            self._starts = np.concatenate(([0], np.cumsum(np.bincount(tags, minlength=table.size))))

        first, last = (int(tags.min()), int(tags.max())) if active.size else (0, -1)
        run = table[first : last + 1]
        self._run = (
            (first, last, int(run[0])) if run.size and self._starts is None and every(run == run[0] + self._each[: run.size]) else None
        )

    def _at(self, rows: Rows) -> Where:
        """Rows as it costs least to take them."""
        return slice(rows.item(0), rows.item(-1) + 1) if rows.base is self._each and rows.size else rows

    # --- slots ---

    def _set(self, slot: int, request: ItemRequest, stamps: int) -> ItemResult:
        tag = self._view.tags[int(self._tag[slot])]
        _, self._reported.band[slot] = band_of(request.filter, tag)
        self._reported.trigger[slot] = trigger_of(request.filter)
        self._reported.plain &= bool(self._reported.trigger[slot] == STATUS_VALUE)
        self._handle[slot] = request.client_handle
        self._layout[slot] = layout_of(int(tag.type), stamps)
        asked_ms = self._publishing_ms() if request.sampling_ms < 0 else request.sampling_ms
        asked_ns = int(asked_ms * 1e6) if 0 <= asked_ms <= _SLOWEST_NS / 1e6 else (_SLOWEST_NS if asked_ms > 0 else 0)
        self._interval[slot] = max(asked_ns, tag.sampling_interval_ns)
        self._slow[slot] = asked_ns > tag.sampling_interval_ns
        self._any_slow |= bool(self._slow[slot])
        size = self._queue.resize(slot, request.queue_size, newest=not request.discard_oldest)
        return ItemResult(0, self._interval[slot] / 1e6, size)

    def _take_slot(self) -> int:
        if self._free:
            self._queue.purge()  # what a deleted item left in the queue must not become its successor's
            return self._free.pop()
        slot, self._used = self._used, self._used + 1
        if slot >= self._tag.size:
            self._room(2 * slot)
        return slot

    def _room(self, size: int) -> None:
        self._tag = _grown(self._tag, size)
        self._handle = _grown(self._handle, size)
        self._mode = _grown(self._mode, size)
        self._layout = _grown(self._layout, size)
        self._interval = _grown(self._interval, size)
        self._due = _grown(self._due, size)
        self._item = _grown(self._item, size)
        self._fires = _grown(self._fires, size)
        self._slow = _grown(self._slow, size)
        self._dirty = _grown(self._dirty, size)
        self._reported.room(size)
        self._queue.room(size)


def _nobody() -> None:
    """Who is told of queued values before anybody asks to be."""


def _grown(column: NDArray[Any], size: int) -> NDArray[Any]:
    grown = np.zeros(size, column.dtype)
    grown[: column.size] = column
    return grown


def _waves(slots: Rows, *, repeats: bool) -> Iterator[Rows | None]:
    """Row sets in which no slot repeats, the first samples first; None = all rows at once.

    A later sample of an item depends on what its earlier one decided, so those go one after the other.
    """
    if not repeats:
        yield None
        return
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    nth = np.arange(slots.size) - np.repeat(first, np.diff(np.concatenate((first, [slots.size]))))
    by_wave = order[np.argsort(nth, kind="stable")]
    ends = np.cumsum(np.bincount(nth))
    for start, end in zip((0, *ends[:-1].tolist()), ends.tolist(), strict=True):
        yield by_wave[start:end]
