"""The gateway of the road's benchmark: a site as the daemon runs it, with four limits on every tag.

python -m gateway.bench.road.daemon SITE.yaml
"""

import asyncio
import dataclasses
import signal
import sys
from pathlib import Path
from typing import Final

from gateway.launch import load_site, running
from gateway.model.alarm import AlarmRule, Limit

_LIMITS: Final = ((Limit.HIHI, 1e6), (Limit.HI, 1e5), (Limit.LO, -1e5), (Limit.LOLO, -1e6))


async def _main(path: Path) -> None:
    site = await asyncio.to_thread(load_site, path)
    rules = tuple(AlarmRule(tag.tag_id, tag.name, limit, at, 0.5) for tag in site.tags for limit, at in _LIMITS)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with running(path, site=dataclasses.replace(site, rules=rules)):
        await ended.wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(Path(sys.argv[1])))
