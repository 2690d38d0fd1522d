"""What the Server object says of the server (Part 5, 6.3 and 8.3): who it is, what it allows itself and its clients, and nothing that is
not so. Parts of the standard's Server object that are not served are not there.
"""

from typing import TYPE_CHECKING, Final

from asyncua import ua

from gateway.wire.opcua import limits
from gateway.wire.opcua.nodes import reference_description
from gateway.wire.opcua.past_capabilities import describe_history
from gateway.wire.opcua.terms import now

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior

PRODUCT: Final = "urn:edgetwin"
NAME: Final = "Edgetwin"
LOCALES: Final = ("en",)
PROFILES: Final = (
    *(
        f"http://opcfoundation.org/UA-Profile/Server/{name}"
        for name in (
            *("Core2017Facet", "StandardDataChangeSubscription2017", "EnhancedDataChangeSubscription2017"),
            *("DataAccess", "Methods", "ACBaseCondition", "ACRefresh2", "ACAddressSpaceInstance", "ACEnable", "ACAlarm", "ACAckAlarm"),
            *("ACExclusiveAlarming", "ACNon-ExclusiveAlarming", "ACCertificateExpiration"),
            *("HistoricalRawData2022", "HistoricalDataAtTime2022", "AggregateHistorical2022"),
        )
    ),
    *(f"http://opcfoundation.org/UA-Profile/Security/UserToken/Server/{name}" for name in ("UserNamePassword", "X509Certificate")),
    "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary",
)
"""Profiles and facets of OPC 10000-7 whose mandatory units are all served; docs/conformance.md has the units and their tests."""

_Ids: Final = ua.ObjectIds
_RUNNING: Final = 0
_NAMESPACES: Final = 11715
_MAPPED: Final = ("Observer", "Operator", "Engineer", "Supervisor", "ConfigureAdmin", "SecurityAdmin")
"""Well-known roles that the roles of the gateway are."""
NOT_SERVED: Final = frozenset(
    int(getattr(_Ids, name))
    for name in (
        *("Server_UrisVersion", "Server_EstimatedReturnTime", "Server_LocalTime"),
        *("ServerConfiguration", "PublishSubscribe", "Resources", "ServerLog", "DefaultHEConfiguration"),
        *("Server_ServerDiagnostics_SamplingIntervalDiagnosticsArray", "Server_ServerRedundancy_RedundantServerArray"),
        "Server_ServerCapabilities_ConformanceUnits",
        *(
            f"Server_ServerCapabilities_OperationLimits_MaxNodesPer{service}"
            for service in ("NodeManagement", "HistoryUpdateData", "HistoryUpdateEvents")
        ),
        *(
            f"DefaultHAConfiguration_{name}"
            for name in (
                *("AggregateFunctions", "Definition", "MaxTimeInterval", "MinTimeInterval", "ExceptionDeviation"),
                *("ExceptionDeviationFormat", "StartOfArchive", "StartOfOnlineArchive", "MaxTimeStoredValues", "MaxCountStoredValues"),
            )
        ),
        *("WellKnownRole_TrustedApplication", *(f"WellKnownRole_SecurityKeyServer{name}" for name in ("Admin", "Access", "Push"))),
        *(
            f"WellKnownRole_{role}_{name}"
            for role in _MAPPED
            for name in (
                *("ApplicationsExclude", "Applications", "EndpointsExclude", "Endpoints", "CustomConfiguration"),
                *("AddIdentity", "RemoveIdentity", "AddApplication", "RemoveApplication", "AddEndpoint", "RemoveEndpoint"),
            )
        ),
    )
)
"""Optional parts of the standard's own Server object, each with all that is below it."""


def describe(interior: "Interior") -> None:
    """Gives the standard's nodes their values, from the same numbers that are enforced."""
    settings = interior.settings
    text = ua.VariantType.String
    uris = ["http://opcfoundation.org/UA/", settings.application_uri, settings.namespace]
    interior.set(_Ids.Server_NamespaceArray, ua.Variant(uris, text, is_array=True))
    interior.set(_Ids.Server_ServerArray, ua.Variant([settings.application_uri], text, is_array=True))
    interior.compute(_Ids.Server_ServiceLevel, lambda: ua.Variant(interior.face.service_level(), ua.VariantType.Byte))
    interior.set(_Ids.Server_Auditing, ua.Variant(True, ua.VariantType.Boolean))
    interior.set(_Ids.Server_ServerRedundancy_RedundancySupport, ua.Variant(0, ua.VariantType.Int32))
    interior.diagnostics.bind()
    _describe_status(interior)
    _describe_limits(interior)
    _describe_roles(interior)
    describe_history(interior)
    interior.set(_Ids.OPCUANamespaceMetadata_IsNamespaceSubset, ua.Variant(True, ua.VariantType.Boolean))
    interior.set(_Ids.OPCUANamespaceMetadata_StaticStringNodeIdPattern, ua.Variant("", text))
    namespaces = interior.nodes.standard.pin(_NAMESPACES)
    namespaces.references = [*namespaces.references, *map(reference_description, interior.face.space.namespaces())]


def _describe_limits(interior: "Interior") -> None:
    settings, number, text = interior.settings, ua.VariantType.UInt32, ua.VariantType.String
    capability = "Server_ServerCapabilities_"
    for name, most in (
        ("OperationLimits_MaxNodesPerRead", limits.NODES_PER_READ),
        ("OperationLimits_MaxNodesPerWrite", limits.NODES_PER_WRITE),
        ("OperationLimits_MaxNodesPerBrowse", limits.NODES_PER_BROWSE),
        ("OperationLimits_MaxNodesPerRegisterNodes", limits.NODES_PER_REGISTER),
        ("OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds", limits.NODES_PER_TRANSLATE),
        ("OperationLimits_MaxNodesPerMethodCall", limits.METHODS_PER_CALL),
        ("OperationLimits_MaxMonitoredItemsPerCall", limits.ITEMS_PER_CALL),
        ("MaxSessions", settings.limits.sessions),
        ("MaxSubscriptions", limits.SUBSCRIPTIONS),
        ("MaxSubscriptionsPerSession", limits.SUBSCRIPTIONS_PER_SESSION),
        ("MaxMonitoredItems", limits.SUBSCRIPTIONS * limits.ITEMS_PER_SUBSCRIPTION),
        ("MaxMonitoredItemsPerSubscription", limits.ITEMS_PER_SUBSCRIPTION),
        ("MaxMonitoredItemsQueueSize", limits.EVENT_QUEUE[2]),  # of event items; a value's is revised to fewer
        ("MaxSelectClauseParameters", limits.SELECT_CLAUSES),
        ("MaxWhereClauseParameters", limits.FILTER_OPERANDS),
        ("MaxArrayLength", limits.ELEMENTS),
        ("MaxStringLength", limits.MESSAGE_BYTES),
        ("MaxByteStringLength", limits.MESSAGE_BYTES),
    ):
        interior.set(getattr(_Ids, capability + name), ua.Variant(most, number))
    for name, points in (("MaxBrowseContinuationPoints", limits.BROWSE_POINTS_PER_SESSION), ("MaxQueryContinuationPoints", 0)):
        interior.set(getattr(_Ids, capability + name), ua.Variant(points, ua.VariantType.UInt16))
    rate = ua.Variant(settings.limits.publishing_ms[0], ua.VariantType.Double)
    interior.set(_Ids.Server_ServerCapabilities_MinSupportedSampleRate, rate)
    interior.set(_Ids.Server_ServerCapabilities_ServerProfileArray, ua.Variant(list(PROFILES), text, is_array=True))
    interior.set(_Ids.Server_ServerCapabilities_LocaleIdArray, ua.Variant(list(LOCALES), text, is_array=True))
    interior.set(_Ids.Server_ServerCapabilities_SoftwareCertificates, ua.Variant([], ua.VariantType.ExtensionObject, is_array=True))


def _describe_roles(interior: "Interior") -> None:
    """Part 18, 4.4.1: who holds a role is the gateway's own matter, except for those that say so by their name."""
    for role in ("Anonymous", "AuthenticatedUser", *_MAPPED):
        kinds = [] if role in _MAPPED else [ua.IdentityCriteriaType[role]]
        rules = [ua.IdentityMappingRuleType(kind, "") for kind in kinds]
        value = ua.Variant(rules, ua.VariantType.ExtensionObject, is_array=True)
        interior.set(getattr(_Ids, f"WellKnownRole_{role}_Identities"), value)


def _describe_status(interior: "Interior") -> None:
    build = ua.BuildInfo(PRODUCT, NAME, NAME, interior.settings.version, "", interior.started)
    status = "Server_ServerStatus"

    def whole() -> ua.Variant:
        return ua.Variant(
            ua.ServerStatusDataType(interior.started, now(), ua.ServerState.Running, build, 0, ua.LocalizedText()),
            ua.VariantType.ExtensionObject,
        )

    interior.compute(getattr(_Ids, status), whole)
    interior.compute(_Ids.Server_ServerStatus_CurrentTime, lambda: ua.Variant(now(), ua.VariantType.DateTime))
    for name, value, kind in (
        ("StartTime", interior.started, ua.VariantType.DateTime),
        ("State", _RUNNING, ua.VariantType.Int32),
        ("SecondsTillShutdown", 0, ua.VariantType.UInt32),
        ("ShutdownReason", ua.LocalizedText(), ua.VariantType.LocalizedText),
        ("BuildInfo", build, ua.VariantType.ExtensionObject),
        ("BuildInfo_ProductUri", PRODUCT, ua.VariantType.String),
        ("BuildInfo_ManufacturerName", NAME, ua.VariantType.String),
        ("BuildInfo_ProductName", NAME, ua.VariantType.String),
        ("BuildInfo_SoftwareVersion", interior.settings.version, ua.VariantType.String),
        ("BuildInfo_BuildNumber", "", ua.VariantType.String),
        ("BuildInfo_BuildDate", interior.started, ua.VariantType.DateTime),
    ):
        interior.set(getattr(_Ids, f"{status}_{name}"), ua.Variant(value, kind))
