"""An MQTT 3.1.1 broker inside this process (amqtt), for the demo alone: loopback, anonymous, nothing kept on disk."""

import asyncio
import logging
from typing import Final

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.errors import BrokerError

from gateway.contracts import NotConnected

CONNECT_S: Final = 5.0
REFUSED: Final = b"\x20\x02\x00\x01"  # CONNACK, unacceptable protocol version (MQTT 3.1.1, 3.2.2.3)
_PLUGINS: Final = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
_QUIET: Final = ("amqtt", "transitions")


class EmbeddedBroker:
    """Listens on 127.0.0.1:port between start() and stop(); both may be called again. Clients of MQTT 5 are told to speak 3.1.1."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"mqtt://127.0.0.1:{port}"
        self._broker: Broker | None = None

    async def start(self) -> None:
        """Raises NotConnected where the port is taken."""
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}", "max_connections": 100}
        broker = _Broker({"listeners": {"default": listener}, "plugins": _PLUGINS})
        try:
            await broker.start()
        except BrokerError as error:
            raise NotConnected(f"broker: cannot listen on {self.url}: {error}") from error
        self._broker = broker

    async def stop(self) -> None:
        """Ends all connections; sessions and retained messages are gone."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()

    @property
    def running(self) -> bool:
        return self._broker is not None


class _Broker(Broker):  # type: ignore[misc]  # amqtt brings no types
    """amqtt takes a CONNECT of MQTT 5 for one of 3.1.1 and waits for bytes that never come: here it is answered."""

    async def stream_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                head = await _connect_head(reader)
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError, ValueError):
            writer.close()
            return
        if head[-1] > 4:  # the protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5
            writer.write(REFUSED)
            writer.close()
            return
        await self.external_connected(_Replayed(reader, head), StreamWriterAdapter(writer), listener_name)


class _Replayed(StreamReaderAdapter):  # type: ignore[misc]  # likewise
    """A reader that gives the bytes looked at once more."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes) -> None:
        super().__init__(reader)
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        taken, self._head = (self._head, b"") if n == -1 else (self._head[:n], self._head[n:])
        if len(taken) == n:
            return taken
        rest: bytes = await super().read(n if n == -1 else n - len(taken))
        return taken + rest


async def _connect_head(reader: asyncio.StreamReader) -> bytes:
    """The bytes of a CONNECT up to its protocol level (MQTT 3.1.1, 3.1.2). ValueError for another packet."""
    head = await reader.readexactly(2)
    if head[0] != 0x10:
        raise ValueError("a connection begins with CONNECT")
    while head[-1] & 0x80:  # 2.2.3: the remaining length, at most four bytes
        if len(head) > 4:
            raise ValueError("malformed remaining length")
        head += await reader.readexactly(1)
    size = await reader.readexactly(2)
    length = int.from_bytes(size, "big")
    if length > 6:
        raise ValueError("not the name of the protocol")
    return head + size + await reader.readexactly(length + 1)
