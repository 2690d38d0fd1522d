"""Fifty clients of a thousand items each at 1 Hz while others come, subscribe and drop their connections: what the fifty feel of it."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.bench.opcua.serving import Served, names_of, tap, wish
from gateway.bench.processes import rss_mb

CLIENTS: Final = 50
ITEMS: Final = 1_000
_SESSIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Crowd:
    """p99 of a value's age at the fifty, with the publishing interval inside; churned: connections that came and went; grown: MB left."""

    p99_ms: float
    churned: int
    grown_mb: float
    core_percent: float


async def crowd(folder: Path, seconds: float, churned: int) -> Crowd:
    """The memory is compared with that after a first wave of churn, so that what stays is growth and not a first use."""
    names = names_of(ITEMS)
    async with Served(names, folder, max_sessions=_SESSIONS) as served, tap(served.sink.url, names, [wish(ITEMS, 100.0)], folder) as rude:
        await rude.ask("churn 5")
        await asyncio.sleep(0.5)
        before = rss_mb()
        async with tap(served.sink.url, names, [wish(ITEMS, 100.0)] * CLIENTS, folder) as steady:
            await steady.ask("count")
            cpu, began = time.process_time(), time.perf_counter()
            churn = asyncio.create_task(rude.ask(f"churn {churned}"))
            await served.run(seconds, 1.0)
            await churn
            share = (time.process_time() - cpu) / (time.perf_counter() - began)
            told = await steady.ask("count")
        await asyncio.sleep(0.5)
    return Crowd(max(one["p99_ms"] for one in told), churned, rss_mb() - before, share * 100)
