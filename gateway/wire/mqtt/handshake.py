"""What a connection starts from: the client object of aiomqtt for one attempt, TLS, socket options, and the words for a refusal."""

import asyncio
import socket
import ssl
from typing import Any, Final

import aiomqtt
from paho.mqtt.client import CleanStartOption
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.contracts import NotConnected
from gateway.wire.mqtt import reasons
from gateway.wire.mqtt.endpoint import Endpoint, Tls
from gateway.wire.mqtt.packets import V5

CONNECT_TIMEOUT_S: Final = 5.0
_RECEIVE_MAXIMUM: Final = 65_535  # how many unacknowledged messages we take at once (MQTT 5, 3.1.2.11.3)
_V311_NAMES: Final = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
_TCP_USER_TIMEOUT_MS: Final = 15_000  # a half-open connection is noticed within this time


class OtherProtocolError(Exception):
    """The broker does not speak this version of MQTT, or hung up at its CONNECT."""


def refusal(code: int, version: int) -> str:
    """The words of a CONNACK code."""
    return f"refused: {reasons.name(code) if version == V5 else _V311_NAMES.get(code, f'code {code}')}"


async def tls_context(tls: Tls, address: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and host name always checked. Raises NotConnected where a file cannot be read."""

    def build() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
        return context

    try:
        return await asyncio.to_thread(build)
    except OSError as error:
        raise NotConnected(f"{address}: TLS files (ca {tls.ca}, cert {tls.cert}, key {tls.key}): {error}") from error


def new_client(
    endpoint: Endpoint, version: int, client_id: str, session_expiry_s: int, will: aiomqtt.Will | None, tls: ssl.SSLContext | None
) -> aiomqtt.Client:
    """A client for one attempt; nothing is sent yet."""
    keep_session = session_expiry_s > 0
    options: dict[str, Any] = {}
    if version == V5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session_expiry_s
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        options = {"properties": properties, "clean_start": _clean_start(not keep_session)}
    else:
        options = {"clean_session": not keep_session}
    client = aiomqtt.Client(
        endpoint.host,
        endpoint.port,
        username=endpoint.user,
        password=endpoint.password,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion(version),
        will=will,
        timeout=CONNECT_TIMEOUT_S,
        keepalive=endpoint.keepalive_s,
        tls_context=tls,
        **options,
    )
    client._client.connect_timeout = CONNECT_TIMEOUT_S
    client._client.manual_ack_set(True)
    client._client.on_publish = None
    client._client.disable_logger()  # every failure is told once, by NotConnected
    return client


def tune(sock: socket.socket) -> None:
    """Send at once, and notice a peer that went away without a word."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", _TCP_USER_TIMEOUT_MS)):
        if hasattr(socket, name):  # not on every system
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    for level, option, value in options:
        sock.setsockopt(level, option, value)


def _clean_start(clean: bool) -> CleanStartOption:
    return clean
