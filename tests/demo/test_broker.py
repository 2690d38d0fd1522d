"""The embedded broker speaks MQTT 3.1.1 and says so to those who ask for 5."""

import asyncio

import aiomqtt
import pytest

from gateway.contracts import NotConnected
from gateway.wire.mqtt.broker import EmbeddedBroker
from support.ports import free_port


@pytest.fixture
async def broker():
    running = EmbeddedBroker(free_port())
    await running.start()
    yield running
    await running.stop()


async def test_retained_and_live_messages_arrive_in_order(broker):
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.publish("a/kept", "0", qos=1, retain=True)
        await client.subscribe("a/#", qos=1)
        for number in range(1, 50):
            await client.publish("a/live", str(number), qos=1)
        async with asyncio.timeout(10):
            seen = [int(message.payload) async for message in _some(client, 50)]
    assert seen[0] == 0
    assert seen[1:] == list(range(1, 50))


async def test_a_client_of_mqtt_5_is_refused_at_once(broker):
    client = aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5, timeout=5)
    with pytest.raises(aiomqtt.MqttError, match=r"(?i)version"):
        await asyncio.wait_for(client.__aenter__(), 3)


@pytest.mark.parametrize("frame", [b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff\xff\x7f", b"\x10\x0c\xff\xff", b"\x10"])
async def test_strangers_harm_nobody(broker, frame):
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(frame)
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.publish("still/alive", "1", qos=1)


async def test_it_starts_again_and_names_a_taken_port(broker):
    with pytest.raises(NotConnected, match=str(broker.port)):
        await EmbeddedBroker(broker.port).start()
    await broker.stop()
    assert not broker.running
    await broker.start()
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.publish("again", "1", qos=1)


async def _some(client, count):
    async for message in client.messages:
        yield message
        count -= 1
        if not count:
            return
