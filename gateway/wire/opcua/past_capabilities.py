"""What the server says of its history: HistoryServerCapabilities, its limits and its aggregates (Part 11, 5.7; Part 13, 4.2 and 4.4)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from gateway.wire.opcua import limits
from gateway.wire.opcua.past import AggregateConfiguration
from gateway.wire.opcua.standard import StandardNodes
from gateway.wire.opcua.terms import node_id

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior

_Ids: Final = ua.ObjectIds
_HAS_COMPONENT: Final = 47
_ORGANIZES: Final = 35
_SUBSCRIBE_AND_HISTORY: Final = 1 | 4  # Part 3, 8.59 (EventNotifierType)
_CAN: Final = ("AccessHistoryDataCapability", "AccessHistoryEventsCapability")
_CANNOT: Final = (
    *("InsertDataCapability", "ReplaceDataCapability", "UpdateDataCapability", "DeleteRawCapability", "DeleteAtTimeCapability"),
    *("InsertEventCapability", "ReplaceEventCapability", "UpdateEventCapability", "DeleteEventCapability"),
    *("InsertAnnotationCapability", "ServerTimestampSupported"),
)


def describe_history(interior: "Interior") -> None:
    """States the truth, from the same numbers that are enforced."""
    boolean, number = ua.VariantType.Boolean, ua.VariantType.UInt32
    for name in (*_CAN, *_CANNOT):
        interior.set(getattr(_Ids, f"HistoryServerCapabilities_{name}"), ua.Variant(name in _CAN, boolean))
    server = "Server_ServerCapabilities_"
    for name, most in (
        ("HistoryServerCapabilities_MaxReturnDataValues", limits.HISTORY_VALUES),
        ("HistoryServerCapabilities_MaxReturnEventValues", limits.HISTORY_EVENTS),
        (f"{server}OperationLimits_MaxNodesPerHistoryReadData", limits.NODES_PER_HISTORY_READ),
        (f"{server}OperationLimits_MaxNodesPerHistoryReadEvents", limits.NODES_PER_HISTORY_READ_EVENTS),
    ):
        interior.set(getattr(_Ids, name), ua.Variant(most, number))
    points = ua.Variant(limits.HISTORY_POINTS_PER_SESSION, ua.VariantType.UInt16)
    interior.set(_Ids.Server_ServerCapabilities_MaxHistoryContinuationPoints, points)
    _describe_defaults(interior)
    standard = interior.nodes.standard
    _link(standard, _Ids.Server_ServerCapabilities, _HAS_COMPONENT, [_Ids.HistoryServerCapabilities])
    for folder in (_Ids.Server_ServerCapabilities_AggregateFunctions, _Ids.HistoryServerCapabilities_AggregateFunctions):
        _link(standard, folder, _ORGANIZES, interior.face.past.aggregates)
    notifier = standard.pin(_Ids.Server).attributes[ua.AttributeIds.EventNotifier]
    notifier.value = ua.DataValue(ua.Variant(_SUBSCRIBE_AND_HISTORY, ua.VariantType.Byte))


def _describe_defaults(interior: "Interior") -> None:
    """How history is read where a node does not say otherwise (Part 11, 5.2.5)."""
    defaults, boolean, byte = AggregateConfiguration(), ua.VariantType.Boolean, ua.VariantType.Byte
    for name, value, kind in (
        ("Stepped", False, boolean),
        ("ServerTimestampSupported", False, boolean),
        ("AggregateConfiguration_TreatUncertainAsBad", defaults.treat_uncertain_as_bad, boolean),
        ("AggregateConfiguration_PercentDataBad", defaults.percent_bad, byte),
        ("AggregateConfiguration_PercentDataGood", defaults.percent_good, byte),
        ("AggregateConfiguration_UseSlopedExtrapolation", defaults.sloped_extrapolation, boolean),
    ):
        identifier = getattr(_Ids, f"DefaultHAConfiguration_{name}")
        if identifier in interior.nodes.standard:
            interior.set(identifier, ua.Variant(value, kind))


def _link(standard: StandardNodes, owner: int, reference: int, targets: Sequence[int]) -> None:
    """References to Objects of the standard that are not there yet."""
    node = standard.pin(owner)
    there = {(one.ReferenceTypeId.Identifier, one.NodeId.Identifier) for one in node.references if one.IsForward}
    node.references = [
        *node.references,
        *(_reference(standard, reference, target) for target in targets if (reference, target) not in there),
    ]


def _reference(standard: StandardNodes, reference: int, identifier: int) -> ua.ReferenceDescription:
    node = standard.pin(identifier)
    named: Any = node.attributes[ua.AttributeIds.BrowseName].value
    kind = next(one.NodeId for one in node.references if one.IsForward and one.ReferenceTypeId == node_id(40))
    name = named.Value.Value
    return ua.ReferenceDescription(
        node_id(reference), True, node_id(identifier), name, ua.LocalizedText(name.Name), ua.NodeClass.Object, kind
    )
