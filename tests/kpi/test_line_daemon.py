"""The line's accounts in the daemon: they outlive a kill, say what they do not know, and go out on every face."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua

from support.broker import Broker
from support.gateway import GatewayProcess
from support.line_tree import planted
from support.mqtt_face import subscriber
from support.opcua_source import Kind, OpcUaSource
from support.ports import free_port
from support.waiting import eventually

STARVED, EXECUTE, DOWN = 0, 1, 2


def text(source, folder, *, upstream="", forecast=""):
    address = "source: plc, sampling_interval: 50ms, address: 'nsu=urn:test:plant;s="
    labels = "labels: {0: starved, 1: execute, 2: down}"
    return f"""
sources: {{plc: {{driver: opcua, url: "{source.url}", publishing_interval: 50ms}}}}
{upstream}
tags:
  - {{name: mill.state, type: enum, {labels}, {address}state'}}
  - {{name: mill.made, type: int, {address}made'}}
  - {{name: mill.bad, type: int, {address}bad'}}
  - {{name: press.state, type: enum, {labels}, {address}press'}}
  - {{name: between, type: int, {address}between'}}
line:
  tree: {planted(folder / "tree")}
  run: short
  machines:
    Mill: {{state: mill.state, produced: mill.made, rejected: mill.bad}}
    Press: {{state: press.state}}
  buffers: {{Mill->Press: between}}
{forecast}
"""


def plant():
    values = {"state": (EXECUTE, Kind.UInt32), "press": (STARVED, Kind.UInt32)} | dict.fromkeys(("made", "bad", "between"), (0, Kind.Int64))
    return OpcUaSource(free_port(), values)


async def told(source, name, value, kind=Kind.UInt32):
    stamp = datetime.now(UTC)
    await source.nodes[name].write_value(ua.DataValue(ua.Variant(value, kind), SourceTimestamp=stamp, ServerTimestamp=stamp))
    return stamp


async def machine(gateway, name="Mill", period="shift"):
    found = await asyncio.to_thread(gateway.get, "/kpi")
    return found["periods"].get(period, {"machines": {}})["machines"].get(name)


async def made(gateway, count):
    async def enough():
        found = await machine(gateway)
        return found is not None and found["made"] == count and found

    return await eventually(enough, within=20)


@pytest.mark.live
async def test_a_kill_loses_nothing_of_the_shift_and_the_time_away_is_not_covered(tmp_path):
    async with plant() as source:
        with GatewayProcess(tmp_path / "gateway", text(source, tmp_path)) as gateway:
            await asyncio.to_thread(gateway.start)
            await eventually(lambda: _covered(gateway), within=20)
            for count in (1, 2, 3):
                await told(source, "made", count, Kind.Int64)
            down = await told(source, "state", DOWN)
            await told(source, "bad", 1, Kind.Int64)
            before = await made(gateway, 3)
            await eventually(lambda: _at_least(gateway, "DOWN", 1.0), within=20)
            before = await machine(gateway)
            gateway.kill()
            await told(source, "made", 7, Kind.Int64)
            await told(source, "state", EXECUTE)
            await asyncio.to_thread(gateway.start)
            after = await made(gateway, 7)
            await eventually(lambda: _at_least(gateway, "EXECUTE", before["time_in_state_s"]["EXECUTE"] + 1.0), within=20)
            after = await machine(gateway)
            log = await asyncio.to_thread(lambda: gateway.get("/kpi/events")["events"])
    assert (after["made"], after["rejected"]) == (7, 1)
    assert after["oee"]["produced"] == 3  # what was made while nobody looked is output, and no part of OEE
    assert after["time_in_state_s"]["DOWN"] >= before["time_in_state_s"]["DOWN"] - 1.5
    states = [row["state"] for row in log if row["machine"] == "Mill" and row["event_type"] == "state_change"]
    assert states[-3:] == ["DOWN", "UNKNOWN", "EXECUTE"]
    changed = next(row for row in log if row["state"] == "DOWN")
    assert abs(datetime.fromisoformat(changed["datetime"]) - down) < timedelta(milliseconds=2)  # the plant's own time


async def _covered(gateway):
    found = await machine(gateway)
    return found is not None and found["time_in_state_s"]["EXECUTE"] > 0


async def _at_least(gateway, state, seconds):
    found = await machine(gateway)
    return found is not None and found["time_in_state_s"][state] >= seconds


@pytest.mark.live
async def test_a_lost_link_is_time_that_is_not_covered_and_unchanged_values_end_it(tmp_path):
    source = plant()
    await source.start()
    with GatewayProcess(tmp_path / "gateway", text(source, tmp_path)) as gateway:
        await asyncio.to_thread(gateway.start)
        await eventually(lambda: _covered(gateway), within=20)
        await source.stop()
        await eventually(lambda: _state(gateway, "UNKNOWN"), within=30)
        await source.start()
        await eventually(lambda: _state(gateway, "EXECUTE"), within=30)
    await source.stop()


async def _state(gateway, word):
    return (await asyncio.to_thread(gateway.get, "/kpi"))["states"]["Mill"]["state"] == word


@pytest.mark.live
async def test_kpis_go_out_over_mqtt_and_metrics_and_the_rest_of_the_shift_is_foretold(tmp_path, mosquitto: Broker):
    now = datetime.now(UTC)
    start, end = ((now + timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (-60, 10))  # little is left: quickly foretold
    shifts = f'kpi: {{shifts: [{{name: short, from: "{start}", to: "{end}"}}]}}\n'
    upstream = shifts + f'upstream: [{{name: hq, kind: mqtt, url: "{mosquitto.url}"}}]'
    forecast = "  forecast: {every: 5s, replications: 20, at_least: 1min, issues: 1}"
    async with plant() as source, subscriber(mosquitto.port, "test/line/_kpi/#") as heard:
        with GatewayProcess(tmp_path / "gateway", text(source, tmp_path, upstream=upstream, forecast=forecast)) as gateway:
            await asyncio.to_thread(gateway.start)
            await eventually(lambda: _covered(gateway), within=20)
            await told(source, "made", 2, Kind.Int64)
            await made(gateway, 2)
            await eventually(lambda: _newest(heard, "Good").get("value") == 2, within=20)
            record = _newest(heard, "OEE")
            assert record.keys() == {"value", "timestamp", "unit", "coverage"}
            assert 0 < record["coverage"] < 1
            metrics = (await asyncio.to_thread(gateway.http.get, "/metrics")).text
            assert 'edgetwin_kpi{machine="Mill",name="Good",period="shift"} 2.0' in metrics
            ahead = await eventually(lambda: _foretold(gateway), within=90)
    assert ahead["output"]["good"]["P05"] <= ahead["output"]["good"]["P50"] <= ahead["output"]["good"]["P95"]
    assert set(ahead["machines"]) == {"Mill", "Press"}


def _newest(heard, name):
    found = heard.on(f"test/line/_kpi/Mill/{name}")
    return (found[-1] or {}) if found else {}


async def _foretold(gateway):
    found = await asyncio.to_thread(gateway.get, "/kpi")
    assert found["fault"] is None
    return found["forecast"]
