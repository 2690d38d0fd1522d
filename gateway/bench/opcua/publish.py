"""Publishing: CPU time of the server's process for each value that reached its clients."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from gateway.bench.opcua.serving import Client, Served, names_of, tap, wish
from gateway.bench.rows import middle

ITEMS: Final = 10_000
_CLIENTS: Final = 20
_DEADBANDS: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 0.0, 0.0)
_INTERVALS_MS: Final = (10.0, 20.0, 50.0, 100.0, 100.0, 200.0, 200.0, 500.0, 500.0, 1000.0)


@asynccontextmanager
async def _serving(folder: Path, clients: list[dict[str, float]], **config: Any) -> AsyncIterator[tuple[Served, Client]]:
    names = names_of(ITEMS)
    async with Served(names, folder, **config) as served, tap(served.sink.url, names, clients, folder) as client:
        yield served, client


async def _spent_us(served: Served, client: Client, seconds: float, hz: float, few: int | None = None) -> tuple[float, int]:
    """CPU us of this process while the plant moves, and how many values arrived."""
    await client.values()
    cpu = time.process_time()
    await served.run(seconds, hz, few)
    spent = (time.process_time() - cpu) * 1e6
    return spent, await client.values()


async def to_one(folder: Path, rounds: int, seconds: float) -> float:
    """us per value to one client of 10 000 items, at 20 publications a second."""
    async with _serving(folder, [wish(ITEMS, 50.0)]) as (served, client):
        return await median_us(served, client, rounds, seconds, 20.0)


async def at_full_rate(folder: Path, rounds: int, seconds: float) -> tuple[float, float]:
    """Percent of a core at 1 000 000 values a second to one client, and the values per second that were delivered."""
    async with _serving(folder, [wish(ITEMS, 10.0)]) as (served, client):
        shares, rates = [], []
        for _ in range(rounds):
            began = time.perf_counter()
            us, values = await _spent_us(served, client, seconds, 100.0)
            shares.append(us / max(values, 1) * 100.0)  # us per value is percent of a core at 1 M/s, over a hundred
            rates.append(values / (time.perf_counter() - began))
        return middle(shares), middle(rates)


async def to_ten(folder: Path, rounds: int, seconds: float) -> float:
    """us per value reported to ten clients of 10 000 items each, with deadbands and intervals of their own."""
    clients = [wish(ITEMS, ms, deadband=band) for ms, band in zip(_INTERVALS_MS, _DEADBANDS, strict=True)]
    async with _serving(folder, clients) as (served, client):
        return await median_us(served, client, rounds, seconds, 100.0)


async def small(folder: Path, rounds: int, seconds: float) -> float:
    """us for ten values published to one client, with twenty clients a hundred times a second: the envelopes' cost.

    Several of them are served for each time that the process wakes: what waking costs is the machine's affair, and in the road's figure.
    """
    async with _serving(folder, [wish(10, 10.0)] * _CLIENTS) as (served, client):
        spent = []
        for _ in range(rounds):
            us, values = await _spent_us(served, client, seconds, 100.0, 10)
            spent.append(us / max(values / 10, 1))
        return middle(spent)


async def median_us(served: Served, client: Client, rounds: int, seconds: float, hz: float) -> float:
    """CPU us of this process for each value that arrived, the median of several rounds."""
    spent = []
    for _ in range(rounds):
        us, values = await _spent_us(served, client, seconds, hz)
        spent.append(us / max(values, 1))
    return middle(spent)
