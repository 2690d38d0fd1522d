"""One occurrence as filters see it: its fields, each asked for and encoded once however many clients want it (Part 4, 7.25.3)."""

import struct
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

from asyncua.ua.ua_binary import variant_to_binary

from gateway.wire.opcua import ticks
from gateway.wire.opcua.contents import LOCALE, OURS, variant
from gateway.wire.opcua.face import Builtin, Key, Reading, Text
from gateway.wire.opcua.guards import MALFORMED
from gateway.wire.opcua.occurrences import Occurrence, Path

NULL: Final = b"\x00"
BAD_ENCODING_ERROR: Final = 0x8006_0000
_B = Builtin
_NUMBERS: Final[Mapping[Builtin, str]] = {
    _B.SBYTE: "<Bb",
    _B.BYTE: "<BB",
    _B.INT16: "<Bh",
    _B.UINT16: "<BH",
    _B.INT32: "<Bi",
    _B.UINT32: "<BI",
    _B.INT64: "<Bq",
    _B.UINT64: "<BQ",
    _B.FLOAT: "<Bf",
    _B.DOUBLE: "<Bd",
    _B.STATUS_CODE: "<BI",
}
_LENGTH: Final = struct.Struct("<i").pack
_STATUS: Final = struct.Struct("<BI").pack


_UNREAD: Final = Reading(None)
_KNOWN: Final[Mapping[Path, Callable[[Occurrence], Reading]]] = {
    ("EventType",): lambda occurrence: Reading(occurrence.type, _B.NODE_ID),
    ("SourceNode",): lambda occurrence: Reading(occurrence.source, _B.NODE_ID),
    ("Time",): lambda occurrence: Reading(occurrence.time_ns, _B.DATE_TIME),
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
        found = self._readings.get(path, _UNREAD)
        if found is _UNREAD:
            known = _KNOWN.get(path)
            found = self._occurrence.field(path) if known is None else known(self._occurrence)
            self._readings[path] = found
        return found

    def encoded(self, path: Path) -> bytes:
        """The field as an encoded Variant."""
        found = self._encoded.get(path)
        if found is None:
            found = self._encoded[path] = encode_reading(self.reading(path))
        return found


def encode_reading(reading: Reading | None) -> bytes:
    """A Variant (Part 6, 5.2.2.16). Instead of a value that is not Good its StatusCode (Part 4, 7.22.3); what cannot be encoded says so."""
    if reading is None:
        return NULL
    if reading.status:
        return _STATUS(_B.STATUS_CODE, reading.status)
    content = reading.content
    if content is None:
        return NULL
    encode = _SCALARS.get(reading.type)
    try:
        if encode is None or isinstance(content, tuple):
            return bytes(variant_to_binary(variant(reading)))
        return encode(content)
    except MALFORMED:
        return _STATUS(_B.STATUS_CODE, BAD_ENCODING_ERROR)


def _text(content: str) -> bytes:
    encoded = content.encode("utf-8", "replace")
    return _LENGTH(len(encoded)) + encoded


def _localized(content: str | Text) -> bytes:
    text, locale = (content.text, content.locale) if isinstance(content, Text) else (content, LOCALE)
    if locale is None:
        return b"\x15\x00" if text is None else b"\x15\x02" + _text(text)
    return b"\x15\x01" + _text(locale) if text is None else b"".join((b"\x15\x03", _text(locale), _text(text)))


def _node_id(key: Key) -> bytes:
    if isinstance(key, str):
        return _OWN_NODE_ID + _text(key)
    if key < 2**8:
        return struct.pack("<BBB", _B.NODE_ID, 0, key)
    return struct.pack("<BBBH", _B.NODE_ID, 1, 0, key) if key < 2**16 else struct.pack("<BBHI", _B.NODE_ID, 2, 0, key)


_OWN_NODE_ID: Final = struct.pack("<BBH", _B.NODE_ID, 3, OURS)
_SCALARS: Final[Mapping[Builtin, Callable[[Any], bytes]]] = {  # a Variant with its type
    **{kind: partial(struct.Struct(layout).pack, int(kind)) for kind, layout in _NUMBERS.items()},
    _B.BOOLEAN: lambda content: b"\x01\x01" if content else b"\x01\x00",
    _B.STRING: lambda content: b"\x0c" + _text(content),
    _B.DATE_TIME: lambda content: struct.pack("<Bq", 13, content // 100 + ticks.EPOCH_1970 if content else 0),
    _B.BYTE_STRING: lambda content: b"".join((b"\x0f", _LENGTH(len(content)), content)),
    _B.NODE_ID: _node_id,
    _B.LOCALIZED_TEXT: _localized,
}
