"""Plain contents of face.Reading and the library's Variants, both ways (Part 6, 5.1)."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asyncua import ua

from gateway.wire.opcua.face import Builtin, Content, EnumValue, EuInformation, Key, ModelChange, Range, Reading, Structure, Text, TimeZone
from gateway.wire.opcua.methods import Argument
from gateway.wire.opcua.terms import date_time, node_id, status_code

OURS: Final = 2
"""Index of the gateway's namespace; 1 is the server's own (Part 5, 6.3.1)."""
ANY: Final = 24
"""BaseDataType: a Variant of any type (Part 5, 12.2.1)."""
LOCALE: Final = "en"  # the only one (Part 5, 6.3.2, LocaleIdArray)
_NO_TIME: Final = datetime(1601, 1, 1, tzinfo=UTC)  # encoded as 0 (Part 6, 5.2.2.5)
_UNECE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
_DERIVED: Final = {288: 7, 289: 7, 290: 11, 294: 13, 295: 12}  # Counter, IntegerId, Duration, UtcTime, LocaleId -> built-in type
_RANGE: Final = re.compile(r"([0-9]{1,9})(?::([0-9]{1,9}))?")
_Type = ua.VariantType
_NUMBERS: Final = frozenset(_Type(number) for number in range(2, 12))  # SByte to Double (Part 6, 5.1.2)
_SCALARS: Final = frozenset(
    {*(_Type(number) for number in range(1, 13)), _Type.LocalizedText}  # Boolean to String (Part 6, 5.1.2)
)


def built_in(data_type: int) -> int:
    """The built-in type of a simple DataType of namespace 0; ANY for BaseDataType."""
    return _DERIVED.get(data_type, data_type)


def key_of(nodeid: ua.NodeId) -> Key | None:
    """The key of a node of namespace 0 or of the gateway's; None for any other."""
    key: Any = nodeid.Identifier
    ours = (nodeid.NamespaceIndex == 0 and isinstance(key, int)) or (nodeid.NamespaceIndex == OURS and isinstance(key, str))
    return key if ours else None


def key_node_id(key: Key) -> ua.NodeId:
    return node_id(key, 0 if isinstance(key, int) else OURS)


_CONVERTED: Final[Mapping[Builtin, Callable[[Any], Any]]] = {
    Builtin.LOCALIZED_TEXT: lambda text: ua.LocalizedText(text.text, text.locale) if isinstance(text, Text) else _text(text),
    Builtin.QUALIFIED_NAME: lambda text: ua.QualifiedName(str(text)),
    Builtin.NODE_ID: key_node_id,
    Builtin.DATE_TIME: lambda unix_ns: date_time(unix_ns) or _NO_TIME,
    Builtin.STATUS_CODE: status_code,
    Builtin.GUID: lambda content: UUID(bytes=content),
}
"""From what a Reading holds to the library's types, where they differ."""


def variant(reading: Reading) -> ua.Variant:
    """The value as the library's Variant."""
    held, kind = reading.content, reading.type
    if held is None:
        return ua.Variant()
    if isinstance(held, tuple):
        shown = [_shown(element, kind) for element in held]
        return ua.Variant(shown, _variant_type(held[0] if held else None, kind), is_array=True)
    return ua.Variant(_shown(held, kind), _variant_type(held, kind))


def _variant_type(held: object, kind: Builtin) -> ua.VariantType:
    return _Type.ExtensionObject if isinstance(held, Structure) else _Type(int(kind))


def _shown(held: Any, kind: Builtin) -> Any:
    """One scalar in the library's own type."""
    if isinstance(held, Structure):
        return _structure(held)
    convert = _CONVERTED.get(kind)
    return held if convert is None else convert(held)


def _text(text: object) -> ua.LocalizedText:
    return ua.LocalizedText(str(text), LOCALE)


def _structure(held: Structure) -> Any:
    match held:
        case Range():
            return ua.Range(Low=held.low, High=held.high)
        case EuInformation():
            return ua.EUInformation(_UNECE, held.unit_id, _text(held.symbol), _text(held.name))
        case EnumValue():
            return ua.EnumValueType(held.value, _text(held.name), ua.LocalizedText())
        case ModelChange():
            return ua.ModelChangeStructureDataType(key_node_id(held.affected), key_node_id(held.affected_type), held.verb)
        case TimeZone():
            return ua.TimeZoneDataType(held.offset_min, held.in_offset)
        case Argument():
            rank, dimensions = (1, [0]) if held.array else (-1, [])
            return ua.Argument(held.name, node_id(held.data_type), rank, dimensions, _text(held.description))


def fits(value: ua.Variant, argument: Argument) -> bool:
    """Whether a value has the type and shape of an argument (Part 4, 5.11.2.4, Bad_TypeMismatch).

    A null Variant is a null text, byte string or array.
    """
    wanted = built_in(argument.data_type)
    if argument.usual:
        return value.Value is None or (value.VariantType in _NUMBERS and not value.is_array)
    if value.Value is None:
        return argument.array or wanted in {Builtin.STRING, Builtin.BYTE_STRING, Builtin.LOCALIZED_TEXT}
    if bool(value.is_array) is not argument.array or (value.Dimensions is not None and len(value.Dimensions) > 1):
        return False
    if wanted == ANY:
        return value.VariantType in _SCALARS
    return value.VariantType == wanted


def content(value: ua.Variant) -> Content:
    """What a Variant that fits an argument holds; an absent array is an empty one. ValueError for text that is not UTF-8."""
    held: Any = value.Value
    if isinstance(held, list | tuple):
        return tuple(_content(one) for one in held)
    return None if held is None else _content(held)


def _content(held: Any) -> Any:
    if isinstance(held, ua.LocalizedText):
        return Text(_utf8(held.Text), _utf8(held.Locale))
    return _utf8(held) if isinstance(held, str) else held


def _utf8(text: str | None) -> str | None:
    if text is not None:
        text.encode()  # UnicodeEncodeError is a ValueError
    return text


def ranged(value: ua.DataValue, index_range: str) -> ua.DataValue:
    """Part 4, 7.27 (NumericRange) of one dimension: the elements, or BadIndexRangeInvalid / BadIndexRangeNoData."""
    match = _RANGE.fullmatch(index_range)
    if match is None or (match[2] is not None and int(match[1]) >= int(match[2])):
        return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadIndexRangeInvalid))
    content = None if value.Value is None else value.Value.Value
    first, last = int(match[1]), int(match[2] or match[1])
    if not isinstance(content, list | str | bytes) or first >= len(content):
        return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadIndexRangeNoData))
    assert value.Value is not None
    part = ua.Variant(content[first : last + 1], value.Value.VariantType, is_array=isinstance(content, list))
    return dataclasses.replace(value, Value=part)
