"""One connection to a broker. aiomqtt and paho make it (TCP, TLS, CONNECT, SUBSCRIBE, keep-alive, DISCONNECT); PUBLISH and PUBACK pass
through `packets` in both directions, over hooks that paho leaves open, at a fraction of the cost of its objects per message.

Nothing outlives the connection in this process: no queued message, no retry. What must not be lost waits in the outbox (north) or
unacknowledged at the broker (south). A Link is used once; after a loss its owner opens another.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import aiomqtt
from paho.mqtt import MQTTException
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.contracts import NotConnected
from gateway.wire.mqtt import packets, reasons
from gateway.wire.mqtt.endpoint import Endpoint
from gateway.wire.mqtt.handshake import OtherProtocolError, new_client, refusal, tls_context, tune
from gateway.wire.mqtt.packets import V5, V311, Frame, Malformed, Message

OPEN_TIMEOUT_S: Final = 12.0
ACK_TIMEOUT_S: Final = 20.0
CLOSE_TIMEOUT_S: Final = 1.0
PAYLOAD_LIMIT: Final = 8 * 1024 * 1024  # a longer message is skipped as it comes and reported without its payload
INBOX_MESSAGES: Final = 20_000
INBOX_BYTES: Final = 16 * 1024 * 1024
WINDOW_CAP: Final = 1000
WINDOW_V311: Final = 100  # MQTT 3.1.1 brokers do not say what they can take
_CHUNK: Final = 65_536
_SUBSCRIBE_SLICE: Final = 100


class Outgoing(NamedTuple):
    """One QoS 1 message; properties are user properties and go with MQTT 5 only."""

    topic: str
    payload: bytes
    retain: bool = False
    properties: Sequence[tuple[str, str]] = ()


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
        self._paho: Any = self._client._client
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._why: str | None = None
        self._answered = False  # a CONNACK came
        self._other_protocol = False
        self._gone, self._drained, self._filled, self._turn = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._splitter = packets.Splitter(PAYLOAD_LIMIT)
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._paused = False
        self._inflight: dict[int, tuple[_Burst, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sent = MQTTMessageInfo(0)
        self._hook()

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
        attempt = self._loop.create_task(self._client.__aenter__())
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await asyncio.shield(attempt)
        except TimeoutError as error:
            raise NotConnected(f"{self.endpoint.address}: no connection within {OPEN_TIMEOUT_S:g} s") from error
        except aiomqtt.MqttError as error:
            why = self._why or str(error)
            if self._other_protocol or (self._why and not self._answered):
                raise OtherProtocolError(why) from error
            raise NotConnected(f"{self.endpoint.address}: {why}") from error
        finally:
            if self._why is not None or not attempt.done() or attempt.cancelled() or attempt.exception():
                attempt.add_done_callback(self._abandoned)
                if self._paho._sock is not None:
                    self._lose("abandoned")
        self._timer = self._loop.call_later(1.0, self._tick)

    def _abandoned(self, attempt: asyncio.Task[aiomqtt.Client]) -> None:
        """An attempt that nobody waits for any more: its thread may have opened a socket meanwhile."""
        if not attempt.cancelled():
            attempt.exception()
        self._lose("abandoned")

    async def close(self) -> None:
        """DISCONNECT, so that the broker keeps the will to itself. Idempotent, prompt, raises nothing."""
        if self._why is None and self._paho._sock is not None:
            self._paho.disconnect()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._gone.wait()
        self._lose("closed")

    def _lose(self, why: str) -> None:
        if self._why is None:
            self._why = why
        if self._timer:
            self._timer.cancel()
        self._paho._sock_close()
        self._paho._out_packet.clear()
        for event in (self._gone, self._drained, self._filled, self._turn):
            event.set()
        error = aiomqtt.MqttError(why)
        waiting: list[asyncio.Future[Any]] = [self._client._connected, *self._client._pending_subscribes.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen: nobody may be waiting for it

    def _check(self) -> None:
        if self._why is not None:
            raise NotConnected(f"{self.endpoint.address}: {self._why}")

    # --- receiving -------------------------------------------------------------------------------------------------------------------

    async def subscribe(self, filters: Sequence[str], qos: int) -> Mapping[str, str]:
        """Ask for topics; the filters that were refused, with the broker's reason. Raises NotConnected."""
        refused: dict[str, str] = {}
        for start in range(0, len(filters), _SUBSCRIBE_SLICE):
            part = list(filters[start : start + _SUBSCRIBE_SLICE])
            wanted: Any = [(one, SubscribeOptions(qos=qos)) if self.version == V5 else (one, qos) for one in part]
            self._check()
            try:
                codes: Sequence[Any] = await self._client.subscribe(wanted)
            except aiomqtt.MqttError as error:
                raise NotConnected(f"{self.endpoint.address}: subscribe: {self._why or error}") from error
            for one, code in zip(part, codes, strict=True):
                number = int(getattr(code, "value", code))
                if reasons.refused(number):
                    refused[one] = reasons.name(number)
        return refused

    async def receive(self) -> list[Message]:
        """All messages that came since the last call; waits for one. Cancelling it loses none. Raises NotConnected once they are taken."""
        while not self._inbox:
            self._check()
            self._filled.clear()
            await self._filled.wait()
        messages = list(self._inbox)
        self._inbox.clear()
        self._inbox_bytes = 0
        if self._paused:
            self._paused = False
            if self._paho._sock is not None:
                self._loop.add_reader(self._paho._sock.fileno(), self._readable)
                self._loop.call_soon(self._readable)  # TLS may hold decrypted bytes that no longer wake the selector
        return messages

    def acknowledge(self, mids: Sequence[int]) -> None:
        """PUBACK for messages of this link, in the order of their arrival (MQTT 5, 4.6). Does nothing on a lost link."""
        if self._why is None and mids:
            self._write(packets.PUBACK, packets.pubacks(mids), 1)

    # --- sending ---------------------------------------------------------------------------------------------------------------------

    async def send(self, buffer: bytes) -> None:
        """QoS 0 packets (packets.publish_qos0), joined. Returns when the socket has taken them all. Raises NotConnected."""
        self._check()
        if buffer:
            self._write(packets.PUBLISH, buffer, 0)
        await self._flushed()

    async def publish(self, messages: Sequence[Outgoing]) -> list[int]:
        """QoS 1, pipelined within the broker's window. The PUBACK's reason code for each message; 0x95 where it is too large to send.

        Raises NotConnected when the link goes or no PUBACK comes for 20 s: then any of them may have arrived.
        """
        if not self._qos1_available:
            raise NotConnected(f"{self.endpoint.address}: the broker takes no QoS 1 (Maximum QoS 0 in its CONNACK)")
        burst, place = _Burst(len(messages)), 0
        while place < len(messages):
            self._check()
            room = self.window - len(self._inflight)
            if room <= 0:
                await self._progress()
                continue
            buffer = [self._enlist(messages[at], burst, at) for at in range(place, min(place + room, len(messages)))]
            place += len(buffer)
            self._write(packets.PUBLISH, b"".join(buffer), 1)
            await self._flushed()
        while burst.open:
            await self._progress()
        return burst.codes

    def _enlist(self, message: Outgoing, burst: _Burst, place: int) -> bytes:
        mid = self._paho._mid_generate()
        while mid in self._inflight:
            mid = self._paho._mid_generate()
        properties = packets.user_properties(message.properties) if self.version == V5 else None
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
        self._check()
        try:
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await self._turn.wait()
        except TimeoutError:
            self._lose(f"no PUBACK within {ACK_TIMEOUT_S:g} s")
        self._check()

    async def _flushed(self) -> None:
        while self._paho._out_packet:
            self._drained.clear()
            self._check()
            await self._drained.wait()
        self._check()

    def _write(self, command: int, buffer: bytes, qos: int) -> None:
        if buffer:
            self._paho._packet_queue(command, memoryview(buffer), 0, qos, self._sent)
            self._writable()

    # --- paho's hooks ----------------------------------------------------------------------------------------------------------------

    def _hook(self) -> None:
        paho = self._paho
        paho.on_socket_open = self._on_socket_open
        paho.on_socket_close = self._on_socket_close
        paho.on_socket_register_write = self._on_register_write
        paho.on_socket_unregister_write = self._on_unregister_write
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect

    def _on_socket_open(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:  # in the thread that connects
        tune(sock)
        self._loop.call_soon_threadsafe(self._watch, sock)

    def _watch(self, sock: socket.socket) -> None:
        if self._why is not None:
            self._paho._sock_close()
        elif sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._readable)

    def _on_socket_close(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def _on_register_write(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:
        if threading.get_ident() == self._thread:
            self._watch_writable(sock)
        else:
            self._loop.call_soon_threadsafe(self._watch_writable, sock)

    def _watch_writable(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0 and self._paho._sock is sock:
            self._loop.add_writer(sock.fileno(), self._writable)

    def _on_unregister_write(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock.fileno())

    def _on_connect(self, client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        self.session_present = flags.session_present
        if self.version == V5:
            self.window = min(getattr(properties, "ReceiveMaximum", 65_535), WINDOW_CAP)
            self.max_packet = getattr(properties, "MaximumPacketSize", self.max_packet)
            self._retain_available = bool(getattr(properties, "RetainAvailable", 1))
            self._qos1_available = bool(getattr(properties, "MaximumQoS", 1))
        self._client._on_connect(client, userdata, flags, code, properties)

    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, code: Any, _properties: Any) -> None:
        who = "the broker disconnected: " if flags.is_disconnect_packet_from_server else ""
        if self._why is None:
            self._why = who + str(code).lower()
        self._loop.call_soon(self._lose, self._why)  # paho holds its callback lock here

    def _writable(self) -> None:
        try:
            self._paho.loop_write()
        except OSError as error:
            self._lose(f"sending: {error}")
        if not self._paho._out_packet:
            self._drained.set()

    def _readable(self) -> None:
        sock = self._paho._sock
        if sock is None or self._paused:
            return
        try:
            data = sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lose(f"receiving: {error}")
            return
        if not data:
            self._lose("the broker closed the connection")
            return
        self._paho._last_bytes_received = time.monotonic()
        waiting = len(self._inflight)
        try:
            for frame in self._splitter.feed(data):
                self._take(frame)
        except (Malformed, MQTTException) as error:
            self._lose(f"malformed packet: {error}")
        if len(self._inflight) < waiting:
            self._turn.set()
            self._turn = asyncio.Event()
        self._pace()

    def _pace(self) -> None:
        """A full inbox stops reading: TCP and the broker's own window hold back the rest."""
        if self._inbox:
            self._filled.set()
        sock = self._paho._sock
        if sock is None:
            return
        if len(self._inbox) >= INBOX_MESSAGES or self._inbox_bytes >= INBOX_BYTES:
            self._paused = True
            self.pauses += 1
            self._loop.remove_reader(sock.fileno())
        elif isinstance(sock, ssl.SSLSocket) and sock.pending():
            self._loop.call_soon(self._readable)

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
        else:
            if kind == packets.CONNACK:
                self._look_at_connack(frame.body)
            self._hand_to_paho(frame)

    def _look_at_connack(self, body: bytes) -> None:
        self._answered = True
        code = body[1] if len(body) > 1 else 0
        self._other_protocol = self.version == V5 and (code in {0x84, 0x01} or len(body) == 2)
        if code or self._other_protocol:
            self._lose(refusal(code, self.version if len(body) > 2 else V311))

    def _hand_to_paho(self, frame: Frame) -> None:
        if frame.cut or self._why is not None:
            return
        self._paho._in_packet = {
            "command": frame.first,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(frame.body),
            "packet": bytearray(frame.body),
            "to_process": 0,
            "pos": 0,
        }
        code = self._paho._packet_handle()
        if code > 0:
            self._lose(f"protocol error: packet type 0x{frame.first:02X}")

    def _tick(self) -> None:
        """Keep-alive, once a second. While we do not read, the answer to our PINGREQ cannot be seen and is not missed."""
        if self._why is not None:
            return
        self._timer = self._loop.call_later(1.0, self._tick)
        paho, now = self._paho, time.monotonic()
        if self._paused:
            if now - paho._last_msg_out >= paho._keepalive:
                paho._send_pingreq()
            paho._last_bytes_received, paho._ping_t = now, 0
        else:
            paho.loop_misc()
