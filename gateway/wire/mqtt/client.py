"""One connection to a broker. aiomqtt and paho make it (TCP, TLS, CONNECT, SUBSCRIBE, keep-alive, DISCONNECT); PUBLISH and PUBACK pass
through `packets` in both directions, over hooks that paho leaves open, at a fraction of the cost of its objects per message.

Nothing outlives the connection in this process: no queued message, no retry. What must not be lost waits in the outbox (north) or
unacknowledged at the broker (south). A Link is used once; after a loss its owner opens another.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.contracts import NotConnected
from gateway.wire.mqtt import packets, reasons
from gateway.wire.mqtt.endpoint import Endpoint
from gateway.wire.mqtt.handshake import OtherProtocolError, new_client, refusal, tls_context
from gateway.wire.mqtt.packets import V5, V311, Frame, Message
from gateway.wire.mqtt.wire import Wire

OPEN_TIMEOUT_S: Final = 12.0
ACK_TIMEOUT_S: Final = 20.0
INBOX_MESSAGES: Final = 20_000
INBOX_BYTES: Final = 16 * 1024 * 1024
WINDOW_CAP: Final = 1000
WINDOW_V311: Final = 100  # MQTT 3.1.1 brokers do not say what they can take
_SUBSCRIBE_SLICE: Final = 100


class Outgoing(NamedTuple):
    """One QoS 1 message; properties are user properties; they and what a request is recognised by go with MQTT 5 only."""

    topic: str
    payload: bytes
    retain: bool = False
    properties: Sequence[tuple[str, str]] = ()
    correlation: bytes = b""


class Last(NamedTuple):
    """The will: what the broker publishes (QoS 1, retained) when this client goes without DISCONNECT."""

    topic: str
    payload: bytes


class _Burst:
    """The reason codes of one publish() call."""

    def __init__(self, size: int) -> None:
        self.codes = [0] * size
        self.open = size

    def settle(self, place: int, code: int) -> None:
        self.codes[place] = code
        self.open -= 1


class Link:
    """One connection. Made by open().

    version          packets.V5 or packets.V311
    session_present  the broker kept this client's session
    window           QoS 1 messages that may wait for their PUBACK
    max_packet       the largest packet that the broker takes, bytes
    pauses           how often reading stopped because the inbox was full
    """

    def __init__(
        self, endpoint: Endpoint, version: int, client_id: str, session_expiry_s: int, will: Last | None, tls: ssl.SSLContext | None
    ) -> None:
        self.endpoint, self.version = endpoint, version
        self.session_present, self.window, self.max_packet, self.pauses = False, WINDOW_V311, 268_435_455, 0
        self._retain_available = self._qos1_available = True
        last_words = aiomqtt.Will(will.topic, will.payload, 1, retain=True) if will else None
        self._client = new_client(endpoint, version, client_id, session_expiry_s, last_words, tls)
        self._wire = Wire(self._client, endpoint.address, self._take, self._read)
        self._client._client.on_connect = self._on_connect
        self._answered = self._other_protocol = False  # a CONNACK came; it speaks of another version
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._filled, self._turn = asyncio.Event(), asyncio.Event()
        self._inflight: dict[int, tuple[_Burst, int]] = {}
        self._settled = False

    # --- opening and closing ---------------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, endpoint: Endpoint, client_id: str, *, session_expiry_s: int = 0, will: Last | None = None) -> "Link":
        """Connect with MQTT 5, or 3.1.1 where the broker refuses or drops version 5 and the endpoint says auto. Raises NotConnected."""
        tls = await tls_context(endpoint.tls, endpoint.address) if endpoint.encrypted else None
        why = ""
        for version in {"auto": (V5, V311), "5": (V5,), "3.1.1": (V311,)}[endpoint.protocol]:
            link = cls(endpoint, version, client_id, session_expiry_s, will, tls)
            try:
                await link._connect()
            except OtherProtocolError as error:
                why = str(error)
                continue
            return link
        raise NotConnected(f"{endpoint.address}: {why}")

    async def _connect(self) -> None:
        attempt = asyncio.create_task(self._client.__aenter__())
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await asyncio.shield(attempt)
        except TimeoutError as error:
            raise NotConnected(f"{self.endpoint.address}: no connection within {OPEN_TIMEOUT_S:g} s") from error
        except aiomqtt.MqttError as error:
            why = self._wire.why or str(error)
            if self._other_protocol or (self._wire.why and not self._answered):
                raise OtherProtocolError(why) from error
            raise NotConnected(f"{self.endpoint.address}: {why}") from error
        finally:
            if self._wire.why is not None or not attempt.done() or attempt.cancelled() or attempt.exception():
                attempt.add_done_callback(self._abandoned)
                if self._wire.paho._sock is not None:
                    self._wire.lose("abandoned")
        self._wire.keep_alive()

    def _abandoned(self, attempt: asyncio.Task[aiomqtt.Client]) -> None:
        """An attempt that nobody waits for any more: its thread may have opened a socket meanwhile."""
        if not attempt.cancelled():
            attempt.exception()
        self._wire.lose("abandoned")

    async def close(self) -> None:
        """DISCONNECT, so that the broker keeps the will to itself. Idempotent, prompt, raises nothing."""
        await self._wire.close()

    # --- receiving -------------------------------------------------------------------------------------------------------------------

    async def subscribe(self, filters: Sequence[str], qos: int) -> Mapping[str, str]:
        """Ask for topics; the filters that were refused, with the broker's reason. Raises NotConnected."""
        refused: dict[str, str] = {}
        for start in range(0, len(filters), _SUBSCRIBE_SLICE):
            part = list(filters[start : start + _SUBSCRIBE_SLICE])
            wanted: Any = [(one, SubscribeOptions(qos=qos)) if self.version == V5 else (one, qos) for one in part]
            self._wire.check()
            try:
                codes: Sequence[Any] = await self._client.subscribe(wanted)
            except aiomqtt.MqttError as error:
                raise NotConnected(f"{self.endpoint.address}: subscribe: {self._wire.why or error}") from error
            for one, code in zip(part, codes, strict=True):
                number = int(getattr(code, "value", code))
                if reasons.refused(number):
                    refused[one] = reasons.name(number)
        return refused

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Let a kept session forget topics. Raises NotConnected."""
        if not filters:
            return
        self._wire.check()
        try:
            await self._client.unsubscribe(list(filters))
        except aiomqtt.MqttError as error:
            raise NotConnected(f"{self.endpoint.address}: unsubscribe: {self._wire.why or error}") from error

    async def receive(self) -> list[Message]:
        """All messages that came since the last call; waits for one. Cancelling it loses none. Raises NotConnected once they are taken."""
        while not self._inbox:
            self._wire.check()
            self._filled.clear()
            await self._filled.wait()
        messages = list(self._inbox)
        self._inbox.clear()
        self._inbox_bytes = 0
        self._wire.resume()
        return messages

    def acknowledge(self, mids: Sequence[int]) -> None:
        """PUBACK for messages of this link, in the order of their arrival (MQTT 5, 4.6). Does nothing on a lost link."""
        if self._wire.why is None and mids:
            self._wire.write(packets.PUBACK, packets.pubacks(mids), 1)

    # --- sending ---------------------------------------------------------------------------------------------------------------------

    async def send(self, buffer: bytes) -> None:
        """QoS 0 packets (packets.publish_qos0), joined. Returns when the socket has taken them all. Raises NotConnected."""
        self._wire.check()
        if buffer:
            self._wire.write(packets.PUBLISH, buffer, 0)
        await self._wire.flushed()

    async def publish(self, messages: Sequence[Outgoing]) -> list[int]:
        """QoS 1, pipelined within the broker's window. The PUBACK's reason code for each message; 0x95 where it is too large to send.

        Raises NotConnected when the link goes or no PUBACK comes for 20 s: then any of them may have arrived.
        """
        if not self._qos1_available:
            raise NotConnected(f"{self.endpoint.address}: the broker takes no QoS 1 (Maximum QoS 0 in its CONNACK)")
        burst, place = _Burst(len(messages)), 0
        while place < len(messages):
            self._wire.check()
            room = self.window - len(self._inflight)
            if room <= 0:
                await self._progress()
                continue
            buffer = [self._enlist(messages[at], burst, at) for at in range(place, min(place + room, len(messages)))]
            place += len(buffer)
            self._wire.write(packets.PUBLISH, b"".join(buffer), 1)
            await self._wire.flushed()
        while burst.open:
            await self._progress()
        return burst.codes

    def _enlist(self, message: Outgoing, burst: _Burst, place: int) -> bytes:
        mid = self._wire.paho._mid_generate()
        while mid in self._inflight:
            mid = self._wire.paho._mid_generate()
        properties = packets.user_properties(message.properties, message.correlation) if self.version == V5 else None
        packet = packets.publish_qos1(message.topic, message.payload, message.retain and self._retain_available, mid, properties)
        if len(packet) > self.max_packet:
            burst.settle(place, reasons.PACKET_TOO_LARGE)
            return b""
        self._inflight[mid] = (burst, place)
        return packet

    @property
    def may_retain(self) -> bool:
        """Whether the broker keeps retained messages (MQTT 5, 3.2.2.3.5)."""
        return self._retain_available

    async def _progress(self) -> None:
        self._wire.check()
        try:
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await self._turn.wait()
        except TimeoutError:
            self._wire.lose(f"no PUBACK within {ACK_TIMEOUT_S:g} s")
        self._wire.check()

    # --- what comes -------------------------------------------------------------------------------------------------------------------

    def _on_connect(self, client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        self.session_present = flags.session_present
        if self.version == V5:
            self.window = min(getattr(properties, "ReceiveMaximum", 65_535), WINDOW_CAP)
            self.max_packet = getattr(properties, "MaximumPacketSize", self.max_packet)
            self._retain_available = bool(getattr(properties, "RetainAvailable", 1))
            self._qos1_available = bool(getattr(properties, "MaximumQoS", 1))
        self._client._on_connect(client, userdata, flags, code, properties)

    def _read(self) -> None:
        """After each piece that came, and when the connection ended: wake who waits, and stop reading when the inbox is full."""
        if self._inbox or self._wire.why is not None:
            self._filled.set()
        if self._settled or self._wire.why is not None:
            self._settled = False
            self._turn.set()
            self._turn = asyncio.Event()
        if (len(self._inbox) >= INBOX_MESSAGES or self._inbox_bytes >= INBOX_BYTES) and not self._wire.paused:
            self._wire.pause()
            self.pauses += 1

    def _take(self, frame: Frame) -> None:
        kind = frame.first & 0xF0
        if kind == packets.PUBLISH:
            message = packets.parse_publish(frame, self.version)
            self._inbox.append(message)
            self._inbox_bytes += len(message.topic) + len(message.payload or b"") + 200
        elif kind == packets.PUBACK:
            mid, code = packets.parse_puback(frame.body)
            burst, place = self._inflight.pop(mid, (None, 0))
            if burst:
                burst.settle(place, code)
                self._settled = True
        else:
            if kind == packets.CONNACK:
                self._look_at_connack(frame.body)
            self._wire.hand_to_paho(frame)

    def _look_at_connack(self, body: bytes) -> None:
        self._answered = True
        code = body[1] if len(body) > 1 else 0
        self._other_protocol = self.version == V5 and (code in {0x84, 0x01} or len(body) == 2)
        if code or self._other_protocol:
            self._wire.lose(refusal(code, self.version if len(body) > 2 else V311))
