"""The layouts of MonitoredItemNotifications whose value has a fixed size, and where such items stand in a notification (Part 6, 5.2.2.17).

An item's size follows from its DataValue mask and built-in type, so that each place follows from the one before. The walk is done for all
places at once: every offset that could begin an item gets its successor, and the real chain is followed in steps of 32.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Rows

NUMBERS: Final = {
    1: "u1",
    2: "i1",
    3: "u1",
    4: "<i2",
    5: "<u2",
    6: "<i4",
    7: "<u4",
    8: "<i8",
    9: "<u8",
    10: "<f4",
    11: "<f8",
    13: "<i8",
    19: "<u4",
}
"""numpy code of a built-in type that is a number (Part 6, 5.1.2)."""

_KINDS_MOST: Final = 19
_MASK_FREE: Final = 0xC1  # bits that a mask may not have, and the one that says that there is a value
_DOUBLINGS: Final = 5
_STRIDE: Final = 2**_DOUBLINGS


def _layout(mask: int, kind: int) -> np.dtype[Any]:
    """Value, status, source time, server time, in the order of the wire."""
    fields = [("handle", "<u4"), ("mask", "u1"), ("kind", "u1"), ("value", NUMBERS[kind])]
    for bit, name, code in (
        (0x02, "status", "<u4"),
        (0x04, "source", "<i8"),
        (0x10, "source_pico", "<u2"),
        (0x08, "server", "<i8"),
        (0x20, "server_pico", "<u2"),
    ):
        if mask & bit:
            fields.append((name, code))
    return np.dtype(fields)


LAYOUTS: Final = {mask | kind << 8: _layout(mask, kind) for mask in range(1, 64, 2) for kind in NUMBERS}
"""By mask and type: key = mask | type << 8."""
SIZES: Final = np.zeros(2**16, np.int32)
"""Bytes of an item by its key; 0 = no layout of fixed size."""
_VALUE_AT: Final = 6
_STATUS_AT: Final = np.zeros(2**16, np.int8)
_SOURCE_AT: Final = np.zeros(2**16, np.int8)
for _key, _dtype in LAYOUTS.items():
    SIZES[_key] = _dtype.itemsize
    assert _dtype.fields is not None
    for _name, _table in (("status", _STATUS_AT), ("source", _SOURCE_AT)):
        if _name in _dtype.fields:
            _table[_key] = _dtype.fields[_name][1]
_WIDEST: Final = int(SIZES.max())


class Chain:
    """The items of fixed size in some octets: uint8[n] from the first item on."""

    def __init__(self, octets: NDArray[np.uint8]) -> None:
        mask, kind = octets[4:-1], octets[5:]
        possible = (mask & _MASK_FREE) == 1
        possible &= (kind - np.uint8(1)) < _KINDS_MOST
        place = np.flatnonzero(possible)
        size = SIZES[mask[place] | kind[place].astype(np.uint16) << 8]
        good = (size > 0) & (place + size <= octets.size)
        if not good.all():
            place, size = place[good], size[good]
        self._place, self._size, self._none = place, size, place.size
        self._number = np.full(octets.size + _WIDEST, place.size, np.int32)  # of a place; _none where no item begins
        self._number[place] = np.arange(place.size, dtype=np.int32)
        self._next = np.append(self._number.take(place + size), self._none).astype(np.intp)
        self._far = self._next
        for _ in range(_DOUBLINGS):
            self._far = self._far.take(self._far)

    def follow(self, place: int, most: int) -> tuple[Rows, int]:
        """Places of the items that follow each other from here on, at most so many, and where the last of them ends."""
        heads: list[int] = []
        here = int(self._number[place]) if place < self._number.size else self._none
        if here == self._none:
            return np.zeros(0, np.intp), place
        while here != self._none and len(heads) * _STRIDE < most:
            heads.append(here)
            here = int(self._far[here])
        found = self._expanded(np.array(heads), most) if len(heads) > 1 else self._steps(heads[0], min(most, _STRIDE))
        last = int(found[-1])
        return self._place[found], int(self._place[last] + self._size[last])

    def _expanded(self, head: Rows, most: int) -> Rows:
        runs = np.empty((_STRIDE, head.size), np.intp)
        for step in range(_STRIDE):
            runs[step] = head
            head = self._next.take(head)
        found = runs.T.reshape(-1)
        return found[: min(most, int(np.count_nonzero(found != self._none)))]

    def _steps(self, here: int, most: int) -> Rows:
        found: list[int] = []
        while here != self._none and len(found) < most:
            found.append(here)
            here = int(self._next[here])
        return np.array(found)


def run(data: bytes, place: int, key: int, n: int) -> NDArray[np.void] | None:
    """n items from here on, all of which are there, where all have this layout."""
    layout = LAYOUTS[key]
    keys = np.ndarray((n,), "<u2", data, place + 4, (layout.itemsize,))
    return None if np.count_nonzero(keys != key) else np.frombuffer(data, layout, n, place)


@dataclass(frozen=True, slots=True)
class Gathered:
    """n items of fixed size, whatever their layouts.

    status and source (ticks) are 0 where an item has none; values: rows, built-in type and column of each type.
    """

    handle: NDArray[np.uint32]
    status: NDArray[np.uint32]
    source: NDArray[np.int64]
    values: list[tuple[Rows, int, NDArray[Any]]]


def gathered(data: bytes, first: int, end: int, places: Rows) -> Gathered:
    """The items that begin at these places after first and lie before end."""
    key = _column(data, first + 4, end, "<u2", places)
    values = []
    for one in np.flatnonzero(np.bincount(key >> 8)).tolist():
        rows = np.flatnonzero(key >> 8 == one)
        values.append((rows, one, _column(data, first + _VALUE_AT, end, NUMBERS[one], places.take(rows))))
    status = _optional(data, first, end, "<u4", places, _STATUS_AT.take(key))
    source = _optional(data, first, end, "<i8", places, _SOURCE_AT.take(key))
    return Gathered(_column(data, first, end, "<u4", places), status, source, values)


def _optional(data: bytes, first: int, end: int, code: str, places: Rows, offset: NDArray[np.int8]) -> NDArray[Any]:
    """A field at its offset; an offset of 0 says that the item has none."""
    rows = np.flatnonzero(offset)
    if rows.size == offset.size:
        return _column(data, first, end, code, places + offset)
    found = np.zeros(offset.size, code)
    if rows.size:
        found[rows] = _column(data, first, end, code, places.take(rows) + offset.take(rows))
    return found


def _column(data: bytes, first: int, end: int, code: str, places: Rows) -> NDArray[Any]:
    """What stands at first + each of the places: a view in which one element begins at each octet."""
    dtype = np.dtype(code)
    return np.ndarray((end - first - dtype.itemsize + 1,), dtype, data, first, (1,))[places]
