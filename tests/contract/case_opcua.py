"""The OPC UA driver and its plant; the OPC UA server, whose other side is a client, and a port that is taken."""

import socket
from contextlib import asynccontextmanager

from asyncua import Client
from cases import DriverCase, SinkCase

from gateway.model.tag import Tag
from support.opcua_face import Face
from support.opcua_source import Kind, OpcUaSource, tag
from support.ports import free_port

TAGS = (tag(0, "temp"), tag(1, "other"))


class Plant:
    def __init__(self, source):
        self._source = source
        self.keys = {"url": source.url, "publishing_interval": 0.02, "request_timeout": 2}
        self.tags = TAGS
        self.start, self.stop = source.start, source.stop

    async def emit(self, value):
        await self._source.write("temp", value)


@asynccontextmanager
async def plant(_folder):
    async with OpcUaSource(free_port(), {"temp": (0.0, Kind.Double), "other": (1.0, Kind.Double)}) as source:
        yield Plant(source)


DRIVER = DriverCase(
    name="opcua",
    driver="drivers.opcua.driver:OpcUaDriver",
    config="drivers.opcua.config:Config",
    peer=plant,
    absent=lambda _folder: {"url": f"opc.tcp://127.0.0.1:{free_port()}", "request_timeout": 1},
    tags=TAGS,
)


@asynccontextmanager
async def reachable(_folder):
    face = Face((Tag(0, "temp", "plant"),), port=free_port())
    face.sink.face = face
    yield face.sink
    await face.sink.close()


@asynccontextmanager
async def refused(_folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        face = Face((Tag(0, "temp", "plant"),), port=taken.getsockname()[1])
        yield face.sink
        await face.sink.close()


async def use(sink):
    await sink.face.step({"temp": 21.5})
    async with Client(sink.url) as client:
        namespace = await client.get_namespace_index("urn:edgetwin:line1")
        assert await client.get_node(f"ns={namespace};s=temp").read_value() == 21.5


SINK = SinkCase(name="opcua", reachable=reachable, refused=refused, use=use)
