"""HistoryRead over the wire: a client in a process of its own reads raw values out of a real store, in pages."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gateway.bench.history import NOW_NS, transmitter
from gateway.bench.opcua.serving import Served, names_of, tap, wish
from gateway.bench.rows import middle
from gateway.model.batch import Origin
from gateway.model.tag import Tag, TagTable
from gateway.model.update import Columns
from gateway.store import maintenance
from gateway.store.commit import Step
from gateway.store.config import StoreConfig
from gateway.store.store import Commit, Store

VALUES: Final = 1_000_000
_PAGE: Final = 10_000  # what the client asks for at a time
_PAGES_A_ROUND: Final = 100
_COMMIT: Final = 50_000
_INTERVAL_MS: Final = 10


@dataclass(frozen=True, slots=True)
class Past:
    """values_per_cpu_s: of the server's process, disk and packing in it; values_per_s: as the client sees it, its decoding apart."""

    values_per_cpu_s: float
    values_per_s: float


async def read(folder: Path, rounds: int) -> Past:
    """A million samples of one tag in blocks; a client reads ten thousand at a time from the middle of them."""
    names = names_of(1)
    store = await Store.open(folder / "past", StoreConfig(), TagTable.of([Tag(0, names[0])]), NOW_NS)
    try:
        await _fill(store)
        async with Served(names, folder, history=store.history) as served, tap(served.sink.url, names, [wish(0, 1000.0)], folder) as client:
            middle_s = NOW_NS / 1e9 + VALUES * _INTERVAL_MS / 2000
            span = f"{names[0]} {middle_s:.3f} {middle_s + _PAGE * _INTERVAL_MS / 1000:.3f}"
            await client.ask(f"history 3 {span}")
            figures = []
            for _ in range(rounds):
                cpu, began = time.process_time(), time.perf_counter()
                told = await client.ask(f"history {_PAGES_A_ROUND} {span}")
                figures.append((told["count"] / (time.process_time() - cpu), told["count"] / (time.perf_counter() - began)))
            return Past(middle([one for one, _ in figures]), middle([one for _, one in figures]))
    finally:
        await store.close()


async def _fill(store: Store) -> None:
    series = transmitter(VALUES, 1, _INTERVAL_MS)
    none = Columns(np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint32), np.empty(0, np.int64))
    for begin in range(0, VALUES, _COMMIT):
        part = slice(begin, begin + _COMMIT)
        rows = Columns(np.zeros(_COMMIT, np.int32), series.value[part], series.status[part], series.source_ns[part])
        await store.commit(Commit([Step(int(series.source_ns[begin]), Origin.SOURCE, rows, none)], snapshot=b"bench"))
        await maintenance.cut(store._plant, 2)
    while await store._plant.run(maintenance._drop_tail):
        pass
