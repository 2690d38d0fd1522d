"""Run on a file system of 2 MB: fills it with ballast, commits until the disk is full, makes room, and goes on.

usage: full_disk.py DIRECTORY. Ends with the word `whole` when everything that was committed is there once.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from gateway.store.config import StoreConfig
from gateway.store.store import Store, StoreUnavailable
from store.committer import NOW, TAGS, commit


async def main(directory):
    ballast = directory / "ballast"
    ballast.write_bytes(bytes(1_300_000))
    store = await Store.open(directory, StoreConfig(), TAGS, NOW)
    n = refused = left = 0
    while left < 20:
        wanted = commit(n)
        while True:
            try:
                await store.commit(wanted)
                break
            except StoreUnavailable as fault:
                assert "full" in str(fault), fault  # noqa: PT017  there is no pytest in here
                refused += 1
            if refused == 3:  # closing a file gives back its log: the first ones may find room again
                ballast.unlink()
            with suppress(StoreUnavailable):
                await store.reopen()
        n += 1
        left += refused >= 3
    series = await store.history.read(0, NOW, NOW + 10**9)
    rows = await store.outbox.peek("mqtt/live", 10**6)
    await store.close()
    assert series.value.tolist() == list(range(n))
    assert [row.seq for row in rows] == list(range(1, n + 1))
    print("whole")


asyncio.run(main(Path(sys.argv[1])))
