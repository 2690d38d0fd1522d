"""A session of ours: tokens that cannot be guessed, limits, and the services as far as they concern one client (Part 4, 5.6 to 5.13)."""

import asyncio
import dataclasses
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession, SessionState

from gateway.model.command import Caller
from gateway.wire.opcua import limits, permissions
from gateway.wire.opcua.contents import ranged
from gateway.wire.opcua.diagnostics import Calls
from gateway.wire.opcua.guards import finite
from gateway.wire.opcua.historian import HistoryPoints
from gateway.wire.opcua.nodes import OURS
from gateway.wire.opcua.outlet import Nowhere, Outlet
from gateway.wire.opcua.pace import Pace
from gateway.wire.opcua.terms import node_id, now, status_code
from gateway.wire.opcua.transfer import Owner, may_take
from gateway.wire.opcua.views import Points

if TYPE_CHECKING:
    from gateway.wire.opcua.processor import Processor
    from gateway.wire.opcua.publishing import Publishing, Subscription
    from gateway.wire.opcua.server import Interior

_VALUE: Final = ua.AttributeIds.Value
_ATTRIBUTES: Final = frozenset(int(attribute) for attribute in ua.AttributeIds)
_BINARY: Final = "Default Binary"
_AT_ONCE: Final = 500  # items
ANONYMOUS: Final = "anonymous"
"""The user of a caller who did not sign in."""


class Session(InternalSession):
    """One client. origin is who asks, for the audit."""

    iserver: "Interior"
    subscription_service: "Publishing"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        external = kwargs.pop("external", False)
        super().__init__(*args, **kwargs)
        self.external = external
        self.auth_token = node_id(secrets.token_bytes(32))
        self.points = Points()
        self.history_points = HistoryPoints()
        self.caller = Caller("", "none", self.origin)  # who has signed in; nobody before ActivateSession
        self.connected = external  # False while no connection carries it (Part 4, 6.7)
        self.carrier: Processor | None = None  # the connection that may speak for it
        self.channel: tuple[str, Any, bytes] = ("", None, b"")  # policy, mode and client certificate that it was made with
        self.failures = 0  # to sign in, in a row
        self.secured = False  # its channel is signed
        self.outlet: Outlet = Nowhere()
        self.calls = Calls()
        self._of_user: dict[int, Callable[[ua.ReadValueId], ua.DataValue]] = {
            ua.AttributeIds.Executable: self._executable,
            ua.AttributeIds.UserExecutable: self._executable,
            ua.AttributeIds.RolePermissions: self._role_permissions,
            ua.AttributeIds.UserRolePermissions: self._role_permissions,
            ua.AttributeIds.AccessRestrictions: self._restrictions,
            ua.AttributeIds.UserAccessLevel: self._user_access_level,
        }
        self.client_description, self.session_name, self.endpoint_url = ua.ApplicationDescription(), "", ""
        self.locale_ids: list[str] = []
        self.mechanism, self.client_certificate = "Anonymous", b""
        self.security_mode, self.security_policy_uri = ua.MessageSecurityMode.None_, ""
        if external:
            self.iserver.register_external_session(self)

    @property
    def origin(self) -> str:
        return f"opcua:{self.host}"

    @property
    def host(self) -> str:
        """Whence it was made."""
        peer: Any = self.name
        return str(peer[0] if isinstance(peer, tuple) else peer)

    async def create_session(self, params: ua.CreateSessionParameters, sockname: Any = None) -> ua.CreateSessionResult:
        low, high = limits.SESSION_TIMEOUT_MS
        params.RequestedSessionTimeout = finite(params.RequestedSessionTimeout, low, high)
        self.client_description, self.session_name = params.ClientDescription, str(params.SessionName or "")
        self.endpoint_url = str(params.EndpointUrl or "")
        result = await super().create_session(params, sockname)
        self.iserver.diagnostics.totals.sessions += 1
        self.calls.connected_ns = self.calls.seen_ns = self.iserver.face.now_ns()
        result.MaxRequestMessageSize = limits.MESSAGE_BYTES
        return result

    # --- attributes (Part 4, 5.10) ---

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Part 4, 5.10.2. MaxAge needs no work: a value in the columns is the newest there is."""
        check_operations(params.NodesToRead, limits.NODES_PER_READ)
        if not params.MaxAge >= 0:
            raise ServiceError(ua.StatusCodes.BadMaxAgeInvalid)
        stamps = params.TimestampsToReturn
        if stamps not in (0, 1, 2, 3):
            raise ServiceError(ua.StatusCodes.BadTimestampsToReturnInvalid)
        at, pace = now(), Pace()
        results = []
        for wanted in params.NodesToRead:
            results.append(_stamped(self._read(wanted), wanted, int(stamps), at))
            if pace.due():
                await pace.rest()
        return results

    def _read(self, wanted: ua.ReadValueId) -> ua.DataValue:
        if wanted.AttributeId not in _ATTRIBUTES:
            return _bad(ua.StatusCodes.BadAttributeIdInvalid)
        if wanted.AttributeId != _VALUE and wanted.IndexRange:
            return _bad(ua.StatusCodes.BadIndexRangeNoData)
        if not _default_encoding(wanted):
            return _bad(ua.StatusCodes.BadDataEncodingInvalid)
        of_user = self._of_user.get(wanted.AttributeId)
        if of_user is not None:
            return of_user(wanted)
        special = self._own_value(wanted) if wanted.AttributeId == _VALUE else None
        if special is not None:
            return special
        value = self.iserver.nodes.read(wanted.NodeId, ua.AttributeIds(wanted.AttributeId))
        return ranged(value, wanted.IndexRange) if wanted.IndexRange else value

    def _permissions(self, nodeid: ua.NodeId) -> permissions.Mask | None:
        """What each role may do to a node; None where there is none."""
        nodes, face = self.iserver.nodes, self.iserver.face
        own = nodes.own(nodeid)
        if own is not None:
            return permissions.of_own(own, lambda role, permission: face.allowed(Caller("", role, ""), permission))
        found = nodes.get(nodeid)
        if found is None or not isinstance(nodeid.Identifier, int):
            return None
        held = found.attributes[ua.AttributeIds.NodeClass].value
        node_class = int(held.Value.Value) if held is not None and held.Value is not None else 0
        calls = self.iserver.calls
        return permissions.of_standard(
            nodeid.Identifier, node_class, lambda role: bool(calls.user_executable(nodeid, Caller("", role, "")))
        )

    def _role_permissions(self, wanted: ua.ReadValueId) -> ua.DataValue:
        mask, anonymous = self._permissions(wanted.NodeId), (ANONYMOUS, self.iserver.settings.anonymous_role)
        if mask is None:
            return _bad(ua.StatusCodes.BadNodeIdUnknown)
        return permissions.shown(mask, self.caller, anonymous, wanted.AttributeId)

    def _restrictions(self, wanted: ua.ReadValueId) -> ua.DataValue:
        if wanted.NodeId not in self.iserver.nodes:
            return _bad(ua.StatusCodes.BadNodeIdUnknown)
        return ua.DataValue(ua.Variant(permissions.restrictions(wanted.NodeId), ua.VariantType.UInt16))

    def _user_access_level(self, wanted: ua.ReadValueId) -> ua.DataValue:
        mask, level = self._permissions(wanted.NodeId), self.iserver.nodes.read(wanted.NodeId, ua.AttributeIds.AccessLevel)
        if mask is None or level.Value is None or level.Value.Value is None:
            return level
        return ua.DataValue(ua.Variant(permissions.user_access_level(level.Value.Value, mask(self.caller.role)), ua.VariantType.Byte))

    def _own_value(self, wanted: ua.ReadValueId) -> ua.DataValue | None:
        """A Value that is this session's own: a refusal, or what it may; None for all others."""
        why = self._unreadable(wanted)
        if why:
            return _bad(why)
        return permissions.namespace_default(wanted.NodeId, self.caller, (ANONYMOUS, self.iserver.settings.anonymous_role))

    def _unwatchable(self, wanted: ua.ReadValueId) -> int:
        """0, or why this client may not monitor that. What a user may is read: it changes with who signs in, and with nothing else."""
        of_user = wanted.AttributeId in self._of_user or (
            wanted.AttributeId == _VALUE and permissions.default_of(wanted.NodeId) == ua.AttributeIds.UserRolePermissions
        )
        return int(ua.StatusCodes.BadNotSupported) if of_user else self._unreadable(wanted)

    def _unreadable(self, wanted: ua.ReadValueId) -> int:
        """0, or why this client may not have that Value."""
        encrypted = self.security_mode == ua.MessageSecurityMode.SignAndEncrypt
        return permissions.why_unreadable(wanted.NodeId, self.caller.role, encrypted=encrypted) if wanted.AttributeId == _VALUE else 0

    def _executable(self, wanted: ua.ReadValueId) -> ua.DataValue:
        """Part 3, 5.7: whether a Method can be called, and whether by this client."""
        calls, nodeid = self.iserver.calls, wanted.NodeId
        user = wanted.AttributeId == ua.AttributeIds.UserExecutable
        answer = calls.user_executable(nodeid, self.caller) if user else calls.executable(nodeid)
        if answer is None:
            known = nodeid in self.iserver.nodes
            return _bad(ua.StatusCodes.BadAttributeIdInvalid if known else ua.StatusCodes.BadNodeIdUnknown)
        return ua.DataValue(ua.Variant(answer, ua.VariantType.Boolean))

    async def write(self, params: ua.WriteParameters, caller: Caller | None = None) -> list[ua.StatusCode]:
        """Part 4, 5.10.4: only the Value of a tag that says so, through the gateway's one door. caller: who had signed in when it came."""
        check_operations(params.NodesToWrite, limits.NODES_PER_WRITE)
        return [status_code(await self._write(wanted, caller or self.caller)) for wanted in params.NodesToWrite]

    async def _write(self, wanted: ua.WriteValue, caller: Caller) -> int:
        codes, key = ua.StatusCodes, wanted.NodeId.Identifier
        if self.state is SessionState.Closed:  # signed out meanwhile
            return codes.BadSessionClosed
        node = self.aspace.get(wanted.NodeId)
        if node is None:
            return codes.BadNodeIdUnknown
        if wanted.AttributeId not in node.attributes:
            return codes.BadAttributeIdInvalid
        face = self.iserver.face
        tag_id = face.space.tag_id(key) if wanted.NodeId.NamespaceIndex == OURS and isinstance(key, str) else None
        if wanted.AttributeId != _VALUE or tag_id is None or face.columns.tags[tag_id].write_rule is None:
            return codes.BadNotWritable
        shown = face.space.node(str(key))
        if shown is None or not permissions.at_least(caller.role, shown.write_role):
            return codes.BadUserAccessDenied
        return _unfit(wanted, shown.data_type) or await face.set_tag(tag_id, wanted.Value.Value.Value, caller)

    # --- views (Part 4, 5.8) ---

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        return await self.iserver.views.translate(params)

    # --- methods (Part 4, 5.11) ---

    async def call(self, params: list[ua.CallMethodRequest], caller: Caller | None = None) -> list[ua.CallMethodResult]:
        check_operations(params, limits.METHODS_PER_CALL)
        return await self.iserver.calls.call_all(params, caller or self.caller, self)

    # --- subscriptions (Part 4, 5.12 and 5.13): each by its owner only ---

    def own(self, subscription_id: int) -> "Subscription":
        """Raises ServiceError BadSubscriptionIdInvalid for one that is not this session's."""
        found = self.subscription_service.find(subscription_id, self.session_id)
        if found is None:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        found.beat.wake()
        found.machine.used()
        return found

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        self.own(params.SubscriptionId)
        check_operations(params.ItemsToCreate, limits.ITEMS_PER_CALL)
        _check_stamps(params.TimestampsToReturn)
        refused, pace = {}, Pace()
        for place, item in enumerate(params.ItemsToCreate):
            if why := self._unwatchable(item.ItemToMonitor):
                refused[place] = why
            if pace.due():
                await pace.rest()
        params.ItemsToCreate = [item for place, item in enumerate(params.ItemsToCreate) if place not in refused]
        results = await super().create_monitored_items(params)
        for place, why in refused.items():
            results.insert(place, ua.MonitoredItemCreateResult(status_code(why)))
        return results

    async def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[ua.MonitoredItemModifyResult]:
        self.own(params.SubscriptionId)
        check_operations(params.ItemsToModify, limits.ITEMS_PER_CALL)
        _check_stamps(params.TimestampsToReturn)
        wanted, results = params.ItemsToModify, []
        for start in range(0, len(wanted), _AT_ONCE):
            params.ItemsToModify = wanted[start : start + _AT_ONCE]
            results += await super().modify_monitored_items(params)
            await asyncio.sleep(0)
        return results

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        self.own(params.SubscriptionId)
        check_operations(params.MonitoredItemIds, limits.ITEMS_PER_CALL)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        self.own(params.SubscriptionId)
        check_operations(params.MonitoredItemIds, limits.ITEMS_PER_CALL)
        if params.MonitoringMode not in (0, 1, 2):
            raise ServiceError(ua.StatusCodes.BadMonitoringModeInvalid)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        check_operations(params.SubscriptionIds, limits.ITEMS_PER_CALL)
        return [self.subscription_service.set_publishing(i, self.session_id, params.PublishingEnabled) for i in params.SubscriptionIds]

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        return self.own(params.SubscriptionId).modify(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        if not self.is_activated():
            return await super().delete_subscriptions(ids)  # the session closes: its own subscriptions, chosen by the library
        check_operations(ids, limits.ITEMS_PER_CALL)
        return [
            (await super(Session, self).delete_subscriptions([i]))[0]
            if self.subscription_service.find(i, self.session_id) is not None
            else status_code(ua.StatusCodes.BadSubscriptionIdInvalid)
            for i in ids
        ]

    async def create_subscription(self, params: Any, callback: Any, request_callback: Any = None) -> ua.CreateSubscriptionResult:
        made: ua.CreateSubscriptionResult = await super().create_subscription(params, callback, request_callback)
        self.subscription_service.subscriptions[made.SubscriptionId].owner = self.owner
        return made

    @property
    def owner(self) -> Owner:
        """On whose behalf it speaks, for those who come after it."""
        user = "" if self.caller.user == ANONYMOUS else self.caller.user
        return Owner(user, str(self.client_description.ApplicationUri or ""), self.secured)

    async def transfer_subscriptions(self, params: ua.TransferSubscriptionsParameters, *_: Any) -> list[ua.TransferResult]:
        """Part 4, 5.13.7. Its own ones may always be named, as after a reconnection."""
        check_operations(params.SubscriptionIds, limits.ITEMS_PER_CALL)
        return [self._transfer(subscription_id, fresh=bool(params.SendInitialValues)) for subscription_id in params.SubscriptionIds]

    def _transfer(self, subscription_id: int, *, fresh: bool) -> ua.TransferResult:
        service = self.subscription_service
        wanted = service.subscriptions.get(subscription_id)
        if wanted is None:
            return ua.TransferResult(status_code(ua.StatusCodes.BadSubscriptionIdInvalid))
        if wanted.session_id != self.session_id:
            if not may_take(wanted.owner, self.owner):
                return ua.TransferResult(status_code(ua.StatusCodes.BadUserAccessDenied))
            try:
                service.take_over(wanted, self.session_id, self.owner, self.outlet)
            except ServiceError as full:
                return ua.TransferResult(status_code(full.code))
        return ua.TransferResult(ua.StatusCode(), list(wanted.transferred(fresh=fresh)))

    async def close_session(self, delete_subs: bool = True, why: str = "closed by the client") -> None:
        """Part 4, 5.6.4 and 5.13.1: the subscriptions of a session that timed out, or says so, outlive it."""
        timed_out, left = asyncio.current_task() is self._timeout_task, self.external and self.is_activated()
        if timed_out:
            delete_subs, why = False, "timed out"
            self.iserver.diagnostics.totals.timed_out_sessions += 1
        await super().close_session(delete_subs)
        if not delete_subs:
            await self.subscription_service.delete_subscriptions(self.subscription_service.leave(self.session_id))
        if timed_out and self.carrier is not None:
            self.carrier.leave()
            self.subscription_service.forget(self.session_id)
        if left:
            await self.iserver.face.signed_out(self.caller, why)


def _unfit(wanted: ua.WriteValue, data_type: int) -> int:
    """Why a value cannot be written to a tag of that DataType; 0 = it can.

    A status is not a client's to write. A source time, which common clients send with every value, is not refused: the device's own stands.
    """
    value = wanted.Value
    if wanted.IndexRange:
        return ua.StatusCodes.BadIndexRangeNoData
    if value.StatusCode is not None and value.StatusCode.value:
        return ua.StatusCodes.BadWriteNotSupported
    variant = value.Value
    fits = variant is not None and not variant.is_array and variant.VariantType == ua.VariantType(data_type)
    return 0 if fits and isinstance(variant.Value, bool | int | float | str) else ua.StatusCodes.BadTypeMismatch


def _default_encoding(wanted: ua.ReadValueId) -> bool:
    """Part 4, 7.29 (dataEncoding): none, or the default one of a Value."""
    encoding = wanted.DataEncoding
    if encoding is None or not encoding.Name:
        return True
    return bool(wanted.AttributeId == _VALUE and encoding.Name == _BINARY and encoding.NamespaceIndex == 0)


def check_operations(operations: Any, most: int) -> None:
    """Raises ServiceError: BadNothingToDo, BadTooManyOperations."""
    if not operations:
        raise ServiceError(ua.StatusCodes.BadNothingToDo)
    if len(operations) > most:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)


def _check_stamps(stamps: int) -> None:
    if stamps not in (0, 1, 2, 3):
        raise ServiceError(ua.StatusCodes.BadTimestampsToReturnInvalid)


def _bad(code: int) -> ua.DataValue:
    return ua.DataValue(StatusCode=status_code(code))


def _stamped(value: ua.DataValue, wanted: ua.ReadValueId, stamps: int, at: Any) -> ua.DataValue:
    """Part 4, 7.40 (TimestampsToReturn). Only a Value has a source time."""
    of_value = wanted.AttributeId == _VALUE
    return dataclasses.replace(
        value,
        SourceTimestamp=value.SourceTimestamp if of_value and stamps in (0, 2) else None,
        ServerTimestamp=(value.ServerTimestamp or at) if stamps in (1, 2) else None,
        SourcePicoseconds=None,
        ServerPicoseconds=None,
    )
