"""What a client asks: batched reads and browsing of 50 000 tags, and what it takes to have them there."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.bench.opcua.peers import per_cpu_s
from gateway.bench.opcua.serving import Served, names_of, tap, wish
from gateway.bench.processes import rss_mb
from gateway.bench.rows import middle

TAGS: Final = 50_000
_FOLDERS: Final = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """Per CPU second of the server; start_s: from nothing to a server that answers for 50 000 tags; their memory in MB."""

    reads_per_s: float
    references_per_s: float
    start_s: float
    tags_mb: float


async def asked(folder: Path, rounds: int) -> Asked:
    """One client reads 10 000 tags at a time and walks a hundred folders."""
    names = names_of(TAGS)
    before = rss_mb()
    began = time.perf_counter()
    async with Served(names, folder) as served:
        start_s = time.perf_counter() - began
        held_mb = rss_mb() - before
        async with tap(served.sink.url, names, [wish(0, 1000.0)], folder) as client:
            keys = " ".join(f"area{k}" for k in range(_FOLDERS))
            await client.ask("read 3")
            await client.ask(f"browse 3 {keys}")
            reads = [await per_cpu_s(client, "read 20") for _ in range(rounds)]
            references = [await per_cpu_s(client, f"browse 10 {keys}") for _ in range(rounds)]
    return Asked(middle(reads), middle(references), start_s, held_mb)
