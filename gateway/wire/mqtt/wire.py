"""The socket below a link: hooks of paho for an outer event loop, reading and writing, keep-alive, and the one way a connection ends."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import aiomqtt
from paho.mqtt import MQTTException
from paho.mqtt.client import MQTTMessageInfo

from gateway.contracts import NotConnected
from gateway.wire.mqtt import packets
from gateway.wire.mqtt.handshake import tune
from gateway.wire.mqtt.packets import Frame, Malformed

CLOSE_TIMEOUT_S: Final = 1.0
PAYLOAD_LIMIT: Final = 8 * 1024 * 1024  # a longer message is skipped as it comes and reported without its payload
_CHUNK: Final = 65_536
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""tcp(7), set anew with each read. A broker that sends with Nagle's algorithm, as Mosquitto does by default, holds a message back until the
one before is acknowledged, and a delayed acknowledgement takes up to 40 ms: the median age of messages 10 ms apart falls from 8 to 3 ms.
"""


class Wire:
    """Bytes in both directions. paho keeps the state of the connection and speaks all packets but PUBLISH and PUBACK.

    why      what ended the connection; None while it stands
    take     called for each frame; may raise Malformed
    read     called after each piece that was read, and once when the connection ends
    """

    def __init__(self, client: aiomqtt.Client, address: str, take: Callable[[Frame], None], read: Callable[[], None]) -> None:
        self._client, self._address, self._take, self._read = client, address, take, read
        self.paho: Any = client._client
        self.why: str | None = None
        self.paused = False
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._gone, self._drained = asyncio.Event(), asyncio.Event()
        self._splitter = packets.Splitter(PAYLOAD_LIMIT)
        self._timer: asyncio.TimerHandle | None = None
        self._sent = MQTTMessageInfo(0)
        paho: Any = self.paho
        paho.on_socket_open = self._on_socket_open
        paho.on_socket_close = self._on_socket_close
        paho.on_socket_register_write = self._on_register_write
        paho.on_socket_unregister_write = self._on_unregister_write
        paho.on_disconnect = self._on_disconnect

    def check(self) -> None:
        """Raises NotConnected once the connection ended."""
        if self.why is not None:
            raise NotConnected(f"{self._address}: {self.why}")

    def lose(self, why: str) -> None:
        """End it now; the first reason counts. Whoever waits for anything learns it."""
        if self.why is None:
            self.why = why
        if self._timer:
            self._timer.cancel()
        self.paho._sock_close()
        self.paho._out_packet.clear()
        self._gone.set()
        self._drained.set()
        error = aiomqtt.MqttError(why)
        waiting: list[asyncio.Future[Any]] = [self._client._connected, *self._client._pending_subscribes.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen: nobody may be waiting for it
        self._read()

    async def close(self) -> None:
        """DISCONNECT, so that the broker keeps the will to itself, and the end when it has hung up: by then it has read our last PUBACKs.

        Closing first may reset the connection before they are read. Waits a second at most; raises nothing.
        """
        if self.why is None and self.paho._sock is not None:
            self.resume()
            self.write(packets.PUBACK, packets.DISCONNECT, 1)  # named PUBACK: at a DISCONNECT paho would close at once
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._gone.wait()
        self.lose("closed")

    def write(self, command: int, buffer: bytes, qos: int) -> None:
        """Whole packets; what the socket does not take at once waits."""
        if not buffer:
            return
        rest = memoryview(buffer)
        if type(self.paho._sock) is socket.socket and not self.paho._out_packet:  # TLS may want to be read before it writes
            try:
                rest = rest[self.paho._sock.send(rest) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self.lose(f"sending: {error}")
                return
            self.paho._last_msg_out = time.monotonic()
        if rest:
            self.paho._packet_queue(command, rest, 0, qos, self._sent)
            self._writable()

    async def flushed(self) -> None:
        """Wait until the socket has taken everything. Raises NotConnected."""
        while self.paho._out_packet:
            self._drained.clear()
            self.check()
            await self._drained.wait()
        self.check()

    def pause(self) -> None:
        """Stop reading: TCP and the broker's own window hold back the rest."""
        if not self.paused and self.paho._sock is not None:
            self.paused = True
            self._loop.remove_reader(self.paho._sock.fileno())

    def resume(self) -> None:
        """Go on reading."""
        if self.paused:
            self.paused = False
            if self.paho._sock is not None:
                self._loop.add_reader(self.paho._sock.fileno(), self._readable)
                self._loop.call_soon(self._readable)  # TLS may hold decrypted bytes that no longer wake the selector

    def keep_alive(self) -> None:
        """Once a second. While we do not read, the answer to our PINGREQ cannot be seen and is not missed."""
        if self.why is not None:
            return
        self._timer = self._loop.call_later(1.0, self.keep_alive)
        paho, now = self.paho, time.monotonic()
        if self.paused:
            if now - paho._last_msg_out >= paho._keepalive:
                paho._send_pingreq()
            paho._last_bytes_received, paho._ping_t = now, 0
        else:
            paho.loop_misc()

    def hand_to_paho(self, frame: Frame) -> None:
        """A frame that is paho's to understand, laid where it puts what it reads itself."""
        if frame.cut or self.why is not None:
            return
        self.paho._in_packet = {
            "command": frame.first,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(frame.body),
            "packet": bytearray(frame.body),
            "to_process": 0,
            "pos": 0,
        }
        if self.paho._packet_handle() > 0:
            self.lose(f"protocol error: packet type 0x{frame.first:02X}")

    def _on_socket_open(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:  # in the thread that connects
        tune(sock)
        self._loop.call_soon_threadsafe(self._watch, sock)

    def _watch(self, sock: socket.socket) -> None:
        if self.why is not None:
            self.paho._sock_close()
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
        if sock.fileno() >= 0 and self.paho._sock is sock:
            self._loop.add_writer(sock.fileno(), self._writable)

    def _on_unregister_write(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock.fileno())

    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, code: Any, _properties: Any) -> None:
        who = "the broker disconnected: " if flags.is_disconnect_packet_from_server else ""
        if self.why is None:
            self.why = who + str(code).lower()
        self._loop.call_soon(self.lose, self.why)  # paho holds its callback lock here

    def _writable(self) -> None:
        try:
            self.paho.loop_write()
        except OSError as error:
            self.lose(f"sending: {error}")
        if not self.paho._out_packet:
            self._drained.set()

    def _readable(self) -> None:
        sock = self.paho._sock
        if sock is None or self.paused:
            return
        try:
            data = sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self.lose(f"receiving: {error}")
            return
        if not data:
            self.lose("the broker closed the connection")
            return
        if _QUICKACK is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        self.paho._last_bytes_received = time.monotonic()
        try:
            for frame in self._splitter.feed(data):
                self._take(frame)
        except (Malformed, MQTTException) as error:
            self.lose(f"malformed packet: {error}")
        if self.why is None:
            self._read()
            if isinstance(sock, ssl.SSLSocket) and not self.paused and self.paho._sock is sock and sock.pending():
                self._loop.call_soon(self._readable)
