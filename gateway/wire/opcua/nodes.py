"""One mapping for the whole address space: standard nodes from their file, the gateway's own made when asked for and kept nowhere."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from gateway.wire.opcua.contents import OURS as OURS
from gateway.wire.opcua.contents import key_node_id as key_node_id
from gateway.wire.opcua.contents import variant as variant
from gateway.wire.opcua.face import Key, Node, NodeClass, Reading, Reference, Space, Target
from gateway.wire.opcua.standard import StandardNodes
from gateway.wire.opcua.terms import date_time, node_id, status_code

_HAS_TYPE_DEFINITION: Final = 40
_OBJECTS_FOLDER: Final = 85
_SERVER: Final = 2253
_Attribute = ua.AttributeIds
Attributes = Mapping[ua.AttributeIds, Callable[[Node], ua.Variant]]


def _type(identifier: Key, name: str, kind: NodeClass = NodeClass.VARIABLE_TYPE) -> Reference:
    return Reference(_HAS_TYPE_DEFINITION, True, Target(identifier, kind, name, 0, standard=isinstance(identifier, int)))


_TYPES: Final = {
    58: _type(58, "BaseObjectType", NodeClass.OBJECT_TYPE),
    61: _type(61, "FolderType", NodeClass.OBJECT_TYPE),
    63: _type(63, "BaseDataVariableType"),
    68: _type(68, "PropertyType"),
    2318: _type(2318, "HistoricalDataConfigurationType", NodeClass.OBJECT_TYPE),
    2368: _type(2368, "AnalogItemType"),
    17497: _type(17497, "AnalogUnitType"),
    17570: _type(17570, "AnalogUnitRangeType"),
    2373: _type(2373, "TwoStateDiscreteType"),
    2376: _type(2376, "MultiStateDiscreteType"),
    11187: _type(11187, "AggregateConfigurationType", NodeClass.OBJECT_TYPE),
    11238: _type(11238, "MultiStateValueDiscreteType"),
    2760: _type(2760, "FiniteStateVariableType"),
    8995: _type(8995, "TwoStateVariableType"),
    9002: _type(9002, "ConditionVariableType"),
    2929: _type(2929, "ShelvedStateMachineType", NodeClass.OBJECT_TYPE),
    9318: _type(9318, "ExclusiveLimitStateMachineType", NodeClass.OBJECT_TYPE),
    9482: _type(9482, "ExclusiveLevelAlarmType", NodeClass.OBJECT_TYPE),
    10060: _type(10060, "NonExclusiveLevelAlarmType", NodeClass.OBJECT_TYPE),
    10214: _type(10214, "NonExclusiveRateOfChangeAlarmType", NodeClass.OBJECT_TYPE),
    10368: _type(10368, "NonExclusiveDeviationAlarmType", NodeClass.OBJECT_TYPE),
    10637: _type(10637, "OffNormalAlarmType", NodeClass.OBJECT_TYPE),
    11753: _type(11753, "SystemOffNormalAlarmType", NodeClass.OBJECT_TYPE),
    11616: _type(11616, "NamespaceMetadataType", NodeClass.OBJECT_TYPE),
    13225: _type(13225, "CertificateExpirationAlarmType", NodeClass.OBJECT_TYPE),
    17080: _type(17080, "DiscrepancyAlarmType", NodeClass.OBJECT_TYPE),
}


class Nodes(MutableMapping[ua.NodeId, NodeData]):
    """What stands in for the library's dictionary of nodes. Assigning keeps a node: only the server's own set-up does that."""

    def __init__(self, standard: StandardNodes, space: Space) -> None:
        self.standard, self.space = standard, space
        self._added: dict[ua.NodeId, NodeData] = {}
        objects = standard.pin(_OBJECTS_FOLDER)
        objects.references = [*objects.references, *map(reference_description, space.roots())]
        server = standard.pin(_SERVER)
        server.references = [*server.references, *map(reference_description, space.below_server())]
        for supertype, own in space.types().items():
            above = standard.pin(supertype)
            above.references = [*above.references, *map(reference_description, own)]

    def __getitem__(self, nodeid: ua.NodeId) -> NodeData:
        key = nodeid.Identifier
        if nodeid.NamespaceIndex == 0 and isinstance(key, int):
            found = self.standard.get(key)
            if found is not None:
                return found
        elif nodeid.NamespaceIndex == OURS and isinstance(key, str):
            node = self.space.node(key)
            if node is not None:
                return node_data(node)
        return self._added[nodeid]

    def __setitem__(self, nodeid: ua.NodeId, node: NodeData) -> None:
        self._added[nodeid] = node

    def __delitem__(self, nodeid: ua.NodeId) -> None:
        del self._added[nodeid]

    def __contains__(self, nodeid: object) -> bool:
        if not isinstance(nodeid, ua.NodeId):
            return False
        key = nodeid.Identifier
        if nodeid.NamespaceIndex == 0 and isinstance(key, int):
            return key in self.standard or nodeid in self._added
        if nodeid.NamespaceIndex == OURS and isinstance(key, str):
            return self.space.tag_id(key) is not None or self.space.node(key) is not None
        return nodeid in self._added

    def __iter__(self) -> Iterator[ua.NodeId]:
        yield from (node_id(identifier) for identifier in self.standard)
        yield from self._added

    def __len__(self) -> int:
        return len(self.standard) + len(self._added)

    def own(self, nodeid: ua.NodeId) -> Node | None:
        """A node of the gateway's namespace."""
        key = nodeid.Identifier
        return self.space.node(key) if nodeid.NamespaceIndex == OURS and isinstance(key, str) else None

    def references(self, nodeid: ua.NodeId) -> list[ua.ReferenceDescription] | None:
        """A node's references without its attributes; None where there is no such node."""
        node = self.own(nodeid)
        if node is not None:
            return [reference_description(reference) for reference in edges(node)]
        found = self.get(nodeid)
        return None if found is None else found.references

    def read(self, nodeid: ua.NodeId, attribute: ua.AttributeIds) -> ua.DataValue:
        """One attribute."""
        node = self.own(nodeid)
        if node is not None:
            return read_own(node, attribute)
        found = self.get(nodeid)
        if found is None:
            return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadNodeIdUnknown))
        held = found.attributes.get(attribute)
        if held is None:
            return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadAttributeIdInvalid))
        value = held.value_callback(nodeid, attribute) if held.value_callback else held.value
        return value if value is not None else ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadAttributeIdInvalid))


def edges(node: Node) -> list[Reference]:
    """All references of a node of ours, HasTypeDefinition first. Methods and types have none (Part 3, 5.5 to 5.8)."""
    of = node.target.type_definition
    if not of:
        return list(node.references)
    return [_type(of, of, NodeClass.OBJECT_TYPE) if isinstance(of, str) else _TYPES[of], *node.references]


def _access(node: Node) -> int:
    """AccessLevel (Part 3, 8.57): CurrentRead, CurrentWrite, HistoryRead."""
    return 1 | (2 if node.writable else 0) | (4 if node.historizing else 0)


def _is(value: Callable[[Node], Any], kind: ua.VariantType) -> Callable[[Node], ua.Variant]:
    return lambda node: ua.Variant(value(node), kind)


def _text(text: str) -> ua.LocalizedText:
    return ua.LocalizedText(text or None)


_OF_EVERY: Final[Attributes] = {  # Part 3, 5.2.1
    _Attribute.NodeId: _is(lambda node: nodeid_of(node.target), ua.VariantType.NodeId),
    _Attribute.NodeClass: _is(lambda node: int(node.target.node_class), ua.VariantType.Int32),
    _Attribute.BrowseName: _is(lambda node: browse_name(node.target), ua.VariantType.QualifiedName),
    _Attribute.DisplayName: _is(lambda node: ua.LocalizedText(node.target.name), ua.VariantType.LocalizedText),
    _Attribute.Description: _is(lambda node: _text(node.description), ua.VariantType.LocalizedText),
    _Attribute.WriteMask: _is(lambda _: 0, ua.VariantType.UInt32),
    _Attribute.UserWriteMask: _is(lambda _: 0, ua.VariantType.UInt32),
}
_OF_OBJECT: Final[Attributes] = {  # Part 3, 5.5.1
    **_OF_EVERY,
    _Attribute.EventNotifier: _is(lambda node: node.event_notifier, ua.VariantType.Byte),
}
_OF_TYPE: Final[Attributes] = {  # Part 3, 5.5.2
    **_OF_EVERY,
    _Attribute.IsAbstract: _is(lambda _: False, ua.VariantType.Boolean),
}
_OF_METHOD: Final[Attributes] = {  # Part 3, 5.7
    **_OF_EVERY,
    _Attribute.Executable: _is(lambda _: True, ua.VariantType.Boolean),
    _Attribute.UserExecutable: _is(lambda _: True, ua.VariantType.Boolean),
}
_OF_VARIABLE: Final[Attributes] = {  # Part 3, 5.6.2
    **_OF_EVERY,
    _Attribute.DataType: _is(lambda node: node_id(node.data_type), ua.VariantType.NodeId),
    _Attribute.ValueRank: _is(lambda node: 1 if node.array else -1, ua.VariantType.Int32),
    _Attribute.AccessLevel: _is(_access, ua.VariantType.Byte),
    _Attribute.UserAccessLevel: _is(_access, ua.VariantType.Byte),
    _Attribute.Historizing: _is(lambda node: node.historizing, ua.VariantType.Boolean),
    _Attribute.MinimumSamplingInterval: _is(lambda node: node.sampling_ms, ua.VariantType.Double),
}
_OF_ARRAY: Final[Attributes] = {
    **_OF_VARIABLE,
    _Attribute.ArrayDimensions: lambda _: ua.Variant([0], ua.VariantType.UInt32, is_array=True),
}
"""UserAccessLevel and UserExecutable are what the server allows at most: what this client may is asked of the session."""


def _attributes(node: Node) -> Attributes:
    if node.read is not None:
        return _OF_ARRAY if node.array else _OF_VARIABLE
    if node.target.node_class is NodeClass.OBJECT_TYPE:
        return _OF_TYPE
    return _OF_OBJECT if node.method is None else _OF_METHOD


def read_own(node: Node, attribute: ua.AttributeIds) -> ua.DataValue:
    """One attribute of a node of ours, without making the others."""
    if attribute == _Attribute.Value and node.read is not None:
        return data_value(node.read())
    of = _attributes(node).get(attribute)
    return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadAttributeIdInvalid)) if of is None else ua.DataValue(of(node))


def node_data(node: Node) -> NodeData:
    """A node as the library's own services know it; its references are asked of `edges`."""
    data = NodeData(nodeid_of(node.target))
    data.attributes = {attribute: AttributeValue(ua.DataValue(of(node))) for attribute, of in _attributes(node).items()}
    if node.read is not None:
        held = AttributeValue(ua.DataValue())
        read = node.read
        held.value_callback = lambda _nodeid, _attribute: data_value(read())
        data.attributes[_Attribute.Value] = held
    return data


def data_value(reading: Reading) -> ua.DataValue:
    """A Reading as the library's DataValue, both timestamps as far as they are known."""
    return ua.DataValue(
        variant(reading),
        status_code(reading.status),
        SourceTimestamp=date_time(reading.source_ns),
        ServerTimestamp=date_time(reading.server_ns),
    )


def reference_description(reference: Reference) -> ua.ReferenceDescription:
    target = reference.target
    return ua.ReferenceDescription(
        node_id(reference.type),
        reference.forward,
        nodeid_of(target),
        browse_name(target),
        ua.LocalizedText(target.name),
        ua.NodeClass(int(target.node_class)),
        key_node_id(target.type_definition),
    )


def nodeid_of(target: Target) -> ua.NodeId:
    return key_node_id(target.key)


def browse_name(target: Target) -> ua.QualifiedName:
    """Of namespace 0 where the standard names it."""
    return ua.QualifiedName(target.name, 0 if target.standard or isinstance(target.key, int) else OURS)
