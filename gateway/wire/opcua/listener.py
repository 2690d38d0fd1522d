"""The port: connections as they come, those that give way, and those whose time is over."""

import asyncio
import time
from collections import Counter

from asyncua.server.binary_server_asyncio import BinaryServer

from gateway.wire.opcua import limits
from gateway.wire.opcua.guards import GuardedProtocol
from gateway.wire.opcua.processor import Processor


class Connection(GuardedProtocol):
    """A client's socket with our processor behind it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Where there are too many, the oldest that nobody has signed in on gives way (Part 4, 5.5.2), of the host with most of them."""
        self.made_s = time.monotonic()
        if len(self.clients) >= self.iserver.max_connections:
            idle = [one for one in self.clients if isinstance(one, Connection) and not one.signed_in]
            hosts = Counter(one.host for one in idle)
            if idle:
                self.iserver.face.count("connections_evicted")  # type: ignore[attr-defined]
                most = max(hosts.values())
                next(one for one in idle if hosts[one.host] == most).cut()
        super().connection_made(transport)
        if self.processor is not None:
            assert self.transport is not None
            self.processor = Processor(self.iserver, self.transport, self.limits, self.refuse)  # type: ignore[arg-type]

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
        """Closed where nobody signs in, or its channel was not renewed."""
        if self.signed_in:
            self.made_s = now_s
        idle = now_s - self.made_s > limits.ACTIVATION_S
        if self.transport is not None and (idle or (isinstance(self.processor, Processor) and self.processor.channel.expired())):
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
