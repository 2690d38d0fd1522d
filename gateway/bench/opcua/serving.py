"""An OPC UA server over a twin that the benchmark writes itself, and clients for it in processes of their own.

Only the server's process is counted: its CPU time for each value that reached a client.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from gateway.access.people import People
from gateway.contracts import Identity, SinkContext
from gateway.engine.engine import Engine
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.model.update import Columns, Counts, TwinUpdate
from gateway.sinks.opcua.config import Config
from gateway.sinks.opcua.sink import OpcUaSink

NAMESPACE: Final = "urn:edgetwin:bench"
WITHIN_S: Final = 120.0
_VARIANTS: Final = 16


class View:
    """The view of a twin whose columns the benchmark writes itself, past the engine."""

    def __init__(self, tags: TagTable) -> None:
        self._twin, self.tags = Engine(tags, (), (), Sync()).view, tags
        now_ns = time.time_ns()
        self.value, self.status = np.zeros(len(tags)), np.zeros(len(tags), np.uint32)
        self.source_ns, self.received_ns = np.full(len(tags), now_ns), np.full(len(tags), now_ns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._twin, name)


class Report:
    """Counts nothing."""

    def count(self, name: str, n: int = 1) -> None: ...
    def problem(self, subject: str, why: str | None) -> None: ...


class Served:
    """sink: the server. step() is what the plant does: new values for all tags, or for the first `few`."""

    def __init__(self, names: Sequence[str], folder: Path, history: Any = None, interval_ms: float = 1.0, **config: Any) -> None:
        tags = [Tag(k, name, eu_range=(0.0, 100.0), sampling_interval_ns=round(interval_ms * 1e6)) for k, name in enumerate(names)]
        self.names = list(names)
        self.view: Any = View(TagTable.of(tags))
        nobody: Any = None  # what the server never asks here
        context = SinkContext(
            name="opcua",
            gateway=Identity("bench", "bench", "", "0", str(folder)),
            view=self.view,
            history=history,
            events=nobody,
            commands=nobody,
            units={},
            memory=nobody,
            report=Report(),
            now_ns=time.time_ns,
            access=People(),
        )
        self.sink = OpcUaSink(Config.model_validate({"port": 0, "insecure": True, "anonymous": "viewer"} | config), context)
        rng = np.random.default_rng(1)
        self._values = [50.0 + np.cumsum(rng.normal(0.0, 0.3, len(names)))[rng.permutation(len(names))] % 40.0 for _ in range(_VARIANTS)]
        self._ids = np.arange(len(names), dtype=np.int32)
        self._reported = np.ones(len(names), np.bool_)
        self._number = 0

    async def step(self, few: int | None = None) -> int:
        """How many values changed."""
        self._number += 1
        now_ns, size = time.time_ns(), len(self.names) if few is None else few
        view, value = self.view, self._values[self._number % _VARIANTS]
        view.value[:size], view.source_ns[:size] = value[:size], now_ns
        rows = Columns(self._ids[:size], view.value[:size].copy(), view.status[:size], view.source_ns[:size].copy())
        none = Columns(self._ids[:0], value[:0], view.status[:0], view.source_ns[:0])
        await self.sink.write(TwinUpdate(now_ns, rows, self._reported[:size], none, (), self._number, True, 0, (), Counts()))
        return size

    async def run(self, seconds: float, hz: float, few: int | None = None) -> int:
        """Steps on a fixed grid; how many values that were in all. A late step is not made up for."""
        began, total = time.perf_counter(), 0
        for number in range(round(seconds * hz)):
            await asyncio.sleep(max(0.0, began + number / hz - time.perf_counter()))
            total += await self.step(few)
        return total

    async def __aenter__(self) -> Self:
        await self.sink.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sink.close()


@dataclass(frozen=True, slots=True)
class Client:
    """The process of gateway.wire.opcua.tap."""

    process: asyncio.subprocess.Process
    faults: Path

    async def line(self) -> str:
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), WITHIN_S)).decode()
        if not line:
            raise RuntimeError(f"the benchmark's client ended: {self.faults.read_text(errors='replace')[-1000:]}")
        return line

    async def ask(self, command: str) -> Any:
        """One command and its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        return json.loads(await self.line())

    async def values(self) -> int:
        """How many values all its clients heard since the last time."""
        return sum(one["values"] for one in await self.ask("count"))


def wish(count: int, publishing_ms: float, **more: float) -> dict[str, float]:
    """One client of a tap on the first `count` names."""
    return {"publishing_ms": publishing_ms, "first": 0, "count": count, **more}


@asynccontextmanager
async def tap(
    url: str, names: Sequence[str], clients: Sequence[dict[str, float]], folder: Path, namespace: str = NAMESPACE, **more: Any
) -> AsyncIterator[Client]:
    """A process with these clients, all of them subscribed."""
    listing, work = folder / f"names-{time.monotonic_ns()}", folder / f"work-{time.monotonic_ns()}.json"
    document = {"url": url, "namespace": namespace, "names": str(listing), "clients": list(clients), **more}
    await asyncio.to_thread(listing.write_text, "\n".join(names))
    await asyncio.to_thread(work.write_text, json.dumps(document))
    faults = work.with_suffix(".err")
    with faults.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.wire.opcua.tap", str(work)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
        )
    client = Client(process, faults)
    try:
        if (await client.line()).strip() != "ready":
            raise RuntimeError("the benchmark's client did not come up")
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def names_of(count: int) -> list[str]:
    """Tag names in folders of a hundred."""
    return [f"area{k // 100}.t{k}" for k in range(count)]
