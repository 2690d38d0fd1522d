"""The port: connections as they come, those that give way, and those whose time is over."""

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from asyncua.server.binary_server_asyncio import BinaryServer

from gateway.wire.opcua import limits
from gateway.wire.opcua.guards import GuardedProtocol
from gateway.wire.opcua.processor import Processor

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior


class Connection(GuardedProtocol):
    """A client's socket with our processor behind it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Where there are too many, in all or of its address, one that nobody has signed in on gives way (Part 4, 5.5.2): the oldest of
        the address with most of them.
        """
        self.made_s = time.monotonic()
        interior: Interior = self.iserver  # type: ignore[assignment]
        self.peer_name = transport.get_extra_info("peername")
        theirs = [one for one in self.clients if isinstance(one, Connection) and one.host == self.host]
        if len(theirs) >= interior.max_connections_per_address:
            if not self._make_room(theirs, interior):
                transport.close()
                return
        elif len(self.clients) >= interior.max_connections:
            self._make_room([one for one in self.clients if isinstance(one, Connection)], interior)
        super().connection_made(transport)
        if self.processor is not None:
            assert self.transport is not None
            self.processor = Processor(interior, self.transport, self.limits, self.refuse)

    def at_once(self, data: bytes, at: int, size: int) -> bool:
        return isinstance(self.processor, Processor) and self.processor.at_once(data, at, size)

    @staticmethod
    def _make_room(connections: "list[Connection]", interior: "Interior") -> bool:
        idle = [one for one in connections if not one.signed_in]
        if not idle:
            return False
        interior.face.count("connections_evicted")
        hosts = Counter(one.host for one in idle)
        most = max(hosts.values())
        next(one for one in idle if hosts[one.host] == most).cut()
        return True

    @property
    def host(self) -> str:
        return str(self.peer_name[0] if isinstance(self.peer_name, tuple) else self.peer_name)

    @property
    def signed_in(self) -> bool:
        """Whether it carries a session that is activated."""
        session = None if self.processor is None else self.processor.session
        return session is not None and session.is_activated()

    def cut(self) -> None:
        """Closed at once, and counted no more."""
        if self in self.clients:
            self.clients.remove(self)
        if self.transport is not None:
            self.transport.abort()

    def sweep(self, now_s: float) -> None:
        """Closed where nobody opens a channel or signs in, or its channel was not renewed."""
        if self.transport is None or not isinstance(self.processor, Processor):
            return
        channel = self.processor.channel
        if self.signed_in:
            self.made_s = now_s
        if channel.expired() or now_s - self.made_s > (limits.ACTIVATION_S if channel.is_open() else limits.CHANNEL_S):
            self.transport.close()


class Listener(BinaryServer):
    def sweep(self) -> None:
        now_s = time.monotonic()
        for client in list(self.clients):
            if isinstance(client, Connection):
                client.sweep(now_s)

    def _make_protocol(self) -> Connection:
        return Connection(
            iserver=self.iserver, policies=self._policies, clients=self.clients, closing_tasks=self.closing_tasks, limits=self.limits
        )
