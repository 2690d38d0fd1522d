"""The server's diagnostics (Part 5, 6.3.3 and 12.9 to 12.17): counted as services are called, put together when somebody reads them."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from gateway.wire.opcua.terms import date_time

if TYPE_CHECKING:
    from gateway.wire.opcua.publishing import Subscription
    from gateway.wire.opcua.server import Interior
    from gateway.wire.opcua.sessions import Session

_SERVICES: Final = (
    "Read",
    "HistoryRead",
    "Write",
    "HistoryUpdate",
    "Call",
    "CreateMonitoredItems",
    "ModifyMonitoredItems",
    "SetMonitoringMode",
    "SetTriggering",
    "DeleteMonitoredItems",
    "CreateSubscription",
    "ModifySubscription",
    "SetPublishingMode",
    "Publish",
    "Republish",
    "TransferSubscriptions",
    "DeleteSubscriptions",
    "AddNodes",
    "AddReferences",
    "DeleteNodes",
    "DeleteReferences",
    "Browse",
    "BrowseNext",
    "TranslateBrowsePathsToNodeIds",
    "QueryFirst",
    "QueryNext",
    "RegisterNodes",
    "UnregisterNodes",
)
SERVICE_OF: Final = {int(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary")): name for name in _SERVICES}
"""Encoding id of a request -> the service's name in SessionDiagnosticsDataType."""

_DENIED: Final = frozenset((ua.StatusCodes.BadUserAccessDenied, ua.StatusCodes.BadIdentityTokenRejected))
_SECURITY: Final = frozenset(
    (
        ua.StatusCodes.BadSecurityChecksFailed,
        ua.StatusCodes.BadCertificateUntrusted,
        ua.StatusCodes.BadCertificateInvalid,
        ua.StatusCodes.BadIdentityTokenInvalid,
        *_DENIED,
    )
)


@dataclass(slots=True)
class Calls:
    """What one session asked for: requests and refusals by service."""

    connected_ns: int = 0
    seen_ns: int = 0
    total: int = 0
    refused: int = 0
    denied: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def called(self, request: Any, now_ns: int) -> None:
        """A request came; its encoding id."""
        self.seen_ns = now_ns
        self.total += 1
        self.calls[SERVICE_OF.get(request, "")] += 1

    def fault(self, request: Any, code: int) -> None:
        """It was refused as a whole."""
        self.refused += 1
        self.denied += code in _DENIED
        self.faults[SERVICE_OF.get(request, "")] += 1


@dataclass(slots=True)
class Totals:
    """Since the server started; by the names of ServerDiagnosticsSummaryDataType."""

    sessions: int = 0
    subscriptions: int = 0
    security_rejected_sessions: int = 0
    rejected_sessions: int = 0
    timed_out_sessions: int = 0
    aborted_sessions: int = 0
    security_rejected_requests: int = 0
    rejected_requests: int = 0

    def fault(self, code: int, *, signing_in: bool) -> None:
        """A request was refused as a whole. signing_in: it was one that opens a session."""
        security = code in _SECURITY
        self.rejected_requests += 1
        self.security_rejected_requests += security
        if signing_in:
            self.rejected_sessions += 1
            self.security_rejected_sessions += security


class Diagnostics:
    """The nodes below Server.ServerDiagnostics, over the live sessions and subscriptions."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self.totals = Totals()

    def bind(self) -> None:
        """Let the standard nodes answer."""
        ids, base, compute = ua.ObjectIds, "Server_ServerDiagnostics", self._interior.compute
        self._interior.set(ids.Server_ServerDiagnostics_EnabledFlag, ua.Variant(True, ua.VariantType.Boolean))
        summary = f"{base}_ServerDiagnosticsSummary"
        compute(getattr(ids, summary), lambda: ua.Variant(self.summary(), ua.VariantType.ExtensionObject))
        for name in ua.ServerDiagnosticsSummaryDataType.__dataclass_fields__:
            compute(getattr(ids, f"{summary}_{name}"), self._count(name))
        compute(ids.Server_ServerDiagnostics_SubscriptionDiagnosticsArray, lambda: _array(self.subscriptions()))
        sessions = ids.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray
        compute(sessions, lambda: _array(self.sessions()))
        compute(
            ids.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray, lambda: _array(self.session_security())
        )

    def summary(self) -> ua.ServerDiagnosticsSummaryDataType:
        totals, subscriptions = self.totals, self._subscriptions()
        return ua.ServerDiagnosticsSummaryDataType(
            CurrentSessionCount=len(self._sessions()),
            CumulatedSessionCount=totals.sessions,
            SecurityRejectedSessionCount=totals.security_rejected_sessions,
            RejectedSessionCount=totals.rejected_sessions,
            SessionTimeoutCount=totals.timed_out_sessions,
            SessionAbortCount=totals.aborted_sessions,
            CurrentSubscriptionCount=len(subscriptions),
            CumulatedSubscriptionCount=totals.subscriptions,
            PublishingIntervalCount=len({one.machine.publishing_ms for one in subscriptions}),
            SecurityRejectedRequestsCount=totals.security_rejected_requests,
            RejectedRequestsCount=totals.rejected_requests,
        )

    def sessions(self) -> list[ua.SessionDiagnosticsDataType]:
        return [self._session(session) for session in self._sessions()]

    def session_security(self) -> list[ua.SessionSecurityDiagnosticsDataType]:
        """Who is there and how (for those who may know)."""
        return [
            ua.SessionSecurityDiagnosticsDataType(
                SessionId=session.session_id,
                ClientUserIdOfSession=session.caller.user,
                ClientUserIdHistory=[session.caller.user],
                AuthenticationMechanism=session.mechanism,
                TransportProtocol="opc.tcp",
                SecurityMode=session.security_mode,
                SecurityPolicyUri=session.security_policy_uri,
                ClientCertificate=session.client_certificate,
            )
            for session in self._sessions()
        ]

    def subscriptions(self) -> list[ua.SubscriptionDiagnosticsDataType]:
        return [_subscription(one) for one in self._subscriptions()]

    def _session(self, session: "Session") -> ua.SessionDiagnosticsDataType:
        calls, mine = session.calls, self._interior.subscription_service.of(session.session_id)
        counters = {f"{name}Count": ua.ServiceCounterDataType(calls.calls[name], calls.faults[name]) for name in _SERVICES}
        return ua.SessionDiagnosticsDataType(
            SessionId=session.session_id,
            SessionName=session.session_name,
            ClientDescription=session.client_description,
            EndpointUrl=session.endpoint_url,
            LocaleIds=session.locale_ids,
            ActualSessionTimeout=(session.session_timeout or 0.0) * 1000.0,
            ClientConnectionTime=date_time(calls.connected_ns),
            ClientLastContactTime=date_time(calls.seen_ns),
            CurrentSubscriptionsCount=len(mine),
            CurrentMonitoredItemsCount=sum(one.monitored_item_srv.count() for one in mine),
            CurrentPublishRequestsInQueue=session.outlet.waiting(),
            TotalRequestCount=ua.ServiceCounterDataType(calls.total, calls.refused),
            UnauthorizedRequestCount=calls.denied,
            **counters,
        )

    def _sessions(self) -> "list[Session]":
        return self._interior.sessions()

    def _subscriptions(self) -> "list[Subscription]":
        return list(self._interior.subscription_service.subscriptions.values())

    def _count(self, name: str) -> Callable[[], ua.Variant]:
        return lambda: ua.Variant(getattr(self.summary(), name), ua.VariantType.UInt32)


def _subscription(one: "Subscription") -> ua.SubscriptionDiagnosticsDataType:
    one.beat.wake()  # its counters are those of now
    machine, counts = one.machine, one.counts
    return ua.SubscriptionDiagnosticsDataType(
        SessionId=one.session_id,
        SubscriptionId=one.data.SubscriptionId,
        Priority=machine.priority,
        PublishingInterval=machine.publishing_ms,
        MaxKeepAliveCount=machine.keep_alive_count,
        MaxLifetimeCount=machine.lifetime_count,
        MaxNotificationsPerPublish=machine.max_notifications,
        PublishingEnabled=machine.publishing_enabled,
        ModifyCount=counts["modify"],
        EnableCount=counts["enable"],
        DisableCount=counts["disable"],
        RepublishRequestCount=counts["republish"],
        RepublishMessageRequestCount=counts["republish"],
        RepublishMessageCount=counts["republished"],
        TransferRequestCount=counts["transfer"],
        TransferredToAltClientCount=counts["transferred"],
        TransferredToSameClientCount=counts["transfer"] - counts["transferred"],
        PublishRequestCount=counts["publish"],
        DataChangeNotificationsCount=counts["data_change"],
        EventNotificationsCount=counts["event"],
        NotificationsCount=counts["data_change"] + counts["event"],
        LatePublishRequestCount=counts["late"],
        CurrentKeepAliveCount=machine.keep_alive_counter,
        CurrentLifetimeCount=machine.lifetime_count - machine.lifetime_counter,
        UnacknowledgedMessageCount=one.unacknowledged(),
        DiscardedMessageCount=counts["discarded"],
        MonitoredItemCount=one.monitored_item_srv.count(),
        NextSequenceNumber=one.next_sequence,
        EventQueueOverflowCount=counts["event_overflow"],
    )


def _array(values: Iterable[Any]) -> ua.Variant:
    return ua.Variant(list(values), ua.VariantType.ExtensionObject, is_array=True)
