"""One occurrence as filters see it: its fields, each asked for and encoded once however many clients want it (Part 4, 7.25.3)."""

import struct
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from asyncua.ua.ua_binary import variant_to_binary

from gateway.wire.opcua import ticks
from gateway.wire.opcua.contents import OURS, variant
from gateway.wire.opcua.face import Builtin, Key, Reading, Text
from gateway.wire.opcua.guards import MALFORMED
from gateway.wire.opcua.occurrences import Occurrence, Path

NULL: Final = b"\x00"
BAD_ENCODING_ERROR: Final = 0x8006_0000
_B = Builtin
_INTEGERS: Final[Mapping[Builtin, struct.Struct]] = {
    _B.SBYTE: struct.Struct("<Bb"),
    _B.BYTE: struct.Struct("<BB"),
    _B.INT16: struct.Struct("<Bh"),
    _B.UINT16: struct.Struct("<BH"),
    _B.INT32: struct.Struct("<Bi"),
    _B.UINT32: struct.Struct("<BI"),
    _B.INT64: struct.Struct("<Bq"),
    _B.UINT64: struct.Struct("<BQ"),
    _B.FLOAT: struct.Struct("<Bf"),
    _B.DOUBLE: struct.Struct("<Bd"),
    _B.STATUS_CODE: struct.Struct("<BI"),
}


class Fields:
    """The fields of one occurrence. What has been read and encoded is kept as long as the occurrence is being delivered."""

    def __init__(self, occurrence: Occurrence) -> None:
        self.type, self.source, self.permission = occurrence.type, occurrence.source, occurrence.permission
        self._occurrence = occurrence
        self.notifiers: Collection[Key] | None = None  # who reports it, the Server apart; worked out when one is asked for
        self._readings: dict[Path, Reading | None] = {}
        self._encoded: dict[Path, bytes] = {}
        self.lists: dict[object, bytes] = {}  # by the selection of fields that it is

    def reading(self, path: Path) -> Reading | None:
        """One field, () the ConditionId."""
        try:
            return self._readings[path]
        except KeyError:
            found = self._readings[path] = self._read(path)
            return found

    def _read(self, path: Path) -> Reading | None:
        occurrence = self._occurrence
        if path == ("EventType",):
            return Reading(occurrence.type, _B.NODE_ID)
        if path == ("SourceNode",):
            return Reading(occurrence.source, _B.NODE_ID)
        if path == ("Time",):
            return Reading(occurrence.time_ns, _B.DATE_TIME)
        return occurrence.field(path)

    def encoded(self, path: Path) -> bytes:
        """The field as an encoded Variant."""
        try:
            return self._encoded[path]
        except KeyError:
            found = self._encoded[path] = encode_reading(self.reading(path))
            return found


def encode_reading(reading: Reading | None) -> bytes:
    """A Variant (Part 6, 5.2.2.16). Instead of a value that is not Good its StatusCode (Part 4, 7.22.3); what cannot be encoded says so."""
    if reading is None:
        return NULL
    if reading.status:
        return _INTEGERS[_B.STATUS_CODE].pack(_B.STATUS_CODE, reading.status)
    try:
        return _encode(reading.content, reading.type)
    except MALFORMED:
        return _INTEGERS[_B.STATUS_CODE].pack(_B.STATUS_CODE, BAD_ENCODING_ERROR)


def _encode(content: Any, kind: Builtin) -> bytes:
    if content is None:
        return NULL
    integer = _INTEGERS.get(kind)
    if isinstance(content, tuple):
        return bytes(variant_to_binary(variant(Reading(content, kind))))
    if integer is not None:
        return integer.pack(kind, content)
    encode = _SCALARS.get(kind)
    return bytes(variant_to_binary(variant(Reading(content, kind)))) if encode is None else bytes((kind,)) + encode(content)


def _text(content: str) -> bytes:
    encoded = content.encode("utf-8", "replace")
    return struct.pack("<i", len(encoded)) + encoded


def _localized(content: str | Text) -> bytes:
    text, locale = (content.text, content.locale) if isinstance(content, Text) else (content, None)
    mask = (1 if locale is not None else 0) | (2 if text is not None else 0)
    return b"".join((bytes((mask,)), _text(locale) if locale is not None else b"", _text(text) if text is not None else b""))


def _node_id(key: Key) -> bytes:
    if isinstance(key, str):
        return struct.pack("<BH", 3, OURS) + _text(key)
    if key < 2**8:
        return struct.pack("<BB", 0, key)
    return struct.pack("<BBH", 1, 0, key) if key < 2**16 else struct.pack("<BHI", 2, 0, key)


_SCALARS: Final[Mapping[Builtin, Callable[[Any], bytes]]] = {
    _B.BOOLEAN: lambda content: b"\x01" if content else b"\x00",
    _B.STRING: _text,
    _B.DATE_TIME: lambda content: struct.pack("<q", content // 100 + ticks.EPOCH_1970 if content else 0),
    _B.BYTE_STRING: lambda content: struct.pack("<i", len(content)) + content,
    _B.NODE_ID: _node_id,
    _B.LOCALIZED_TEXT: _localized,
}
