"""The sinks: one task, one queue and one health unit each; those that promise EVERY also say what goes into the outbox."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel

from gateway.contracts import Delivery, EverySink, OutboxView, Reachable, Sink, SinkContext
from gateway.health import Health, State, Unit
from gateway.model.event import Event
from gateway.model.outbox import OutboxRow
from gateway.model.update import Columns, Counts, TwinUpdate
from gateway.plugins import sink_class
from gateway.road import LatestQueue, Wake
from gateway.runner import run_sink


@dataclass(slots=True)
class Face:
    """One running sink; every, latest: what it promises, found out once."""

    name: str
    kind: str
    sink: Sink
    queue: LatestQueue
    unit: Unit
    task: "asyncio.Task[None] | None" = field(default=None)
    every: EverySink | None = field(init=False)
    latest: bool = field(init=False)

    def __post_init__(self) -> None:
        self.every = self.sink if isinstance(self.sink, EverySink) else None
        self.latest = Delivery.LATEST in self.sink.delivery


class Northbound:
    """All sinks by name: the OPC UA server as `opcua`, the upstream ones by their own names."""

    def __init__(self, health: Health, outbox: OutboxView, committed: Wake, context_of: Callable[[str, Unit], SinkContext]) -> None:
        self._health, self._outbox, self._committed, self._context_of = health, outbox, committed, context_of
        self.faces: dict[str, Face] = {}

    def build(self, wanted: Mapping[str, tuple[str, BaseModel]]) -> dict[str, Face]:
        """A face for each name -> (kind, configuration), not started. Raises ConfigError."""
        faces = {}
        for name, (kind, config) in wanted.items():
            unit = self._health.fresh("sink", name)
            sink = sink_class(kind)(config, self._context_of(name, unit))
            faces[name] = Face(name, kind, sink, LatestQueue(unit), unit)
        return faces

    def start(self, group: asyncio.TaskGroup, faces: Mapping[str, Face]) -> None:
        """Run them; each connects in its own time."""
        for name, face in faces.items():
            run = run_sink(face.sink, face.queue, self._outbox, self._committed, face.unit)
            self._health.keep(face.unit)
            face.task = group.create_task(run, name=f"sink {name}")
            self.faces[name] = face

    async def stop(self, names: Sequence[str] | None = None) -> None:
        """End them, all or those named."""
        tasks = [self.faces[name].task for name in (list(self.faces) if names is None else names)]
        running = [task for task in tasks if task is not None and not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def replace(self, group: asyncio.TaskGroup, faces: Mapping[str, Face], gone: Sequence[str]) -> None:
        """End those that are gone or changed, and start the new ones; what the outbox holds for them stays."""
        await self.stop([name for name in [*gone, *faces] if name in self.faces])
        for name in gone:
            self.faces.pop(name, None)
            self._health.forget("sink", name)
        self.start(group, faces)

    def offer(self, update: TwinUpdate) -> None:
        """Hand an update to every LATEST sink's queue."""
        for face in self.faces.values():
            if face.latest:
                face.queue.offer(update)

    def rows(self, update: TwinUpdate, events: Sequence[Event]) -> list[OutboxRow]:
        """What of this step every EVERY sink must deliver."""
        rows: list[OutboxRow] = []
        for face in self.faces.values():
            if face.every is not None:
                rows += face.every.rows(update, events)
        return rows

    async def tried(self, names: Sequence[str]) -> None:
        """Wait until those of the named that run have been up, or have failed to come up."""
        while any(self.faces[name].unit.state is State.STARTING for name in names if name in self.faces):  # noqa: ASYNC110  at the start only
            await asyncio.sleep(0.005)

    def urls(self) -> dict[str, str]:
        """The addresses of the faces that listen and have one."""
        up = [face for face in self.faces.values() if face.unit.state is State.UP]
        return {face.name: face.sink.url for face in up if isinstance(face.sink, Reachable)}

    async def drained(self, flush: Callable[[], Awaitable[None]]) -> None:
        """Wait until the connected EVERY sinks have delivered what is committed; flush() makes durable what they acknowledged."""
        await flush()
        while any(fill.rows for fill in self._outbox.fill() if self._is_up(fill.stream)):
            await asyncio.sleep(0.02)
            await flush()

    def _is_up(self, stream: str) -> bool:
        face = self.faces.get(stream.partition("/")[0])
        return face is not None and face.unit.state is State.UP


def nothing(now_ns: int, version: int) -> TwinUpdate:
    """An update without rows: the carrier of an event that no sample caused."""
    empty = Columns(np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint32), np.empty(0, np.int64))
    return TwinUpdate(
        now_ns, empty, np.empty(0, np.bool_), empty, (), version, committed=False, changed=0, changed_tags=(), counts=Counts()
    )
