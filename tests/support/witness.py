"""A well-behaved SCADA client in a process of its own: what it reads and hears, with the moments, while others misbehave.

`python -m support.witness URL NODE` writes a line for each answer to a Read (`read`, 20 a second) and each notification (`heard`), with
the moment on CLOCK_MONOTONIC and how long the Read took, and ends with the connection.
"""

import asyncio
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
from asyncua import Client

from support.process import Process

PERIOD_S = 0.05


class Witness:
    """The process, as the tests see it."""

    def __init__(self, folder: Path, url: str, node: str) -> None:
        tests = Path(__file__).parents[1]
        self.process = Process([sys.executable, "-m", "support.witness", url, node], folder, cwd=tests, env={"PYTHONPATH": _path(tests)})
        self.process.wait_output("heard", 30.0)

    def moments(self, kind: str, since_s: float) -> list[float]:
        return [moment for moment, _ in self._said(kind, since_s)]

    def waits(self, since_s: float) -> list[float]:
        """Seconds that each Read took, the shortest first."""
        return sorted(took for _, took in self._said("read", since_s))

    def _said(self, kind: str, since_s: float) -> list[tuple[float, float]]:
        lines = (line.split() for line in self.process.output().splitlines())
        said = [(float(line[1]), float(line[2])) for line in lines if len(line) == 3 and line[0] == kind]
        return [one for one in said if one[0] >= since_s]

    def longest_gap(self, kind: str, since_s: float) -> float:
        """Seconds without an answer, from then until now."""
        moments = [since_s, *self.moments(kind, since_s), time.monotonic()]
        return max(later - earlier for earlier, later in pairwise(moments))


def rss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 2**20)


def _path(tests: Path) -> str:
    return os.pathsep.join((str(tests), str(tests.parent)))


class _Ears:
    def datachange_notification(self, node, value, data):
        _say("heard")


def _say(what: str, took_s: float = 0.0) -> None:
    print(what, time.monotonic(), round(took_s, 6), flush=True)


async def main(url: str, node: str) -> None:
    async with Client(url, timeout=20) as client:
        subscription = await client.create_subscription(50, _Ears())
        watched = client.get_node(node)
        await subscription.subscribe_data_change(watched, sampling_interval=0)
        while True:
            began = time.monotonic()
            await watched.read_data_value(raise_on_bad_status=False)
            _say("read", time.monotonic() - began)
            await asyncio.sleep(PERIOD_S)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
