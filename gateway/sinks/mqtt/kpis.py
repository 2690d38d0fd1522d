"""`<prefix>/_kpi/<name>`: the newest KPIs of the line, retained; sent when they change, about once a second at most."""

import asyncio
import math
from contextlib import suppress

import orjson

from gateway.contracts import NotConnected, SinkContext
from gateway.model.instant import iso
from gateway.model.kpi import KpiValue
from gateway.outlook import KpiView
from gateway.wire.mqtt import packets
from gateway.wire.mqtt.client import Link, Outgoing


class Counting:
    """One task for as long as a link stands."""

    def __init__(self, kpis: KpiView, context: SinkContext, prefix: str, qos: int) -> None:
        self._kpis, self._context, self._prefix, self._qos = kpis, context, prefix, qos
        self._fresh = asyncio.Event()
        self._sent: dict[str, tuple[float | str | None, float]] = {}  # value and coverage by topic
        self._task: asyncio.Task[None] | None = None
        self._end = _nothing

    def begin(self, link: Link) -> None:
        """From now on changes are published, all that there is at once."""
        self._sent = dict.fromkeys(self._sent, (None, math.nan))
        self._end = self._kpis.watch(self._fresh.set)
        self._fresh.set()
        self._task = asyncio.create_task(self._publish(link), name=f"kpis to {self._context.name}")

    def close(self) -> None:
        """Idempotent."""
        self._end()
        self._end = _nothing
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _publish(self, link: Link) -> None:
        with suppress(NotConnected):  # the sink itself notices that its link is gone
            while True:
                await self._fresh.wait()
                self._fresh.clear()
                await self._send(link)

    async def _send(self, link: Link) -> None:
        messages, there = list[tuple[str, bytes]](), set[str]()
        for one in self._kpis.values():
            topic = f"{self._prefix}/_kpi/{one.name}"
            there.add(topic)
            now = _shown(one.value), one.coverage
            if self._sent.get(topic) != now:
                self._sent[topic] = now
                messages.append((topic, record(one)))
        for topic in self._sent.keys() - there:  # a reload took it
            del self._sent[topic]
            messages.append((topic, b""))
        if messages:
            await self._out(link, messages)
            self._context.report.count("published", len(messages))

    async def _out(self, link: Link, messages: list[tuple[str, bytes]]) -> None:
        if self._qos:
            await link.publish([Outgoing(topic, payload, retain=True) for topic, payload in messages])
        else:
            made = [packets.publish_qos0(packets.topic_head(topic, link.version), payload, link.may_retain) for topic, payload in messages]
            await link.send(b"".join(packet for packet in made if len(packet) <= link.max_packet))


def record(one: KpiValue) -> bytes:
    """The payload; a value of null: there is nothing to divide by yet."""
    return orjson.dumps({"value": _shown(one.value), "timestamp": iso(one.at_ns), "unit": one.unit, "coverage": one.coverage})


def _shown(value: float | str) -> float | str | None:
    return None if isinstance(value, float) and math.isnan(value) else value


def _nothing() -> None:
    """Nobody watches."""
