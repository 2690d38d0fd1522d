"""Walking a server's address space (Part 4, 5.8): every variable with what a tag of it would need. In slices."""

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
_PROPERTIES: Final = ("EngineeringUnits", "EURange", "EnumStrings", "EnumValues", "FalseState", "TrueState")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Found:
    """One variable. path: browse names from the root; data_type: the DataType's name; type: the tag type that fits, "" for none.

    unit: UCUM where the table has it; symbol: the unit as the server writes it; array: it is one, name an element. labels: of its states,
    those of bool and enum; an enum without them says none.
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
    labels: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name for the tag: the path in the letters that names may have."""
        return ".".join(level for part in self.path if (level := _UNFIT.sub("_", part).strip("_")))


@dataclass(slots=True)
class _Variable:
    node: Any
    path: tuple[str, ...]
    properties: dict[str, Any] = field(default_factory=dict)  # EURange, EnumStrings, ... -> NodeId


async def browse(
    url: str, root: str | None = None, depth: int | None = None, *, access: Access | None = None, ucum: Mapping[int, str] | None = None
) -> list[Found]:
    """All variables below root (an address; the Objects folder by default), depth levels deep at most.

    ucum: UCUM code by OPC UA unit id. Raises NotConnected, ValueError for a root that is no address, LookupError for one that is not there.
    """
    gone: list[str] = []
    link = await Link.open(access or Access(url), gone.append, time.time())
    try:
        namespaces = await link.namespaces()
        start = _root(root, namespaces)
        (known,) = await link.read([(start, ua.AttributeIds.NodeClass)])
        if _plain(known) is None:
            raise LookupError(f"{root}: the server has no such node")
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
        raise LookupError(f"{root}: the server knows no such namespace; it has {', '.join(namespaces)}")
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
    most = len(attributes) + len(_PROPERTIES)
    size = max(1, min(SLICE, await max_items_per_call(link, most * SLICE) // most))
    types: dict[Any, _Type] = {}
    described = []
    for part in _slices(variables, size):
        wanted = [(one.node, attribute) for one in part for attribute in attributes]
        extra = [(one.properties[name], ua.AttributeIds.Value) for one in part for name in _PROPERTIES if name in one.properties]
        values = iter([_plain(value) for value in await link.read(wanted + extra)])
        shapes = [(next(values), next(values), next(values)) for _ in part]
        for one, (data_type, rank, access) in zip(part, shapes, strict=True):
            said = {name: next(values) for name in _PROPERTIES if name in one.properties}
            if data_type not in types:
                types[data_type] = await _type(link, data_type)
            kind = types[data_type]
            labels = _labels(kind.type, said) or kind.labels
            described.append(
                Found(
                    path=one.path,
                    address=str(address_of(one.node, namespaces)),
                    data_type=kind.name,
                    type="enum" if labels and kind.type == "int" else kind.type,
                    unit=ucum.get(getattr(said.get("EngineeringUnits"), "UnitId", None) or -1, ""),
                    symbol=_symbol(said.get("EngineeringUnits")),
                    range=_range(said.get("EURange")),
                    writable=bool((access or 0) & 2),
                    array=(rank or 0) >= 0,
                    labels=labels,
                )
            )
    return described


def address_of(node: Any, namespaces: Sequence[str]) -> Address:
    """The stable address of a NodeId of this server."""
    index = node.NamespaceIndex
    uri = "" if index == 0 else namespaces[index] if index < len(namespaces) else f"unknown:{index}"
    return Address(uri, node.Identifier)


@dataclass(frozen=True, slots=True)
class _Type:
    """A DataType: its name, the tag type that fits, and the states that an enumeration of its own has (Part 3, 5.8.3)."""

    name: str
    type: str
    labels: Mapping[int, str] = field(default_factory=dict)


async def _type(link: Link, data_type: Any) -> _Type:
    """By the built-in type that it descends from (Part 3, 5.8.3)."""
    if data_type is None:
        return _Type("", "")
    (named,) = await link.read([(data_type, ua.AttributeIds.BrowseName)])
    name = getattr(_plain(named), "Name", None) or str(data_type.Identifier)
    here, steps = data_type, 0
    while here is not None and steps < 16:
        kind = _tag_type(here)
        if kind:
            return _Type(name, kind, await _states(link, data_type) if kind == "enum" else {})
        parents = await link.inverse(here, ua.NodeId(ua.ObjectIds.HasSubtype))
        here, steps = (parents[0] if parents else None), steps + 1
    return _Type(name, "")


def _tag_type(data_type: Any) -> str:
    """Of a type of the standard; "" for any other."""
    if data_type.NamespaceIndex != 0 or not isinstance(data_type.Identifier, int):
        return ""
    if data_type.Identifier in _INTEGERS or data_type.Identifier in {27, 28}:
        return "int"
    return {29: "enum", 26: "float"}.get(data_type.Identifier) or _TYPES.get(data_type.Identifier, "")


async def _states(link: Link, data_type: Any) -> Mapping[int, str]:
    """What an enumeration's own properties say of its values."""
    (references,) = await _references(link, [data_type])
    found = {(one.BrowseName.Name or ""): one.NodeId for one in references if one.ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasProperty)}
    names = [name for name in ("EnumStrings", "EnumValues") if name in found]
    values = await link.read([(found[name], ua.AttributeIds.Value) for name in names]) if names else []
    return _labels("enum", {name: _plain(value) for name, value in zip(names, values, strict=True)})


def _labels(kind: str, said: Mapping[str, Any]) -> dict[int, str]:
    """Words of states, from the properties of TwoStateDiscreteType, MultiStateDiscreteType and MultiStateValueDiscreteType (Part 8, 5.3.3).

    A state needs a word of its own: one without is left out, one that stands twice gets its number.
    """
    if kind == "bool":
        rows = [(0, said.get("FalseState")), (1, said.get("TrueState"))]
    elif kind not in {"int", "enum"}:
        rows = []
    elif isinstance(said.get("EnumValues"), list):
        rows = [(one.Value, one.DisplayName) for one in said["EnumValues"] if hasattr(one, "DisplayName") and 0 <= one.Value < 2**32]
    else:
        strings = said.get("EnumStrings")
        rows = list(enumerate(strings)) if isinstance(strings, list) else []
    found: dict[int, str] = {}
    for number, text in rows:
        word = " ".join((getattr(text, "Text", None) or "").split())
        if word:
            found[number] = f"{word} {number}" if word in found.values() else word
    return found


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
