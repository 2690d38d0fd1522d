"""asyncua's client where it has to be mended: its chunks, a password in the clear, the age of a token, a dead socket."""

import socket
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua as _ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.uaerrors import UaError

from gateway.model.address import is_loopback
from gateway.wire.opcua.chunks import Chunked

ua: Any = _ua  # its types are NewTypes over int and str that nobody builds by hand
_DEAD_AFTER_S: Final = 10  # of unacknowledged bytes, or of unanswered probes of the idle socket


class _Inner(UaClient):
    """The library's inner client with our chunks."""

    def _make_protocol(self) -> UASocketProtocol:
        made = super()._make_protocol()
        made._connection = Chunked(self.security_policy, made._connection._limits)
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
