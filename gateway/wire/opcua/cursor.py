"""Reading OPC UA Binary (Part 6, 5.2) with every length checked against the bytes that are there: a hostile length costs nothing."""

import struct
import uuid
from typing import Final

from gateway.wire.opcua.ticks import EPOCH_1970

MAX_DEPTH: Final = 8  # of a Variant in a Variant, a DiagnosticInfo in a DiagnosticInfo (Part 6, 5.1.10 asks for a limit)

FIXED: Final = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
"""Bytes of a built-in type of fixed size, by its number (Part 6, 5.1.2)."""

STRING, DATETIME, GUID, BYTESTRING, XML, LOCALIZED_TEXT, VARIANT = 12, 13, 14, 15, 16, 21, 24


class Malformed(Exception):
    """The bytes are no OPC UA Binary of the expected kind."""


NOTHING_MORE: Final = (bytes(8), b"\0\xff\xff\xff\xff\0\0\0")
"""The end of a ResponseHeader without diagnostics, strings and additions."""
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_I64 = struct.Struct("<q")


class Cursor:
    """A place in a message. Each verb moves it on; Malformed where the bytes end too early."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    def skip(self, size: int) -> int:
        """Where the skipped bytes begin."""
        start = self.pos
        if size < 0 or size > self.end - start:
            raise Malformed(f"{size} bytes expected at {start}, {self.end - start} are left")
        self.pos = start + size
        return start

    def byte(self) -> int:
        return self.data[self.skip(1)]

    def u32(self) -> int:
        return int(_U32.unpack_from(self.data, self.skip(4))[0])

    def i64(self) -> int:
        return int(_I64.unpack_from(self.data, self.skip(8))[0])

    def count(self, smallest: int = 1) -> int:
        """Length of an array whose elements take `smallest` bytes or more; a null array (-1) has none."""
        length = int(_I32.unpack_from(self.data, self.skip(4))[0])
        if length > 0 and length * smallest > self.end - self.pos:
            raise Malformed(f"an array of {length} elements in {self.end - self.pos} bytes")
        return max(length, 0)

    def string(self) -> bytes | None:
        """The bytes of a String or ByteString; None for null."""
        length = int(_I32.unpack_from(self.data, self.skip(4))[0])
        if length < 0:
            return None
        start = self.skip(length)
        return self.data[start : start + length]

    def node_id(self) -> int | None:
        """Skips a NodeId or ExpandedNodeId (5.2.2.9, 5.2.2.10); its number when it is numeric in namespace 0."""
        kind = self.byte()
        number: int | None = None
        match kind & 0x3F:
            case 0:
                number = self.byte()
            case 1:
                namespace = self.byte()
                low = self.skip(2)
                number = int.from_bytes(self.data[low : low + 2], "little") if namespace == 0 else None
            case 2:
                low = self.skip(6)
                number = int.from_bytes(self.data[low + 2 : low + 6], "little") if self.data[low : low + 2] == b"\0\0" else None
            case 3 | 5:
                self.skip(2)
                self.string()
            case 4:
                self.skip(18)
            case _:
                raise Malformed(f"NodeId encoding 0x{kind:02X}")
        if kind & 0x80:
            self.string()
        if kind & 0x40:
            self.skip(4)
        return number

    def localized_text(self) -> bytes | None:
        """The text of a LocalizedText (5.2.2.14)."""
        mask = self.byte()
        if mask & 1:
            self.string()
        return self.string() if mask & 2 else None

    def extension_object(self) -> tuple[int | None, int, int]:
        """(number of the type, start, end) of an ExtensionObject's body (5.2.2.15)."""
        number = self.node_id()
        if self.byte() == 0:
            return number, self.pos, self.pos
        size = self.count()
        start = self.skip(size)
        return number, start, start + size

    def diagnostic_info(self, depth: int = 0) -> None:
        """Skips a DiagnosticInfo (5.2.2.12)."""
        if depth > MAX_DEPTH:
            raise Malformed("DiagnosticInfo nested too deep")
        mask = self.byte()
        for bit in (0x01, 0x02, 0x04, 0x08):
            if mask & bit:
                self.skip(4)
        if mask & 0x10:
            self.string()
        if mask & 0x20:
            self.skip(4)
        if mask & 0x40:
            self.diagnostic_info(depth + 1)

    def value(self, kind: int, depth: int = 0) -> None:
        """Skips one value of a built-in type."""
        size = FIXED.get(kind)
        if size is not None:
            self.skip(size)
        elif kind in {STRING, BYTESTRING, XML}:
            self.string()
        else:
            self._composite(kind, depth)

    def _composite(self, kind: int, depth: int) -> None:
        match kind:
            case 0:
                pass
            case 17 | 18:
                self.node_id()
            case 20:
                self.skip(2)
                self.string()
            case 21:
                self.localized_text()
            case 22:
                self.extension_object()
            case 23:
                self.data_value(depth + 1)
            case 24:
                self.variant(depth + 1)
            case 25:
                self.diagnostic_info()
            case _:
                raise Malformed(f"built-in type {kind}")

    def variant(self, depth: int = 0) -> None:
        """Skips a Variant (5.2.2.16)."""
        if depth > MAX_DEPTH:
            raise Malformed("Variant nested too deep")
        kind = self.byte()
        if not kind & 0x80:
            self.value(kind & 0x3F, depth)
            return
        self.elements(kind & 0x3F, depth)
        if kind & 0x40:
            self.skip(4 * self.count(4))

    def elements(self, kind: int, depth: int = 0) -> tuple[int, int]:
        """Skips the elements of an array; (how many, where the first begins). An array of Null takes no bytes and is refused."""
        if kind == 0:
            raise Malformed("an array of Null")
        size = FIXED.get(kind)
        if size is not None:
            length = self.count(size)
            return length, self.skip(length * size)
        length, start = self.count(), self.pos
        for _ in range(length):
            self.value(kind, depth)
        return length, start

    def data_value(self, depth: int = 0) -> None:
        """Skips a DataValue (5.2.2.17)."""
        mask = self.byte()
        if mask & 0x01:
            self.variant(depth)
        for bit, size in ((0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)):
            if mask & bit:
                self.skip(size)

    def response_header(self) -> int:
        """Skips a ResponseHeader (Part 4, 7.33); its ServiceResult."""
        self.skip(12)  # Timestamp, RequestHandle
        result = self.u32()
        if self.data[self.pos : self.pos + 8] in NOTHING_MORE:
            self.skip(8)
            return result
        self.diagnostic_info()
        for _ in range(self.count(4)):
            self.string()
        self.extension_object()
        return result


def guid_text(raw: bytes) -> str:
    """A Guid's 16 bytes on the wire (5.2.2.6) as text."""
    return str(uuid.UUID(bytes_le=raw))


def seconds_of(ticks: int) -> float:
    """A DateTime as seconds since 1970; NaN for none."""
    return float("nan") if ticks <= 0 else (ticks - EPOCH_1970) / 1e7
