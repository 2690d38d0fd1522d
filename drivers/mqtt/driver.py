"""The shell around `decode`: one broker connection, messages in, columns out, acknowledged once they are committed."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from drivers.mqtt.config import Config
from drivers.mqtt.decode import Decoded, Decoder
from gateway.contracts import ConfigError, DriverContext, NotConnected
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.wire.mqtt.client import Link
from gateway.wire.mqtt.endpoint import matches
from gateway.wire.mqtt.packets import V311, Message

_NAMED_FAULTS: Final = 1000
_AHEAD_V311: Final = 20
_AHEAD_V5: Final = 65_535
_NO_HURRY: Final = 1_000_000
_FILTERS: Final = "filters"  # what the kept session at the broker is subscribed to
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_-]")


class MqttDriver:
    """Reads a source's tags from an MQTT broker (5 or 3.1.1).

    The session at the broker is persistent: with QoS 1, what comes while the gateway is away is delivered later, and what was not
    committed is delivered again. Payloads without a time of their own are therefore at-least-once.
    """

    def __init__(self, config: Config, context: DriverContext) -> None:
        for tag in context.tags:
            if why := Config.address_error(tag.address):
                raise ConfigError(f"tags.{tag.name}.address", why)
        self._config, self._context = config, context
        self._decoder = Decoder(context.tags, config.timestamp_fields)
        self._client_id = config.client_id or _NOT_PLAIN.sub("-", f"edgetwin-{context.gateway.name}-{context.name}")
        self._link: Link | None = None
        self._unacknowledged: deque[tuple[int, int]] = deque()  # (receipt, packet identifier) of this link, in order of arrival
        self._receipt = self._issued = self._accepted = 0
        self._waiting: list[Message] = []  # received, and not given on yet
        self._names = {tag.tag_id: tag.name for tag in context.tags}
        self._faulty: set[str] = set()
        self._pauses = 0

    async def connect(self) -> None:
        await self.close()
        config, report = self._config, self._context.report
        link = await Link.open(config.endpoint, self._client_id, session_expiry_s=round(config.session_expiry))
        self._link, self._pauses = link, 0
        self._accepted = self._issued = self._receipt  # receipts of earlier links acknowledge nothing here
        known = self._context.memory.get(_FILTERS)
        await link.unsubscribe(sorted(set(known.split("\n")) - set(config.topics)) if known and link.session_present else [])
        refused = await link.subscribe(config.topics, config.qos)
        self._context.memory.put(_FILTERS, "\n".join(config.topics))
        for topic in config.topics:
            report.problem(topic, f"the broker refused the subscription: {refused[topic]}" if topic in refused else None)
        if len(refused) == len(config.topics):
            raise NotConnected(f"{config.endpoint.address}: every subscription refused: {next(iter(refused.values()))}")
        self._name_uncovered()

    async def read(self) -> SampleBatch:
        while True:
            if self._link is None:
                raise NotConnected(f"{self._config.endpoint.address}: not connected")
            found = self._waiting or await self._link.receive()
            messages = _alike(found)
            self._waiting = found[len(messages) :]
            self._receipt += 1
            self._unacknowledged.extend((self._receipt, message.mid) for message in messages if message.mid)
            decoded = self._decoder.decode(messages, self._context.now_ns(), self._receipt)
            self._tell(decoded, len(messages))
            if len(decoded.batch):
                self._issued = self._receipt
                return replace(decoded.batch, origin=Origin.AGAIN) if messages[0].dup else decoded.batch
            if self._accepted >= self._issued:  # nothing before it waits for a commit
                self._acknowledge()

    def accept(self, receipt: object) -> None:
        """Acknowledge what came up to this receipt, in order of arrival (MQTT 5, 4.6)."""
        if isinstance(receipt, int) and receipt > self._accepted:
            self._accepted = receipt
            self._acknowledge()

    @property
    def window(self) -> int:
        """1 as soon as half of what the broker sends ahead waits for a commit: the next receipt hurries it. Else more than ever waits.

        MQTT 5 brokers keep to our Receive Maximum; those of 3.1.1 stop after a number of their own, 20 at Mosquitto.
        """
        ahead = _AHEAD_V311 if self._link is not None and self._link.version == V311 else _AHEAD_V5
        return 1 if len(self._unacknowledged) * 2 >= ahead else _NO_HURRY

    async def close(self) -> None:
        link, self._link = self._link, None
        self._unacknowledged.clear()
        self._waiting = []
        if link is not None:
            await link.close()

    def _acknowledge(self) -> None:
        """Everything up to the accepted receipt, and what came after it without holding a sample."""
        through = self._receipt if self._accepted >= self._issued else self._accepted
        mids: list[int] = []
        while self._unacknowledged and self._unacknowledged[0][0] <= through:
            mids.append(self._unacknowledged.popleft()[1])
        if self._link is not None:
            self._link.acknowledge(mids)

    def _tell(self, decoded: Decoded, messages: int) -> None:
        report = self._context.report
        report.count("messages", messages)
        for name, n in (
            ("unknown_topics", decoded.unknown_topics),
            ("bad_timestamps", decoded.bad_times),
            ("bad_values", len(decoded.faults)),
        ):
            if n:
                report.count(name, n)
        if self._link is not None and self._link.pauses > self._pauses:
            report.count("inbox_full", self._link.pauses - self._pauses)
            self._pauses = self._link.pauses
        if self._faulty:
            good = decoded.batch.tag_id[quality.is_good(decoded.batch.status)]
            for name in [self._names[tag_id] for tag_id in set(good.tolist()) if self._names[tag_id] in self._faulty]:
                self._faulty.discard(name)
                report.problem(name, None)
        for subject, why in decoded.faults[:_NAMED_FAULTS]:
            if subject not in self._faulty and len(self._faulty) < _NAMED_FAULTS:
                self._faulty.add(subject)
                report.problem(subject, why)

    def _name_uncovered(self) -> None:
        for tag in self._context.tags:
            topic = tag.address.partition("#")[0]
            if not any(matches(pattern, topic) for pattern in self._config.topics):
                self._context.report.problem(tag.name, f"no topic filter of this source covers {topic}")


def _alike(messages: Sequence[Message]) -> list[Message]:
    """The first of them that are all delivered again (DUP), or all for the first time."""
    again = messages[0].dup
    end = next((place for place, message in enumerate(messages) if message.dup != again), len(messages))
    return list(messages[:end])
