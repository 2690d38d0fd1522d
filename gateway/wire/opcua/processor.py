# mypy: disallow-untyped-calls=False
# (the library's connection classes carry no types)
"""The messages of one connection (Part 4, Part 6): which services there are, who may call them, and the Publish road."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData, ServiceError
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary

from gateway.wire.opcua import handshake, limits, permissions, ticks
from gateway.wire.opcua.bulk import BULK, check_count
from gateway.wire.opcua.bulk import request_number as _request
from gateway.wire.opcua.channel import Channel
from gateway.wire.opcua.chunks import HEAD_BYTES
from gateway.wire.opcua.diagnostics import Calls
from gateway.wire.opcua.guards import MALFORMED, Malformed, bound_elements, decoded
from gateway.wire.opcua.heads import Publish, acknowledgements, request_head, usual_publish
from gateway.wire.opcua.later import Later
from gateway.wire.opcua.publish_requests import Asked, PublishRequests, asked
from gateway.wire.opcua.reads import Reads
from gateway.wire.opcua.requests import create_items_request
from gateway.wire.opcua.sessions import Session, check_operations
from gateway.wire.opcua.terms import status_code
from gateway.wire.opcua.trust import Untrusted
from gateway.wire.opcua.waiting import WAITING, Work, work_of

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior

_CREATE_SESSION: Final = _request("CreateSession")
_ACTIVATE_SESSION: Final = _request("ActivateSession")
_CLOSE_SESSION: Final = _request("CloseSession")
_READ: Final = _request("Read")
_CREATE_ITEMS: Final = _request("CreateMonitoredItems")
_BROWSE: Final = _request("Browse")
_REGISTER_NODES: Final = _request("RegisterNodes")
_UNREGISTER_NODES: Final = _request("UnregisterNodes")
_PUBLISH: Final = _request("Publish")
_REPUBLISH: Final = _request("Republish")
_BROWSE_NEXT: Final = _request("BrowseNext")
_SET_TRIGGERING: Final = _request("SetTriggering")
_SESSIONLESS: Final = frozenset(
    (
        *(_request(name) for name in ("FindServers", "GetEndpoints", "CloseSecureChannel")),
        *(_CREATE_SESSION, _ACTIVATE_SESSION, _CLOSE_SESSION),
    )
)
_BY_LIBRARY: Final = _SESSIONLESS | frozenset(
    _request(name)
    for name in (
        "CreateSubscription",
        "TransferSubscriptions",
        "ModifySubscription",
        "SetPublishingMode",
        "DeleteSubscriptions",
        "SetMonitoringMode",
        "DeleteMonitoredItems",
    )
)
"""Decoded and answered by the library, with the session's methods in between.

Everything else but our own (`Processor._own`) is BadServiceUnsupported.
"""

_GOOD: Final = 0
_RESPONSE_HEAD: Final = struct.Struct("<qIIBiBBB")  # time, handle, result, no diagnostics, no strings, null ExtensionObject
_REPUBLISH_RESPONSE: Final = nodeid_to_binary(ua.RepublishResponse().TypeId)
_BROWSE_RESPONSE: Final = nodeid_to_binary(ua.BrowseResponse().TypeId)
_BROWSE_NEXT_RESPONSE: Final = nodeid_to_binary(ua.BrowseNextResponse().TypeId)
_CREATE_ITEMS_RESPONSE: Final = nodeid_to_binary(ua.CreateMonitoredItemsResponse().TypeId)
_ITEM_RESULT: Final = struct.Struct("<IIdI3x")  # status, id, sampling interval, queue size, null FilterResult
_READ_RESPONSE: Final = nodeid_to_binary(ua.ReadResponse().TypeId)
_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"


class Processor(UaProcessor):
    """One connection's services. requests: its Publish requests that wait."""

    iserver: "Interior"
    session: Session | None

    def __init__(self, iserver: "Interior", transport: Any, transport_limits: Any, refuse: Callable[[int], None]) -> None:
        super().__init__(iserver, transport, transport_limits)
        self._connection: Channel = Channel(iserver.admission, self._limits)
        self._refuse = refuse
        self._reads = Reads(iserver.face)
        self._greeted = False
        self._later = Later()
        self._before_session = Calls()
        self.requests = PublishRequests(iserver.subscription_service, transport, self._respond, self._fault)
        self._own: dict[Any, Callable[[ua.RequestHeader, Any, Buffer], Awaitable[None] | None]] = {
            _PUBLISH: self._publish,
            _REPUBLISH: self._republish,
            _BROWSE: self._browse,
            _BROWSE_NEXT: self._browse_next,
            _REGISTER_NODES: self._register_nodes,
            _UNREGISTER_NODES: self._unregister_nodes,
            _SET_TRIGGERING: self._set_triggering,
        }

    async def process(self, header: Any, body: Buffer) -> bool:
        """Part 6, 7.1.2.3: a client says first, and once, how much it takes, at least 8192 bytes at a time."""
        if (header.MessageType == ua.MessageType.Hello) is self._greeted:
            raise ua.uaerrors.UaStatusCodeError(ua.StatusCodes.BadTcpMessageTypeInvalid)
        if header.MessageType == ua.MessageType.Hello:
            self._greeted = True
            hello = struct_from_binary(ua.Hello, body.copy())
            if min(hello.ReceiveBufferSize, hello.SendBufferSize) < limits.SMALLEST_BUFFER_BYTES:
                raise ua.uaerrors.UaStatusCodeError(ua.StatusCodes.BadConnectionRejected)
            self.requests.message_bytes = hello.MaxMessageSize
        elif header.MessageType == ua.MessageType.SecureOpen:
            await self.iserver.refresh()
        try:
            keep = await super().process(header, body)
        except Untrusted as refused:
            await self.iserver.admission.turn_away(refused, self._connection.shown, self.origin)
            raise ua.uaerrors.UaStatusCodeError(refused.said) from None
        if self._transport.get_write_buffer_size() > limits.UNREAD_BYTES:
            self.iserver.face.count("slow_clients_closed")
            return False
        return bool(keep)

    @property
    def origin(self) -> str:
        """Whence the client speaks, for the audit."""
        return f"opcua:{self.name[0] if isinstance(self.name, tuple) else self.name}"

    @property
    def channel(self) -> Channel:
        return self._connection

    async def process_message(self, seqhdr: Any, body: Buffer) -> bool:
        bound_elements(limits.ELEMENTS)
        typeid, header = request_head(body)
        self._calls.called(typeid.Identifier, self.iserver.face.now_ns())
        code: int | None = ua.StatusCodes.BadInternalError  # what a fault of our own is answered with, on its way up to the log
        try:
            keep = bool(await self._process_message(typeid, header, seqhdr, body))
            code = None
        except (ServiceError, ua.uaerrors.UaStatusCodeError) as refused:
            keep, code = True, refused.code
        except Untrusted as stranger:
            await self.iserver.admission.turn_away(stranger, self._connection.shown, self.origin)
            keep, code = True, stranger.said
        except (Malformed, NotEnoughData):  # the latter of what the library reads bare, as of a CloseSession
            self.iserver.face.count("malformed_requests")
            keep, code = True, ua.StatusCodes.BadDecodingError
        except MALFORMED as fault:  # our own: the client learns no more, the log all of it, and the connection goes on
            keep = True
            asyncio.get_running_loop().call_exception_handler({"message": f"OPC UA request {typeid}", "exception": fault})
        finally:
            if code is not None:
                self._refused(typeid.Identifier, header.RequestHandle, seqhdr.RequestId, code)
        return keep

    def at_once(self, data: bytes, at: int, size: int) -> bool:
        """A Publish of the usual form is taken as it comes: it is half of what small messages cost. False = not that, nothing happened."""
        session = self.session
        if session is None or session.carrier is not self or not session.is_activated() or not permissions.has_role(session.caller):
            return False
        if self._transport.get_write_buffer_size() > limits.UNREAD_BYTES:
            return False
        token: Any = session.auth_token.Identifier
        publish = usual_publish(data, at + HEAD_BYTES, at + size, token)
        if publish is None or len(publish.acknowledgements) > limits.ITEMS_PER_CALL:
            return False
        whole = self._connection.whole(data, at, _every)
        if whole is None:
            return False
        self.session_last_activity = time.monotonic()
        session.touch()
        session.calls.called(_PUBLISH, self.iserver.face.now_ns())
        try:
            self.requests.take(session.session_id, publish, whole[0])
        except ServiceError as refused:
            self._refused(_PUBLISH, publish.handle, whole[0], refused.code)
        return True

    @property
    def _calls(self) -> Calls:
        """Where this connection's requests are counted: with its session, once there is one."""
        return self._before_session if self.session is None else self.session.calls

    def _refused(self, service: Any, handle: int, request: int, code: int) -> None:
        """As a whole."""
        self._calls.fault(service, code)
        self.iserver.diagnostics.totals.fault(code, signing_in=service in (_CREATE_SESSION, _ACTIVATE_SESSION))
        self._fault(handle, request, code)

    def _fault(self, handle: int, request: int, code: int) -> None:
        fault, none, number = ua.ServiceFault(), cast("ua.UInt32", 0), cast("ua.UInt32", request)
        fault.ResponseHeader.ServiceResult = status_code(code)
        self.send_response(handle, ua.SequenceHeader(none, number), fault)

    async def _process_message(self, typeid: ua.NodeId, requesthdr: ua.RequestHeader, seqhdr: Any, body: Buffer) -> bool:
        service = typeid.Identifier if typeid.NamespaceIndex == 0 else None
        await self._admit(service, requesthdr)
        check_count(service, body)
        own = self._own.get(service)
        if own is not None:
            work_left = own(requesthdr, seqhdr, body)
            if work_left is not None:
                await work_left
        elif (service == _READ and self._read(requesthdr, seqhdr, body)) or (
            service == _CREATE_ITEMS and await self._create_items(requesthdr, seqhdr, body)
        ):
            pass
        elif service in BULK:
            assert self.session is not None
            answer = await BULK[service].answer(body, self.session, self.iserver.codec)
            self._respond(BULK[service].response, asked(requesthdr, seqhdr), answer)
        elif service in WAITING:
            assert self.session is not None
            message_bytes = min(self.requests.message_bytes or limits.MESSAGE_BYTES, limits.MESSAGE_BYTES)
            work = await work_of(service, Buffer(_rest(body)), self.session, self.iserver, message_bytes)
            await self._later.start(lambda: self._aside(requesthdr, seqhdr, work))
        elif service == _CREATE_SESSION:
            await self._create_session(requesthdr, seqhdr, body)
        elif service == _ACTIVATE_SESSION:
            await self._activate_session(requesthdr, seqhdr, body)
        elif service in _BY_LIBRARY:
            return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        else:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        return True

    async def _admit(self, service: Any, header: ua.RequestHeader) -> None:
        """Raises ServiceError where this connection may not ask for that now."""
        if service == _CREATE_SESSION:
            if self.session is not None and self.session.state is not SessionState.Closed:
                raise ServiceError(ua.StatusCodes.BadTooManySessions)  # one session for each connection
        elif service not in _SESSIONLESS or service == _CLOSE_SESSION:
            self._check_session(header, activated=service != _CLOSE_SESSION)

    def _check_session(self, header: ua.RequestHeader, *, activated: bool) -> None:
        session = self.session
        mine = session is not None and session.carrier is self and header.AuthenticationToken == session.auth_token
        if session is None or not mine or session.state is SessionState.Closed:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if activated and not session.is_activated():
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)
        if activated:
            permissions.admit(session.caller)
        self.session_last_activity = time.monotonic()
        session.touch()

    # --- sessions (Part 4, 5.6) ---

    async def _create_session(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        params = await self.iserver.codec.decode(ua.CreateSessionParameters, body)
        session, result = await handshake.create(self.iserver, self._connection, params, self.name, self.sockname)
        self.session, session.carrier = session, self
        response = ua.CreateSessionResponse()
        response.Parameters = result
        self.send_response(header.RequestHandle, seqhdr, response)

    async def _activate_session(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        """Also of a session that another connection carried: that one is closed (Part 4, 5.6.3.1)."""
        params = await self.iserver.codec.decode(ua.ActivateSessionParameters, body)
        found = self.iserver.lookup_external_session(header.AuthenticationToken)
        if not isinstance(found, Session) or (self.session is not None and self.session is not found):
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        result = await handshake.activate(self.iserver, self._connection, found, params, self.name)
        before, found.carrier = found.carrier, self
        if before is not None and before is not self:
            before.leave()
        self.session, found.connected, found.outlet = found, True, self.requests
        self._connection.signed_in = True
        self.iserver.subscription_service.rebind(found.session_id, self.requests)
        response = ua.ActivateSessionResponse()
        response.Parameters = result
        self.send_response(header.RequestHandle, seqhdr, response)

    def leave(self) -> None:
        """Its session has gone, or moved to another connection: this one has nothing to say any more."""
        self.session = None
        self.requests.clear()
        self._transport.close()

    # --- Publish (Part 4, 5.13.5) ---

    def _publish(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        assert self.session is not None
        publish = Publish(header.RequestHandle, header.TimeoutHint / 1000, acknowledgements(body))
        self.requests.take(self.session.session_id, publish, seqhdr.RequestId)

    def _republish(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        assert self.session is not None
        params = decoded(ua.RepublishParameters, body)
        message = self.session.own(params.SubscriptionId).sent(params.RetransmitSequenceNumber)
        self._respond(_REPUBLISH_RESPONSE, asked(header, seqhdr), message)

    # --- what is encoded by hand ---

    async def _browse(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        assert self.session is not None
        results = await self.iserver.views.browse(await self.iserver.codec.decode(ua.BrowseParameters, body), self.session.points)
        self._respond(_BROWSE_RESPONSE, asked(header, seqhdr), _array(results))

    async def _browse_next(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        assert self.session is not None
        results = await self.iserver.views.browse_next(decoded(ua.BrowseNextParameters, body), self.session.points)
        self._respond(_BROWSE_NEXT_RESPONSE, asked(header, seqhdr), _array(results))

    def _register_nodes(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        """Part 4, 5.8.5: a NodeId of ours is as good as an alias for it."""
        response = ua.RegisterNodesResponse()
        response.Parameters.RegisteredNodeIds = decoded(ua.RegisterNodesParameters, body).NodesToRegister
        check_operations(response.Parameters.RegisteredNodeIds, limits.NODES_PER_REGISTER)
        self.send_response(header.RequestHandle, seqhdr, response)

    def _unregister_nodes(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        check_operations(decoded(ua.UnregisterNodesParameters, body).NodesToUnregister, limits.NODES_PER_REGISTER)
        self.send_response(header.RequestHandle, seqhdr, ua.UnregisterNodesResponse())

    def _set_triggering(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> None:
        assert self.session is not None
        params = decoded(ua.SetTriggeringParameters, body)
        check_operations([*params.LinksToAdd, *params.LinksToRemove], limits.ITEMS_PER_CALL)
        items = self.session.own(params.SubscriptionId).monitored_item_srv
        removed, added = items.set_triggering(params.TriggeringItemId, params.LinksToAdd, params.LinksToRemove)
        response = ua.SetTriggeringResponse()
        response.Parameters.AddResults = [status_code(code) for code in added]
        response.Parameters.RemoveResults = [status_code(code) for code in removed]
        self.send_response(header.RequestHandle, seqhdr, response)

    async def _create_items(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> bool:
        """Items on tags' Values only; False = not that, the general road."""
        wanted = create_items_request(_rest(body))
        if wanted is None or wanted.stamps not in (0, 1, 2, 3) or not 0 < len(wanted.items) <= limits.ITEMS_PER_CALL:
            return False
        space = self.iserver.face.space
        if any(space.tag_id(key) is None for key, _, _ in wanted.items):
            return False
        assert self.session is not None
        subscription = self.session.own(wanted.subscription_id)
        made = await subscription.monitored_item_srv.create_tags(wanted.items, wanted.stamps)
        self._respond(_CREATE_ITEMS_RESPONSE, asked(header, seqhdr), _array([_ITEM_RESULT.pack(*result) for result in made]))
        return True

    def _read(self, header: ua.RequestHeader, seqhdr: Any, body: Buffer) -> bool:
        """A Read of tags' Values only, answered from the columns at once; False = not that, the general road."""
        answer = self._reads.answer(_rest(body))
        if answer is None:
            return False
        self._respond(_READ_RESPONSE, asked(header, seqhdr), answer)
        return True

    async def _aside(self, header: ua.RequestHeader, seqhdr: Any, work: Work) -> None:
        """Beside the other requests. The request is sound: what goes wrong now is a fault of our own, on its way up to the log."""
        answer = None
        try:
            answer = await work()
        finally:
            if not self._transport.is_closing():
                if answer is None:
                    self._fault(header.RequestHandle, seqhdr.RequestId, ua.StatusCodes.BadInternalError)
                else:
                    self._respond(answer[0], asked(header, seqhdr), answer[1])

    def _respond(self, response: bytes, asked: Asked, *body: bytes) -> None:
        if self._transport.is_closing():
            return
        now = self.iserver.face.now_ns() // 100 + ticks.EPOCH_1970
        head = _RESPONSE_HEAD.pack(now, asked.handle, _GOOD, 0, -1, 0, 0, 0)
        self._transport.write(self._connection.message_to_binary(b"".join((response, head, *body)), request_id=asked.request))

    async def close(self) -> None:
        self._later.cancel()
        self.requests.clear()
        if self.session is not None:
            self.session.connected, self.session.carrier = False, None
        await super().close()
        if self.session is not None and self.session.state is SessionState.Closed:
            self.iserver.subscription_service.forget(self.session.session_id)


def _every(_request: int) -> bool:
    return True


def _rest(body: Buffer) -> bytes:
    """What is left to decode."""
    return bytes(body._data[body._cur_pos : body._cur_pos + body._size])


def _array(encoded: list[bytes]) -> bytes:
    """Results, and no diagnostics."""
    return b"".join((struct.pack("<i", len(encoded)), *encoded, _NO_DIAGNOSTICS))
