"""The plain library's own way through a message, as a benchmark's measure."""

from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary


def decode_library(body: bytes) -> Any:
    """A PublishResponse with its notifications as the library's objects."""
    return struct_from_binary(ua.PublishResponse, Buffer(body))
