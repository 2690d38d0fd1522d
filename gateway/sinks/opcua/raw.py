"""Raw history of a tag in the order and with the bounds that a client asks for (Part 11, 4.6 and 6.5.3), page by page.

A page ends anywhere, also amid samples of equal time: the place where the next one begins is a time and what was sent of it, so that none
is lost or doubled, whatever arrives or is packed into blocks in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.contracts import HistoryView, Series
from gateway.model.quality import is_bad
from gateway.wire.opcua.past import TICK_NS, HistoryRefused, RawQuery

BAD_BOUND_NOT_FOUND: Final = 0x80D7_0000
_BAD_HISTORY_OPERATION_INVALID: Final = 0x8071_0000
_FIRST: Final = -(2**63) + 1
_LAST: Final = 2**63 - 1
_SECOND: Final = 1_000_000_000
PIECE: Final = 10_000  # samples read at once
_EMPTY: Final = Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32), {})
Content = tuple[int, int, str | None]
"""What tells samples of equal time apart: the value's bits, the status, the text."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The way through time. low <= time < high is what lies between the bounds.

    start_ns, end_ns   where bounds belong; end None: the walk ends with the data
    left               how many values the answer may still have in all, None: no matter
    """

    low: int
    high: int
    backward: bool
    start_ns: int
    end_ns: int | None
    left: int | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: `sent` of the samples at edge_ns have been sent already. start: the first bound is still due."""

    walk: Walk
    edge_ns: int
    sent: frozenset[Content] = frozenset()
    start: bool = False
    last_ns: int | None = None  # the time sent last


def begin(query: RawQuery) -> Cursor:
    """Part 11, 6.5.3.2. Raises HistoryRefused where fewer than two of start, end and number are given."""
    start, end = query.start_ns, query.end_ns
    if (start is None and end is None) or (not query.most and (start is None or end is None)):
        raise HistoryRefused(_BAD_HISTORY_OPERATION_INVALID)
    if start is None:
        assert end is not None
        walk = Walk(_FIRST, end + TICK_NS, True, end, None, query.most)
    elif end is None:
        walk = Walk(start, _LAST, False, start, None, query.most)
    elif start > end:
        walk = Walk(end + TICK_NS, start + TICK_NS, True, start, end, None)
    else:
        walk = Walk(start, max(end, start + TICK_NS), False, start, end, None)
    return Cursor(walk, walk.high - 1 if walk.backward else walk.low, start=query.bounds)


async def read_raw(view: HistoryView, tag_id: int, query: RawQuery, rest: Cursor | None, most: int) -> tuple[Series, Cursor | None]:
    """A page in the order asked for, at most `most` values, and where the next one begins.

    Read a piece at a time: whoever else reads history comes in between.
    """
    parts: list[Series] = []
    room = min(most, query.most or most)
    while room > 0:
        part, rest = await _read_piece(view, tag_id, query, rest, min(room, PIECE))
        parts.append(part)
        room -= part.source_ns.size
        if rest is None:
            break
    return joined(parts), rest


async def _read_piece(view: HistoryView, tag_id: int, query: RawQuery, rest: Cursor | None, most: int) -> tuple[Series, Cursor | None]:
    at = begin(query) if rest is None else rest
    room = min(most, at.walk.left or most)
    parts: list[Series] = []
    if at.start:
        parts.append(await _start_bound(view, tag_id, at.walk))
        at = replace(at, start=False)
        if parts[0].source_ns.size:
            at = replace(at, last_ns=int(parts[0].source_ns[0]))
    room -= sum(part.source_ns.size for part in parts)
    inside, more = await _inside(view, tag_id, at, room)
    parts.append(inside)
    at = _moved(at, inside)
    room -= inside.source_ns.size
    due = query.bounds and not more
    if due and room > 0:
        parts.append(await _end_bound(view, tag_id, at))
        due = False
    page = joined(parts)
    return page, _next(at, page.source_ns.size, go_on=more or due)


def _next(at: Cursor, sent: int, *, go_on: bool) -> Cursor | None:
    left = at.walk.left
    if not go_on or (left is not None and left <= sent):
        return None
    return at if left is None else replace(at, walk=replace(at.walk, left=left - sent))


async def _inside(view: HistoryView, tag_id: int, at: Cursor, room: int) -> tuple[Series, bool]:
    """Up to `room` samples from the cursor on, and whether there are more."""
    walk, limit = at.walk, room + len(at.sent) + 1
    if walk.backward:
        found = _reversed(await view.read_before(tag_id, walk.low, max(at.edge_ns + 1, walk.low), limit))
    else:
        found = await view.read(tag_id, at.edge_ns, walk.high, limit)
    rows = np.arange(found.source_ns.size)
    if at.sent:
        again = np.flatnonzero(found.source_ns == at.edge_ns)
        rows = np.delete(rows, [row for row in again.tolist() if _content(found, row) in at.sent])
    return _taken(found, rows[:room]), rows.size > room


def _moved(at: Cursor, inside: Series) -> Cursor:
    if not inside.source_ns.size:
        return at
    edge = int(inside.source_ns[-1])
    sent = {_content(inside, row) for row in np.flatnonzero(inside.source_ns == edge).tolist()}
    return replace(at, edge_ns=edge, sent=frozenset(sent | at.sent if edge == at.edge_ns else sent), last_ns=edge)


def _content(series: Series, row: int) -> Content:
    return int(series.value[row : row + 1].view(np.int64)[0]), int(series.status[row]), series.text.get(row)


async def _start_bound(view: HistoryView, tag_id: int, walk: Walk) -> Series:
    """Nothing where a sample stands at the start itself; else the one before it (on the way), or that there is none."""
    if (await view.read(tag_id, walk.start_ns, walk.start_ns + TICK_NS, 1)).source_ns.size:
        return _EMPTY
    found = await _outside(view, tag_id, walk.start_ns, later=walk.backward)
    return found if found.source_ns.size else _no_bound(walk.start_ns)


async def _end_bound(view: HistoryView, tag_id: int, at: Cursor) -> Series:
    """The sample at the end itself, else the first one beyond it, or that there is none.

    A walk that ends with the data names a time one second beyond the last (Part 11, Table 1, notes).
    """
    walk, step = at.walk, -_SECOND if at.walk.backward else _SECOND
    if walk.end_ns is None:
        last = walk.start_ns if at.last_ns is None else at.last_ns
        return _no_bound(last + step)
    if walk.backward:
        found = await view.read_before(tag_id, _FIRST, walk.low, 1)
    else:
        found = await view.read(tag_id, walk.high, _LAST, 1)
    return found if found.source_ns.size else _no_bound(walk.end_ns)


async def _outside(view: HistoryView, tag_id: int, at_ns: int, *, later: bool) -> Series:
    if later:
        return await view.read(tag_id, at_ns + TICK_NS, _LAST, 1)
    return await view.read_before(tag_id, _FIRST, at_ns, 1)


def _no_bound(at_ns: int) -> Series:
    return Series(np.array([at_ns]), np.array([np.nan]), np.array([BAD_BOUND_NOT_FOUND], np.uint32), {})


def _reversed(series: Series) -> Series:
    return _taken(series, np.arange(series.source_ns.size)[::-1])


def _taken(series: Series, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Series:
    if rows.size == series.source_ns.size and (not rows.size or rows[0] == 0):
        return series
    text = {place: series.text[row] for place, row in enumerate(rows.tolist()) if row in series.text} if series.text else {}
    return Series(series.source_ns[rows], series.value[rows], series.status[rows], text)


def joined(parts: Sequence[Series]) -> Series:
    parts = [part for part in parts if part.source_ns.size]
    if len(parts) < 2:
        return parts[0] if parts else _EMPTY
    text: dict[int, str] = {}
    offset = 0
    for part in parts:
        text.update((offset + row, words) for row, words in part.text.items())
        offset += part.source_ns.size
    columns = zip(*((part.source_ns, part.value, part.status) for part in parts), strict=True)
    source_ns, value, status = (np.concatenate(column) for column in columns)
    return Series(source_ns, value, status, text)


def without_bad(series: Series) -> Series:
    """The values as a client may have them: null where the status is Bad (Part 4, 7.11)."""
    bad = is_bad(series.status)
    if not bad.any():
        return series
    text = {row: words for row, words in series.text.items() if not bad[row]} if series.text else {}
    return Series(series.source_ns, np.where(bad, np.nan, series.value), series.status, text)
