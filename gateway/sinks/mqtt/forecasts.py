"""`<prefix>/_forecast/<tag, dots kept>`: the newest forecast of each tag, retained; an older one is never sent after it."""

import asyncio
from contextlib import suppress
from typing import Final

import orjson

from gateway.contracts import NotConnected, SinkContext
from gateway.model.forecast import Outlook
from gateway.model.forecast_record import band, scalars
from gateway.outlook import ForecastView
from gateway.wire.mqtt import packets
from gateway.wire.mqtt.client import Link, Outgoing

_SLICE: Final = 50  # records in one buffer: the loop gets its turn between two of them


class Foretelling:
    """One task for as long as a link stands. It goes on with the newest outlook, whatever came while it was busy."""

    def __init__(self, forecasts: ForecastView, context: SinkContext, prefix: str, qos: int) -> None:
        self._forecasts, self._context, self._prefix, self._qos = forecasts, context, prefix, qos
        self._fresh = asyncio.Event()
        self._shown: set[str] = set()  # topics that have a record
        self._task: asyncio.Task[None] | None = None
        self._end = _nothing
        self._tags = forecasts.tags

    def begin(self, link: Link) -> None:
        """From now on each outlook is published, the newest at once."""
        self._end = self._forecasts.watch(lambda _: self._fresh.set())
        self._fresh.set()
        self._task = asyncio.create_task(self._publish(link), name=f"forecasts to {self._context.name}")

    def look(self) -> None:
        """After a reload what is no longer forecast leaves no retained record."""
        if self._forecasts.tags != self._tags:
            self._tags = self._forecasts.tags
            self._fresh.set()

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
                await self._send(link, self._forecasts.newest())

    async def _send(self, link: Link, outlook: Outlook | None) -> None:
        ids = [] if outlook is None else outlook.tag_id.tolist()
        tags = self._context.view.tags
        topics = [f"{self._prefix}/_forecast/{tags[tag_id].name}" for tag_id in ids]
        gone = sorted(self._shown.difference(topics))
        if gone:
            await self._out(link, [(topic, b"") for topic in gone])
            self._shown.difference_update(gone)
        for start in range(0, len(ids), _SLICE):
            assert outlook is not None
            part = range(start, min(start + _SLICE, len(ids)))
            await self._out(link, [(topics[row], record(outlook, row, self._context)) for row in part])
            self._shown.update(topics[row] for row in part)
            self._context.report.count("published", len(part))
            await asyncio.sleep(0)

    async def _out(self, link: Link, messages: list[tuple[str, bytes]]) -> None:
        if self._qos:
            await link.publish([Outgoing(topic, payload, retain=True) for topic, payload in messages])
            return
        made = [packets.publish_qos0(packets.topic_head(topic, link.version), payload, link.may_retain) for topic, payload in messages]
        fitting = [packet for packet in made if len(packet) <= link.max_packet]
        if len(fitting) < len(made):
            self._context.report.count("too_large", len(made) - len(fitting))
        await link.send(b"".join(fitting))


def record(outlook: Outlook, row: int, context: SinkContext) -> bytes:
    """The payload: what is said of the lead and of the limits, and the band, thinned to 61 instants."""
    tag = context.view.tags[int(outlook.tag_id[row])]
    return orjson.dumps(scalars(outlook, row, tag) | {"band": band(outlook, row)}, option=orjson.OPT_SERIALIZE_NUMPY)


def _nothing() -> None:
    """Nobody watches."""
