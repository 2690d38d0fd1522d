"""kill -9 at random moments under load: what was acknowledged to the source arrives upstream and lies in history, and once.

`KILLS=50` makes it the long test (`make kills`). The seed is printed.
"""

import asyncio
import json
import os
import random
import time

import aiomqtt
import pytest

from support.gateway import GatewayProcess
from support.numbered import Upstream, consume, emit
from support.waiting import eventually

KILLS = int(os.environ.get("KILLS", "4"))
TAGS = [f"t{number}" for number in range(10)]
SITE = """
sources:
  cell: {{driver: mqtt, url: "mqtt://127.0.0.1:{port}", topics: ["cell/#"]}}
tags:
{tags}
upstream:
  - {{name: hq, kind: mqtt, url: "mqtt://127.0.0.1:{port}", values: {{class: EVERY, mode: batch}}}}
"""


def site(port):
    rows = "\n".join(f'  - {{name: line.{tag}, source: cell, address: "cell/{tag}#/value", type: int}}' for tag in TAGS)
    return SITE.format(port=port, tags=rows)


@pytest.mark.live
async def test_kill_9_at_random_moments_loses_nothing_that_was_acknowledged(tmp_path, start_mosquitto):
    broker = start_mosquitto(persistent=True)
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    chance = random.Random(seed)
    upstream, subscribed, stop = Upstream(), asyncio.Event(), asyncio.Event()
    consuming = asyncio.create_task(consume(broker.port, "test/line/_batch", upstream, subscribed))
    await asyncio.wait_for(subscribed.wait(), 10)
    with GatewayProcess(tmp_path, site(broker.port)) as gateway:
        starts = [await asyncio.to_thread(gateway.start)]
        emitting = asyncio.create_task(emit(broker.port, TAGS, 100.0, stop))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.1, 3.0))  # the random moment
            gateway.kill()
            starts.append(await asyncio.to_thread(gateway.start))
        await asyncio.sleep(0.5)  # some load after the last start
        stop.set()
        count = await emitting
        try:
            await eventually(lambda: upstream.lost([f"line.{tag}" for tag in TAGS], count) == 0, within=30)
        finally:
            print(f"seed {seed}: {count} rounds, {KILLS} kills, slowest start {max(starts):.2f} s, {upstream.duplicates} repeated messages")
        names = [f"line.{tag}" for tag in TAGS]
        assert upstream.twice() == 0
        assert max(starts) <= 10.0
        for name in names:
            history = await asyncio.to_thread(gateway.get, "/history", tag=name, **{"from": "1970-01-01T00:00:00Z", "limit": 100_000})
            assert sorted(int(value) for value in history["series"][0]["value"] if value is not None) == list(range(count)), name
    consuming.cancel()
    await asyncio.wait([consuming])


@pytest.mark.live
async def test_an_upstream_outage_loses_nothing_keeps_the_order_and_marks_what_is_replayed(tmp_path, start_mosquitto):
    """OUTAGE_S=60 makes it the long test."""
    outage_s = float(os.environ.get("OUTAGE_S", "4"))
    south, north = start_mosquitto(), start_mosquitto(persistent=True)
    upstream, subscribed, stop = Upstream(), asyncio.Event(), asyncio.Event()
    consuming = asyncio.create_task(consume(north.port, "test/line/_batch", upstream, subscribed))
    await asyncio.wait_for(subscribed.wait(), 10)
    text = site(south.port).replace(
        f'{{name: hq, kind: mqtt, url: "mqtt://127.0.0.1:{south.port}"', f'{{name: hq, kind: mqtt, url: "mqtt://127.0.0.1:{north.port}"'
    )
    with GatewayProcess(tmp_path, text) as gateway:
        await asyncio.to_thread(gateway.start)
        emitting = asyncio.create_task(emit(south.port, TAGS, 100.0, stop))
        await eventually(lambda: upstream.numbers, within=10)
        await asyncio.to_thread(north.stop)
        await asyncio.sleep(outage_s)  # the outage itself
        await asyncio.to_thread(north.start)
        await eventually(lambda: upstream.historical, within=30)
        stop.set()
        count = await emitting
        await eventually(lambda: upstream.lost([f"line.{tag}" for tag in TAGS], count) == 0, within=60)
        print(f"{count} rounds, outage {outage_s:g} s, {upstream.historical} historical, {upstream.duplicates} repeated messages")
        assert upstream.twice() == 0
        assert upstream.out_of_order() == 0
        assert upstream.historical >= outage_s  # at the least one message a second was marked
    consuming.cancel()
    await asyncio.wait([consuming])


@pytest.mark.live
async def test_an_idle_gateway_says_online_again_after_its_broker_was_restarted(tmp_path, start_mosquitto):
    """Nothing is sent, and the retained status is lost with the broker: it must come back by itself."""
    south, north = start_mosquitto(), start_mosquitto()
    text = site(south.port).replace(
        f'{{name: hq, kind: mqtt, url: "mqtt://127.0.0.1:{south.port}"', f'{{name: hq, kind: mqtt, url: "mqtt://127.0.0.1:{north.port}"'
    )
    with GatewayProcess(tmp_path, text) as gateway:
        await asyncio.to_thread(gateway.start)
        assert json.loads(await retained(north.port, "test/line/_status"))["online"] is True
        await asyncio.to_thread(north.restart)
        assert json.loads(await retained(north.port, "test/line/_status"))["online"] is True


async def retained(port, topic, within=10.0):
    """The first message of a topic, retained or not."""
    async with asyncio.timeout(within), aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic)
        async for message in client.messages:
            return message.payload
    raise AssertionError
