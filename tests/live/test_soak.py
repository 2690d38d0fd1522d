"""Churn of sources, clients and broker: memory and open files stay flat, and the gateway stays alive.

`SOAK_S=600` makes it the long test (`make soak`). The seed is printed.
"""

import asyncio
import contextlib
import os
import random
import time

import aiomqtt
import pytest
from asyncua import Client

from support.gateway import GatewayProcess
from support.opcua_source import URI, Kind, OpcUaSource
from support.ports import free_port
from support.waiting import eventually

SOAK_S = float(os.environ.get("SOAK_S", "20"))
SITE = """
sources:
  plc: {{driver: opcua, url: "{url}", publishing_interval: 50ms}}
  cell: {{driver: mqtt, url: "{broker}", topics: ["cell/#"]}}
tags:
  - {{name: line.temp, source: plc, address: "nsu={uri};s=temp", unit: Cel, range: [0, 100], sampling_interval: 50ms}}
  - {{name: line.count, source: cell, address: "cell/count", type: int}}
alarms:
  - {{tag: line.temp, hi: 50, hysteresis: 5}}
upstream:
  - {{name: hq, kind: mqtt, url: "{broker}", values: {{class: EVERY, mode: batch}}}}
opcua: {{port: {port}, insecure: true, anonymous: viewer}}
"""


async def change(plant):
    """A saw tooth over the alarm limit, 20 values a second."""
    value = 0.0
    while True:
        value = (value + 1.0) % 100.0
        if plant.server is not None:
            with contextlib.suppress(Exception):  # the plant may stop in the middle of a write
                await plant.write("temp", value)
        await asyncio.sleep(0.05)


async def count(broker):
    number = 0
    while True:
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                while True:
                    number += 1
                    await client.publish("cell/count", str(number), qos=1)
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)


async def visit(port, uri):
    """A SCADA client that comes, subscribes and goes without a word."""
    client = Client(f"opc.tcp://127.0.0.1:{port}/edgetwin", timeout=10)
    await client.connect()
    try:
        index = await client.get_namespace_index(uri)
        subscription = await client.create_subscription(50, _Ears())
        await subscription.subscribe_data_change(client.get_node(f"ns={index};s=line.temp"))
        await asyncio.sleep(0.3)
    finally:
        client.disconnect_socket() if random.random() < 0.5 else await client.disconnect()


class _Ears:
    def datachange_notification(self, node, value, data):
        pass


async def churn(chance, plant, broker, gateway, port):
    """One disturbance."""
    what = chance.choice(["plant", "broker", "client", "client", "freeze"])
    if what == "plant":
        await plant.stop()
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        await plant.start()
    elif what == "broker":
        await asyncio.to_thread(broker.restart)
    elif what == "freeze":
        broker.freeze()
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        broker.thaw()
    else:
        with contextlib.suppress(ConnectionError, TimeoutError, OSError):
            await visit(port, f"urn:edgetwin:{gateway.name}")
    return what


@pytest.mark.live
async def test_memory_and_open_files_stay_flat_under_churn(tmp_path, start_mosquitto):
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    chance, port = random.Random(seed), free_port()
    broker = start_mosquitto(persistent=True)
    plant = OpcUaSource(free_port(), {"temp": (20.0, Kind.Double)})
    await plant.start()
    site = SITE.format(url=plant.url, uri=URI, port=port, broker=broker.url)
    with GatewayProcess(tmp_path / "gateway", site) as gateway:
        await asyncio.to_thread(gateway.start)
        tasks = [asyncio.create_task(change(plant)), asyncio.create_task(count(broker))]
        figures, done, began = [], {}, time.monotonic()
        while time.monotonic() - began < SOAK_S:
            what = await churn(chance, plant, broker, gateway, port)
            done[what] = done.get(what, 0) + 1
            await asyncio.sleep(0.5)
            figures.append((await asyncio.to_thread(gateway.get, "/status"))["process"])
        await eventually(lambda: gateway.get("/status")["state"] == "ok", within=30)
        last = (await asyncio.to_thread(gateway.get, "/status"))["process"]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        settled = figures[len(figures) // 3]
        changes = {key: (settled[key], last[key]) for key in ("rss_mb", "open_files")}
        print(f"seed {seed}, {SOAK_S:g} s, {done}: after a third and at the end {changes}")
        assert last["rss_mb"] - settled["rss_mb"] < 8.0
        assert last["open_files"] - settled["open_files"] <= 4
        assert gateway.process.running
    await plant.stop()
