"""An MQTT 3.1.1 broker inside this process (amqtt), for the demo alone: loopback, anonymous, nothing kept on disk."""

import logging
from typing import Final

from amqtt.broker import Broker
from amqtt.errors import AMQTTError

from gateway.contracts import NotConnected

_PLUGINS: Final = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


class EmbeddedBroker:
    """Listens on 127.0.0.1:port between start() and stop(); both may be called again."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"mqtt://127.0.0.1:{port}"
        self._broker: Broker | None = None

    async def start(self) -> None:
        """Raises NotConnected where the port is taken."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}", "max_connections": 100}
        broker = Broker({"listeners": {"default": listener}, "plugins": _PLUGINS})
        try:
            await broker.start()
        except AMQTTError as error:
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
