"""One session to one OPC UA server: the client's only door to asyncua.

What asyncua 2.1.0 gives is used for channel, session, security and the slow services. Publish goes past it: a request packed by hand, an
answer handed on as bytes, several under way at once. A link is opened once; after a loss make a new one, for a reused client hangs where
packets vanish.
"""

import asyncio
import contextlib
import functools
import logging
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from asyncua import ua as _ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClientState
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.contracts import NotConnected
from gateway.model.quality import BAD_TIMEOUT
from gateway.wire.opcua import certificates
from gateway.wire.opcua.guards import guard_codec
from gateway.wire.opcua.mended import Answered, MendedClient, Reply, watch_socket, words
from gateway.wire.opcua.policies import Aes128Sha256RsaOaep, Aes256Sha256RsaPss, Basic256Sha256
from gateway.wire.opcua.ticks import EPOCH_1970

ua: Any = _ua  # its types are NewTypes over int and str that nobody builds by hand
T = TypeVar("T")

POLICIES: Final[dict[str, Any]] = {cls.__name__: cls for cls in (Basic256Sha256, Aes128Sha256RsaOaep, Aes256Sha256RsaPss)}
MODES: Final = {"Sign": ua.MessageSecurityMode.Sign, "SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt}

_CHANNEL_LIFETIME_MS: Final = 600_000  # short, so that a lost renewal is noticed early
_LINK_CODES: Final = frozenset(
    {
        0x8005_0000,  # BadCommunicationError
        0x800D_0000,  # BadServerNotConnected
        0x8022_0000,  # BadSecureChannelIdInvalid
        0x8025_0000,  # BadSessionIdInvalid
        0x8026_0000,  # BadSessionClosed
        0x8027_0000,  # BadSessionNotActivated
        0x8086_0000,  # BadSecureChannelClosed
        0x8087_0000,  # BadSecureChannelTokenUnknown
        0x80AC_0000,  # BadRequestInterrupted
        0x807D_0000,  # BadTcpServerTooBusy .. the transport's codes follow
        0x807E_0000,
        0x807F_0000,  # BadTcpSecureChannelUnknown
        0x8080_0000,
        0x8081_0000,
        0x8082_0000,
        0x8085_0000,
    }
)


class Refused(Exception):
    """The server answered a whole request with a Bad StatusCode; the link lives."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{what}: {ua.StatusCode(status).name}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Security:
    """policy and mode by their names; certificate and key of this side; pinned = the server's certificate, else pki decides."""

    policy: str
    mode: str
    certificate: Path
    key: Path
    pki: Path
    pinned: Path | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a server. Times in seconds; application_uri must stand in the certificate."""

    url: str
    application_uri: str = "urn:edgetwin:client"
    name: str = "edgetwin"
    security: Security | None = None
    user: str | None = None
    password: str | None = None
    session_timeout: float = 60.0
    request_timeout: float = 5.0


class Link:
    """An activated session. lost is called once, with the reason, when the link is gone for whatever cause but close()."""

    def __init__(self, client: Client, access: Access, lost: Callable[[str], None]) -> None:
        self._client = client
        self._access = access
        self._lost: Callable[[str], None] | None = lost
        self._token = b""

    @classmethod
    async def open(cls, access: Access, lost: Callable[[str], None], now_s: float) -> "Link":
        """Socket, channel, session, within three request timeouts at most. Raises NotConnected."""
        prepare()
        client = MendedClient(access.url, access.request_timeout)
        client.name = client.description = access.name
        client.application_uri = access.application_uri
        client.secure_channel_timeout = _CHANNEL_LIFETIME_MS
        client.session_timeout = round(access.session_timeout * 1000)
        link = cls(client, access, lost)
        try:
            async with asyncio.timeout(3 * access.request_timeout):
                await link._connect(now_s)
        except BaseException as fault:
            link._lost = None
            client.disconnect_socket()
            if isinstance(fault, certificates.Untrusted | UaError | OSError | TimeoutError | ValueError | struct.error):
                raise NotConnected(f"{access.url}: {words(fault)}") from fault
            raise
        return link

    async def _connect(self, now_s: float) -> None:
        client, access = self._client, self._access
        if access.user is not None:
            client.set_user(access.user)
            client.set_password(access.password or "")
        if access.security is not None:
            await self._secure(access.security, now_s)
        await client._connect_sequence()
        watch_socket(client)
        self._token = nodeid_to_binary(client.uaclient.session.authentication_token)
        client.uaclient._add_state_listener(self._on_state)
        if client._renew_channel_task is not None:
            client._renew_channel_task.add_done_callback(self._on_renewal_end)

    async def _secure(self, security: Security, now_s: float) -> None:
        client = self._client
        policy, mode = POLICIES[security.policy], MODES[security.mode]
        endpoints = await client.connect_and_get_server_endpoints()
        endpoint = Client.find_endpoint(endpoints, mode, policy.URI)
        der = _first_certificate(endpoint.ServerCertificate or b"")
        await asyncio.to_thread(certificates.check_peer, der, security.pki, security.pinned, now_s)
        own = CertProperties(await asyncio.to_thread(certificates.der, security.certificate), "der")
        await client.set_security(policy, own, str(security.key), server_certificate=CertProperties(der, "der"), mode=mode)

    def _on_state(self, state: UaClientState) -> None:
        if state is UaClientState.DISCONNECTED:
            self.fail("the server closed the connection")

    def _on_renewal_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.fail(f"the secure channel could not be renewed: {words(fault)}")

    def fail(self, why: str) -> None:
        """The link is of no use any more: tell the owner, once."""
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(why)

    async def close(self, *, keep_subscriptions: bool = False) -> None:
        """Idempotent; a few seconds at most; raises nothing. keep_subscriptions: the server keeps them for a transfer."""
        self._lost = None
        client = self._client
        await Client._cancel_task(client._renew_channel_task)
        client.uaclient.request_disconnect()
        client.uaclient.pre_request_hook = None
        with contextlib.suppress(UaError, OSError, TimeoutError):
            async with asyncio.timeout(min(2.0, self._access.request_timeout)):
                await client.uaclient.close_session(not keep_subscriptions)
                await client.uaclient.close_secure_channel()
        client.disconnect_socket()

    def drop(self) -> None:
        """The socket alone, without a word to the server: what a cable pulled looks like."""
        self._lost = None
        if self._client._renew_channel_task is not None:
            self._client._renew_channel_task.cancel()
        self._client.disconnect_socket()

    # --- services ------------------------------------------------------------------------------------------------------------------------

    @property
    def session(self) -> Any:
        """asyncua's session, for the services that it has; call it through `ask`."""
        return self._client.uaclient.session

    async def ask(self, what: str, answer: Awaitable[T], timeout_s: float | None = None) -> T:
        """The answer of a service. Raises Refused (the server said no) and NotConnected (the link is gone, or too slow)."""
        try:
            async with asyncio.timeout(timeout_s or self._access.request_timeout):
                return await answer
        except UaStatusCodeError as refusal:
            if refusal.code in _LINK_CODES:
                self.fail(f"{what}: {words(refusal)}")
                raise NotConnected(f"{self._access.url}: {what}: {words(refusal)}") from refusal
            raise Refused(refusal.code, what) from refusal
        except (UaError, OSError, TimeoutError, struct.error, ValueError) as fault:
            self.fail(f"{what}: {words(fault)}")
            raise NotConnected(f"{self._access.url}: {what}: {words(fault)}") from fault

    async def request(self, what: str, request: Any, response: type[T]) -> T:
        """Any service by its request structure. Raises Refused, NotConnected."""

        async def answer() -> T:
            found: Any = struct_from_binary(response, await self.session._send_request(request))
            found.ResponseHeader.ServiceResult.check()
            return found  # type: ignore[no-any-return]

        return await self.ask(what, answer())

    async def raw(self, what: str, request: Any, patience_s: float | None = None) -> bytes:
        """The answer's bytes, for an answer that becomes columns. Raises Refused for a ServiceFault, NotConnected.

        With a patience of its own the service may be slow without a doubt about the link: Refused with BadTimeout.
        """
        if patience_s is None:
            return bytes(await self.ask(what, self.session._send_request(request)))
        try:
            async with asyncio.timeout(patience_s):
                return bytes(await self.ask(what, self.session._send_request(request, patience_s + 1.0), 2 * patience_s))
        except TimeoutError as fault:
            raise Refused(BAD_TIMEOUT, what) from fault

    async def namespaces(self) -> list[str]:
        """The server's NamespaceArray. Raises Refused, NotConnected."""
        value = await self.read([(ua.NodeId(ua.ObjectIds.Server_NamespaceArray), ua.AttributeIds.Value)])
        found = value[0].Value.Value if value[0].Value is not None else None
        return [str(uri) for uri in found or []]

    async def alive(self) -> None:
        """A sign of life: the server's state is read. Raises Refused, NotConnected."""
        await self.read([(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State), ua.AttributeIds.Value)])

    async def read(self, wanted: Sequence[tuple[Any, Any]], index_range: Sequence[str | None] = ()) -> list[Any]:
        """Attributes as they are, Bad or not, in one request."""
        parameters = ua.ReadParameters()
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        for place, (node, attribute) in enumerate(wanted):
            item = ua.ReadValueId(NodeId=node, AttributeId=attribute)
            if index_range:
                item.IndexRange = index_range[place]
            parameters.NodesToRead.append(item)
        return list(await self.ask("Read", self.session.read(parameters)))

    async def inverse(self, node: Any, reference: Any) -> list[Any]:
        """NodeIds at the other end of a node's inverse references of one type. Raises Refused, NotConnected."""
        wanted = ua.BrowseDescription()
        wanted.NodeId, wanted.ReferenceTypeId = node, reference
        wanted.BrowseDirection, wanted.IncludeSubtypes = ua.BrowseDirection.Inverse, True
        parameters = ua.BrowseParameters(NodesToBrowse=[wanted])
        found = await self.ask("Browse", self.session.browse(parameters))
        return [one.NodeId for one in found[0].References or []] if found else []

    # --- Publish, past asyncua's objects -----------------------------------------------------------------------------------------------

    def publish(self, acknowledged: Sequence[tuple[int, int]], answered: Answered) -> None:
        """Send one PublishRequest; acknowledged = (subscription, sequence). answered is called once. Raises NotConnected."""
        request = self._header(826) + _I32.pack(len(acknowledged)) + b"".join(_ACK.pack(*pair) for pair in acknowledged)
        self._send(request, answered)

    async def republished(self, subscription: int, sequence: int, patience_s: float) -> bytes | None:
        """The answer to a Republish (Part 4, 5.14.6); None where none comes in time or the link is gone."""
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def answered(body: bytes | None, _fault: str) -> None:
            if not answer.done():
                answer.set_result(body)

        try:
            self._send(self._header(832) + _ACK.pack(subscription, sequence), answered)
            return await asyncio.wait_for(answer, patience_s)
        except (NotConnected, TimeoutError):
            return None

    @staticmethod
    def is_fatal(status: int) -> bool:
        """Whether a StatusCode of a whole service means that session or channel are gone."""
        return status in _LINK_CODES

    def _header(self, kind: int) -> bytes:
        protocol = self._client.uaclient.protocol
        if protocol is None:
            raise NotConnected(f"{self._access.url}: the connection is closed")
        protocol._request_handle += 1
        return (
            b"\x01\x00"
            + kind.to_bytes(2, "little")
            + self._token
            + _HEADER.pack(time.time_ns() // 100 + EPOCH_1970, protocol._request_handle, 0, -1, 0, 0, 0)
        )

    def _send(self, request: bytes, answered: Answered) -> None:
        protocol = self._client.uaclient.protocol
        if protocol is None or protocol.transport is None:
            raise NotConnected(f"{self._access.url}: the connection is closed")
        protocol.revolve_security_token()
        protocol._request_id += 1
        packed = protocol._connection.message_to_binary(request, request_id=protocol._request_id)
        waiting: dict[int, Any] = protocol._callbackmap  # of futures; a reply does what is asked of one
        waiting[protocol._request_id] = Reply(answered)
        protocol.transport.write(packed)


_HEADER = struct.Struct(
    "<qIIiIHB"
)  # Timestamp, RequestHandle, ReturnDiagnostics, AuditEntryId (null), TimeoutHint, AdditionalHeader (null)
_ACK = struct.Struct("<II")
_I32 = struct.Struct("<i")


@functools.cache
def prepare() -> None:
    """Once per process: lengths are checked while decoding, and of asyncua's line per request only what is wrong reaches the log."""
    guard_codec()
    logging.getLogger("asyncua").setLevel(logging.ERROR)


def _first_certificate(chain: bytes) -> bytes:
    """The leaf of a chain of DER certificates (Part 6, 6.2.3): its length stands in its first bytes."""
    if len(chain) < 4 or chain[:2] != b"\x30\x82":
        raise UaError("the endpoint has no usable certificate")
    return chain[: 4 + int.from_bytes(chain[2:4], "big")]
