"""The gateway of the road's benchmark: a site as the daemon runs it, with four limits on every tag.

python -m gateway.bench.daemon SITE.yaml

At its end it says in SITE.stages how old values were when each sink had handed them on: the median, ms.

It lies beside the benchmark, so that the gateway's process loads nothing of it.
"""

import asyncio
import dataclasses
import gc
import json
import signal
import sys
from pathlib import Path
from typing import Final

gc.disable()  # as `edgetwin run` does while the modules load

from gateway.heap import few_arenas  # noqa: E402  after it

few_arenas()
from gateway.launch import load_site, running  # noqa: E402  after it
from gateway.model.alarm import AlarmRule, Limit  # noqa: E402

_LIMITS: Final = ((Limit.HIHI, 1e6), (Limit.HI, 1e5), (Limit.LO, -1e5), (Limit.LOLO, -1e6))


async def _main(path: Path) -> None:
    site = await asyncio.to_thread(load_site, path)
    rules = tuple(AlarmRule(tag.tag_id, tag.name, limit, at, 0.5) for tag in site.tags for limit, at in _LIMITS)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with running(path, site=dataclasses.replace(site, rules=rules)) as gateway:
        await ended.wait()
        stages = {unit.name: unit.latency.quantile_ms(0.5) for unit in gateway.health.of_kind("sink")}
    path.with_suffix(".stages").write_text(json.dumps(stages))


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(Path(sys.argv[1])))
