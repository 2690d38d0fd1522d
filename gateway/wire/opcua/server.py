# mypy: disallow-untyped-calls=False
# (the library's transport and policy classes carry no types)
"""The OPC UA server: the library's transport and codec, our address space and our services.

server = OpcUaServer(Settings(...), face); await server.start(); server.url; await server.stop()
"""

import asyncio
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.user_managers import UserManager

from gateway.contracts import NotConnected
from gateway.wire.opcua import endpoints, limits
from gateway.wire.opcua.admission import Admission
from gateway.wire.opcua.call import Calls
from gateway.wire.opcua.capabilities import NAME, NOT_SERVED, PRODUCT, describe
from gateway.wire.opcua.diagnostics import Diagnostics
from gateway.wire.opcua.face import Face
from gateway.wire.opcua.guards import guard_codec
from gateway.wire.opcua.historian import Historian
from gateway.wire.opcua.limits import Limits
from gateway.wire.opcua.listener import Listener
from gateway.wire.opcua.nodes import Nodes
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.pace import Codec
from gateway.wire.opcua.publishing import Publishing
from gateway.wire.opcua.server_methods import own_methods
from gateway.wire.opcua.sessions import Session
from gateway.wire.opcua.standard import StandardNodes, standard_file
from gateway.wire.opcua.terms import namespace_of, now
from gateway.wire.opcua.trust import Untrusted
from gateway.wire.opcua.views import Views

_SWEEP_S: Final = 5.0
_EVERYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - recognised, not bound to


@dataclass(frozen=True, slots=True)
class Settings:
    """name of the gateway; cache: a folder that may be written, for the standard nodes where the package brings none; pki: certificates.

    security: policies by name, with both modes, or `policy/mode`. insecure opens a door without security as well; anonymous: who does not
    sign in is asked about, too.
    """

    name: str
    host: str
    port: int
    version: str
    cache: Path
    pki: Path
    security: tuple[str, ...] = ()
    insecure: bool = False
    anonymous: bool = False
    anonymous_role: str = "none"
    limits: Limits = field(default_factory=Limits)

    @property
    def application_uri(self) -> str:
        return f"urn:{socket.gethostname()}:edgetwin:{self.name}"

    @property
    def namespace(self) -> str:
        return namespace_of(self.name)


class Anonymous(UserManager):
    """Nobody is anybody to the library: who has signed in is the session's caller."""

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002 the library's signature
        username: Any = None,
        password: Any = None,
        certificate: Any = None,  # noqa: ARG002 likewise
    ) -> User | None:
        return User(role=UserRole.User) if username is None and password is None else None


class Interior(InternalServer):
    """The library's inner server with our services in it."""

    subscription_service: Publishing

    def __init__(self, settings: Settings, face: Face, nodes: Nodes) -> None:
        super().__init__(user_manager=Anonymous())
        self.settings, self.face, self.nodes = settings, face, nodes
        open_doors = endpoints.doors(settings.security, insecure=settings.insecure)
        self.admission = Admission(settings.pki, open_doors, face, anonymous=settings.anonymous)
        self.url = ""
        self._channel_id_counter = secrets.randbelow(2**30)  # Part 6, 6.7.1: not the same after a restart
        self.started = now()
        self.aspace._nodes = nodes  # type: ignore[assignment]
        self.views, self.codec = Views(nodes), Codec()
        self.calls = Calls(nodes, face, own_methods())
        self.diagnostics = Diagnostics(self)
        self.subscription_service = Publishing(self.aspace, self)
        self.historian = Historian(face, nodes, self.subscription_service.events.types)
        self.isession.subscription_service = self.subscription_service
        self.supported_tokens = (ua.AnonymousIdentityToken,)  # type: ignore[assignment]
        self.allow_remote_admin = False
        self.max_connections, self.max_connections_per_address = (settings.limits.sessions + spare for spare in limits.SPARE_CONNECTIONS)
        self.max_pending_activation_seconds = 0.0  # the listener's sweep sees to it
        self.min_session_timeout_ms, self.max_session_timeout_ms = limits.SESSION_TIMEOUT_MS

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> Session:
        """Raises ServiceError BadTooManySessions."""
        if external and len(self._external_sessions) >= self.settings.limits.sessions:
            self.face.count("sessions_refused")
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        return Session(self, self.aspace, self.subscription_service, name, user=user or User(role=UserRole.Anonymous), external=external)

    async def make_room(self) -> None:
        """Where all sessions are taken, one that nobody has signed in to gives way, or the one that has been without a connection for the
        longest (Part 4, 5.6.2).
        """
        if len(self._external_sessions) < self.settings.limits.sessions:
            return
        waiting = [session for session in self.sessions() if not session.is_activated()]
        lost = waiting or [session for session in self.sessions() if not session.connected]
        if lost:
            self.face.count("sessions_evicted")
            self.diagnostics.totals.aborted_sessions += 1
            await min(lost, key=lambda session: session._last_activity).close_session(why="gave way to another")

    def sessions(self) -> list[Session]:
        """The clients' sessions, oldest first."""
        return [session for session in self._external_sessions.values() if isinstance(session, Session)]

    async def refresh(self) -> None:
        """What has changed in the folder of certificates holds at once, for those who are there as well."""
        if not await self.admission.refresh():
            return
        for session in self.sessions():
            carrier = session.carrier
            if carrier is None or not carrier.channel.secure:
                continue
            try:
                self.admission.trusted(carrier.channel.shown)
            except Untrusted as refused:
                await self.admission.turn_away(refused, carrier.channel.shown, session.origin)
                await self.end(session)

    async def end(self, session: Session) -> None:
        """The session with its subscriptions and its connection."""
        carrier = session.carrier
        await session.close_session(why="ended by the gateway")
        if carrier is not None:
            carrier.leave()

    @property
    def application(self) -> ua.ApplicationDescription:
        return ua.ApplicationDescription(
            ApplicationUri=self.settings.application_uri,
            ProductUri=PRODUCT,
            ApplicationName=ua.LocalizedText(NAME, "en"),
            ApplicationType=ua.ApplicationType.Server,
            DiscoveryUrls=[self.url],
        )

    async def get_endpoints(self, params: Any = None, sockname: Any = None) -> list[ua.EndpointDescription]:
        """Part 4, 5.4.4."""
        url = endpoints.address(None if params is None else params.EndpointUrl, sockname, self.url)
        return endpoints.addressed(self.admission.endpoints(self.application), url, None if params is None else params.ProfileUris)

    def find_servers(self, params: ua.FindServersParameters, sockname: Any = None) -> list[ua.ApplicationDescription]:
        """Part 4, 5.4.2: this one, where it is asked for."""
        if params.ServerUris and self.settings.application_uri not in params.ServerUris:
            return []
        application = self.application
        application.DiscoveryUrls = [endpoints.address(params.EndpointUrl, sockname, self.url)]
        return [application]

    def set(self, identifier: int, value: ua.Variant) -> None:
        """The value of a standard node, for good."""
        self.nodes.standard.pin(identifier).attributes[ua.AttributeIds.Value].value = ua.DataValue(value)

    def compute(self, identifier: int, read: Any) -> None:
        """The value of a standard node, worked out at each read."""
        held = self.nodes.standard.pin(identifier).attributes[ua.AttributeIds.Value]
        held.value_callback = lambda _nodeid, _attribute: ua.DataValue(read(), SourceTimestamp=now())


class OpcUaServer:
    """The doors that its settings open, on one port."""

    def __init__(self, settings: Settings, face: Face) -> None:
        self._settings, self._face = settings, face
        self._interior: Interior | None = None
        self._listener: Listener | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The endpoint's address, with the port that it really has."""
        port = self._listener.port if self._listener is not None else self._settings.port
        host = socket.gethostname() if self._settings.host in _EVERYWHERE else self._settings.host
        host = f"[{host}]" if ":" in host else host
        return f"opc.tcp://{host}:{port}{endpoints.PATH}"

    @property
    def interior(self) -> Interior | None:
        """None while it does not run."""
        return self._interior

    @property
    def certificate(self) -> tuple[bytes, int] | None:
        """Its own certificate (DER) and when it ends (UTC ns); None while it does not run."""
        own = None if self._interior is None else self._interior.admission.own
        return None if own is None else (own.server.certificate, round(own.expires_s * 1e9))

    async def start(self) -> None:
        """Raises NotConnected: the port is taken, or the standard nodes can be neither read nor made."""
        guard_codec()
        settings = self._settings
        try:
            standard = StandardNodes(await standard_file(settings.cache), NOT_SERVED)
        except (OSError, ValueError) as unreadable:
            raise NotConnected(f"OPC UA server: the file of standard nodes cannot be read: {unreadable}") from unreadable
        interior = Interior(settings, self._face, Nodes(standard, self._face.space))
        try:
            await interior.admission.open(settings.name, self._face.now_ns() / 1e9)
        except (OSError, ValueError) as damaged:
            raise NotConnected(f"OPC UA server: own certificate in {settings.pki}: {damaged}") from damaged
        standard.prepare = partial(describe, interior)  # with the first client: nobody needs it to listen
        transport = TransportLimits(limits.RECEIVE_BUFFER_BYTES, limits.RECEIVE_BUFFER_BYTES, limits.CHUNKS, limits.MESSAGE_BYTES)
        listener = Listener(interior, settings.host, settings.port, transport)
        try:
            await listener.start()
        except OSError as taken:
            raise NotConnected(
                f"OPC UA server: cannot listen on {settings.host}:{settings.port}: {taken.strerror or taken} "
                "(another program may hold the port)"
            ) from taken
        self._interior, self._listener = interior, listener
        interior.url = self.url
        self._sweeper = asyncio.create_task(self._sweep(interior, listener), name="opcua sweep")

    async def _sweep(self, interior: Interior, listener: Listener) -> None:
        while True:
            listener.sweep()
            await interior.admission.keep(self._settings.name, interior.admission.now_s())
            await interior.refresh()
            self._face.watched(interior.admission.own.expires_s)
            await asyncio.sleep(_SWEEP_S)

    async def sign_out(self, user: str) -> int:
        """Ends the sessions of that user with their subscriptions and connections; how many there were."""
        interior = self._interior
        theirs = [] if interior is None else [session for session in interior.sessions() if session.caller.user == user]
        for session in theirs:
            assert interior is not None
            await interior.end(session)
        return len(theirs)

    @property
    def listened_to(self) -> bool:
        """Whether any client has an event item."""
        return self._interior is not None and self._interior.subscription_service.events.listened_to

    def occur(self, occurrences: Iterable[Occurrence]) -> None:
        """Events, live, to the clients that listen above their sources. Not even looked at where nobody listens."""
        if self._interior is not None:
            self._interior.subscription_service.events.occur(occurrences)

    async def stop(self) -> None:
        """Idempotent. Tells the clients nothing but closes their connections; all subscriptions end."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None
        interior, listener = self._interior, self._listener
        self._interior = self._listener = None
        if listener is not None:
            await listener.stop()
        if interior is not None:
            await interior.subscription_service.delete_subscriptions(list(interior.subscription_service.subscriptions))
            for session in interior.sessions():
                await session.close_session(why="the server stopped")
            interior.method_service.stop()
            interior.codec.close()
