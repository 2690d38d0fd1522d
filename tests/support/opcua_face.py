"""The OPC UA server over a real engine, without the rest of the daemon: step() is what the plant does, commands are noted down."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.access.people import People
from gateway.access.roles import allowed
from gateway.contracts import Identity, SinkContext
from gateway.engine.engine import Engine
from gateway.events import Events
from gateway.model.alarm import AlarmRule
from gateway.model.batch import Origin, SampleBatch
from gateway.model.command import Command, Outcome
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.model.unit import Unit
from gateway.operations import Door, alarms
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


PERMISSIONS = {
    "tag.write": "tag:write",
    "tag.override": "tag:override",
    "tag.release": "tag:override",
    "twin.commit": "twin:commit",
    "config.reload": "config:write",
    "record.start": "record:start",
    "record.stop": "record:start",
}


class Commands:
    """The door for changes: notes what is asked and gives the answer that the test wants. Commands on conditions are really done."""

    def __init__(self, conditions: Door):
        self.asked: list[Command] = []
        self.status = 0
        self.result = {}
        self.held = asyncio.Event()  # cleared: what is asked waits
        self.held.set()
        self._conditions = conditions

    def permission(self, kind):
        return PERMISSIONS[kind] if kind in PERMISSIONS else self._conditions.permission(kind)

    async def execute(self, command):
        self.asked.append(command)
        await self.held.wait()
        if self.status or command.kind in PERMISSIONS:
            return Outcome(self.status, "", self.result)
        return await self._conditions.execute(command)


class Face:
    """sink, engine and what they were told."""

    def __init__(
        self,
        tags: Sequence[Tag],
        rules: Sequence[AlarmRule] = (),
        figures=dict,
        history=None,
        events=None,
        access=None,
        folder=CACHE,
        forecasts=None,
        now_ns=time.time_ns,
        **config,
    ):
        self.table = TagTable.of(tags)
        self.engine = Engine(self.table, rules, [], Sync())
        self.report, self.commands = Report(), Commands(self._door())
        CACHE.mkdir(exist_ok=True)
        self.records: list[tuple[Command, Outcome]] = []
        self.live = Events()

        async def record(command, outcome):
            self.records.append((command, outcome))

        context = SinkContext(
            name="opcua",
            gateway=Identity("line1", "acme/line1", "boot", "0.1.0", str(folder)),
            view=self.engine.view,
            history=history,
            events=events,
            commands=self.commands,
            units={"Cel": CELSIUS},
            memory=None,
            report=self.report,
            now_ns=now_ns,
            figures=figures,
            access=access or People(),
            record=record,
            subscribe_events=self.live.subscribe,
            forecasts=forecasts,
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

    def _door(self) -> Door:
        """The real commands on conditions, over the engine; what they change goes to the sink."""
        changed = []

        def commanded(kind, update, **args):
            changed.append(update)

        async def durable():
            while changed:
                await self.sink.write(changed.pop(0))
            return True

        async def audit(command, outcome):
            pass

        return Door(alarms.operations(self.engine, None, commanded, time.time_ns, durable), allowed, audit)


@asynccontextmanager
async def opcua_face(tags: Sequence[Tag], rules: Sequence[AlarmRule] = (), **config) -> AsyncIterator[Face]:
    """A running server; `face.sink.url`."""
    face = Face(tags, rules, **config)
    await face.sink.connect()
    watching = asyncio.create_task(face.sink.gone())
    try:
        yield face
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await face.sink.close()
