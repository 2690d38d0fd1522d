"""Browse, BrowseNext and TranslateBrowsePathsToNodeIds (Part 4, 5.8) over virtual and standard nodes alike."""

import secrets
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import NodeData
from asyncua.ua.ua_binary import struct_to_binary

from gateway.wire.opcua import limits
from gateway.wire.opcua.encode import reference_record
from gateway.wire.opcua.face import Reference
from gateway.wire.opcua.nodes import OURS, Nodes, edges, reference_description
from gateway.wire.opcua.terms import node_id, status_code

_HAS_SUBTYPE: Final = node_id(45)
_NO_REFERENCE_TYPE: Final = ua.NodeId()
_ALL_FIELDS: Final = 63
_NO_MORE: Final = None
_LONG: Final = 16  # references of one node
_ENCODED_MOST: Final = 40_000
Continuation = tuple[list[bytes], int]  # encoded ReferenceDescriptions that are still to be sent, and the page size


class Views:
    """The View service set of one server. Continuation points belong to sessions."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._families: dict[ua.NodeId, frozenset[int]] = {}
        self._encoded: dict[int, tuple[Reference, bytes]] = {}  # by id, which holds as long as the reference beside it is held

    def browse(self, params: ua.BrowseParameters, points: "Points") -> list[bytes]:
        """Encoded BrowseResults. Raises ServiceError: BadNothingToDo, BadTooManyOperations, BadViewIdUnknown (there are no views)."""
        if not params.NodesToBrowse:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        if len(params.NodesToBrowse) > limits.NODES_PER_BROWSE:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        if params.View is not None and params.View.ViewId is not None and not params.View.ViewId.is_null():
            raise ServiceError(ua.StatusCodes.BadViewIdUnknown)
        page = min(params.RequestedMaxReferencesPerNode or limits.REFERENCES_PER_NODE, limits.REFERENCES_PER_NODE)
        return [self._browse(wanted, page, points) for wanted in params.NodesToBrowse]

    def _browse(self, wanted: ua.BrowseDescription, page: int, points: "Points") -> bytes:
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
        whole = wanted.ResultMask & _ALL_FIELDS == _ALL_FIELDS
        if own is not None:
            ours = _suitable(edges(own), wanted, family)
            if whole:
                return _page(self._records(ours), page, points)
            suitable = [reference_description(reference) for reference in ours]
        else:
            assert found is not None
            suitable = [reference for reference in found.references if _suits(reference, wanted, family)]
        return _page([struct_to_binary(_masked(reference, wanted.ResultMask)) for reference in suitable], page, points)

    def _records(self, references: list[Reference]) -> list[bytes]:
        """Encoded; those of a long list, which the Space keeps as long as they hold, are encoded once."""
        if len(references) < _LONG:
            return [reference_record(reference, OURS) for reference in references]
        if len(self._encoded) > _ENCODED_MOST:
            self._encoded.clear()
        known, records = self._encoded, []
        for reference in references:
            held = known.get(id(reference))
            if held is None or held[0] is not reference:
                held = known[id(reference)] = (reference, reference_record(reference, OURS))
            records.append(held[1])
        return records

    def browse_next(self, params: ua.BrowseNextParameters, points: "Points") -> list[bytes]:
        """Part 4, 5.8.3, likewise. Raises ServiceError: BadNothingToDo, BadTooManyOperations."""
        if not params.ContinuationPoints:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        if len(params.ContinuationPoints) > limits.NODES_PER_BROWSE:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        results = []
        for point in params.ContinuationPoints:
            rest = points.take(point)
            if rest is None:
                results.append(_refused(ua.StatusCodes.BadContinuationPointInvalid))
            elif params.ReleaseContinuationPoints:
                results.append(_page([], 1, points))
            else:
                results.append(_page(rest[0], rest[1], points))
        return results

    def translate(self, paths: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Raises ServiceError: BadNothingToDo, BadTooManyOperations."""
        if not paths:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        if len(paths) > limits.NODES_PER_TRANSLATE or sum(len(path.RelativePath.Elements) for path in paths) > limits.NODES_PER_BROWSE:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return [self._translate(path) for path in paths]

    def _translate(self, path: ua.BrowsePath) -> ua.BrowsePathResult:
        result = ua.BrowsePathResult()
        elements = path.RelativePath.Elements
        if path.StartingNode not in self._nodes:
            result.StatusCode = status_code(ua.StatusCodes.BadNodeIdUnknown)
        elif not elements:
            result.StatusCode = status_code(ua.StatusCodes.BadNothingToDo)
        elif elements[-1].TargetName is None or not elements[-1].TargetName.Name:
            result.StatusCode = status_code(ua.StatusCodes.BadBrowseNameInvalid)
        else:
            here: list[ua.NodeId] = [path.StartingNode]
            for element in elements:
                here = [target for nodeid in here for target in self._step(nodeid, element)]
            result.Targets = [ua.BrowsePathTarget(target, ua.UInt32(0xFFFFFFFF)) for target in here]
            if not here:
                result.StatusCode = status_code(ua.StatusCodes.BadNoMatch)
        return result

    def _step(self, nodeid: ua.NodeId, element: ua.RelativePathElement) -> list[ua.NodeId]:
        family = self._family(element.ReferenceTypeId, subtypes=bool(element.IncludeSubtypes))
        return [
            reference.NodeId
            for reference in self._nodes.references(nodeid) or ()
            if reference.BrowseName == element.TargetName
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
    """The continuation points of one session: the oldest gives way (Part 4, 7.6)."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, Continuation] = OrderedDict()

    def keep(self, rest: list[bytes], page: int) -> bytes:
        point = secrets.token_bytes(8)
        self._held[point] = (rest, page)
        if len(self._held) > limits.BROWSE_POINTS_PER_SESSION:
            self._held.popitem(last=False)
        return point

    def take(self, point: Any) -> Continuation | None:
        return self._held.pop(point, None) if isinstance(point, bytes) else _NO_MORE


def _number(reference_type: ua.NodeId) -> int:
    """All ReferenceTypes are of namespace 0."""
    identifier: Any = reference_type.Identifier
    return int(identifier)


def _class_of(node: NodeData) -> Any:
    held = node.attributes[ua.AttributeIds.NodeClass].value
    return held.Value.Value if held is not None and held.Value is not None else None


def _page(references: list[bytes], page: int, points: Points) -> bytes:
    rest = references[page:]
    point = points.keep(rest, page) if rest else None
    head = struct.pack("<Ii", 0, -1) if point is None else struct.pack("<Ii", 0, len(point)) + point
    return b"".join((head, struct.pack("<i", len(references) - len(rest)), *references[:page]))


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
