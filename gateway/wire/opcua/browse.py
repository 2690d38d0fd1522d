"""Walking a server's address space (Part 4, 5.8): every variable with what a tag of it would need, as text to paste. In slices."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua as _ua

from gateway.contracts import NotConnected
from gateway.wire.opcua.address import Address, parse
from gateway.wire.opcua.client import Access, Link, Refused
from gateway.wire.opcua.services import max_items_per_call, node_id

ua: Any = _ua  # its types are NewTypes over int and str that nobody builds by hand

SLICE: Final = 200
NODES_MOST: Final = 200_000
_REFERENCES_MOST: Final = 1000
_SERVER: Final = 2253  # the server's own object: nothing of the plant lies below it
_TYPES: Final = {1: "bool", 12: "text", 13: "float", 14: "text", 16: "text", 21: "text", 10: "float", 11: "float"}
_INTEGERS: Final = range(2, 10)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Found:
    """One variable. path: browse names from the root; data_type: the DataType's name; type: the tag type that fits, "" for none.

    unit: UCUM where the table has it; symbol: the unit as the server writes it; array: it is one, name an element.
    """

    path: tuple[str, ...]
    address: str
    data_type: str
    type: str
    unit: str = ""
    symbol: str = ""
    range: tuple[float, float] | None = None
    writable: bool = False
    array: bool = False

    @property
    def name(self) -> str:
        """A name for the tag: the path in the letters that names may have."""
        return ".".join(level for part in self.path if (level := _UNFIT.sub("_", part).strip("_")))


@dataclass(slots=True)
class _Variable:
    node: Any
    path: tuple[str, ...]
    properties: dict[str, Any] = field(default_factory=dict)  # EngineeringUnits, EURange -> NodeId


async def browse(
    url: str, root: str | None = None, depth: int | None = None, *, access: Access | None = None, ucum: Mapping[int, str] | None = None
) -> list[Found]:
    """All variables below root (an address; the Objects folder by default), depth levels deep at most.

    ucum: UCUM code by OPC UA unit id. Raises NotConnected, and ValueError for a root that is no address or is not there.
    """
    gone: list[str] = []
    link = await Link.open(access or Access(url), gone.append, time.time())
    try:
        namespaces = await link.namespaces()
        start = _root(root, namespaces)
        variables = await _walk(link, start, depth)
        return await _describe(link, variables, namespaces, ucum or {})
    except Refused as refusal:
        raise NotConnected(f"{url}: {refusal}") from refusal
    finally:
        await link.close()


def _root(root: str | None, namespaces: Sequence[str]) -> Any:
    if root is None:
        return ua.NodeId(ua.ObjectIds.ObjectsFolder)
    found = node_id(parse(root), namespaces)
    if found is None:
        raise ValueError(f"{root}: the server knows no such namespace; it has {', '.join(namespaces)}")
    return found


async def _walk(link: Link, start: Any, depth: int | None) -> list[_Variable]:
    """Level by level; a node is visited once, by its shortest path."""
    seen, variables = {start}, []
    level: list[tuple[Any, tuple[str, ...], _Variable | None]] = [(start, (), None)]
    deep = 0
    while level:
        below: list[tuple[Any, tuple[str, ...], _Variable | None]] = []
        for part in _slices(level, SLICE):
            for (_, path, owner), references in zip(part, await _references(link, [node for node, _, _ in part]), strict=True):
                for reference in references:
                    child = _child(reference, path, owner, seen)
                    if child is None:
                        continue
                    below.append(child)
                    if child[2] is not None:
                        variables.append(child[2])
        deep += 1
        # one level more for the variables, whose properties say unit and range
        level = below if depth is None or deep < depth else [one for one in below if one[2] is not None] if deep == depth else []
    return variables if depth is None else [one for one in variables if len(one.path) <= depth]


def _child(
    reference: Any, path: tuple[str, ...], owner: _Variable | None, seen: set[Any]
) -> tuple[Any, tuple[str, ...], _Variable | None] | None:
    node, name = reference.NodeId, reference.BrowseName.Name or ""
    if reference.ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasProperty):
        if owner is not None:
            owner.properties[name] = node
        return None
    if node in seen or (node.NamespaceIndex == 0 and node.Identifier == _SERVER):
        return None
    if reference.NodeClass not in {ua.NodeClass.Object, ua.NodeClass.Variable} or len(seen) >= NODES_MOST:
        return None
    seen.add(node)
    below = (*path, name)
    return node, below, _Variable(node, below) if reference.NodeClass == ua.NodeClass.Variable else None


async def _references(link: Link, nodes: Sequence[Any]) -> list[list[Any]]:
    """Forward hierarchical references of each node, continued until there are no more."""
    request = ua.BrowseRequest()
    request.Parameters.RequestedMaxReferencesPerNode = _REFERENCES_MOST
    for node in nodes:
        wanted = ua.BrowseDescription(NodeId=node, BrowseDirection=ua.BrowseDirection.Forward)
        wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
        wanted.ResultMask = 63
        request.Parameters.NodesToBrowse.append(wanted)
    answer = await link.request("Browse", request, ua.BrowseResponse)
    found = [list(result.References or []) for result in answer.Results]
    open_ = {place: result.ContinuationPoint for place, result in enumerate(answer.Results) if result.ContinuationPoint}
    while open_:
        more = ua.BrowseNextRequest()
        more.Parameters.ReleaseContinuationPoints = False
        more.Parameters.ContinuationPoints = list(open_.values())
        following = await link.request("BrowseNext", more, ua.BrowseNextResponse)
        for place, result in zip(list(open_), following.Results, strict=True):
            found[place] += result.References or []
            open_[place] = result.ContinuationPoint
        open_ = {place: point for place, point in open_.items() if point}
    return found


async def _describe(link: Link, variables: Sequence[_Variable], namespaces: Sequence[str], ucum: Mapping[int, str]) -> list[Found]:
    attributes = (ua.AttributeIds.DataType, ua.AttributeIds.ValueRank, ua.AttributeIds.AccessLevel)
    size = max(1, min(SLICE, await max_items_per_call(link, 5 * SLICE) // 5))
    names: dict[Any, tuple[str, str]] = {}
    described = []
    for part in _slices(variables, size):
        wanted = [(one.node, attribute) for one in part for attribute in attributes]
        extra = [
            (one.properties[name], ua.AttributeIds.Value)
            for one in part
            for name in ("EngineeringUnits", "EURange")
            if name in one.properties
        ]
        values = iter([_plain(value) for value in await link.read(wanted + extra)])
        shapes = [(next(values), next(values), next(values)) for _ in part]
        for one, (data_type, rank, access) in zip(part, shapes, strict=True):
            eu = next(values) if "EngineeringUnits" in one.properties else None
            span = next(values) if "EURange" in one.properties else None
            if data_type not in names:
                names[data_type] = await _type_name(link, data_type)
            described.append(
                Found(
                    path=one.path,
                    address=str(address_of(one.node, namespaces)),
                    data_type=names[data_type][0],
                    type=names[data_type][1],
                    unit=ucum.get(getattr(eu, "UnitId", None) or -1, ""),
                    symbol=_symbol(eu),
                    range=_range(span),
                    writable=bool((access or 0) & 2),
                    array=(rank or 0) >= 0,
                )
            )
    return described


def address_of(node: Any, namespaces: Sequence[str]) -> Address:
    """The stable address of a NodeId of this server."""
    index = node.NamespaceIndex
    uri = "" if index == 0 else namespaces[index] if index < len(namespaces) else f"unknown:{index}"
    return Address(uri, node.Identifier)


async def _type_name(link: Link, data_type: Any) -> tuple[str, str]:
    """(name, tag type) of a DataType: by the built-in type that it descends from (Part 3, 5.8.3)."""
    if data_type is None:
        return "", ""
    (named,) = await link.read([(data_type, ua.AttributeIds.BrowseName)])
    name = getattr(_plain(named), "Name", None) or str(data_type.Identifier)
    here, steps = data_type, 0
    while here is not None and steps < 16:
        if here.NamespaceIndex == 0 and isinstance(here.Identifier, int):
            if here.Identifier in _INTEGERS or here.Identifier in {27, 28}:
                return name, "int"
            if here.Identifier == 29:
                return name, "enum"
            if here.Identifier == 26:
                return name, "float"
            if here.Identifier in _TYPES:
                return name, _TYPES[here.Identifier]
        parents = await link.inverse(here, ua.NodeId(ua.ObjectIds.HasSubtype))
        here, steps = (parents[0] if parents else None), steps + 1
    return name, ""


def _plain(value: Any) -> Any:
    return value.Value.Value if value.Value is not None else None


def _symbol(found: Any) -> str:
    return (found.DisplayName.Text or "") if hasattr(found, "UnitId") else ""


def _range(found: Any) -> tuple[float, float] | None:
    if not hasattr(found, "Low") or not found.High > found.Low:
        return None
    return float(found.Low), float(found.High)


def _slices(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


# --- text to paste ------------------------------------------------------------------------------------------------------------------------


def render(found: Sequence[Found], form: str, source: str = "plc") -> str:
    """Tags of these variables as yaml, csv (columns = the keys of a tag) or json. Structures are left out; of an array, element 0."""
    rows = [_keys(one, source) for one in found if one.type]
    if form == "json":
        return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    if form == "csv":
        text = io.StringIO()
        table = csv.DictWriter(text, ["name", "source", "address", "type", "unit", "range"], lineterminator="\n")
        table.writeheader()
        table.writerows({**row, "range": json.dumps(row["range"]) if "range" in row else ""} for row in rows)
        return text.getvalue()
    symbols = {str(_address(one)): one.symbol for one in found if one.symbol and not one.unit}
    lines = [f"  - {_flow(row)}{_remark(symbols.get(row['address'], ''))}\n" for row in rows]
    return "tags:\n" + "".join(lines)


def _keys(one: Found, source: str) -> dict[str, Any]:
    keys: dict[str, Any] = {"name": one.name, "source": source, "address": _address(one), "type": one.type}
    if one.unit:
        keys["unit"] = one.unit
    if one.range is not None:
        keys["range"] = list(one.range)
    return keys


def _address(one: Found) -> str:
    return f"{one.address}[0]" if one.array else one.address


def _flow(row: Mapping[str, Any]) -> str:
    """One line of YAML; JSON's strings and numbers are YAML's."""
    return (
        "{"
        + ", ".join(f"{key}: {value if key in {'name', 'type'} else json.dumps(value, ensure_ascii=False)}" for key, value in row.items())
        + "}"
    )


def _remark(symbol: str) -> str:
    return f"  # the server's unit: {' '.join(symbol.split())}" if symbol else ""
