"""SIGHUP under load: tags come and go, a faulty file changes nothing, and no sample is lost."""

import asyncio
import signal

import pytest

from support.gateway import GatewayProcess
from support.numbered import emit
from support.opcua_source import URI, Kind, OpcUaSource
from support.ports import free_port
from support.waiting import eventually

TAGS = ["t0", "t1"]


def site(broker, plant, *more):
    rows = [f'  - {{name: line.{tag}, source: cell, address: "cell/{tag}#/value", type: int}}' for tag in TAGS]
    rows.append(f'  - {{name: line.ramp, source: plc, address: "nsu={URI};s=ramp"}}')
    return "\n".join(
        [
            f'sources:\n  cell: {{driver: mqtt, url: "{broker}", topics: ["cell/#"]}}',
            f'  plc: {{driver: opcua, url: "{plant}", publishing_interval: 50ms}}',
            "tags:",
            *rows,
            *more,
            "",
        ]
    )


async def ramp(plant, stop):
    """One value every 20 ms, counting up; the last one."""
    number = 0
    while not stop.is_set():
        number += 1
        await plant.write("ramp", float(number))
        await asyncio.sleep(0.02)
    return number


def history(gateway, name):
    series = gateway.get("/history", tag=name, **{"from": "1970-01-01T00:00:00Z", "limit": 100_000})["series"][0]
    return [int(value) for value in series["value"] if value is not None]


@pytest.mark.live
async def test_a_reload_under_load_loses_no_sample_and_a_faulty_one_changes_nothing(tmp_path, mosquitto):
    plant = OpcUaSource(free_port(), {"ramp": (0.0, Kind.Double), "extra": (7.0, Kind.Double)})
    await plant.start()
    with GatewayProcess(tmp_path / "gateway", site(mosquitto.url, plant.url)) as gateway:
        await asyncio.to_thread(gateway.start)
        await eventually(lambda: all(source["state"] == "up" for source in gateway.get("/status")["sources"].values()), within=10)
        stop = asyncio.Event()
        loads = [asyncio.create_task(emit(mosquitto.port, TAGS, 100.0, stop)), asyncio.create_task(ramp(plant, stop))]
        extra = f'  - {{name: line.extra, source: plc, address: "nsu={URI};s=extra"}}'
        other = '  - {name: line.other, source: cell, address: "cell/other"}'
        await eventually(lambda: len(history(gateway, "line.ramp")) > 10, within=10)
        gateway.write(site(mosquitto.url, plant.url, extra, other))
        gateway.process.signal(signal.SIGHUP)
        await eventually(lambda: gateway.http.get("/api/v1/tags/line.extra").status_code == 200, within=10)
        await eventually(lambda: gateway.get("/tags/line.extra")["value"] == 7.0, within=10)
        gateway.write(site(mosquitto.url, plant.url, "  - {name: line.broken, source: nobody}"))
        gateway.process.signal(signal.SIGHUP)
        await eventually(lambda: "not reloaded" in gateway.log, within=10)
        assert gateway.get("/tags/line.extra")["value"] == 7.0
        gateway.write(site(mosquitto.url, plant.url, extra))
        gateway.process.signal(signal.SIGHUP)
        await eventually(lambda: gateway.get("/tags/line.other")["status"] == "BadOutOfService", within=10)
        stop.set()
        count, last = await asyncio.gather(*loads)
        for tag in TAGS:
            await eventually(lambda tag=tag: sorted(history(gateway, f"line.{tag}")) == list(range(count)), within=10)
        await eventually(lambda: history(gateway, "line.ramp")[-1] == last, within=10)
        heard = history(gateway, "line.ramp")
        first = heard.index(1)
        assert heard[first:] == list(range(1, last + 1))
    await plant.stop()


@pytest.mark.live
async def test_a_source_that_a_reload_points_nowhere_turns_bad_and_stays_so(tmp_path, mosquitto):
    plant = OpcUaSource(free_port(), {"ramp": (1.0, Kind.Double)})
    await plant.start()
    with GatewayProcess(tmp_path / "gateway", site(mosquitto.url, plant.url)) as gateway:
        await asyncio.to_thread(gateway.start)
        await eventually(lambda: gateway.get("/tags/line.ramp")["status"] == "Good", within=10)
        gateway.write(site(mosquitto.url, f"opc.tcp://127.0.0.1:{free_port()}/nobody"))
        gateway.process.signal(signal.SIGHUP)
        await eventually(lambda: "configuration reloaded" in gateway.log, within=20)
        await eventually(lambda: gateway.get("/tags/line.ramp")["status"] == "BadNoCommunication", within=5)
    await plant.stop()


@pytest.mark.live
async def test_a_stop_in_the_middle_of_a_reload_is_prompt_and_clean(tmp_path, mosquitto):
    plant = OpcUaSource(free_port(), {"ramp": (1.0, Kind.Double)})
    await plant.start()
    with GatewayProcess(tmp_path / "gateway", site(mosquitto.url, plant.url)) as gateway:
        await asyncio.to_thread(gateway.start)
        await eventually(lambda: gateway.get("/tags/line.ramp")["status"] == "Good", within=10)
        gateway.write(site(mosquitto.url, f"opc.tcp://127.0.0.1:{free_port()}/nobody"))
        gateway.process.signal(signal.SIGHUP)
        await eventually(lambda: gateway.get("/status")["sources"]["plc"]["state"] == "down", within=5)
        process = gateway.process
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10.0) == 0
    await plant.stop()
