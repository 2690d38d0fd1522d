"""One field of events that a client names: a SimpleAttributeOperand (Part 4, 7.7.4.5), in a select clause or a where clause."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from asyncua import ua

from gateway.wire.opcua import limits
from gateway.wire.opcua.contents import key_of
from gateway.wire.opcua.event_fields import Fields, encode_reading
from gateway.wire.opcua.event_types import BASE_EVENT_TYPE, CONDITION_TYPE, EventTypes, path_of
from gateway.wire.opcua.face import Key, NodeClass, Reading
from gateway.wire.opcua.occurrences import Path

_VALUE: Final = ua.AttributeIds.Value
_NODE_ID: Final = ua.AttributeIds.NodeId
_RANGE: Final = re.compile(r"\d{1,9}(:\d{1,9})?(,\d{1,9}(:\d{1,9})?)*", re.ASCII)
_NO_DATA: Final = int(ua.StatusCodes.BadIndexRangeNoData)
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Select:
    """path () is the ConditionId. of: the EventType whose events have the field, None for all."""

    path: Path
    of: Key | None
    types: EventTypes
    spans: tuple[Span, ...] = ()

    def reading(self, event: Fields) -> Reading | None:
        """The field of this event, None where it has none."""
        if self.of is not None and not self.types.is_a(event.type, self.of):
            return None
        found = event.reading(self.path)
        return found if found is None or not self.spans else _ranged(found, self.spans)

    def encoded(self, event: Fields) -> bytes:
        """The same as an encoded Variant."""
        if self.spans or (self.of is not None and not self.types.is_a(event.type, self.of)):
            return encode_reading(self.reading(event))
        return event.encoded(self.path)


def select(operand: Any, types: EventTypes) -> tuple[Select | None, int]:
    """The field, and why there can be none; 0 = there can."""
    codes = ua.StatusCodes
    of = BASE_EVENT_TYPE if _is_null(operand.TypeDefinitionId) else key_of(operand.TypeDefinitionId)
    if of is None or not types.ancestry(of):
        return None, codes.BadTypeDefinitionInvalid
    names = operand.BrowsePath or []
    if len(names) > limits.BROWSE_PATH_NAMES:
        return None, codes.BadBrowseNameInvalid
    path = path_of(names)
    unfit = _unfit(of, path, operand.AttributeId, types)
    if unfit:
        return None, unfit
    spans = _spans(operand.IndexRange) if operand.IndexRange else ()
    if spans is None:
        return None, codes.BadIndexRangeInvalid
    return Select(path, None if of == BASE_EVENT_TYPE else of, types, spans), 0


def _is_null(nodeid: Any) -> bool:
    return nodeid is None or nodeid.is_null()


def _unfit(of: Key, path: Path, attribute: int, types: EventTypes) -> int:
    codes = ua.StatusCodes
    if not path:
        conditions = of == BASE_EVENT_TYPE or types.is_a(of, CONDITION_TYPE)
        return 0 if attribute == _NODE_ID and conditions else codes.BadAttributeIdInvalid
    found = types.field(of, path)
    if found is None:
        return codes.BadNodeIdUnknown if all(path) else codes.BadBrowseNameInvalid
    return 0 if attribute == _VALUE and found is NodeClass.VARIABLE else codes.BadAttributeIdInvalid


def _spans(text: str) -> tuple[Span, ...] | None:
    """Part 4, 7.27 (NumericRange), one span per dimension; None where it is none."""
    if not _RANGE.fullmatch(text):
        return None
    spans = []
    for dimension in text.split(","):
        low, _, high = dimension.partition(":")
        if high and int(low) >= int(high):
            return None
        spans.append((int(low), int(high or low)))
    return tuple(spans)


def _ranged(reading: Reading, spans: tuple[Span, ...]) -> Reading:
    """The elements asked for; no field has more than one dimension."""
    content, (low, high) = reading.content, spans[0]
    if len(spans) > 1 or not isinstance(content, tuple | str | bytes) or low >= len(content):
        return replace(reading, status=reading.status or _NO_DATA)
    return replace(reading, content=content[low : high + 1])
