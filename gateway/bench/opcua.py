"""What the OPC UA server costs: CPU time of its process per value published and read, against the plain library in the same run.

The client is a process of its own, so that only the server's side is counted. The plain library gets fewer items: its cost per value does
not depend on their number, its time to build them does.
"""

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.contracts import Identity, SinkContext, Snapshot
from gateway.engine.history import Frame
from gateway.model.alarm import Condition
from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.update import Columns, Counts, TwinUpdate
from gateway.sinks.opcua.config import Config
from gateway.sinks.opcua.sink import OpcUaSink
from gateway.wire.opcua.plant import PlantServer, Variable

ITEMS: Final = 10_000
PEER_ITEMS: Final = 1_000
_ROUNDS: Final = 40
_PEER_ROUNDS: Final = 6
_PERIOD_S: Final = 0.05
_PUBLISHING_MS: Final = 50.0
_NS: Final = 1_700_000_000_000_000_000
_WITHIN_S: Final = 60.0


def run() -> dict[str, Any]:
    """Publishing to one client at 20 Hz, batched reads, start and memory; the library's own publishing for comparison."""
    with tempfile.TemporaryDirectory() as folder:
        ours = asyncio.run(_ours(Path(folder)))
        peer = asyncio.run(_peer(Path(folder)))
    ratio = peer["peer_publish_us_per_value"] / ours["publish_us_per_value"]
    return {"items": ITEMS, **ours, **peer, "publish_times_cheaper_than_peer": round(ratio)}


@dataclass
class _View:
    """A twin that stands still but for what the bench writes into it."""

    tags: TagTable
    version: int = 1
    value: Any = field(default_factory=lambda: np.zeros(ITEMS))
    status: Any = field(default_factory=lambda: np.zeros(ITEMS, np.uint32))
    source_ns: Any = field(default_factory=lambda: np.full(ITEMS, _NS))
    received_ns: Any = field(default_factory=lambda: np.full(ITEMS, _NS))
    text: Any = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        return Frame(self.version, _NS, self.value.copy(), self.status.copy(), self.source_ns.copy(), dict(self.text))

    def at(self, at_ns: int) -> Snapshot | None:  # noqa: ARG002 the contract's argument
        return None

    def history(self, limit: int | None = None) -> list[Snapshot]:  # noqa: ARG002 likewise
        return []

    def conditions(self) -> list[Condition]:
        return []


class _Report:
    def count(self, name: str, n: int = 1) -> None: ...
    def problem(self, subject: str, why: str | None) -> None: ...


def _sink(view: _View, folder: Path) -> OpcUaSink:
    nobody: Any = None  # what the server never asks here
    context = SinkContext(
        name="opcua",
        gateway=Identity("bench", "bench", "", "0", str(folder)),
        view=view,
        history=nobody,
        events=nobody,
        commands=nobody,
        units={},
        memory=nobody,
        report=_Report(),
        now_ns=time.time_ns,
    )
    return OpcUaSink(Config(port=0, insecure=True, anonymous="viewer"), context)


async def _ours(folder: Path) -> dict[str, Any]:
    names = [f"area{k // 100}.t{k}" for k in range(ITEMS)]
    view = _View(TagTable.of([Tag(k, name, eu_range=(0.0, 100.0), sampling_interval_ns=1_000_000) for k, name in enumerate(names)]))
    sink = _sink(view, folder)
    await sink.connect()
    await sink.close()  # the first start writes the file of standard nodes
    started = time.perf_counter()
    await sink.connect()
    start_ms = (time.perf_counter() - started) * 1e3
    rng = np.random.default_rng(1)
    ids = np.arange(ITEMS, dtype=np.int32)
    every = np.ones(ITEMS, np.bool_)

    async def round_(number: int) -> None:
        view.value = rng.random(ITEMS)
        view.source_ns = np.full(ITEMS, _NS + number)
        rows = Columns(ids, view.value, view.status, view.source_ns)
        empty = Columns(ids[:0], view.value[:0], view.status[:0], view.source_ns[:0])
        await sink.write(TwinUpdate(_NS + number, rows, every, empty, (), number, True, 0, (), Counts()))

    try:
        async with _tap(sink.url, "urn:edgetwin:bench", names, folder) as client:
            publish = await _published(client, round_, _ROUNDS)
            cpu = time.process_time()
            reads = await client.end()
            read_ns = (time.process_time() - cpu) * 1e9 / reads["reads"]
    finally:
        await sink.close()
    return {
        "start_ms": round(start_ms, 1),
        "publish_us_per_value": round(publish, 4),
        "read_us_per_value": round(read_ns / 1e3, 4),
        "read_values_per_cpu_s": round(1e9 / read_ns),
    }


async def _peer(folder: Path) -> dict[str, Any]:
    names = [f"area{k // 100}.t{k}" for k in range(PEER_ITEMS)]
    plant = PlantServer(_free_port(), "urn:edgetwin:peer", [Variable(name, TagType.FLOAT) for name in names], lambda _name, _value: None)
    await plant.start()

    async def round_(number: int) -> None:
        for name in names:
            await plant.emit(name, float(number), _NS + number * 1000)

    try:
        await round_(0)
        async with _tap(plant.url, "urn:edgetwin:peer", names, folder) as client:
            return {"peer_items": PEER_ITEMS, "peer_publish_us_per_value": round(await _published(client, round_, _PEER_ROUNDS), 2)}
    finally:
        await plant.stop()


async def _published(client: "_Client", round_: Callable[[int], Awaitable[None]], rounds: int) -> float:
    """CPU us of this process for each value that reached the client."""
    cpu = time.process_time()
    for number in range(1, rounds + 1):
        due = time.perf_counter() + _PERIOD_S
        await round_(number)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.sleep(4 * _PERIOD_S)  # what is queued goes out
    spent = time.process_time() - cpu
    counted = await client.mark()
    return spent * 1e6 / max(counted["values"], 1)


class _Client:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), _WITHIN_S)).decode()

    async def mark(self) -> dict[str, int]:
        """How much it heard since it was ready."""
        self._next()
        counted: dict[str, int] = json.loads(await self.line())
        return counted

    async def end(self) -> dict[str, int]:
        """Lets it read, and go."""
        return await self.mark()

    def _next(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")


@asynccontextmanager
async def _tap(url: str, namespace: str, names: list[str], folder: Path) -> AsyncIterator[_Client]:
    listing = folder / "names"
    await asyncio.to_thread(listing.write_text, "\n".join(names))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.wire.opcua.tap", url, namespace, str(_PUBLISHING_MS), str(listing)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    client = _Client(process)
    try:
        if (await client.line()).strip() != "ready":
            raise RuntimeError("the benchmark's client did not come up")
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
