"""What live forecasts cost the daemon: the same gateway with and without them, side by side, its loop watched from within.

A thousand tags at 10 Hz with four limits each, ten minutes ahead in steps of a second. The worker's own time is beside the daemon's.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.app import Gateway
from gateway.bench.processes import free_port
from gateway.launch import running
from gateway.model import quality
from gateway.model.batch import SampleBatch
from gateway.model.update import TwinUpdate

TAGS: Final = 1000
SECONDS: Final = 20.0
EVERY_S: Final = 5.0
LONGEST_MS: Final = 20.0
"""That one turn may hold the loop."""
HZ: Final = 10.0
_WATCH_S: Final = 0.001


def figures() -> dict[str, Any]:
    """Step times and the loop's longest turn, with and without forecasts; seconds of a worker for one forecast of all tags."""
    found: dict[str, Any] = {"live_tags_x_steps_x_limits": f"{TAGS} x 600 x 4, every {EVERY_S:g} s"}
    for word, forecasts in (("without", False), ("with", True)):
        for name, value in asyncio.run(_measured(forecasts=forecasts)).items():
            found[f"live_{name}_{word}_forecasts"] = value
    return found | {"live_loop_longest_turn_ms_at_most": LONGEST_MS}


async def _measured(*, forecasts: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with running(_site(Path(folder), forecasts=forecasts)) as gateway:
            turns_ms, steps_ms = list[float](), list[float]()
            watching = asyncio.create_task(_watch(turns_ms))
            await _feed(gateway, steps_ms)
            watching.cancel()
            live = gateway.foreseeing.forecasts
            told = {"step_p99_ms": round(float(np.percentile(steps_ms, 99)), 2), "loop_longest_turn_ms": round(max(turns_ms), 1)}
            return told | ({"forecasts_issued": live.issued, "worker_s_per_forecast": round(live.seconds, 3)} if forecasts else {})


def _site(folder: Path, *, forecasts: bool) -> Path:
    names = [f"bench.t{number}" for number in range(TAGS)]
    tags = "".join(f"  - {{name: {name}, deadband: 0}}\n" for name in names)
    alarms = "".join(f"  - {{tag: {name}, lolo: -900, lo: -800, hi: 800, hihi: 900}}\n" for name in names)
    path = folder / "site.yaml"
    path.write_text(
        f"version: 1\ngateway: {{name: bench-{free_port()}, data_dir: {folder / 'data'}}}\nweb: {{port: {free_port()}}}\ntags:\n{tags}"
        f"alarms:\n{alarms}"
        + (f"forecast: {{horizon: 10min, step: 1s, every: {EVERY_S}, tags: [{', '.join(names)}]}}\n" if forecasts else "")
    )
    return path


async def _feed(gateway: Gateway, steps_ms: list[float]) -> None:
    """A random walk of all tags; the CPU time of each step of the engine."""
    rng, y, rows = np.random.default_rng(1), np.zeros(TAGS), np.arange(TAGS, dtype=np.int32)
    own = gateway.engine.step

    def timed(batch: SampleBatch, now_ns: int) -> TwinUpdate:
        began = time.thread_time()
        update = own(batch, now_ns)
        steps_ms.append((time.thread_time() - began) * 1e3)
        return update

    gateway.engine.step = timed  # type: ignore[method-assign]  # a stopwatch
    for _ in range(round(SECONDS * HZ)):
        y = y + rng.standard_normal(TAGS)
        now_ns = gateway.clock.now_ns()
        good, at_ns = np.full(TAGS, quality.GOOD, np.uint32), np.full(TAGS, now_ns, np.int64)
        await gateway.inbox.put(SampleBatch(rows, y, good, at_ns, now_ns))
        await asyncio.sleep(1 / HZ)


async def _watch(turns_ms: list[float]) -> None:
    """CPU time that the loop's own thread took between two moments that were asked for: what neighbours on the machine take is left out."""
    await asyncio.sleep(2.0)  # after the start
    while True:
        began = time.thread_time()
        await asyncio.sleep(_WATCH_S)
        turns_ms.append((time.thread_time() - began) * 1e3)
