"""The OPC UA server over a real engine, without the rest of the daemon: step() is what the plant does, commands are noted down."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.contracts import Identity, SinkContext
from gateway.engine.engine import Engine
from gateway.model.batch import Origin, SampleBatch
from gateway.model.command import Command, Outcome
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.model.unit import Unit
from gateway.sinks.opcua.config import Config
from gateway.sinks.opcua.sink import OpcUaSink

CELSIUS = Unit("Cel", "CEL", "°C", "degree Celsius", "temperature", 1.0, 273.15)
CACHE = Path("/tmp/edgetwin-tests")


class Report:
    """Counters of a unit."""

    def __init__(self):
        self.counts = Counter()
        self.problems = {}

    def count(self, name, n=1):
        self.counts[name] += n

    def problem(self, subject, why):
        self.problems[subject] = why


class Commands:
    """The door for changes: notes what is asked and gives the answer that the test wants."""

    def __init__(self):
        self.asked: list[Command] = []
        self.status = 0

    async def execute(self, command):
        self.asked.append(command)
        return Outcome(self.status, "", {})


class Face:
    """sink, engine and what they were told."""

    def __init__(self, tags: Sequence[Tag], figures=dict, history=None, events=None, **config):
        self.table = TagTable.of(tags)
        self.engine = Engine(self.table, [], [], Sync())
        self.report, self.commands = Report(), Commands()
        CACHE.mkdir(exist_ok=True)
        context = SinkContext(
            name="opcua",
            gateway=Identity("line1", "acme/line1", "boot", "0.1.0", str(CACHE)),
            view=self.engine.view,
            history=history,
            events=events,
            commands=self.commands,
            units={"Cel": CELSIUS},
            memory=None,
            report=self.report,
            now_ns=time.time_ns,
            figures=figures,
        )
        settings = {"port": 0, "insecure": True, "anonymous": "operator"} | config
        self.sink = OpcUaSink(Config(**settings), context)

    async def step(self, values: Mapping[str, float | str], status: int = 0, at_ns: int | None = None, origin: Origin = Origin.SOURCE):
        """One message of the plant: tag -> value."""
        at_ns = at_ns or time.time_ns()
        ids = [self.table.index[name] for name in values]
        numbers = [float("nan") if isinstance(value, str) else value for value in values.values()]
        text = {row: value for row, value in enumerate(values.values()) if isinstance(value, str)}
        batch = SampleBatch.of(ids, numbers, status, at_ns, received_ns=at_ns, text=text, origin=origin)
        update = self.engine.step(batch, at_ns)
        await self.sink.write(update)
        return update


@asynccontextmanager
async def opcua_face(tags: Sequence[Tag], **config) -> AsyncIterator[Face]:
    """A running server; `face.sink.url`."""
    face = Face(tags, **config)
    await face.sink.connect()
    try:
        yield face
    finally:
        await face.sink.close()
