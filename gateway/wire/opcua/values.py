"""Answers to Read and HistoryRead as columns (Part 4, 5.10.2, 5.10.3; Part 11, 6.5.3)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.model.quality import BAD
from gateway.wire.opcua.cursor import Cursor, Malformed
from gateway.wire.opcua.decode import Columns, DataChange, Elements, Handles, data_value

_READ_RESPONSE: Final = 634
_HISTORY_RESPONSE: Final = 667
_HISTORY_DATA: Final = 658


@dataclass(frozen=True, slots=True)
class Past:
    """A page of one node's history, oldest first; continuation is empty on the last page."""

    status: int
    continuation: bytes
    values: DataChange


def decode_read(data: bytes, handle: Handles, element: Elements) -> tuple[int, DataChange | None]:
    """(ServiceResult, values) of a ReadResponse for the items of these handles; no values where it is Bad. Raises Malformed."""
    at = Cursor(data)
    kind = at.node_id()
    result = at.response_header()
    if kind != _READ_RESPONSE or result >= BAD:
        return result, None
    n = at.count()
    if n != handle.size:
        raise Malformed(f"{n} values for {handle.size} items")
    columns = Columns.of(n)
    columns.handle[:] = handle
    for row, one in enumerate(handle.tolist()):
        data_value(at, row, columns, int(element[one]))
    return result, _change(columns)


def decode_history(data: bytes, handle: Handles, element: Elements) -> tuple[int, list[Past]]:
    """(ServiceResult, a page per item) of a HistoryReadResponse; none where it is Bad. Raises Malformed."""
    at = Cursor(data)
    kind = at.node_id()
    result = at.response_header()
    if kind != _HISTORY_RESPONSE or result >= BAD:
        return result, []
    n = at.count(6)
    if n != handle.size:
        raise Malformed(f"{n} results for {handle.size} items")
    return result, [_past(at, one, element) for one in handle.tolist()]


def _past(at: Cursor, handle: int, element: Elements) -> Past:
    status = at.u32()
    continuation = at.string() or b""
    kind, start, end = at.extension_object()
    body = Cursor(at.data, start, end)
    n = body.count() if kind == _HISTORY_DATA else 0
    columns = Columns.of(n)
    columns.handle[:] = handle
    for row in range(n):
        data_value(body, row, columns, int(element[handle]))
    return Past(status, continuation, _change(columns))


def _change(columns: Columns) -> DataChange:
    columns.value[columns.status >= np.uint32(BAD)] = np.nan
    return DataChange(columns.handle, columns.value, columns.status, columns.source_ns, columns.text)
