"""What the web room costs: encoding for the stream, and a hundred pages that watch fifty tags each, ten times a second."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.access.roles import allowed
from gateway.access.sessions import Sessions
from gateway.contracts import Identity
from gateway.engine.engine import Engine
from gateway.events import Events
from gateway.health import Health
from gateway.model.batch import SampleBatch
from gateway.model.command import Command, Outcome
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.operations import Door
from gateway.store.config import StoreConfig
from gateway.store.store import Store
from gateway.web.api import build
from gateway.web.config import WebConfig
from gateway.web.context import Metric, WebContext
from gateway.web.server import WebServer
from gateway.web.updates import Updates
from gateway.web.watch import Encoder, Watch, Wish

TAGS: Final = 5000
CLIENTS: Final = 100
WATCHED: Final = 50
HZ: Final = 10
SECONDS: Final = 4.0
_START_NS: Final = 1_700_000_000_000_000_000
_IDS: Final = np.arange(TAGS, dtype=np.int32)

# The pages run in a process of their own: only the server's CPU time is counted.
_PAGES: Final = """
import asyncio, json, sys
from websockets.asyncio.client import connect
url, clients, watched, tags = sys.argv[1], *map(int, sys.argv[2:])
received = [0]
async def page(n):
    names = [f"t{(n * watched + k) % tags:05d}" for k in range(watched)]
    async with connect(url, compression=None) as link:
        await link.send(json.dumps({"subscribe": {"tags": names}}))
        async for message in link:
            received[0] += 1
async def main():
    pages = [asyncio.create_task(page(n)) for n in range(clients)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(received[0])
    for task in pages:
        task.cancel()
asyncio.run(main())
"""


class _Report:
    """Health of a bench."""

    def __init__(self) -> None:
        health = Health(time.time_ns)
        self.live, self.ready = health.live, health.ready

    def status(self) -> dict[str, Any]:
        return {}

    def metrics(self) -> list[Metric]:
        return []

    def predicted_limits(self) -> dict[str, Any]:
        return {}

    async def performance_report(self) -> dict[str, Any]:
        return {}


def run() -> dict[str, Any]:
    """Encoding of one update for all pages with the same wish, and the whole server under pages with different ones."""
    engine, updates = _engine(), Updates()
    encoder = Encoder(engine.view, updates)
    end = updates.listen(lambda _: None)
    all_ns, all_bytes = _frame(engine, updates, encoder, Wish(tags="*"))
    few_ns, few_bytes = _frame(engine, updates, encoder, Wish(tags=tuple(f"t{k:05d}" for k in range(WATCHED))))
    end()
    import uvloop

    return {
        "encode_5000_tags_us": round(all_ns / 1e3, 1),
        "encode_5000_tags_bytes": all_bytes,
        "encode_50_tags_us": round(few_ns / 1e3, 1),
        "encode_50_tags_bytes": few_bytes,
        "publish_5000_rows_us": round(_publish_ns(engine) / 1e3, 1),
        **uvloop.run(_served()),
    }


def _engine() -> Engine:
    return Engine(TagTable.of([Tag(k, f"t{k:05d}") for k in range(TAGS)]), (), (), Sync(update_frequency=HZ))


def _step(engine: Engine, updates: Updates, n: int) -> None:
    now_ns = _START_NS + n * 1_000_000_000 // HZ
    updates.publish(engine.step(SampleBatch.of(_IDS, np.sin(_IDS + n) * 100, 0, now_ns, received_ns=now_ns), now_ns))


def _frame(engine: Engine, updates: Updates, encoder: Encoder, wish: Wish) -> tuple[float, int]:
    """Best CPU ns of one delta in which every watched tag changed, and its size."""
    watch = Watch(wish)
    encoder.take(watch)
    best, size = float("inf"), 0
    for _ in range(50):
        _step(engine, updates, updates.seq + 1)
        began = time.process_time_ns()
        (message,) = encoder.take(watch)
        best, size = min(best, time.process_time_ns() - began), len(message)
    return best, size


def _publish_ns(engine: Engine) -> float:
    updates = Updates()
    updates.listen(lambda _: None)
    update = engine.step(SampleBatch.of(_IDS, np.cos(_IDS), 0, _START_NS + 10**15, received_ns=_START_NS + 10**15), _START_NS + 10**15)
    best = float("inf")
    for _ in range(50):
        began = time.process_time_ns()
        updates.publish(update)
        best = min(best, time.process_time_ns() - began)
    return best


async def _served() -> dict[str, Any]:
    """The server's share of a core while all tags change ten times a second, less what it takes without any page."""
    engine, updates = _engine(), Updates()
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder), StoreConfig(), engine.view.tags, _START_NS)
        try:
            server = WebServer(build(_context(engine, updates, store)), "127.0.0.1", 0)
            await server.start()
            idle = await _share(engine, updates, 1.0)
            messages, share = await _with_pages(server, lambda: _share(engine, updates, SECONDS))
            await server.stop()
        finally:
            await store.close()
    return {
        "pages": CLIENTS,
        "tags_per_page": WATCHED,
        "rate_hz": HZ,
        "messages_per_s": round(messages / SECONDS),
        "server_core_percent": round((share - idle) * 100, 1),
    }


async def _with_pages(server: WebServer, measured: Callable[[], Awaitable[float]]) -> tuple[int, float]:
    command = [sys.executable, "-c", _PAGES, f"ws://127.0.0.1:{server.port}/api/v1/stream", str(CLIENTS), str(WATCHED), str(TAGS)]
    pages = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    try:
        while server.connections < CLIENTS:  # noqa: ASYNC110  another process connects
            await asyncio.sleep(0.05)
        share = await measured()
        out, _ = await pages.communicate(b"\n")
    finally:
        if pages.returncode is None:
            pages.kill()
    return int(out), share


async def _share(engine: Engine, updates: Updates, seconds: float) -> float:
    """CPU time over wall time of this process while the twin moves."""
    loop = asyncio.get_running_loop()
    began_s, cpu_s = loop.time(), time.process_time()
    for n in range(round(seconds * HZ)):
        await asyncio.sleep(max(0.0, began_s + n / HZ - loop.time()))
        _step(engine, updates, round(loop.time() * 1000))
    return (time.process_time() - cpu_s) / (loop.time() - began_s)


def _context(engine: Engine, updates: Updates, store: Store) -> WebContext:
    return WebContext(
        identity=Identity("bench", "bench", store.boot, "0", str(store.path)),
        view=engine.view,
        history=store.history,
        events=store.journal,
        commands=Door({}, allowed, _unheard),
        units={},
        health=_Report(),
        subscribe_events=Events().subscribe,
        updates=updates,
        sessions=Sessions(time.monotonic),
        audit=store,
        config=WebConfig(port=0, insecure=True, anonymous="viewer"),
    )


async def _unheard(_command: Command, _outcome: Outcome) -> None:
    """No audit in a bench."""
