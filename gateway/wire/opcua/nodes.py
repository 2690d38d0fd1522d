"""One mapping for the whole address space: standard nodes from their file, the gateway's own made when asked for and kept nowhere."""

from collections.abc import Iterator, MutableMapping
from typing import Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from gateway.wire.opcua.contents import OURS as OURS
from gateway.wire.opcua.contents import key_node_id as key_node_id
from gateway.wire.opcua.contents import variant as variant
from gateway.wire.opcua.face import Node, NodeClass, Reading, Reference, Space, Target
from gateway.wire.opcua.standard import StandardNodes
from gateway.wire.opcua.terms import date_time, node_id, status_code

_HAS_TYPE_DEFINITION: Final = 40
_OBJECTS_FOLDER: Final = 85
_SERVER: Final = 2253
_Attribute = ua.AttributeIds


def _type(identifier: int, name: str, kind: NodeClass = NodeClass.VARIABLE_TYPE) -> Reference:
    return Reference(_HAS_TYPE_DEFINITION, True, Target(identifier, kind, name, 0, standard=True))


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
        """One attribute. Of a Variable of ours the Value is read without making the rest of the node."""
        node = self.own(nodeid)
        if node is not None and node.read is not None and attribute == _Attribute.Value:
            return data_value(node.read())
        found = self.get(nodeid) if node is None else node_data(node)
        if found is None:
            return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadNodeIdUnknown))
        held = found.attributes.get(attribute)
        if held is None:
            return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadAttributeIdInvalid))
        value = held.value_callback(nodeid, attribute) if held.value_callback else held.value
        return value if value is not None else ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadAttributeIdInvalid))


def edges(node: Node) -> list[Reference]:
    """All references of a node of ours, HasTypeDefinition first. A Method has none (Part 3, 5.7)."""
    return [_TYPES[node.target.type_definition], *node.references] if node.method is None else list(node.references)


def _access(*, writable: bool, historizing: bool) -> int:
    """AccessLevel (Part 3, 8.57); what of it a user has is asked of the session."""
    write = ua.AccessLevel.CurrentWrite.mask if writable else 0
    return int(ua.AccessLevel.CurrentRead.mask | write | (ua.AccessLevel.HistoryRead.mask if historizing else 0))


def node_data(node: Node) -> NodeData:
    """A node with all attributes that Part 3, 5.5 (Object), 5.6 (Variable) and 5.7 (Method) ask for.

    UserAccessLevel and UserExecutable are what the server allows at most: what this client may is asked of the session.
    """
    target = node.target
    data = NodeData(nodeid_of(target))
    values: dict[ua.AttributeIds, ua.Variant] = {
        _Attribute.NodeId: ua.Variant(data.nodeid, ua.VariantType.NodeId),
        _Attribute.NodeClass: ua.Variant(int(target.node_class), ua.VariantType.Int32),
        _Attribute.BrowseName: ua.Variant(_browse_name(target), ua.VariantType.QualifiedName),
        _Attribute.DisplayName: ua.Variant(ua.LocalizedText(target.name), ua.VariantType.LocalizedText),
        _Attribute.Description: ua.Variant(ua.LocalizedText(node.description or None), ua.VariantType.LocalizedText),
        _Attribute.WriteMask: ua.Variant(0, ua.VariantType.UInt32),
        _Attribute.UserWriteMask: ua.Variant(0, ua.VariantType.UInt32),
    }
    if node.method is not None:
        values[_Attribute.Executable] = values[_Attribute.UserExecutable] = ua.Variant(True, ua.VariantType.Boolean)
    elif node.read is None:
        values[_Attribute.EventNotifier] = ua.Variant(node.event_notifier, ua.VariantType.Byte)
    else:
        values |= {
            _Attribute.DataType: ua.Variant(node_id(node.data_type), ua.VariantType.NodeId),
            _Attribute.ValueRank: ua.Variant(1 if node.array else -1, ua.VariantType.Int32),
            _Attribute.AccessLevel: ua.Variant(_access(writable=node.writable, historizing=node.historizing), ua.VariantType.Byte),
            _Attribute.UserAccessLevel: ua.Variant(_access(writable=node.writable, historizing=node.historizing), ua.VariantType.Byte),
            _Attribute.Historizing: ua.Variant(node.historizing, ua.VariantType.Boolean),
            _Attribute.MinimumSamplingInterval: ua.Variant(node.sampling_ms, ua.VariantType.Double),
        }
        if node.array:
            values[_Attribute.ArrayDimensions] = ua.Variant([0], ua.VariantType.UInt32, is_array=True)
    data.attributes = {attribute: AttributeValue(ua.DataValue(value)) for attribute, value in values.items()}
    if node.read is not None:
        held = AttributeValue(ua.DataValue())
        read = node.read
        held.value_callback = lambda _nodeid, _attribute: data_value(read())
        data.attributes[_Attribute.Value] = held
    data.references = [reference_description(reference) for reference in edges(node)]
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
        _browse_name(target),
        ua.LocalizedText(target.name),
        ua.NodeClass(int(target.node_class)),
        node_id(target.type_definition),
    )


def nodeid_of(target: Target) -> ua.NodeId:
    return key_node_id(target.key)


def _browse_name(target: Target) -> ua.QualifiedName:
    return ua.QualifiedName(target.name, 0 if target.standard or isinstance(target.key, int) else OURS)
