"""Browse, BrowseNext and TranslateBrowsePathsToNodeIds (Part 4, 5.8) over virtual and standard nodes alike."""

import secrets
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import NodeData
from asyncua.ua.ua_binary import struct_to_binary

from gateway.wire.opcua import limits
from gateway.wire.opcua.encode import reference_record
from gateway.wire.opcua.face import Reference
from gateway.wire.opcua.nodes import OURS, Nodes, browse_name, edges, nodeid_of, reference_description
from gateway.wire.opcua.pace import Pace
from gateway.wire.opcua.terms import node_id, status_code

_HAS_SUBTYPE: Final = node_id(45)
_NO_REFERENCE_TYPE: Final = ua.NodeId()
_ALL_FIELDS: Final = 63
_LONG: Final = 16  # references of one node
_ENCODED_MOST: Final = 40_000
_SLICE: Final = 1_000  # references encoded in one go


@dataclass(frozen=True, slots=True)
class Continuation:
    """What is still to be sent, from `at` on, so many at a time. mask: fields that were asked for (Part 4, 5.8.2.2)."""

    references: Sequence[Reference | ua.ReferenceDescription]
    at: int
    page: int
    mask: int


@dataclass(slots=True)
class _Budget:
    """Of one request: references that may be looked at, bytes that may be answered."""

    pace: Pace = field(default_factory=Pace)
    looked_at: int = 0
    left_bytes: int = limits.BROWSE_BYTES

    async def look(self, references: int) -> None:
        """Raises ServiceError BadTooManyOperations."""
        self.looked_at += references
        if self.looked_at > limits.REFERENCES_LOOKED_AT:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        if self.pace.due():
            await self.pace.rest()


class Views:
    """The View service set of one server. Continuation points belong to sessions."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._families: dict[ua.NodeId, frozenset[int]] = {}
        self._encoded: dict[int, tuple[Reference, bytes]] = {}  # by id, which holds as long as the reference beside it is held

    async def browse(self, params: ua.BrowseParameters, points: "Points") -> list[bytes]:
        """Encoded BrowseResults. Raises ServiceError: BadNothingToDo, BadTooManyOperations, BadViewIdUnknown (there are no views)."""
        _check(params.NodesToBrowse)
        if params.View is not None and params.View.ViewId is not None and not params.View.ViewId.is_null():
            raise ServiceError(ua.StatusCodes.BadViewIdUnknown)
        page = min(params.RequestedMaxReferencesPerNode or limits.REFERENCES_PER_NODE, limits.REFERENCES_PER_NODE)
        points.begin()
        budget = _Budget()
        return [await self._browse(wanted, page, points, budget) for wanted in params.NodesToBrowse]

    async def _browse(self, wanted: ua.BrowseDescription, page: int, points: "Points", budget: _Budget) -> bytes:
        if wanted.BrowseDirection not in (ua.BrowseDirection.Forward, ua.BrowseDirection.Inverse, ua.BrowseDirection.Both):
            return _refused(ua.StatusCodes.BadBrowseDirectionInvalid)
        own, found = self._nodes.own(wanted.NodeId), None
        if own is None:
            found = self._nodes.get(wanted.NodeId)
            if found is None:
                return _refused(ua.StatusCodes.BadNodeIdUnknown)
        family = self._family(wanted.ReferenceTypeId, subtypes=bool(wanted.IncludeSubtypes))
        if family is not None and not family:
            return _refused(ua.StatusCodes.BadReferenceTypeIdInvalid)
        suitable: list[Reference | ua.ReferenceDescription] = []
        if own is not None:
            ours = edges(own)
            await budget.look(len(ours))
            suitable += _suitable(ours, wanted, family)
        else:
            assert found is not None
            await budget.look(len(found.references))
            suitable += [reference for reference in found.references if _suits(reference, wanted, family)]
        return await self._page(Continuation(suitable, 0, page, wanted.ResultMask), points, budget)

    async def browse_next(self, params: ua.BrowseNextParameters, points: "Points") -> list[bytes]:
        """Part 4, 5.8.3, likewise. Raises ServiceError: BadNothingToDo, BadTooManyOperations."""
        _check(params.ContinuationPoints)
        points.begin()
        results, budget = [], _Budget()
        for point in params.ContinuationPoints:
            rest = points.take(point)
            if rest is None:
                results.append(_refused(ua.StatusCodes.BadContinuationPointInvalid))
            elif params.ReleaseContinuationPoints:
                results.append(_result([], None))
            else:
                results.append(await self._page(rest, points, budget))
        return results

    async def _page(self, rest: Continuation, points: "Points", budget: _Budget) -> bytes:
        """An encoded BrowseResult: a page of it, or less where the answer is full."""
        records: list[bytes] = []
        at, last = rest.at, min(rest.at + rest.page, len(rest.references))
        while at < last and budget.left_bytes > 0:
            encoded = self._records(rest.references[at : min(at + _SLICE, last)], rest.mask, long=len(rest.references) >= _LONG)
            records += encoded
            at += len(encoded)
            budget.left_bytes -= sum(map(len, encoded))
            if budget.pace.due():
                await budget.pace.rest()
        if at >= len(rest.references):
            return _result(records, None)
        point = points.keep(replace(rest, at=at))
        return _refused(ua.StatusCodes.BadNoContinuationPoints) if point is None else _result(records, point)

    def _records(self, references: Sequence[Reference | ua.ReferenceDescription], mask: int, *, long: bool) -> list[bytes]:
        """Encoded; those of a long list, which the Space keeps as long as they hold, are encoded once."""
        whole = mask & _ALL_FIELDS == _ALL_FIELDS
        if len(self._encoded) > _ENCODED_MOST:
            self._encoded.clear()
        known, records = self._encoded, []
        for reference in references:
            if not isinstance(reference, Reference):
                records.append(struct_to_binary(_masked(reference, mask)))
            elif not whole:
                records.append(struct_to_binary(_masked(reference_description(reference), mask)))
            elif not long:
                records.append(reference_record(reference, OURS))
            else:
                held = known.get(id(reference))
                if held is None or held[0] is not reference:
                    held = known[id(reference)] = (reference, reference_record(reference, OURS))
                records.append(held[1])
        return records

    async def translate(self, paths: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Raises ServiceError: BadNothingToDo, BadTooManyOperations."""
        if not paths:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        if len(paths) > limits.NODES_PER_TRANSLATE or sum(len(path.RelativePath.Elements) for path in paths) > limits.NODES_PER_BROWSE:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        budget = _Budget()
        return [await self._translate(path, budget) for path in paths]

    async def _translate(self, path: ua.BrowsePath, budget: _Budget) -> ua.BrowsePathResult:
        result = ua.BrowsePathResult()
        elements = path.RelativePath.Elements
        if path.StartingNode not in self._nodes:
            result.StatusCode = status_code(ua.StatusCodes.BadNodeIdUnknown)
        elif not elements:
            result.StatusCode = status_code(ua.StatusCodes.BadNothingToDo)
        elif elements[-1].TargetName is None or not elements[-1].TargetName.Name:
            result.StatusCode = status_code(ua.StatusCodes.BadBrowseNameInvalid)
        else:
            here: dict[ua.NodeId, None] = {path.StartingNode: None}
            for element in elements:
                reached = [target for nodeid in here for target in await self._step(nodeid, element, budget)]
                here = dict.fromkeys(reached)  # a node that several references lead to is gone on from once
            result.Targets = [ua.BrowsePathTarget(target, ua.UInt32(0xFFFFFFFF)) for target in here]
            if not here:
                result.StatusCode = status_code(ua.StatusCodes.BadNoMatch)
        return result

    async def _step(self, nodeid: ua.NodeId, element: ua.RelativePathElement, budget: _Budget) -> list[ua.NodeId]:
        family = self._family(element.ReferenceTypeId, subtypes=bool(element.IncludeSubtypes))
        own, name = self._nodes.own(nodeid), element.TargetName
        if own is not None:
            ours = edges(own)
            await budget.look(len(ours))
            return [
                nodeid_of(reference.target)
                for reference in ours
                if name is not None
                and reference.target.name == name.Name
                and browse_name(reference.target) == name
                and reference.forward is not bool(element.IsInverse)
                and (family is None or reference.type in family)
            ]
        found = self._nodes.get(nodeid)
        references = [] if found is None else found.references
        await budget.look(len(references))
        return [
            reference.NodeId
            for reference in references
            if reference.BrowseName == name
            and reference.IsForward != element.IsInverse
            and (family is None or reference.ReferenceTypeId.Identifier in family)
        ]

    def _family(self, reference_type: ua.NodeId, *, subtypes: bool) -> frozenset[int] | None:
        """The ReferenceTypes meant; None = all, empty = no such type."""
        if reference_type is None or reference_type == _NO_REFERENCE_TYPE:
            return None
        known = self._families.get(reference_type)
        if known is None:
            known = frozenset(self._subtypes(reference_type))
            if known:
                self._families[reference_type] = known
        return known if subtypes or not known else frozenset((_number(reference_type),))

    def _subtypes(self, reference_type: ua.NodeId) -> list[int]:
        node = self._nodes.get(reference_type)
        if node is None or _class_of(node) != ua.NodeClass.ReferenceType or reference_type.NamespaceIndex != 0:
            return []
        below = [ref.NodeId for ref in node.references if ref.IsForward and ref.ReferenceTypeId == _HAS_SUBTYPE]
        return [_number(reference_type), *(found for child in below for found in self._subtypes(child))]


class Points:
    """The continuation points of one session. The oldest of earlier requests gives way, none of the same one (Part 4, 7.9)."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, Continuation] = OrderedDict()
        self._given = 0

    def begin(self) -> None:
        """Another request."""
        self._given = 0

    def keep(self, rest: Continuation) -> bytes | None:
        """None where this request has got all there are."""
        if self._given >= limits.BROWSE_POINTS_PER_SESSION:
            return None
        self._given += 1
        point = secrets.token_bytes(8)
        self._held[point] = rest
        if len(self._held) > limits.BROWSE_POINTS_PER_SESSION:
            self._held.popitem(last=False)
        return point

    def take(self, point: Any) -> Continuation | None:
        return self._held.pop(point, None) if isinstance(point, bytes) else None


def _check(operations: Sequence[Any]) -> None:
    """Raises ServiceError: BadNothingToDo, BadTooManyOperations."""
    if not operations:
        raise ServiceError(ua.StatusCodes.BadNothingToDo)
    if len(operations) > limits.NODES_PER_BROWSE:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)


def _number(reference_type: ua.NodeId) -> int:
    """All ReferenceTypes are of namespace 0."""
    identifier: Any = reference_type.Identifier
    return int(identifier)


def _class_of(node: NodeData) -> Any:
    held = node.attributes[ua.AttributeIds.NodeClass].value
    return held.Value.Value if held is not None and held.Value is not None else None


def _result(records: list[bytes], point: bytes | None) -> bytes:
    head = struct.pack("<Ii", 0, -1) if point is None else struct.pack("<Ii", 0, len(point)) + point
    return b"".join((head, struct.pack("<i", len(records)), *records))


def _refused(code: int) -> bytes:
    return struct.pack("<Iii", code, -1, 0)


def _suitable(references: Sequence[Reference], wanted: ua.BrowseDescription, family: frozenset[int] | None) -> list[Reference]:
    both, forward = wanted.BrowseDirection == ua.BrowseDirection.Both, wanted.BrowseDirection == ua.BrowseDirection.Forward
    classes = int(wanted.NodeClassMask) or -1
    return [
        reference
        for reference in references
        if (both or reference.forward is forward)
        and (family is None or reference.type in family)
        and classes & int(reference.target.node_class)
    ]


def _suits(reference: ua.ReferenceDescription, wanted: ua.BrowseDescription, family: frozenset[int] | None) -> bool:
    if wanted.BrowseDirection != ua.BrowseDirection.Both and reference.IsForward != (wanted.BrowseDirection == ua.BrowseDirection.Forward):
        return False
    if family is not None and reference.ReferenceTypeId.Identifier not in family:
        return False
    return not wanted.NodeClassMask or bool(wanted.NodeClassMask & reference.NodeClass)


def _masked(reference: ua.ReferenceDescription, mask: int) -> ua.ReferenceDescription:
    """Part 4, 5.8.2.2 (resultMask): fields that were not asked for are null."""
    if mask & _ALL_FIELDS == _ALL_FIELDS:
        return reference
    return ua.ReferenceDescription(
        reference.ReferenceTypeId if mask & 1 else ua.NodeId(),
        bool(reference.IsForward and mask & 2),
        reference.NodeId,
        reference.BrowseName if mask & 8 else ua.QualifiedName(),
        reference.DisplayName if mask & 16 else ua.LocalizedText(),
        reference.NodeClass if mask & 4 else ua.NodeClass.Unspecified,
        reference.TypeDefinition if mask & 32 else ua.NodeId(),
    )
