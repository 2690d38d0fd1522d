"""The MQTT driver and sink against Mosquitto."""

from contextlib import asynccontextmanager

from cases import DriverCase, SinkCase

from gateway.model.tag import Tag
from gateway.wire.mqtt.client import Link, Outgoing
from gateway.wire.mqtt.endpoint import Endpoint
from support.broker import running_broker
from support.mqtt_face import MqttFace
from support.ports import free_port

TAGS = (Tag(0, "temp", "plant", "cell/temp"), Tag(1, "other", "plant", "cell/other#/value"))


class Cell:
    def __init__(self, broker):
        self._broker = broker
        self.keys = {"url": broker.url, "topics": ["cell/#"]}
        self.tags = TAGS

    async def emit(self, value):
        link = await Link.open(Endpoint("127.0.0.1", self._broker.port, encrypted=False), "cell")
        try:
            assert await link.publish([Outgoing("cell/temp", str(value).encode(), retain=True)]) < [0x80]
        finally:
            await link.close()

    async def stop(self):
        self._broker.stop()

    async def start(self):
        self._broker.start()


@asynccontextmanager
async def cell(folder):
    with running_broker(folder / "broker") as broker:
        yield Cell(broker)


@asynccontextmanager
async def reachable(folder):
    with running_broker(folder / "broker") as broker:
        face = MqttFace(broker.url, TAGS)
        face.sink.face = face
        yield face.sink
        await face.sink.close()


@asynccontextmanager
async def refused(_folder):
    face = MqttFace(f"mqtt://127.0.0.1:{free_port()}", TAGS)
    yield face.sink
    await face.sink.close()


async def use(sink):
    await sink.write(sink.face.step({"temp": 20.0}))
    await sink.face.outbox.drain(sink)


DRIVER = DriverCase(
    name="mqtt",
    driver="drivers.mqtt.driver:MqttDriver",
    config="drivers.mqtt.config:Config",
    peer=cell,
    absent=lambda _folder: {"url": f"mqtt://127.0.0.1:{free_port()}", "topics": ["cell/#"]},
    tags=TAGS,
)
SINK = SinkCase(name="mqtt", reachable=reachable, refused=refused, use=use)
