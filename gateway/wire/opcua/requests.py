"""The two requests that come by the thousand, decoded by hand in their usual form: tags' Values (Part 4, 5.10.2 and 5.12.2).

Anything else, also anything malformed, is None here and goes to the library's decoder, which knows every form and every refusal.
"""

import struct
from dataclasses import dataclass
from typing import Final

from gateway.wire.opcua.face import Filter, ItemRequest
from gateway.wire.opcua.nodes import OURS

_NODE_ID: Final = b"\x03" + struct.pack("<H", OURS)  # a string identifier of the gateway's namespace (Part 6, 5.2.2.9)
_PLAIN_VALUE: Final = struct.pack("<IiHi", 13, -1, 0, -1)  # AttributeId Value, no IndexRange, no DataEncoding
_READ_HEAD: Final = struct.Struct("<dii")
_ITEMS_HEAD: Final = struct.Struct("<Iii")
_LENGTH: Final = struct.Struct("<i")
_ITEM_HEAD: Final = struct.Struct("<iId")  # MonitoringMode, ClientHandle, SamplingInterval
_ITEM_TAIL: Final = struct.Struct("<I?")  # QueueSize, DiscardOldest
_NO_FILTER: Final = b"\x00\x00\x00"
_DATA_CHANGE_FILTER: Final = b"\x01\x00" + struct.pack("<HBi", 724, 1, 16)
_FILTER: Final = struct.Struct("<iId")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    max_age: float
    stamps: int
    keys: list[str]


@dataclass(frozen=True, slots=True)
class CreateItemsRequest:
    """items: key, MonitoringMode, what is asked."""

    subscription_id: int
    stamps: int
    items: list[tuple[str, int, ItemRequest]]


def read_request(body: bytes) -> ReadRequest | None:
    """The parameters of a Read."""
    try:
        max_age, stamps, count = _READ_HEAD.unpack_from(body)
        at, keys = _READ_HEAD.size, []
        for _ in range(count):
            key, at = _key(body, at)
            keys.append(key)
    except (struct.error, ValueError):
        return None
    return ReadRequest(max_age, stamps, keys) if at == len(body) else None


def create_items_request(body: bytes) -> CreateItemsRequest | None:
    """The parameters of a CreateMonitoredItems."""
    try:
        subscription_id, stamps, count = _ITEMS_HEAD.unpack_from(body)
        at, items = _ITEMS_HEAD.size, []
        for _ in range(count):
            key, at = _key(body, at)
            mode, handle, sampling_ms = _ITEM_HEAD.unpack_from(body, at)
            wanted, at = _filter(body, at + _ITEM_HEAD.size)
            queue_size, discard_oldest = _ITEM_TAIL.unpack_from(body, at)
            at += _ITEM_TAIL.size
            items.append((key, mode, ItemRequest(handle, sampling_ms, queue_size, discard_oldest, wanted)))
    except (struct.error, ValueError):
        return None
    return CreateItemsRequest(subscription_id, stamps, items) if at == len(body) else None


def _key(body: bytes, at: int) -> tuple[str, int]:
    """The identifier of a tag's Value and where it ends. ValueError for any other ReadValueId."""
    (length,) = _LENGTH.unpack_from(body, at + 3)
    end = at + 7 + length
    if length < 0 or body[at : at + 3] != _NODE_ID or body[end : end + len(_PLAIN_VALUE)] != _PLAIN_VALUE:
        raise ValueError
    return str(body[at + 7 : end], "utf-8"), end + len(_PLAIN_VALUE)


def _filter(body: bytes, at: int) -> tuple[Filter | None, int]:
    if body[at : at + len(_NO_FILTER)] == _NO_FILTER:
        return None, at + len(_NO_FILTER)
    if body[at : at + len(_DATA_CHANGE_FILTER)] != _DATA_CHANGE_FILTER:
        raise ValueError
    return Filter(*_FILTER.unpack_from(body, at + len(_DATA_CHANGE_FILTER))), at + len(_DATA_CHANGE_FILTER) + _FILTER.size
