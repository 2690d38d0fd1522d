"""The plant of the road's benchmark, a process of its own: an OPC UA server whose values all change HZ times a second, as columns.

    python -m gateway.bench.road.source WORK.json

WORK: {"count", "hz", "folder", "publishing_ms"}. It says its port when it listens, and ends with its input.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gateway.bench.opcua.serving import Served, names_of


async def _main(work: dict[str, Any]) -> None:
    names, shortest_s = names_of(work["count"]), work["publishing_ms"] / 1000
    async with Served(names, Path(work["folder"]), interval_ms=1000 / work["hz"], min_publishing_interval=shortest_s) as served:
        sys.stdout.write(f"{served.sink.url}\n")
        sys.stdout.flush()
        told = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        while not told.done():
            await served.run(1.0, work["hz"])


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
