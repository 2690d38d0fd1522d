"""The where clause of an EventFilter (Part 4, 7.7: ContentFilter): checked and translated once, evaluated for each event.

An operator never raises: what it cannot do with its operands is FALSE or NULL as the standard's table says.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.ua import uaprotocol_auto

from gateway.wire.opcua import limits
from gateway.wire.opcua.casts import EXPANDED_NODE_ID, FALSE, INTEGERS, TRUE, Typed, cast, common, of_reading, of_variant
from gateway.wire.opcua.contents import built_in
from gateway.wire.opcua.event_fields import Fields
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.like import Pattern
from gateway.wire.opcua.select import Select, select

Value = Typed | None
_Operator = ua.FilterOperator
_ORDERED: Final = frozenset(range(1, 16)) | {Builtin.STATUS_CODE, Builtin.LOCALIZED_TEXT, Builtin.QUALIFIED_NAME}  # Boolean to ByteString
_NODE_IDS: Final = frozenset((int(Builtin.NODE_ID), EXPANDED_NODE_ID))
_MANY: Final = 10_000


# --- what a client hears of it ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ElementResult:
    """ContentFilterElementResult: a StatusCode for the element, and one for each operand where an operand is to blame."""

    status: int = 0
    operands: list[int] = field(default_factory=list)


# --- operators (Part 4, 7.7.3) ---------------------------------------------------------------------------------------------------------


def _truth(value: bool) -> Typed:
    return TRUE if value else FALSE


def _boolean(value: Value) -> bool | None:
    """What cannot be resolved to a Boolean is NULL."""
    return value.content if value is not None and value.kind == Builtin.BOOLEAN and isinstance(value.content, bool) else None


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    """FALSE where there is no common type, no order, or no value."""

    def compared(left: Value, right: Value) -> bool:
        both = None if left is None or right is None else common(left, right)
        if both is None:
            return False
        kind, one, other = both
        if compare is operator.eq:
            return bool(one == other)
        if kind not in _ORDERED or isinstance(one, tuple) or isinstance(other, tuple):
            return False
        try:
            return bool(compare(one, other))
        except TypeError:  # a field that is not of the type it says
            return False

    return compared


_equal = _compared(operator.eq)
_not_less = _compared(operator.ge)
_not_greater = _compared(operator.le)


def _comparison(compare: Callable[[Value, Value], bool]) -> "Evaluate":
    return lambda values, _: _truth(compare(values[0], values[1]))


def _not(values: Sequence[Value], _: Fields) -> Value:
    truth = _boolean(values[0])
    return None if truth is None else _truth(not truth)


def _and(values: Sequence[Value], _: Fields) -> Value:
    left, right = _boolean(values[0]), _boolean(values[1])
    if left is False or right is False:
        return FALSE
    return None if left is None or right is None else TRUE


def _or(values: Sequence[Value], _: Fields) -> Value:
    left, right = _boolean(values[0]), _boolean(values[1])
    if left or right:
        return TRUE
    return None if left is None or right is None else FALSE


def _between(values: Sequence[Value], _: Fields) -> Value:
    return _truth(_not_less(values[0], values[1]) and _not_greater(values[0], values[2]))


def _in_list(values: Sequence[Value], _: Fields) -> Value:
    return _truth(any(_equal(values[0], value) for value in values[1:]))


def _text(value: Value) -> str | None:
    as_text = None if value is None else cast(value, Builtin.STRING)
    return as_text.content if as_text is not None and isinstance(as_text.content, str) else None


def _like(values: Sequence[Value], _: Fields) -> Value:
    text, pattern = _text(values[0]), _text(values[1])
    return _truth(text is not None and pattern is not None and Pattern.of(pattern).matches(text))


def _cast(values: Sequence[Value], _: Fields) -> Value:
    value, wanted = values
    if value is None or wanted is None or wanted.kind not in _NODE_IDS or not isinstance(wanted.content, int):
        return None
    return cast(value, built_in(wanted.content))


def _bitwise(combine: Callable[[int, int], int]) -> "Evaluate":
    def combined(values: Sequence[Value], _: Fields) -> Value:
        left, right = values
        if left is None or right is None or left.kind not in INTEGERS or right.kind not in INTEGERS:
            return None
        both = common(left, right)
        if both is None or isinstance(both[1], tuple) or isinstance(both[2], tuple):
            return None
        return Typed(both[0], combine(both[1], both[2]))

    return combined


def _of_type(types: EventTypes) -> "Evaluate":
    def is_a(values: Sequence[Value], event: Fields) -> Value:
        wanted = values[0]
        if wanted is None or wanted.kind not in _NODE_IDS or not isinstance(wanted.content, int | str):
            return FALSE
        return _truth(types.is_a(event.type, wanted.content))

    return is_a


Evaluate = Callable[[Sequence[Value], Fields], Value]
_OPERATORS: Final[Mapping[int, tuple[int, int, Evaluate]]] = {  # number of operands, and what it does
    _Operator.Equals: (2, 2, _comparison(_equal)),
    _Operator.IsNull: (1, 1, lambda values, _: _truth(values[0] is None)),
    _Operator.GreaterThan: (2, 2, _comparison(_compared(operator.gt))),
    _Operator.LessThan: (2, 2, _comparison(_compared(operator.lt))),
    _Operator.GreaterThanOrEqual: (2, 2, _comparison(_not_less)),
    _Operator.LessThanOrEqual: (2, 2, _comparison(_not_greater)),
    _Operator.Like: (2, 2, _like),
    _Operator.Not: (1, 1, _not),
    _Operator.Between: (3, 3, _between),
    _Operator.InList: (2, _MANY, _in_list),
    _Operator.And: (2, 2, _and),
    _Operator.Or: (2, 2, _or),
    _Operator.Cast: (2, 2, _cast),
    _Operator.BitwiseAnd: (2, 2, _bitwise(operator.and_)),
    _Operator.BitwiseOr: (2, 2, _bitwise(operator.or_)),
}
_UNSUPPORTED: Final = frozenset((int(_Operator.InView), int(_Operator.RelatedTo)))


# --- the clause ------------------------------------------------------------------------------------------------------------------------

Operand = Typed | Select | int | None
"""A literal, a field, the index of another element, or NULL."""


@dataclass(frozen=True, slots=True)
class Where:
    """Elements in the client's order; each refers only to later ones, so that one pass from the last to the first evaluates it."""

    elements: tuple[tuple[Evaluate, tuple[Operand, ...]], ...] = ()
    work: int = 0  # what each event costs: the number of operands, a pattern counts as ten

    def passes(self, event: Fields) -> bool:
        """Whether the clause is TRUE of this event; an empty clause is."""
        if not self.elements:
            return True
        results: list[Value] = [None] * len(self.elements)
        for index in range(len(self.elements) - 1, -1, -1):
            evaluate, operands = self.elements[index]
            results[index] = evaluate([_resolved(operand, results, event) for operand in operands], event)
        return _boolean(results[0]) is True


def _resolved(operand: Operand, results: Sequence[Value], event: Fields) -> Value:
    if isinstance(operand, Select):
        return of_reading(operand.reading(event))
    return results[operand] if isinstance(operand, int) else operand


def compile_where(clause: Any, types: EventTypes) -> tuple[Where, list[ElementResult]]:
    """The clause, and a result per element; it can be used only where no result is Bad."""
    elements = (clause.Elements if clause is not None else None) or []
    if len(elements) > limits.FILTER_ELEMENTS or sum(len(_operands(element)) for element in elements) > limits.FILTER_OPERANDS:
        return Where(), [ElementResult(ua.StatusCodes.BadTooManyOperations) for _ in elements[: limits.FILTER_ELEMENTS]]
    compiled, results = [], []
    for index, element in enumerate(elements):
        evaluate, operands, result = _element(element, index, len(elements), types)
        results.append(result)
        compiled.append((evaluate, operands))
    work = sum(10 if element.FilterOperator == _Operator.Like else len(_operands(element)) for element in elements)
    return Where(tuple(compiled), work), results


def _operands(element: Any) -> Sequence[Any]:
    return element.FilterOperands or ()


def _element(element: Any, index: int, count: int, types: EventTypes) -> tuple[Evaluate, tuple[Operand, ...], ElementResult]:
    number, given = int(element.FilterOperator), _operands(element)
    of_type = number == _Operator.OfType
    least, most, evaluate = (1, 1, _of_type(types)) if of_type else _OPERATORS.get(number, (0, _MANY, _nothing))
    if evaluate is _nothing:
        codes = ua.StatusCodes
        return _nothing, (), ElementResult(codes.BadFilterOperatorUnsupported if number in _UNSUPPORTED else codes.BadFilterOperatorInvalid)
    if not least <= len(given) <= most:
        return _nothing, (), ElementResult(ua.StatusCodes.BadFilterOperandCountMismatch)
    pairs = [_operand(operand, index, count, types) for operand in given]
    operands, codes_of = tuple(pair[0] for pair in pairs), [pair[1] for pair in pairs]
    if not any(codes_of):
        codes_of[0] = _type_fault(operands[0], types) if of_type else 0
    if any(codes_of):
        return _nothing, (), ElementResult(ua.StatusCodes.BadFilterOperandInvalid, codes_of)
    if number == _Operator.Like and isinstance(operands[1], Typed):
        evaluate = _like_literal(operands[1])
    return evaluate, operands, ElementResult()


def _nothing(values: Sequence[Value], event: Fields) -> Value:  # noqa: ARG001 an Evaluate
    return None


def _like_literal(literal: Typed) -> Evaluate:
    """A pattern that is always the same is read once."""
    text = _text(literal)
    pattern = None if text is None else Pattern.of(text)

    def like(values: Sequence[Value], _: Fields) -> Value:
        subject = _text(values[0])
        return _truth(pattern is not None and subject is not None and pattern.matches(subject))

    return like


def _type_fault(operand: Operand, types: EventTypes) -> int:
    """OfType asks for the NodeId of an EventType."""
    if not isinstance(operand, Typed):
        return 0 if operand is not None else ua.StatusCodes.BadFilterOperandInvalid
    if operand.kind not in _NODE_IDS:
        return ua.StatusCodes.BadFilterOperandInvalid
    known = isinstance(operand.content, int | str) and bool(types.ancestry(operand.content))
    return 0 if known else ua.StatusCodes.BadTypeDefinitionInvalid


def _operand(operand: Any, index: int, count: int, types: EventTypes) -> tuple[Operand, int]:
    """The operand, and why it cannot be one; 0 = it can. AttributeOperands are not for events (Part 4, 7.7.4.4)."""
    codes = ua.StatusCodes
    match operand:
        case uaprotocol_auto.ElementOperand():
            forward = index < operand.Index < count  # so that no evaluation comes back to where it was
            return (int(operand.Index), 0) if forward else (None, codes.BadFilterElementInvalid)
        case uaprotocol_auto.LiteralOperand():
            literal = of_variant(operand.Value)
            text = literal.content if literal is not None else None
            long = isinstance(text, str | bytes | tuple) and len(text) > limits.FILTER_LITERAL
            return (None, codes.BadFilterLiteralInvalid) if long else (literal, 0)
        case uaprotocol_auto.SimpleAttributeOperand():
            return select(operand, types)
    return None, codes.BadFilterOperandInvalid
