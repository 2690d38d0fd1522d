"""asyncua's client where it has to be mended: its chunks, its way in, a password in the clear, the age of a token, a dead socket."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua as _ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.shortcuts import Shortcuts
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.uaerrors import UaError

from gateway.model.address import is_loopback
from gateway.wire.opcua.chunks import Chunked

ua: Any = _ua  # its types are NewTypes over int and str that nobody builds by hand
_DEAD_AFTER_S: Final = 10  # of unacknowledged bytes, or of unanswered probes of the idle socket


Answered = Callable[[bytes | None, str], None]
"""(answer, "") or (None, why there is none)."""


class Reply:
    """Stands where the library keeps a future: the answer goes on without a task to wake."""

    __slots__ = ("_answered",)

    def __init__(self, answered: Answered) -> None:
        self._answered: Answered | None = answered

    def done(self) -> bool:
        return self._answered is None

    def set_result(self, body: Buffer) -> None:
        self.take(body._data[body._cur_pos : body._cur_pos + body._size])

    def take(self, body: bytes) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(body, "")

    def set_exception(self, fault: BaseException) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(None, words(fault))


class _Protocol(UASocketProtocol):
    """The library's end of the socket, past which goes what a Reply waits for: a usual message costs a tenth of the library's way."""

    _connection: Chunked

    def data_received(self, data: bytes) -> None:
        if self.receive_buffer:
            data, self.receive_buffer = self.receive_buffer + data, None
        at, size = 0, len(data)
        while at < size and (whole := self._connection.whole(data, at, self._is_reply)) is not None:
            request, begin, at = whole
            waiting: dict[int, Any] = self._callbackmap
            waiting.pop(request).take(data[begin:at])
        if at < size:
            self._process_received_data(data[at:] if at else data)

    def _is_reply(self, request: int) -> bool:
        waiting: dict[int, Any] = self._callbackmap
        return type(waiting.get(request)) is Reply


class _Inner(UaClient):
    """The library's inner client with our chunks and our way in."""

    def _make_protocol(self) -> UASocketProtocol:
        before, made = super()._make_protocol(), _Protocol(self._timeout, self.security_policy)
        made._connection = Chunked(self.security_policy, made._connection._limits)
        made.pre_request_hook, made.on_connection_lost = before.pre_request_hook, before.on_connection_lost
        made.is_session_closing = before.is_session_closing
        self.protocol = made
        return made


class MendedClient(Client):
    """asyncua's client, but: it would take messages apart field by field, it would send a password in the clear, and it would hold the age
    of a token against the server's clock.
    """

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, timeout)
        before, self.uaclient = self.uaclient, _Inner(timeout)
        self.uaclient.pre_request_hook = before.pre_request_hook
        self.nodes = Shortcuts(self.uaclient.session)

    async def open_secure_channel(self, renew: bool = False) -> None:
        await super().open_secure_channel(renew)
        protocol = self.uaclient.protocol
        if protocol is not None:
            now = datetime.now(UTC)  # a controller's clock may be years off; the token's lifetime counts from here
            protocol._connection.security_token.CreatedAt = protocol._connection.next_security_token.CreatedAt = now

    def _add_user_auth(self, params: Any, username: str | None, password: str | None) -> None:
        policy = self.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        hidden = self.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        clear = (not policy or policy == SecurityPolicyNone.URI) and not hidden
        if clear and password and not is_loopback(self.server_url.hostname or ""):
            raise UaError("the server wants the password in the clear: set security")
        super()._add_user_auth(params, username, password)


def watch_socket(client: Client) -> None:
    """A peer that vanished is noticed within seconds, also while nothing is sent."""
    protocol = client.uaclient.protocol
    sock = protocol.transport.get_extra_info("socket") if protocol is not None and protocol.transport is not None else None
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", _DEAD_AFTER_S * 1000)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def words(fault: BaseException) -> str:
    """What a person reads of a fault of the link."""
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    return str(fault) or type(fault).__name__
