"""The plant goes and comes back; a foreign SCADA client on the gateway sees it as data, and nobody restarts anything."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from asyncua import Client

from support.gateway import GatewayProcess
from support.opcua_source import URI, Kind, OpcUaSource
from support.ports import free_port
from support.waiting import eventually

WATCH = Path(__file__).parents[1] / "node" / "watch.mjs"
SITE = """
sources:
  plc: {{driver: opcua, url: "{url}", publishing_interval: 100ms}}
tags:
  - {{name: line.temp, source: plc, address: "nsu={uri};s=temp", unit: Cel, range: [0, 100]}}
alarms:
  - {{tag: line.temp, hi: 50, bad_quality: true}}
opcua: {{port: {port}, insecure: true, anonymous: viewer}}
"""
KEEP_ALIVE_S = 5.0


def heard(client):
    return [json.loads(line) for line in client.output().splitlines() if line.startswith("{")]


@pytest.mark.live
async def test_statuses_turn_bad_when_the_plant_goes_and_good_within_five_seconds_of_its_return(tmp_path, node):
    port = free_port()
    plant = OpcUaSource(free_port(), {"temp": (20.0, Kind.Double)})
    await plant.start()
    site = SITE.format(url=plant.url, uri=URI, port=port)
    with GatewayProcess(tmp_path / "gateway", site) as gateway:
        await asyncio.to_thread(gateway.start)
        with node.start(
            WATCH, f"opc.tcp://127.0.0.1:{port}/edgetwin", f"urn:edgetwin:{gateway.name}", "line.temp", folder=tmp_path / "scada"
        ) as scada:
            await eventually(lambda: any(row.get("status") == "Good" for row in heard(scada)), within=20)
            await plant.stop()
            stopped = time.monotonic()
            await eventually(lambda: heard(scada)[-1].get("status") == "BadNoCommunication", within=2 * KEEP_ALIVE_S)
            bad_after_s = time.monotonic() - stopped
            await eventually(lambda: any(row["limit"] == "BAD" for row in gateway.get("/alarms")["alarms"]), within=5)
            assert gateway.get("/status")["sources"]["plc"]["state"] == "down"
            await asyncio.sleep(3.0)  # an outage of some length
            plant.values = {"temp": (60.0, Kind.Double)}
            await plant.start()
            back = time.monotonic()
            await eventually(lambda: heard(scada)[-1].get("value") == 60 and heard(scada)[-1].get("status") == "Good", within=5.0)
            print(f"Bad after {bad_after_s:.2f} s, Good {time.monotonic() - back:.2f} s after the return")
            await eventually(lambda: {row["limit"] for row in gateway.get("/alarms")["alarms"] if row["active"]} == {"HI"}, within=5)
    await plant.stop()


@pytest.mark.live
async def test_the_gateways_own_health_is_browsed_and_read_as_nodes(tmp_path):
    """s=Twin and s=Gateway: synchronization, health, queues, how well the alarms serve."""
    port = free_port()
    with GatewayProcess(tmp_path / "gateway", SITE.format(url=f"opc.tcp://127.0.0.1:{free_port()}/none", uri=URI, port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        async with Client(f"opc.tcp://127.0.0.1:{port}/edgetwin") as client:
            index = await client.get_namespace_index(f"urn:edgetwin:{gateway.name}")
            found = {}
            for root in ("Twin", "Gateway", "Gateway/AlarmPerformance"):
                for child in await client.get_node(f"ns={index};s={root}").get_variables():
                    found[f"{root}/{(await child.read_browse_name()).Name}"] = await child.read_value()
        assert (found["Twin/SyncMode"], found["Twin/UpdateRate"]) == ("real_time", 1.0)
        assert found["Gateway/Ready"] is True
        assert (found["Gateway/AlarmPerformance/Stale"], found["Gateway/AlarmPerformance/FloodNow"]) == (0, False)
        assert "plc" in found["Gateway/Degraded"]
        assert {"Gateway/InboxSamples", "Gateway/OutboxRows", "Gateway/OutboxAge", "Gateway/SamplesIn"} <= set(found)
