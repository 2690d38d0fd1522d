"""MQTT control packets as bytes: what this gateway sends and receives in numbers (PUBLISH, PUBACK). Pure; 3.1.1 and 5 (OASIS).

A packet is one byte of type and flags, the remaining length (1-4 bytes of 7 bits), then the body (MQTT 5, 2.1).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
DISCONNECT: Final = b"\xe0\x00"  # normal disconnection, in both versions (MQTT 5, 3.14.2.1)
V5: Final = 5
V311: Final = 4
NO_PROPERTIES: Final = b"\x00"
_USER_PROPERTY: Final = 0x26  # MQTT 5, 3.3.2.3.7
_RESPONSE_TOPIC, _CORRELATION_DATA, _SUBSCRIPTION_IDENTIFIER = 0x08, 0x09, 0x0B
_TEXTS: Final = frozenset({_RESPONSE_TOPIC, _CORRELATION_DATA, 0x03, _USER_PROPERTY})  # 0x03: Content Type
_FIXED: Final = {0x01: 1, 0x02: 4, 0x23: 2}  # Payload Format Indicator, Message Expiry Interval, Topic Alias: bytes of each
_HEAD_BYTES: Final = 66_000  # enough of an oversized packet for its topic and packet identifier

_short = struct.Struct("!H")


class Malformed(Exception):
    """The other side does not speak MQTT."""


class Message(NamedTuple):
    """One received PUBLISH. payload is None where it was too large to be kept; mid is 0 at QoS 0.

    properties: the block of MQTT 5 without its length, for `reply_to`.
    """

    topic: bytes
    payload: bytes | None
    mid: int
    retain: bool
    dup: bool
    properties: bytes = b""


class Frame(NamedTuple):
    """One control packet; cut where only the head of the body was kept."""

    first: int
    body: bytes
    cut: bool


def length_bytes(length: int) -> bytes:
    """The variable byte integer (MQTT 5, 1.5.5)."""
    if length < 128:
        return bytes((length,))
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(out)


def text(word: str) -> bytes:
    """A UTF-8 string with its two-byte length (MQTT 5, 1.5.4)."""
    raw = word.encode()
    return _short.pack(len(raw)) + raw


def user_properties(pairs: Iterable[tuple[str, str]], correlation: bytes = b"") -> bytes:
    """A property block that holds only user properties, and what a request is recognised by (MQTT 5, 2.2.2)."""
    block = b"".join(bytes((_USER_PROPERTY,)) + text(name) + text(value) for name, value in pairs)
    if correlation:
        block += bytes((_CORRELATION_DATA,)) + _short.pack(len(correlation)) + correlation
    return length_bytes(len(block)) + block


def topic_head(topic: str, version: int) -> bytes:
    """What stands between length and payload of a QoS 0 PUBLISH without properties: made once per topic."""
    return text(topic) + NO_PROPERTIES if version == V5 else text(topic)


def publish_qos0(head: bytes, payload: bytes, retain: bool) -> bytes:
    """A whole QoS 0 PUBLISH of a topic_head and a payload."""
    return (b"\x31" if retain else b"\x30") + length_bytes(len(head) + len(payload)) + head + payload


def publish_qos1(topic: str, payload: bytes, retain: bool, mid: int, properties: bytes | None) -> bytes:
    """A whole QoS 1 PUBLISH; properties is a property block for MQTT 5 and None for 3.1.1."""
    body = text(topic) + _short.pack(mid) + (properties or b"") + payload
    return (b"\x33" if retain else b"\x32") + length_bytes(len(body)) + body


def pubacks(mids: Sequence[int]) -> bytes:
    """PUBACK packets of success, one after the other; the same bytes in both versions (MQTT 5, 3.4.2.1)."""
    return b"".join(b"\x40\x02" + _short.pack(mid) for mid in mids)


def parse_publish(frame: Frame, version: int) -> Message:
    """Raises Malformed. QoS 2 is never asked for, so it is refused."""
    first, body, cut = frame
    qos = (first >> 1) & 3
    if len(body) < 2 or qos > 1:
        raise Malformed(f"PUBLISH of {len(body)} bytes with QoS {qos}")
    place = 2 + _short.unpack_from(body)[0]
    topic, mid = body[2:place], 0
    if qos:
        if place + 2 > len(body):
            raise Malformed("PUBLISH without packet identifier")
        mid = _short.unpack_from(body, place)[0]
        place += 2
    if cut:
        return Message(topic, None, mid, bool(first & 1), bool(first & 8))
    begin = place
    if version == V5:
        length, begin = _length_at(body, place)
        place = begin + length
    if place > len(body):
        raise Malformed("PUBLISH shorter than its own lengths")
    return Message(topic, body[place:], mid, bool(first & 1), bool(first & 8), body[begin:place])


def reply_to(properties: bytes) -> tuple[str, bytes]:
    """Response Topic ("": none) and Correlation Data of a PUBLISH (MQTT 5, 3.3.2.3.5 and 3.3.2.3.6). Raises Malformed."""
    topic, correlation, place = "", b"", 0
    while place < len(properties):
        kind, place = properties[place], place + 1
        if kind in _FIXED:
            place += _FIXED[kind]
        elif kind == _SUBSCRIPTION_IDENTIFIER:
            _, place = _length_at(properties, place)
        elif kind in _TEXTS:
            first, place = _piece(properties, place)
            if kind == _USER_PROPERTY:
                _, place = _piece(properties, place)
            topic = first.decode(errors="replace") if kind == _RESPONSE_TOPIC else topic
            correlation = first if kind == _CORRELATION_DATA else correlation
        else:
            raise Malformed(f"PUBLISH with property {kind}")
    return topic, correlation


def _piece(data: bytes, place: int) -> tuple[bytes, int]:
    """Bytes with their length in front, and their end."""
    if place + 2 > len(data):
        raise Malformed("a property without its length")
    end = place + 2 + _short.unpack_from(data, place)[0]
    if end > len(data):
        raise Malformed("a property longer than its block")
    return data[place + 2 : end], end


def parse_puback(body: bytes) -> tuple[int, int]:
    """Packet identifier and reason code; success where none is given (MQTT 5, 3.4.2.1)."""
    if len(body) < 2:
        raise Malformed("PUBACK without packet identifier")
    return _short.unpack_from(body)[0], body[2] if len(body) > 2 else 0


def _length_at(data: bytes | bytearray, place: int) -> tuple[int, int]:
    """Value and end of a variable byte integer; (-1, place) where it is not complete yet."""
    length = shift = 0
    for position in range(place, min(place + 4, len(data))):
        length |= (data[position] & 0x7F) << shift
        if data[position] < 0x80:
            return length, position + 1
        shift += 7
    if len(data) - place >= 4:
        raise Malformed("a length of more than four bytes")
    return -1, place


class Splitter:
    """Cuts the byte stream into frames. A body over `limit` bytes is skipped as it comes; only its head is kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._need = 2
        self._skip = 0
        self._cut: tuple[int, bytearray] | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with these bytes. Raises Malformed."""
        if self._cut:
            data = self._skipped(data)
            if self._skip:
                return
            first, head = self._cut
            self._cut = None
            yield Frame(first, bytes(head), cut=True)
        self._rest += data
        if len(self._rest) < self._need:
            return
        buffer = bytes(self._rest)
        self._rest.clear()
        yield from self._frames(buffer)

    def _frames(self, buffer: bytes) -> Iterator[Frame]:
        place, size, self._need = 0, len(buffer), 2
        while size - place >= 2:
            length, start = _length_at(buffer, place + 1)
            if length < 0:
                break
            end, cut = start + length, length > self._limit
            if end > size:
                if cut:
                    self._cut, self._skip = (buffer[place], bytearray(buffer[start : start + _HEAD_BYTES])), end - size
                    return
                self._need = end - place
                break
            yield Frame(buffer[place], buffer[start : start + _HEAD_BYTES] if cut else buffer[start:end], cut)
            place = end
        self._rest += buffer[place:]

    def _skipped(self, data: bytes) -> bytes:
        assert self._cut is not None
        taken = data[: self._skip]
        head = self._cut[1]
        head += taken[: max(0, _HEAD_BYTES - len(head))]
        self._skip -= len(taken)
        return data[len(taken) :]
