"""A process that commits for ever and says on stdout what is durable: the victim of the fault tests.

usage: committer.py DIRECTORY [first number]. Every commit n holds a sample, an event and a message, all of them n.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np

from gateway.model.batch import Origin
from gateway.model.event import Category, Event
from gateway.model.outbox import OutboxRow
from gateway.model.tag import Tag, TagTable
from gateway.model.update import Columns
from gateway.store import maintenance
from gateway.store.config import StoreConfig
from gateway.store.store import Commit, Step, Store, StoreUnavailable

NOW = 1_700_000_000_000_000_000
TAGS = TagTable.of([Tag(k, f"t.{k}") for k in range(20)])
NONE = Columns(np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint32), np.empty(0, np.int64))


def commit(n):
    at = NOW + n
    columns = Columns(np.arange(20, dtype=np.int32), np.full(20, float(n)), np.zeros(20, np.uint32), np.full(20, at))
    return Commit(
        [Step(at, Origin.SOURCE, columns, NONE)],
        [Event(f"e{n}", at, Category.SYSTEM, 1, "test", "")],
        [OutboxRow("mqtt/live", "t", b"%d" % n, at)],
        b"%d" % n if n % 7 == 0 else None,
    )


async def upkeep(store, n):
    while True:
        await store.maintain(NOW + n)
        await asyncio.sleep(0.003)


async def main(directory, n):
    maintenance.TAIL_SAMPLES, maintenance.SLICE_BLOCKS, maintenance.SLICE_ROWS = 1000, 5, 10
    store = await Store.open(directory, StoreConfig(), TAGS, NOW)
    task = asyncio.create_task(upkeep(store, n))
    faults = 0
    while True:
        wanted = commit(n)
        while True:
            try:
                await store.commit(wanted)
                break
            except StoreUnavailable as fault:
                faults += 1
                print("fault", faults, fault, flush=True)
                task.cancel()
                await asyncio.sleep(0.05)
                try:
                    await store.reopen()
                except StoreUnavailable:
                    continue
                task = asyncio.create_task(upkeep(store, n))
        print("durable", n, flush=True)
        n += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
