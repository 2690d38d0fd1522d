"""The oracle of loss: a source that emits numbered samples, and a checker of what arrived upstream."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

EPOCH_MS = time.time_ns() // 1_000_000 - 3_600_000  # an hour ago: no source time lies ahead of the gateway's clock


async def emit(port: int, tags: Sequence[str], rate: float, stop: asyncio.Event, first: int = 0) -> int:
    """Publish {"value": n, "timestamp": ms} for each tag, n counting up, QoS 1, `rate` rounds/s; the number after the last."""
    number = first
    loop = asyncio.get_running_loop()
    async with aiomqtt.Client("127.0.0.1", port, identifier="numbers", max_inflight_messages=500) as client:
        due = loop.time()
        while not stop.is_set():
            payload = json.dumps({"value": number, "timestamp": EPOCH_MS + number}).encode()
            await asyncio.gather(*(client.publish(f"cell/{tag}", payload, qos=1) for tag in tags))
            number += 1
            due += 1.0 / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
    return number


@dataclass
class Upstream:
    """What a consumer keeps: per tag the numbers in order of arrival after de-duplication by (boot, stream, seq)."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    seen: set[tuple[str, str, int]] = field(default_factory=set)
    streams: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    duplicates: int = 0
    historical: int = 0

    def take(self, payload: bytes) -> None:
        message = json.loads(payload)
        key = (message["boot"], message["stream"], message["seq"])
        if key in self.seen:
            self.duplicates += 1
            return
        self.seen.add(key)
        self.streams.setdefault(key[:2], []).append(key[2])
        self.historical += bool(message.get("historical"))
        for tag, value in zip(message["tag"], message["value"], strict=True):
            if value is not None:
                self.numbers.setdefault(tag, []).append(int(value))

    def lost(self, tags: Sequence[str], count: int) -> int:
        return sum(len(set(range(count)) - set(self.numbers.get(tag, ()))) for tag in tags)

    def twice(self) -> int:
        return sum(sum(1 for times in Counter(numbers).values() if times > 1) for numbers in self.numbers.values())

    def out_of_order(self) -> int:
        """Sequence numbers that went back within a stream."""
        return sum(later < earlier for seqs in self.streams.values() for earlier, later in pairwise(seqs))


async def consume(port: int, topic: str, upstream: Upstream, ready: asyncio.Event) -> None:
    """Subscribe with a session of its own and keep all that comes; reconnects for ever."""
    expiry = Properties(PacketTypes.CONNECT)
    expiry.SessionExpiryInterval = 3600
    while True:
        try:
            async with aiomqtt.Client(
                "127.0.0.1", port, identifier="upstream", protocol=aiomqtt.ProtocolVersion.V5, clean_start=False, properties=expiry
            ) as client:
                await client.subscribe(topic, qos=1)
                ready.set()
                async for message in client.messages:
                    upstream.take(bytes(message.payload))
        except aiomqtt.MqttError:
            await asyncio.sleep(0.1)
