"""What a broker's reason codes mean (MQTT 5, 2.4; MQTT 3.1.1, 3.2.2.3)."""

from typing import Final

PACKET_TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97

_NAMES: Final = {
    0x00: "success",
    0x04: "disconnect with will message",
    0x10: "no matching subscribers",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}
_PERMANENT: Final = frozenset({0x87, 0x90, 0x95, 0x99, 0x9A, 0x9B})


def name(code: int) -> str:
    """The words of a reason code, with the code."""
    return f"{_NAMES.get(code, 'unknown reason')} (0x{code:02X})"


def refused(code: int) -> bool:
    """MQTT 5, 2.4: 0x80 and above is failure."""
    return code >= 0x80


def permanent(code: int) -> bool:
    """The same message will be refused again; every other failure may pass (quota, rate, busy) and is tried again."""
    return code in _PERMANENT
