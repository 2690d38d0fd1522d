"""The whole road, with plant, broker and two clients: from source change to OPC UA notification and MQTT message; memory and start.

Latency = the client's time of receipt less the plant's source time, on one machine: publishing intervals of both ends are inside.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from drivers.mqtt.config import Config as MqttConfig
from drivers.mqtt.driver import MqttDriver
from drivers.opcua.config import Config as OpcUaConfig
from drivers.opcua.driver import OpcUaDriver
from gateway.contracts import Driver, DriverContext, Identity, NotConnected
from gateway.demo.handle import PlantProcess
from gateway.demo.physics import Parameters
from gateway.demo.ports import free_from
from gateway.demo.signals import signals
from gateway.health import Health
from gateway.model.tag import Tag

LOAD_TAGS: Final = 5_000  # at 1 Hz each: 5 000 values/s
SMALL_TAGS: Final = 1_000
PUBLISHING_MS: Final = 100
MEASURE_S: Final = 10.0
PATH: Final = "bench/line"


class _Nothing:
    """A client keeps nothing over a restart."""

    def get(self, key: str) -> str | None:  # noqa: ARG002  the contract's word
        return None

    def put(self, key: str, value: str) -> None:
        """Forgotten."""


def run(*, quick: bool = False) -> dict[str, Any]:
    """Latencies in ms with LOAD_TAGS tags; RSS and ready time of the daemon with SMALL_TAGS."""
    return asyncio.run(_run(3.0 if quick else MEASURE_S))


async def _run(seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgetwin-bench-") as folder:
        load, small = (Path(tempfile.mkdtemp(prefix=name, dir=folder)) for name in ("load", "small"))
        loaded = await _measured(load, LOAD_TAGS, seconds)
        started = await _measured(small, SMALL_TAGS, 3.0)
    kept = ("ready_s", "rss_mb", "rss_after_clients_mb")
    return {"tags": LOAD_TAGS, "values_per_s": LOAD_TAGS, **loaded, f"with_{SMALL_TAGS}_tags": {key: started[key] for key in kept}}


async def _measured(folder: Path, tags: int, seconds: float) -> dict[str, Any]:
    opcua, web = free_from(24840), free_from(28080)
    async with PlantProcess("--opcua-port", str(free_from(24940)), "--mqtt-port", str(free_from(21883)), "--extra", str(tags)) as plant:
        broker, process = await _broker(folder, plant.mqtt_url)
        site, names = _site(folder, plant.opcua_url, broker, opcua, web, tags)
        daemon, ready_s = await _start(site, web)
        try:
            rss = _rss_mb(daemon.pid)
            clients = _clients(names, f"bench-{web}", f"opc.tcp://127.0.0.1:{opcua}/edgetwin", broker)
            cpu = _cpu_s(daemon.pid)
            figures = await _listen(clients, seconds)
            cpu = _cpu_s(daemon.pid) - cpu
            figures |= {"daemon_core_percent": round(100 * cpu / (seconds + 1), 1)}
            return {"ready_s": round(ready_s, 2), "rss_mb": rss, "rss_after_clients_mb": _rss_mb(daemon.pid), **figures}
        finally:
            await _end(daemon)
            if process is not None:
                await _end(process)


async def _broker(folder: Path, embedded: str) -> tuple[str, "asyncio.subprocess.Process | None"]:
    binary = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        return embedded, None
    port = free_from(21983)
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\nuser root\n")
    process = await asyncio.create_subprocess_exec(binary, "-c", str(config), stderr=asyncio.subprocess.DEVNULL)
    return f"mqtt://127.0.0.1:{port}", process


def _site(folder: Path, plant: str, broker: str, opcua: int, web: int, count: int) -> tuple[Path, list[str]]:
    extra = [signal for signal in signals(Parameters(), count) if signal.name.startswith("extra.")]
    rows = [f'{signal.name},plc,"{signal.address}",{signal.interval_ms}ms' for signal in extra]
    (folder / "tags.csv").write_text("\n".join(["name,source,address,sampling_interval", *rows, ""]))
    path = folder / "site.yaml"
    path.write_text(
        "version: 1\n"
        f"gateway: {{name: bench-{web}, path: {PATH}, data_dir: {folder / 'data'}}}\n"
        f'sources:\n  plc: {{driver: opcua, url: "{plant}", publishing_interval: {PUBLISHING_MS}ms}}\n'
        "tags_from: [tags.csv]\n"
        f'upstream:\n  - {{name: hq, kind: mqtt, url: "{broker}", values: {{class: LATEST, mode: batch}}}}\n'
        f"opcua: {{port: {opcua}, insecure: true, anonymous: viewer}}\n"
        f"web: {{port: {web}, insecure: true, anonymous: viewer}}\n"
    )
    return path, [signal.name for signal in extra]


async def _start(site: Path, web: int) -> tuple["asyncio.subprocess.Process", float]:
    began = time.monotonic()
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", "run", str(site), stderr=asyncio.subprocess.DEVNULL)
    while not await _answers(web):
        if daemon.returncode is not None or time.monotonic() - began > 60:
            raise RuntimeError(f"the daemon did not become ready: exit code {daemon.returncode}")
        await asyncio.sleep(0.01)
    return daemon, time.monotonic() - began


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = await reader.read(64)
    writer.close()
    return b" 200 " in answer


def _clients(names: Sequence[str], gateway: str, server: str, broker: str) -> dict[str, Driver]:
    identity = Identity("bench", PATH, "", "", tempfile.gettempdir())
    unit = Health(time.time_ns).fresh("source", "client")

    def context(kind: str, address: str) -> DriverContext:
        tags = [
            Tag(row, name, kind, address.format(name), sampling_interval_ns=PUBLISHING_MS * 1_000_000) for row, name in enumerate(names)
        ]
        return DriverContext(kind, tags, _Nothing(), unit, time.time_ns, identity)

    namespace = f"urn:edgetwin:{gateway}"
    return {
        "opcua": OpcUaDriver(
            OpcUaConfig.model_validate({"url": server, "publishing_interval": PUBLISHING_MS / 1000}),
            context("opcua", f"nsu={namespace};s={{}}"),
        ),
        "mqtt": MqttDriver(MqttConfig.model_validate({"url": broker, "topics": [f"{PATH}/_batch"]}), context("mqtt", "{}")),
    }


async def _listen(clients: dict[str, Driver], seconds: float) -> dict[str, Any]:
    results = await asyncio.gather(*(_latencies(client, seconds) for client in clients.values()))
    figures: dict[str, Any] = {}
    for name, milliseconds in zip(clients, results, strict=True):
        if milliseconds.size:
            p50, p99 = np.percentile(milliseconds, (50, 99))
            figures |= {f"{name}_p50_ms": round(float(p50), 1), f"{name}_p99_ms": round(float(p99), 1)}
        figures[f"{name}_values_per_s"] = round(milliseconds.size / seconds)
    return figures


async def _latencies(client: Driver, seconds: float) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """ms of every value of `seconds`, after a second in which first values come."""
    parts: list[Any] = []
    try:
        await client.connect()
        begin = time.monotonic() + 1.0
        async with asyncio.timeout(seconds + 1.0):
            while True:
                batch = await client.read()
                client.accept(batch.receipt)
                if time.monotonic() > begin:
                    fresh = batch.source_ns[batch.source_ns > 0]
                    parts.append((batch.received_ns - fresh) / 1e6)
    except (TimeoutError, NotConnected):
        pass
    finally:
        await client.close()
    return np.concatenate(parts) if parts else np.empty(0)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _end(process: "asyncio.subprocess.Process") -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
