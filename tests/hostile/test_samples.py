"""Nonsense from the plant, against the whole gateway: each sample is marked with the right StatusCode and named; its neighbours flow."""

import asyncio
import json
import math

import aiomqtt
import pytest
from asyncua import Client

from support.gateway import GatewayProcess
from support.ports import free_port
from support.waiting import eventually

SITE = """
sources:
  cell: {{driver: mqtt, url: "{url}", topics: ["cell/#"]}}
tags:
  - {{name: line.good, source: cell, address: "cell/good"}}
  - {{name: line.float, source: cell, address: "cell/float#/value", range: [0, 100]}}
  - {{name: line.int, source: cell, address: "cell/int#/value", type: int}}
  - {{name: line.bool, source: cell, address: "cell/bool#/value", type: bool}}
  - {{name: line.text, source: cell, address: "cell/text#/value", type: text}}
  - {{name: line.state, source: cell, address: "cell/state#/value", type: enum, labels: {{0: stopped, 1: running}}}}
alarms:
  - {{tag: line.float, hi: 90}}
upstream:
  - {{name: hq, kind: mqtt, url: "{url}", values: {{class: LATEST, mode: per_tag}}}}
opcua: {{port: {port}, insecure: true, anonymous: viewer}}
"""
CASES = [
    ("float", b'{"value": NaN}', "BadOutOfRange"),
    ("float", b'{"value": Infinity}', "BadOutOfRange"),
    ("float", b'{"value": 1e400}', "BadOutOfRange"),
    ("float", b'{"value": "warm"}', "BadDecodingError"),
    ("float", b'{"value": {"deep": 1}}', "BadDecodingError"),
    ("float", b'{"value": 101}', "UncertainEngineeringUnitsExceeded"),
    ("float", b"not json", "BadDecodingError"),
    ("float", b"\xff\xfe\x00", "BadDecodingError"),
    ("float", b"", "BadDecodingError"),
    ("float", b"[" * 100_000, "BadDecodingError"),
    ("float", b'{"value": null}', "BadNoData"),
    ("int", b'{"value": 18446744073709551616}', "BadOutOfRange"),
    ("int", b'{"value": 9007199254740993}', "BadOutOfRange"),
    ("int", b'{"value": 1.5}', "BadDecodingError"),
    ("bool", b'{"value": "maybe"}', "BadDecodingError"),
    ("text", b'{"value": "\\ud800"}', "BadDecodingError"),
    ("text", json.dumps({"value": "x" * 16_000_000}).encode(), "BadEncodingLimitsExceeded"),
    ("state", b'{"value": "flying"}', "BadDecodingError"),
    ("state", b'{"value": 7}', "BadOutOfRange"),
]


@pytest.mark.live
async def test_nonsense_marks_its_own_tag_and_its_neighbours_flow(tmp_path, mosquitto):
    port = free_port()
    with GatewayProcess(tmp_path, SITE.format(url=mosquitto.url, port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        await eventually(lambda: gateway.get("/status")["sources"]["cell"]["state"] == "up", within=10)
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as plant:
            for number, (name, payload, expected) in enumerate(CASES):
                await plant.publish(f"cell/{name}", payload, qos=1)
                await eventually(
                    lambda name=name, expected=expected: status_of(gateway, f"line.{name}") == expected,
                    10,
                    f"{name} {payload[:40]!r} {expected}",
                )
                await plant.publish("cell/good", str(number), qos=1)
                await eventually(lambda number=number: gateway.get("/tags/line.good")["value"] == number, within=5)
            for at in ("1601-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "noon", -1, 1e300):
                await plant.publish("cell/int", json.dumps({"value": 5, "timestamp": at}), qos=1)
            await eventually(lambda: gateway.get("/tags/line.int")["value"] == 5, within=5)
        state = await asyncio.to_thread(gateway.get, "/status")
        assert state["counters"]["samples_skewed"] >= 1
        assert any("line.float" in subject for subject in state["sources"]["cell"]["problems"])
        await upstream_is_json(mosquitto.port)
        await foreign_client_reads_all(port, gateway.name)
        assert gateway.process.running


def status_of(gateway, name):
    found = gateway.get(f"/tags/{name}")
    return found.get("status", "Good")


async def upstream_is_json(port):
    """Everything retained upstream parses strictly: no NaN, and null where the value is Bad."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("test/line/line/#")
        seen = {}
        async with asyncio.timeout(10):
            async for message in client.messages:
                seen[str(message.topic)] = json.loads(message.payload, parse_constant=pytest.fail)
                if len(seen) == 6:
                    break
    assert seen["test/line/line/float"]["quality"] == "bad"
    assert seen["test/line/line/float"]["value"] is None
    assert seen["test/line/line/good"]["quality"] == "good"


async def foreign_client_reads_all(port, name):
    async with Client(f"opc.tcp://127.0.0.1:{port}/edgetwin") as client:
        index = await client.get_namespace_index(f"urn:edgetwin:{name}")
        for tag in ("good", "float", "int", "bool", "text", "state"):
            found = await client.get_node(f"ns={index};s=line.{tag}").read_data_value(raise_on_bad_status=False)
            value = found.Value.Value
            assert not (isinstance(value, float) and math.isnan(value))


@pytest.mark.live
async def test_a_plant_and_a_broker_that_are_absent_at_the_start_are_found_when_they_come(tmp_path, start_mosquitto):
    port, broker_port = free_port(), free_port()
    with GatewayProcess(tmp_path / "gateway", SITE.format(url=f"mqtt://127.0.0.1:{broker_port}", port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        state = await asyncio.to_thread(gateway.get, "/status")
        assert state["ready"]
        await eventually(lambda: gateway.get("/status")["sources"]["cell"]["state"] == "down", within=10)
        state = await asyncio.to_thread(gateway.get, "/status")
        assert any(str(broker_port) in reason for reason in state["reasons"])
        start_mosquitto(port=broker_port)
        await eventually(lambda: gateway.get("/status")["state"] == "ok", within=10)
        async with aiomqtt.Client("127.0.0.1", broker_port) as plant:
            await plant.publish("cell/good", "42", qos=1)
        await eventually(lambda: gateway.get("/tags/line.good")["value"] == 42, within=5)


async def test_a_full_configuration_of_faults_is_said_at_once(tmp_path):
    """`check` lists each fault with file, line and column, and ends with 2."""
    site = tmp_path / "site.yaml"
    site.write_text(
        "version: 1\n"
        "gateway: {name: x, colour: red}\n"
        "sources: {plc: {driver: opcuaa, url: 'opc.tcp://x:1'}, cell: {driver: mqtt, url: 'http://x', topics: []}}\n"
        "tags:\n"
        "  - {name: a.b, source: plcc, address: x}\n"
        "  - {name: a, unit: Celsius}\n"
        "  - {name: _x, range: [5, 1]}\n"
        "alarms: [{tag: nobody, hi: 1}, {tag: a, lo: 5, hi: 3}]\n"
        "opcua: {host: 0.0.0.0}\n"
    )
    import sys

    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", "check", str(site), stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    lines = out.decode().splitlines()
    assert child.returncode == 2
    assert len(lines) >= 10
    assert all(line.startswith(f"{site}:") and line.split(":")[1].isdigit() for line in lines)
    assert any("temperature" in line or "Cel" in line for line in lines if "Celsius" in line)
