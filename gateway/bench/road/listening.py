"""The road from end to end in processes of their own: plant, broker, gateway, an OPC UA client and an MQTT client.

Latency = the client's time of receipt less the plant's source time, on one machine: publishing intervals of both ends are inside.
"""

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from drivers.mqtt.config import Config as MqttConfig
from drivers.mqtt.driver import MqttDriver
from gateway.bench.opcua.secured import known_to, let_in
from gateway.bench.opcua.serving import NAMESPACE, WITHIN_S, names_of, tap, wish
from gateway.bench.processes import cpu_s, end, free_port, rss_mb
from gateway.contracts import Driver, DriverContext, Identity, NotConnected
from gateway.demo.handle import PlantProcess
from gateway.health import Health
from gateway.model.tag import Tag
from gateway.wire.opcua import certificates

PATH: Final = "bench/line"
_SETTLE_S: Final = 1.0
_POLICY: Final = "Aes256Sha256RsaPss/SignAndEncrypt"


@dataclass(frozen=True, slots=True)
class Load:
    """count tags, all of them new hz times a second; source and client publish each publishing_ms."""

    count: int
    hz: float
    publishing_ms: float
    mode: str = "batch"  # of MQTT
    secured: bool = False  # Aes256_Sha256_RsaPss with SignAndEncrypt on both OPC UA legs

    @property
    def values_per_s(self) -> float:
        return self.count * self.hz


@dataclass(frozen=True, slots=True)
class Found:
    """core: share of one core that the gateway took over its client's road; per second what arrived; ages in ms; memory in MB."""

    ready_s: float
    rss_mb: float
    core: float
    opcua_per_s: float
    mqtt_per_s: float
    opcua_p99_ms: float
    mqtt_p50_ms: float
    mqtt_p99_ms: float
    handed_on_ms: Mapping[str, float | None] = field(default_factory=dict)  # by sink: the median age as the gateway hands values on


class _Nothing:
    """A client keeps nothing over a restart."""

    def get(self, key: str) -> str | None:  # noqa: ARG002  the contract's word
        return None

    def put(self, key: str, value: str) -> None:
        """Forgotten."""


async def measured(load: Load, seconds: float) -> Found:
    """One load through everything, for so long after all clients have heard first values."""
    with tempfile.TemporaryDirectory(prefix="edgetwin-bench-") as name:
        folder, names = Path(name), names_of(load.count)
        async with _plant(load, folder) as plant, _broker(folder) as broker:
            opcua, web = free_port(), free_port()
            site = _site(folder, plant, broker, opcua, web, load)
            more = _let_in(folder, web) if load.secured else {}
            async with _daemon(site) as (pid, ready_s):
                queue = max(1, round(load.publishing_ms * load.hz / 1000) + 1)
                wishes = [wish(load.count, load.publishing_ms, queue=queue)]
                url, namespace = f"opc.tcp://127.0.0.1:{opcua}/edgetwin", f"urn:edgetwin:bench-{web}"
                async with tap(url, names, wishes, folder, namespace, **more) as client:
                    found = await _heard(client, _mqtt(names, broker, load), pid, ready_s, seconds)
        stages = site.with_suffix(".stages")
        return replace(found, handed_on_ms=json.loads(stages.read_text())) if stages.exists() else found


async def _heard(client: Any, mqtt: Driver, pid: int, ready_s: float, seconds: float) -> Found:
    listening = asyncio.create_task(_ages_ms(mqtt, _SETTLE_S, seconds))
    await asyncio.sleep(_SETTLE_S)
    await client.ask("count")
    cpu, began = cpu_s(pid), time.perf_counter()
    ages = await listening
    took = time.perf_counter() - began
    cpu = cpu_s(pid) - cpu
    (told,) = await client.ask("count")
    p50, p99 = (float(share) for share in np.percentile(ages, (50, 99))) if ages.size else (0.0, 0.0)
    return Found(ready_s, rss_mb(pid), cpu / took, told["values"] / took, ages.size / seconds, told["p99_ms"], p50, p99)


@asynccontextmanager
async def _plant(load: Load, folder: Path) -> AsyncIterator[str]:
    work = folder / "plant.json"
    document = {"count": load.count, "hz": load.hz, "folder": str(folder), "publishing_ms": load.publishing_ms}
    await asyncio.to_thread(work.write_text, json.dumps(document))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.bench.road.source", str(work)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), WITHIN_S)).decode().strip()
        if not url:
            raise RuntimeError("the benchmark's plant did not come up")
        yield url
    finally:
        await end(process)


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[str]:
    """Mosquitto where it is installed, else the embedded one."""
    binary = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        async with PlantProcess("--opcua-port", str(free_port()), "--mqtt-port", str(free_port())) as plant:
            yield plant.mqtt_url
        return
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\nuser root\nmax_queued_messages 0\n")
    process = await asyncio.create_subprocess_exec(binary, "-c", str(config), stderr=asyncio.subprocess.DEVNULL)
    try:
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        await end(process)


@asynccontextmanager
async def _daemon(site: Path) -> AsyncIterator[tuple[int, float]]:
    """The gateway's process id, and the seconds from its start, from compiled files, until it told systemd that it is ready."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, site.with_suffix(".err").open("wb") as said:
        told.bind(str(site.with_suffix(".notify")))
        told.settimeout(0.5)
        environment["NOTIFY_SOCKET"] = told.getsockname()
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.bench.daemon", str(site), stderr=said, env=environment
        )
        try:
            while not await asyncio.to_thread(_ready, told):
                if process.returncode is not None or time.monotonic() - began > WITHIN_S:
                    why = site.with_suffix(".err").read_text(errors="replace")[-1000:]
                    raise RuntimeError(f"the gateway did not become ready (exit code {process.returncode}): {why}")
            ready_s = time.monotonic() - began
            told.close()  # nobody reads on
            yield process.pid, ready_s
        finally:
            await end(process)


def _ready(told: socket.socket) -> bool:
    try:
        return b"READY=1" in told.recv(4096).split(b"\n")
    except TimeoutError:
        return False


def _site(folder: Path, plant: str, broker: str, opcua: int, web: int, load: Load) -> Path:
    interval = f"{1000 / load.hz:g}ms"
    rows = [f'{name},plc,"nsu={NAMESPACE};s={name}",{interval}' for name in names_of(load.count)]
    (folder / "tags.csv").write_text("\n".join(["name,source,address,sampling_interval", *rows, ""]))
    shown = folder / "pki" / "own" / "cert.der"
    secure = f', security: {_POLICY}, server_certificate: "{shown}"' if load.secured else ""
    path = folder / "site.yaml"
    path.write_text(
        "version: 1\n"
        f"gateway: {{name: bench-{web}, path: {PATH}, data_dir: {folder / 'data'}}}\n"
        f'sources:\n  plc: {{driver: opcua, url: "{plant}", publishing_interval: {load.publishing_ms:g}ms{secure}}}\n'
        "tags_from: [tags.csv]\n"
        f'upstream:\n  - {{name: hq, kind: mqtt, url: "{broker}", values: {{class: LATEST, mode: {load.mode}}}}}\n'
        f"opcua: {{port: {opcua}, insecure: true, anonymous: viewer, min_publishing_interval: {load.publishing_ms / 1000:g}}}\n"
        f"web: {{port: {web}, insecure: true, anonymous: viewer}}\n"
    )
    return path


def _let_in(folder: Path, web: int) -> dict[str, Any]:
    """Plant, gateway and client know each other's certificates: what the client's tap needs for it."""
    gateway = folder / "data" / "pki"
    let_in(certificates.own(gateway, f"bench-{web}", time.time()).certificate, folder / "pki")
    return known_to(gateway, f"bench-{web}", folder / "tap")


def _mqtt(names: Sequence[str], broker: str, load: Load) -> Driver:
    addresses = names if load.mode == "batch" else [f"{PATH}/{name.replace('.', '/')}" for name in names]
    tags = [Tag(row, name, "mqtt", address) for row, (name, address) in enumerate(zip(names, addresses, strict=True))]
    identity = Identity("bench", PATH, "", "", tempfile.gettempdir())
    context = DriverContext("mqtt", tags, _Nothing(), Health(time.time_ns).fresh("source", "client"), time.time_ns, identity)
    topics = [f"{PATH}/_batch"] if load.mode == "batch" else [f"{PATH}/#"]
    return MqttDriver(MqttConfig.model_validate({"url": broker, "topics": topics}), context)


async def _ages_ms(client: Driver, settle_s: float, seconds: float) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """ms of every value of `seconds`, after `settle_s` in which first values come."""
    parts: list[Any] = []
    try:
        await client.connect()
        begin = time.monotonic() + settle_s
        async with asyncio.timeout(seconds + settle_s):
            while True:
                batch = await client.read()
                client.accept(batch.receipt)
                if time.monotonic() > begin:
                    parts.append((batch.received_ns - batch.source_ns[batch.source_ns > 0]) / 1e6)
    except (TimeoutError, NotConnected):
        pass
    finally:
        await client.close()
    return np.concatenate(parts) if parts else np.empty(0)
