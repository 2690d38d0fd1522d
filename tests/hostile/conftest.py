"""A running gateway for all hostile clients, and a well-behaved one beside them that must not notice."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.gateway import GatewayProcess
from support.opcua_requests import TAGS
from support.ports import free_port
from support.waiting import eventually
from support.witness import Witness, rss_mb

SITE = """
sources:
  plant: {{driver: replay, file: "{file}", times: now, loop: true}}
tags:
  - {{name: line.beat, source: plant, address: line.beat, sampling_interval: 50ms}}
  - {{name: line.level, range: [0, 100], writable: {{min: 0, max: 100, role: operator}}}}
  - {{name: line.count, type: int, writable: {{role: operator}}}}
  - {{name: line.on, type: bool, writable: {{role: operator}}}}
  - {{name: line.name, type: text, writable: {{role: operator}}}}
{many}
alarms:
  - {{tag: line.level, hi: 50, confirm: true}}
opcua: {{port: {port}, insecure: true, anonymous: operator, max_sessions: 20}}
"""
GAP_S = 1.5


@dataclass
class Plant:
    """The gateway's process and its OPC UA port; grows_mb: what a test may leave behind in its memory."""

    gateway: GatewayProcess
    port: int
    witness: Witness
    grows_mb: float = 8.0

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/edgetwin"

    @property
    def pid(self) -> int:
        return self.gateway.process.pid

    def rss_mb(self) -> float:
        return rss_mb(self.pid)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder, port = tmp_path_factory.mktemp("hostile"), free_port()
    with GatewayProcess(folder, SITE.format(port=port, file=_recording(folder), many=_many())) as gateway:
        gateway.start(30.0)
        witness = Witness(folder / "witness", f"opc.tcp://127.0.0.1:{port}/edgetwin", "ns=2;s=line.beat")
        with witness.process:
            yield Plant(gateway, port, witness)
        assert gateway.stop() == 0


@pytest.fixture
async def plant(running: Plant) -> Plant:
    """As it is to stay: the witness reads and hears on, the process lives and is no larger, no fault is in the log."""
    running.grows_mb = 8.0
    began, before, logged = time.monotonic(), running.rss_mb(), len(running.gateway.log)
    yield running
    ended = time.monotonic()
    await eventually(lambda: running.witness.moments("read", ended) and running.witness.moments("heard", ended), within=10)
    for kind in ("read", "heard"):
        gap = running.witness.longest_gap(kind, began)
        assert gap < GAP_S, f"the witness had no {kind} for {gap:.2f} s"
    assert running.gateway.process.running
    said = running.gateway.log[logged:]
    assert "Traceback" not in said, said
    grown = running.rss_mb() - before
    assert grown < running.grows_mb, f"memory grew by {grown:.1f} MB"


def _recording(folder: Path) -> Path:
    """20 s of a tag that changes twenty times a second."""
    path = folder / "plant.csv"
    rows = (f"{1_700_000_000_000 + 50 * row},{row % 100}" for row in range(400))
    path.write_text("timestamp,line.beat\n" + "\n".join(rows) + "\n")
    return path


def _many() -> str:
    return "\n".join(f"  - {{name: many.x{number}}}" for number in range(TAGS))
