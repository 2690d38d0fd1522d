"""An EventFilter (Part 4, 7.22.3), checked and translated once when an item is made, applied to each occurrence."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from weakref import WeakValueDictionary

from asyncua import ua
from asyncua.ua import uaprotocol_auto

from gateway.wire.opcua import limits
from gateway.wire.opcua.event_fields import NULL, Fields
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.select import Select, select
from gateway.wire.opcua.terms import status_code
from gateway.wire.opcua.where import ElementResult, Where, compile_where

_COUNT: Final = struct.Struct("<i")


class Selection:
    """The fields that a client wants, None for one that cannot be. Clients that want the same share one, and what is encoded for it."""

    _known: ClassVar[WeakValueDictionary[tuple[Select | None, ...], "Selection"]] = WeakValueDictionary()

    def __init__(self, selects: tuple[Select | None, ...]) -> None:
        self.selects = selects

    @classmethod
    def of(cls, selects: tuple[Select | None, ...]) -> "Selection":
        found = cls._known.get(selects)
        if found is None:
            found = cls._known[selects] = cls(selects)
        return found

    def encoded(self, event: Fields) -> bytes:
        """The fields of an event as an encoded array of Variants."""
        known = event.lists.get(self)
        if known is None:
            parts = [NULL if one is None else one.encoded(event) for one in self.selects]
            known = event.lists[self] = _COUNT.pack(len(parts)) + b"".join(parts)
        return known


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What a client wants to hear of which events."""

    selection: Selection
    where: Where

    def passes(self, event: Fields) -> bool:
        """Whether the where clause is TRUE of the event."""
        return self.where.passes(event)

    def encoded(self, event: Fields) -> bytes:
        """The selected fields as an encoded array of Variants: the eventFields of an EventFieldList and of a HistoryEventFieldList."""
        return self.selection.encoded(event)


@dataclass(frozen=True, slots=True)
class Compiled:
    """status: Good, or why no item can have this filter. result: what is wrong with it in detail, None where nothing is."""

    status: int
    filter: EventFilter
    result: ua.EventFilterResult | None = None


def compile_filter(asked: Any, types: EventTypes) -> Compiled:
    """One select clause at least must be valid, and the whole where clause. An invalid select clause is a null field."""
    clauses = asked.SelectClauses or []
    if not isinstance(asked, uaprotocol_auto.EventFilter) or not 0 < len(clauses) <= limits.SELECT_CLAUSES:
        return Compiled(ua.StatusCodes.BadEventFilterInvalid, EventFilter(Selection(()), Where()))
    pairs = [select(clause, types) for clause in clauses]
    where, elements = compile_where(asked.WhereClause, types)
    faulty = any(element.status for element in elements)
    status = ua.StatusCodes.BadEventFilterInvalid if faulty or all(code for _, code in pairs) else 0
    result = _result([code for _, code in pairs], elements) if faulty or any(code for _, code in pairs) else None
    return Compiled(status, EventFilter(Selection.of(tuple(found for found, _ in pairs)), where), result)


def _result(selects: Sequence[int], elements: Sequence[ElementResult]) -> ua.EventFilterResult:
    """Part 4, 7.22.3 (EventFilterResult) and 7.7.2 (ContentFilterResult)."""
    return ua.EventFilterResult(
        SelectClauseResults=[status_code(code) for code in selects],
        WhereClauseResult=ua.ContentFilterResult(
            ElementResults=[
                ua.ContentFilterElementResult(
                    StatusCode=status_code(element.status), OperandStatusCodes=[status_code(code) for code in element.operands]
                )
                for element in elements
            ]
        ),
    )
