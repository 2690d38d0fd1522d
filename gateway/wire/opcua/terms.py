"""The library's value types from plain numbers: it declares its own integer types and takes any."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import ua

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def node_id(identifier: int | str | bytes, namespace: int = 0) -> ua.NodeId:
    """A NodeId; bytes make an opaque one."""
    plain: Any = identifier
    index: Any = namespace
    return ua.NodeId(plain, index, ua.NodeIdType.ByteString) if isinstance(identifier, bytes) else ua.NodeId(plain, index)


def status_code(code: int) -> ua.StatusCode:
    number: Any = code
    return ua.StatusCode(number)


def date_time(unix_ns: int) -> Any:
    """A DateTime, or None for 0."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000) if unix_ns else None


def now() -> Any:
    """The time of day as a DateTime."""
    return datetime.now(UTC)


NAMESPACES: Final = "Namespaces/"
"""How the identifiers of what is said of a namespace begin (Part 5, 6.3.14)."""


def namespace_of(name: str) -> str:
    """The URI of a gateway's own namespace."""
    return f"urn:edgetwin:{name}"
