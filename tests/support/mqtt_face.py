"""The MQTT sink over a real engine with an outbox in memory, and a subscriber that keeps what it hears."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt

from gateway.access.people import People
from gateway.contracts import Identity, SinkContext
from gateway.engine.engine import Engine
from gateway.model.alarm import AlarmRule
from gateway.model.batch import SampleBatch
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable, TagType
from gateway.sinks.mqtt.config import Config
from gateway.sinks.mqtt.sink import MqttSink
from support.opcua_face import Report

PATH = "acme/line1"
TAGS = (
    Tag(0, "line.temp", unit="Cel"),
    Tag(1, "line.count", type=TagType.INT),
    Tag(2, "line.on", type=TagType.BOOL),
    Tag(3, "line.recipe", type=TagType.TEXT),
    Tag(4, "line.state", type=TagType.ENUM, labels={0: "stopped", 1: "running"}),
)
AT = time.time_ns() // 1_000_000_000 * 1_000_000_000 + 123_000_000
EVERY = {"values": {"class": "EVERY", "mode": "per_tag"}}


class Outbox:
    """Rows per stream with gap-free seq, as the store keeps them."""

    def __init__(self):
        self.rows = {}
        self.seq = {}

    def append(self, rows):
        for row in rows:
            seq = self.seq[row.stream] = self.seq.get(row.stream, 0) + 1
            self.rows.setdefault(row.stream, []).append(replace(row, seq=seq))

    async def drain(self, sink, window=100):
        for stream in sink.streams:
            while rows := self.rows.get(stream, [])[:window]:
                await sink.deliver(rows)
                del self.rows[stream][: len(rows)]


class MqttFace:
    """sink, engine, outbox and what they were told."""

    def __init__(
        self, url: str, tags: Sequence[Tag], rules: Sequence[AlarmRule] = (), *, context: Mapping[str, Any] | None = None, **config
    ):
        """context: what of the SinkContext is another than usual."""
        self.table = TagTable.of(tags)
        self.engine = Engine(self.table, rules, [], Sync(update_frequency=1000))
        self.report, self.outbox = Report(), Outbox()
        usual = SinkContext(
            name="hq",
            gateway=Identity("line1", PATH, "boot1", "0.1.0", str(Path("/tmp"))),
            view=self.engine.view,
            history=None,
            events=None,
            commands=None,
            units={},
            memory=None,
            report=self.report,
            now_ns=time.time_ns,
            access=People(),
        )
        self.sink = MqttSink(Config(url=url, **config), replace(usual, **(context or {})))

    def step(self, values, status=0, at_ns=None):
        """One message of the plant, tag -> value; its rows go to the outbox."""
        at_ns = at_ns or time.time_ns()
        ids = [self.table.index[name] for name in values]
        numbers = [float("nan") if isinstance(value, str) else value for value in values.values()]
        text = {row: value for row, value in enumerate(values.values()) if isinstance(value, str)}
        update = self.engine.step(SampleBatch.of(ids, numbers, status, at_ns, received_ns=at_ns, text=text), at_ns)
        self.outbox.append(self.sink.rows(update, []))
        return update


def without(document: dict, *keys: str) -> dict:
    """The document without these keys."""
    return {key: value for key, value in document.items() if key not in keys}


async def connected(face: MqttFace) -> MqttSink:
    """Its sink, connected."""
    await face.sink.connect()
    return face.sink


class Subscriber:
    """messages: (topic, payload, retain) in order of arrival."""

    def __init__(self):
        self.messages = []
        self.over = asyncio.Event()  # the broker went

    def on(self, topic):
        """The JSON documents of one topic, oldest first; None for an empty payload."""
        return [json.loads(payload) if payload else None for one, payload, _ in self.messages if one == topic]

    async def listen(self, client):
        try:
            async for message in client.messages:
                self.messages.append((str(message.topic), bytes(message.payload), bool(message.retain)))
        except aiomqtt.MqttError:
            self.over.set()


@asynccontextmanager
async def _until_lost(client):
    async with AsyncExitStack() as stack:
        await client.__aenter__()
        stack.push_async_callback(_leave, client)
        yield


async def _leave(client):
    with suppress(aiomqtt.MqttError):
        await client.__aexit__(None, None, None)


@asynccontextmanager
async def subscriber(port: int, *topics: str, qos: int = 1) -> AsyncIterator[Subscriber]:
    """Hears these topics; what is retained comes first."""
    one = Subscriber()
    client = aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, max_inflight_messages=1000)
    async with _until_lost(client):
        for topic in topics or ("#",):
            await client.subscribe(topic, qos=qos)
        task = asyncio.create_task(one.listen(client))
        try:
            yield one
        finally:
            task.cancel()
