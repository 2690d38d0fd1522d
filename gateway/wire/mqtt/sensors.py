"""The demo's MQTT sensors: one plain client that publishes with QoS 1."""

import logging
from urllib.parse import urlsplit

import aiomqtt

from gateway.contracts import NotConnected


class SensorClient:
    """One connection to a broker without user and TLS. publish() returns when the broker has acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._name = parts.hostname or "127.0.0.1", parts.port or 1883, name
        self._client: aiomqtt.Client | None = None

    async def connect(self) -> None:
        """Raises NotConnected; may be called again after close()."""
        log = logging.getLogger("edgetwin.sensors")
        client = aiomqtt.Client(
            self._host, self._port, identifier=self._name, protocol=aiomqtt.ProtocolVersion.V311, timeout=5.0, logger=log
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            raise NotConnected(f"sensors: {self._host}:{self._port}: {error}") from error
        self._client = client

    async def publish(self, topic: str, payload: bytes) -> None:
        """Raises NotConnected where the broker did not acknowledge within 5 s."""
        if self._client is None:
            raise NotConnected("sensors: not connected")
        try:
            await self._client.publish(topic, payload, qos=1)
        except aiomqtt.MqttError as error:
            raise NotConnected(f"sensors: {topic}: {error}") from error

    async def close(self) -> None:
        """Idempotent, also after a lost connection."""
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.__aexit__(None, None, None)
            except aiomqtt.MqttError:  # it was gone already
                return
