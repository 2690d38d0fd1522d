"""Writing values with the type that the node has (Part 4, 5.10.4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua as _ua

from gateway.model.quality import BAD, BAD_NODE_ID_UNKNOWN, BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH
from gateway.wire.opcua.address import Address
from gateway.wire.opcua.client import Link, Refused
from gateway.wire.opcua.services import node_id

ua: Any = _ua  # its types are NewTypes over int and str that nobody builds by hand

BAD_WRITE_NOT_SUPPORTED: Final = 0x8073_0000
_BOOLEAN, _FLOAT, _DOUBLE, _STRING, _LOCALIZED_TEXT, _INT32 = 1, 10, 11, 12, 21, 6
_WHOLE: Final = {2: (-(2**7), 2**7 - 1), 3: (0, 2**8 - 1), 4: (-(2**15), 2**15 - 1), 5: (0, 2**16 - 1), 6: (-(2**31), 2**31 - 1)} | {
    7: (0, 2**32 - 1),
    8: (-(2**63), 2**63 - 1),
    9: (0, 2**64 - 1),
}
_WRITABLE: Final = frozenset({_BOOLEAN, _FLOAT, _DOUBLE, _STRING, _LOCALIZED_TEXT, *_WHOLE})
_FLOAT_MOST: Final = 3.4028234663852886e38
_ENUMERATION, _DEPTH_MOST = 29, 16


@dataclass(frozen=True, slots=True)
class Target:
    """A node to write to: its NodeId on this server, its built-in type, and the element wanted (-1 for the whole value)."""

    node: Any
    kind: int
    element: int


async def target(link: Link, address: Address, namespaces: Sequence[str]) -> Target:
    """What the server says of a node. Raises Refused where it cannot be written as asked, and NotConnected."""
    node = node_id(address, namespaces)
    if node is None:
        raise Refused(BAD_NODE_ID_UNKNOWN, str(address))
    value, data_type = await link.read([(node, ua.AttributeIds.Value), (node, ua.AttributeIds.DataType)])
    if data_type.StatusCode.value >= BAD:
        raise Refused(data_type.StatusCode.value, str(address))
    variant = value.Value
    known = variant is not None and variant.VariantType is not ua.VariantType.Null
    kind = int(variant.VariantType.value) if known else await _built_in(link, data_type.Value.Value)
    if kind not in _WRITABLE:
        raise Refused(BAD_TYPE_MISMATCH, f"{address} has the built-in type {kind}")
    if address.element >= 0:
        await _check_element(link, node, address, variant)
    elif known and variant.is_array:
        raise Refused(BAD_TYPE_MISMATCH, f"{address} is an array: name an element")
    return Target(node, kind, address.element)


async def _check_element(link: Link, node: Any, address: Address, whole: Any) -> None:
    """Only a server that knows IndexRange on reading is trusted with it on writing: one that does not would replace the whole array."""
    (one,) = await link.read([(node, ua.AttributeIds.Value)], [str(address.element)])
    length = len(whole.Value) if whole is not None and isinstance(whole.Value, list) else 0
    part = one.Value.Value if one.Value is not None else None
    if length <= address.element or not isinstance(part, list) or len(part) != 1 or length == 1:
        raise Refused(BAD_WRITE_NOT_SUPPORTED, f"{address}: the server does not give single elements")


async def _built_in(link: Link, data_type: Any) -> int:
    """The built-in type of a DataType: up the tree of subtypes (Part 3, 5.8.3)."""
    for _ in range(_DEPTH_MOST):
        if data_type is None or (data_type.NamespaceIndex == 0 and data_type.Identifier == _ENUMERATION):
            return _INT32
        if data_type.NamespaceIndex == 0 and isinstance(data_type.Identifier, int) and data_type.Identifier in _WRITABLE:
            return int(data_type.Identifier)
        parents = await link.inverse(data_type, ua.NodeId(ua.ObjectIds.HasSubtype))
        data_type = parents[0] if parents else None
    return _INT32


def fault(target: Target, value: float | str) -> int:
    """0, or why the node's type cannot hold this value. Pure."""
    if (target.kind in {_STRING, _LOCALIZED_TEXT}) is not isinstance(value, str):
        return BAD_TYPE_MISMATCH
    return 0 if isinstance(value, str) or _holds(target.kind, float(value)) else BAD_OUT_OF_RANGE


def _holds(kind: int, value: float) -> bool:
    if not math.isfinite(value):
        return False
    if kind == _BOOLEAN:
        return value in {0.0, 1.0}
    if kind in _WHOLE:
        low, high = _WHOLE[kind]
        return value.is_integer() and low <= int(value) <= high
    return kind != _FLOAT or abs(value) <= _FLOAT_MOST


async def write(link: Link, rows: Sequence[tuple[Target, float | str]]) -> list[int]:
    """One StatusCode per row; each value passed `fault`. Status and times are left to the server. Raises Refused, NotConnected."""
    request = ua.WriteRequest()
    for target_, value in rows:
        item = ua.WriteValue()
        item.NodeId = target_.node
        item.AttributeId = ua.AttributeIds.Value
        item.Value = ua.DataValue(_variant(target_, value), None)
        if target_.element >= 0:
            item.IndexRange = str(target_.element)
        request.Parameters.NodesToWrite.append(item)
    answer = await link.request("Write", request, ua.WriteResponse)
    statuses = [int(status.value) for status in answer.Results]
    if len(statuses) != len(rows):
        raise Refused(BAD, "Write answered for another number of values")
    return statuses


def _variant(target_: Target, value: float | str) -> Any:
    kind = target_.kind
    plain: Any = value
    if kind == _BOOLEAN:
        plain = bool(value)
    elif kind in _WHOLE:
        plain = int(value)
    elif kind == _LOCALIZED_TEXT:
        plain = ua.LocalizedText(value)
    return ua.Variant([plain] if target_.element >= 0 else plain, ua.VariantType(kind), is_array=target_.element >= 0)
