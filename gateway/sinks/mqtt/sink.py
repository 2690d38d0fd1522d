"""The shell around `encode`: one broker connection, LATEST values as they change, EVERY rows from the outbox with their PUBACK checked."""

import asyncio
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import numpy as np

from gateway.contracts import Delivery, NotConnected, Rejected, SinkContext
from gateway.model.alarm import Limit
from gateway.model.batch import Mask, Rows, every
from gateway.model.event import Category, Event, Severity
from gateway.model.instant import iso
from gateway.model.outbox import ALARMS, BACKLOG, LAST, LIVE, OutboxRow
from gateway.model.update import Columns, TwinUpdate
from gateway.sinks.mqtt import encode
from gateway.sinks.mqtt.commands import Commanding
from gateway.sinks.mqtt.config import Config
from gateway.sinks.mqtt.encode import Encoder
from gateway.sinks.mqtt.forecasts import Foretelling
from gateway.sinks.mqtt.kpis import Counting
from gateway.sinks.mqtt.span import Span
from gateway.wire.mqtt import packets, reasons
from gateway.wire.mqtt.client import Last, Link, Outgoing

_SLICE: Final = 500  # per-tag packets in one joined buffer: the loop gets its turn between two of them
_STATE_LEVEL: Final = 100
GAP: Final = "_gap"  # the topic of the outbox's own records of what it gave up
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_-]")


class MqttSink:
    """Publishes below `prefix` (default: gateway.path) on an MQTT broker (5 or 3.1.1)."""

    window = 1000

    def __init__(self, config: Config, context: SinkContext) -> None:
        self._config, self._context = config, context
        self._prefix = config.prefix or context.gateway.path
        self._client_id = config.client_id or _NOT_PLAIN.sub("-", f"edgetwin-{context.gateway.name}-{context.name}")
        self.streams = tuple(f"{context.name}/{stream}" for stream in (ALARMS, LIVE, BACKLOG))
        every = config.alarms or config.events or (config.values is not None and config.values.delivery == "EVERY")
        latest = config.events or (config.values is not None and config.values.delivery == "LATEST")
        self.delivery = (Delivery.EVERY if every else Delivery(0)) | (Delivery.LATEST if latest else Delivery(0))
        self._encoder = Encoder(context.view.tags, self._prefix)
        self._heads: list[bytes] = []
        self._link: Link | None = None
        self._span = Span()  # of the rows made since connect()
        self._max_packet = encode.NO_LIMIT  # of the broker that was there last
        self._named: set[str] = set()  # topics that are a problem by name; outlives a connection
        self._left: set[str] = set()  # topics of tags that a reload took: their retained values have to go
        self._dirty: Mask = np.zeros(0, np.bool_)
        self._pacer: asyncio.Task[None] | None = None
        forecasts = context.forecasts if config.forecasts else None
        self._foretelling = None if forecasts is None else Foretelling(forecasts, context, self._prefix, config.qos)
        self._counting = None if context.kpis is None or not config.kpis else Counting(context.kpis, context, self._prefix, config.qos)
        self._commanding = Commanding(context, self._prefix) if config.commands else None

    # --- connection ------------------------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        await self.close()
        last = Last(self._status_topic, self._status(online=False, since=False))
        link = await Link.open(self._config.endpoint, self._client_id, will=last)
        self._link, self._span, self._max_packet = link, Span(), link.max_packet
        self._heads = []
        self._tell([self._status_topic], await link.publish([Outgoing(self._status_topic, self._status(online=True), retain=True)]))
        values = self._config.values
        if values is not None and (values.mode == "per_tag" or values.delivery == "LATEST"):
            encoder = self._current()
            self._dirty[:] = encoder.tags.enabled
            await self._flush(link)
        if values is not None and values.delivery == "LATEST" and values.publish_interval:
            self._pacer = asyncio.create_task(self._pace(link, values.publish_interval))
        if self._foretelling is not None:
            self._foretelling.begin(link)
        if self._counting is not None:
            self._counting.begin(link)
        if self._commanding is not None:
            await self._commanding.begin(link)

    async def close(self) -> None:
        link, self._link = self._link, None
        for part in (self._foretelling, self._counting, self._commanding):
            if part is not None:
                part.close()
        pacer, self._pacer = self._pacer, None
        if pacer is not None:
            pacer.cancel()
        if link is not None:
            with suppress(NotConnected, TimeoutError):
                async with asyncio.timeout(1.0):
                    await link.publish([Outgoing(self._status_topic, self._status(online=False), retain=True)])
            await link.close()

    @property
    def _status_topic(self) -> str:
        return f"{self._prefix}/_status"

    def _status(self, *, online: bool, since: bool = True) -> bytes:
        """since: from now on; a last will cannot know when it will be told."""
        gateway = self._context.gateway
        named = {"online": online, "gateway": gateway.name, "boot": gateway.boot, "version": gateway.version}
        return encode.json({**named, "since": iso(self._context.now_ns())} if since else named)

    def _alive(self) -> Link:
        if self._link is None:
            raise NotConnected(f"{self._config.endpoint.address}: not connected")
        return self._link

    # --- LATEST ----------------------------------------------------------------------------------------------------------------------

    async def gone(self) -> None:
        """Hands on the commands that come; without them all that can come is the end of the link."""
        link = self._alive()
        while True:
            messages = await link.receive()
            if self._commanding is not None:
                self._commanding.take(link, messages)

    async def write(self, update: TwinUpdate) -> None:
        """Publish what the update reports: always the twin's newest values, so that a slow broker gets fewer of them, not older ones."""
        link = self._alive()
        values = self._config.values
        await self._forget(link)
        if values is not None and values.delivery == "LATEST":
            self._dirty[update.rows.tag_id[update.reported]] = True
            if self._pacer is None:
                await self._flush(link)
            elif self._pacer.done():
                self._pacer.result()
        if self._config.events and update.committed and update.changed:
            await self._tell_state(link, update)

    async def _pace(self, link: Link, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await self._flush(link)

    def _current(self) -> Encoder:
        """The encoder of the table in force: a reload may have replaced it."""
        tags = self._context.view.tags
        if self._encoder.tags is not tags:
            before, self._encoder, self._heads = self._encoder, Encoder(tags, self._prefix), []
            if self._config.values is not None and self._config.values.mode == "per_tag":
                self._left = (self._left | before.own) - self._encoder.own
        grown = tags.enabled.size - self._dirty.size
        if grown > 0:
            self._dirty = np.concatenate([self._dirty, np.zeros(grown, np.bool_)])
        return self._encoder

    async def _forget(self, link: Link) -> None:
        """A tag that is no more leaves no retained value, and no forecast."""
        self._current()
        if self._foretelling is not None:
            self._foretelling.look()
        if self._left:
            gone = sorted(self._left)
            self._tell(gone, await link.publish([Outgoing(topic, b"", retain=True) for topic in gone]))
            self._left.difference_update(gone)

    async def _flush(self, link: Link) -> None:
        values = self._config.values
        assert values is not None
        per_tag = values.mode == "per_tag"
        enabled = self._current().tags.enabled
        self._dirty[: enabled.size] &= enabled
        ids = np.flatnonzero(self._dirty)
        size = _SLICE if per_tag else encode.BATCH_VALUES
        for start in range(0, ids.size, size):
            part = ids[start : start + size]
            self._dirty[part] = False
            count = await (self._send_tags(link, part) if per_tag else self._send_batch(link, part))
            self._context.report.count("published", count)
            if start + size < ids.size:
                await asyncio.sleep(0)  # a socket that takes all at once would never give the loop its turn

    async def _send_tags(self, link: Link, ids: Rows) -> int:
        encoder, view = self._current(), self._context.view
        text = {row: view.text[tag_id] for row, tag_id in enumerate(ids.tolist()) if tag_id in view.text} if view.text else {}
        payloads = encoder.payloads(ids, view.value[ids], view.status[ids], view.source_ns[ids], text)
        if self._config.qos:
            return await self._publish_tags(link, ids, payloads)
        if len(self._heads) != len(encoder.topics):
            self._heads = [packets.topic_head(topic, link.version) for topic in encoder.topics]
        heads, retain = self._heads, link.may_retain
        buffer = [packets.publish_qos0(heads[tag_id], payload, retain) for tag_id, payload in zip(ids.tolist(), payloads, strict=True)]
        fitting = [packet for packet in buffer if len(packet) <= link.max_packet]
        if len(fitting) < len(buffer) or self._named:
            topics = [encoder.topics[tag_id] for tag_id in ids.tolist()]
            self._tell(topics, [reasons.PACKET_TOO_LARGE if len(packet) > link.max_packet else 0 for packet in buffer])
            self._context.report.count("too_large", len(buffer) - len(fitting))
        await link.send(b"".join(fitting))
        return len(fitting)

    async def _publish_tags(self, link: Link, ids: Rows, payloads: Sequence[bytes]) -> int:
        topics = [self._encoder.topics[tag_id] for tag_id in ids.tolist()]
        codes = await link.publish([Outgoing(topic, payload, retain=True) for topic, payload in zip(topics, payloads, strict=True)])
        return self._checked(topics, codes)

    async def _send_batch(self, link: Link, ids: Rows) -> int:
        view, encoder = self._context.view, self._current()
        source_ns = view.source_ns[ids]
        timed = source_ns > 0  # columns have no word for a tag without any time
        if not every(timed):
            ids, source_ns = ids[timed], source_ns[timed]
        text = {row: view.text[tag_id] for row, tag_id in enumerate(ids.tolist()) if tag_id in view.text} if view.text else {}
        rows = Columns(ids.astype(np.int32), view.value[ids], view.status[ids], source_ns, text)
        topic, count = f"{self._prefix}/_batch", 0
        head = packets.topic_head(topic, link.version)
        for payload, size in encoder.batches(rows, link.max_packet):
            if self._config.qos:
                count += size * self._checked([topic], await link.publish([Outgoing(topic, payload)]))
                continue
            packet = packets.publish_qos0(head, payload, retain=False)
            if self._checked([topic], [reasons.PACKET_TOO_LARGE if len(packet) > link.max_packet else 0]):
                await link.send(packet)
                count += size
        return count

    def _checked(self, topics: Sequence[str], codes: Sequence[int]) -> int:
        """How many were taken. A refused LATEST value is not tried again: the next one will come."""
        refused = self._tell(topics, codes)
        if refused:
            self._context.report.count("refused", refused)
        return len(topics) - refused

    def _tell(self, topics: Sequence[str], codes: Sequence[int]) -> int:
        """A refused topic is a problem by name until the broker takes it again. How many were refused."""
        refused = 0
        if not self._named and not any(map(reasons.refused, codes)):
            return refused
        for topic, code in zip(topics, codes, strict=True):
            if reasons.refused(code):
                refused += 1
                self._named.add(topic)
                self._context.report.problem(topic, reasons.name(code))
            elif topic in self._named:
                self._named.discard(topic)
                self._context.report.problem(topic, None)
        return refused

    async def _tell_state(self, link: Link, update: TwinUpdate) -> None:
        """The state-changed event: one per twin commit, at most 100 tags, never journaled."""
        tags = self._context.view.tags
        details = {
            "version": update.version,
            "changed": update.changed,
            "tags": [tags[tag_id].name for tag_id in update.changed_tags[:100]],
        }
        one = Event(str(uuid.uuid4()), update.now_ns, Category.SYSTEM, _STATE_LEVEL, "twin", "state changed", details)
        head = packets.topic_head(self._encoder.event_topic(one), link.version)
        await link.send(packets.publish_qos0(head, encode.event(one), retain=False))

    # --- EVERY -----------------------------------------------------------------------------------------------------------------------

    def rows(self, update: TwinUpdate, events: Sequence[Event]) -> list[OutboxRow]:
        """Alarm records, events and, where values are EVERY, each reported sample and each late one."""
        encoder, config = self._current(), self._config
        if self._link is not None:
            self._span.note(update.now_ns)
        rows: list[OutboxRow] = []
        if config.alarms:
            for transition in update.transitions:
                if transition.rule.limit is Limit.PREDICTED:  # no alarm: its event says it
                    continue
                payload = encode.alarm(transition, encoder.tags.named(transition.rule.tag))
                retain = transition.condition.retained
                rows.append(self._row(ALARMS, encoder.alarm_topic(transition), payload, update.now_ns, retain=retain, droppable=False))
        if config.events:
            rows += [
                self._row(ALARMS, encoder.event_topic(one), encode.event(one), update.now_ns, droppable=_gives_way(one)) for one in events
            ]
        if config.values is not None and config.values.delivery == "EVERY":
            stream = BACKLOG if self._link is None else LIVE
            rows += self._value_rows(stream, _reported(update), update.now_ns, newest=True)
            rows += self._value_rows(stream, update.late, update.now_ns, newest=False)
        return rows

    def _value_rows(self, stream: str, rows: Columns, now_ns: int, *, newest: bool) -> list[OutboxRow]:
        assert self._config.values is not None
        if not len(rows):
            return []
        if self._config.values.mode == "batch":
            topic = f"{self._prefix}/_batch"
            return [
                self._row(stream, topic, payload, now_ns, samples=size) for payload, size in self._encoder.batches(rows, self._max_packet)
            ]
        payloads = self._encoder.payloads(rows.tag_id, rows.value, rows.status, rows.source_ns, rows.text)
        last = {tag_id: place for place, tag_id in enumerate(rows.tag_id.tolist())} if newest else {}
        topics = self._encoder.topics
        return [
            self._row(stream, topics[tag_id], payload, now_ns, retain=last.get(tag_id) == place, samples=1)
            for place, (tag_id, payload) in enumerate(zip(rows.tag_id.tolist(), payloads, strict=True))
        ]

    def _row(
        self, stream: str, topic: str, payload: bytes, now_ns: int, *, retain: bool = False, droppable: int = True, samples: int = 0
    ) -> OutboxRow:
        return OutboxRow(f"{self._context.name}/{stream}", topic, payload, now_ns, retain, droppable, samples=samples)

    async def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Rows of one stream in order, pipelined within the broker's window.

        Returns when each was acknowledged. Rejected names the rows that the broker will never take; all the others of the call were
        acknowledged then. NotConnected: the link went, or the broker is over its quota; any of them may have arrived.
        """
        link = self._alive()
        await self._forget(link)
        messages: list[Outgoing] = []
        owners: list[OutboxRow] = []
        for row in rows:
            made = self._messages(row)
            messages += made
            owners += [row] * len(made)
        codes = await link.publish(messages)
        refused = {row.seq: (row, code) for row, code in zip(owners, codes, strict=True) if reasons.refused(code)}
        for row, code in refused.values():
            if not reasons.permanent(code):
                raise NotConnected(f"{self._config.endpoint.address}: {row.topic}: {reasons.name(code)}")
        if refused:
            whys = sorted({f"{row.topic}: {reasons.name(code)}" for row, code in refused.values()})
            raise Rejected([row for row, _ in refused.values()], "; ".join(whys[:3]))
        self._context.report.count("published", sum(row.samples for row in rows))

    def _messages(self, row: OutboxRow) -> list[Outgoing]:
        """The message of a row. A value of the past never replaces a retained one; a condition that is over leaves no retained message."""
        gateway, alarm = self._context.gateway, row.topic.startswith(f"{self._prefix}/_alarm/")
        historical = row.created_ns not in self._span or row.stream.endswith(f"/{BACKLOG}")
        properties = encode.identity(gateway.name, gateway.boot, row, historical)
        payload = encode.spliced(gateway.name, gateway.boot, row, historical)
        topic = f"{self._prefix}/{GAP}" if row.topic == GAP else row.topic
        retain = row.retain and (alarm or (not historical and row.topic in self._encoder.own))
        message = Outgoing(topic, payload, retain, properties)
        if alarm and not row.retain:
            return [message, Outgoing(row.topic, b"", retain=True, properties=properties)]
        return [message]


def _reported(update: TwinUpdate) -> Columns:
    """The rows that pass their deadbands."""
    rows, places = update.rows, np.flatnonzero(update.reported)
    text = {place: rows.text[row] for place, row in enumerate(places.tolist()) if row in rows.text} if rows.text else {}
    return Columns(rows.tag_id[places], rows.value[places], rows.status[places], rows.source_ns[places], text)


def _gives_way(event: Event) -> int:
    """Whether an event may go when the outbox is full: information first, warnings last, errors never."""
    if event.severity is Severity.INFO:
        return True
    return LAST if event.severity is Severity.WARNING else False
