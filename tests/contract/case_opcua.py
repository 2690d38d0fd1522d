"""The OPC UA driver and its plant."""

from contextlib import asynccontextmanager

from cases import DriverCase

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
