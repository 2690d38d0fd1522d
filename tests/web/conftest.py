"""A gateway's web room over a small twin: the contracts played by columns in memory, without engine and disk."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from gateway.access.sessions import Sessions
from gateway.contracts import Buckets, Identity, Series
from gateway.events import Events
from gateway.model import quality
from gateway.model.alarm import AlarmRule, Condition, Limit
from gateway.model.command import Outcome
from gateway.model.event import Category, Event
from gateway.model.tag import Tag, TagTable, TagType
from gateway.web.api import build
from gateway.web.config import WebConfig
from gateway.web.context import WebContext
from gateway.web.updates import Updates

NOW = 1_800_000_000_000_000_000
TAGS = TagTable.of(
    [
        Tag(0, "line.temperature", "plc1", unit="Cel", eu_range=(0.0, 60.0)),
        Tag(1, "line.count", "plc1", type=TagType.INT, unit="1"),
        Tag(2, "line.state", "cell", type=TagType.ENUM, labels={0: "stopped", 1: "running"}),
        Tag(3, "line.message", "cell", type=TagType.TEXT),
        Tag(4, "oven.temperature", "plc1", unit="Cel"),
    ]
)
RULE = AlarmRule(0, "line.temperature", Limit.HI, 27.0, severity=500, message="too warm")


@dataclass
class Twin:
    """A TwinView over plain columns."""

    tags: TagTable = TAGS
    version: int = 7
    value: np.ndarray = field(default_factory=lambda: np.array([22.5, 41, 1, np.nan, 99.0]))
    status: np.ndarray = field(default_factory=lambda: np.array([0, 0, 0, 0, quality.BAD_NO_COMMUNICATION], np.uint32))
    source_ns: np.ndarray = field(default_factory=lambda: np.full(5, NOW - 2_000_000_000))
    received_ns: np.ndarray = field(default_factory=lambda: np.full(5, NOW - 1_500_000_000))
    text: dict = field(default_factory=lambda: {3: "ok"})

    def snapshot(self):
        return SimpleNamespace(version=self.version, tree=lambda tags: {"version": self.version, "line": {"temperature": self.value[0]}})

    def at(self, at_ns):
        return self.snapshot() if at_ns > NOW - 60_000_000_000 else None

    def history(self, limit=None):
        return []

    def conditions(self):
        return [Condition(RULE, active=True, acknowledged=False, since_ns=NOW, value=28.0)]


class History:
    """60 samples of each tag, one per second, the last one at NOW."""

    async def read(self, tag_id, start_ns, end_ns, limit=None):
        times = NOW - 1_000_000_000 * np.arange(59, -1, -1)
        keep = (times >= start_ns) & (times < end_ns)
        times = times[keep][:limit]
        value = (times - NOW) / 1e9
        status = np.zeros(times.size, np.uint32)
        if tag_id == 3:
            return Series(times, np.full(times.size, np.nan), status, {row: f'say "{row}"' for row in range(times.size)})
        return Series(times, value, status, {})

    async def read_at(self, tag_id, at_ns):
        return await self.read(tag_id, at_ns, at_ns + 1)

    async def downsample(self, tag_id, start_ns, end_ns, bucket_ns):
        series = await self.read(tag_id, start_ns, end_ns)
        start, first = np.unique(series.source_ns // bucket_ns * bucket_ns, return_index=True)
        count = np.diff(np.append(first, series.source_ns.size))
        low = np.array([series.value[i] for i in first])
        return Buckets(start, low, low, low, count, np.zeros(start.size, np.uint32))


class Journal:
    def __init__(self):
        self.rows = [
            Event("3e3e4a1e-0000-4000-8000-000000000001", NOW, Category.THRESHOLD, 500, "line.temperature", "too warm", {"limit": 27.0})
        ]
        self.asked = {}

    async def query(self, **asked):
        self.asked = asked
        return self.rows[: asked["limit"]]

    async def acknowledge(self, event_id):
        return event_id == self.rows[0].event_id

    async def clear(self, older_than_ns=None):
        return 3


class Door:
    """Commands that are noted; answers with the outcome it is told."""

    def __init__(self):
        self.seen = []
        self.outcome = Outcome(quality.GOOD, "done", {"n": 1})

    async def execute(self, command):
        self.seen.append(command)
        return self.outcome


@dataclass
class Health:
    reasons: list = field(default_factory=list)

    def status(self):
        return {"state": "running", "sources": [], "sinks": [], "outbox": [], "problems": []}

    def live(self):
        return True, []

    def ready(self):
        return not self.reasons, self.reasons

    def metrics(self):
        return [
            ("edgetwin_samples_total", {"source": "plc1"}, 12.0, "counter"),
            ("edgetwin_samples_total", {"source": 'a"b'}, 1.0, "counter"),
        ]


@pytest.fixture
def context():
    events = Events()
    made = WebContext(
        identity=Identity("line1", "acme/line1", "boot-1", "0.1.0", "/nowhere"),
        view=Twin(),
        history=History(),
        events=Journal(),
        commands=Door(),
        units={},
        health=Health(),
        subscribe_events=events.subscribe,
        updates=Updates(),
        sessions=Sessions(time.monotonic),
        config=WebConfig(port=0),
        now_ns=lambda: NOW,
    )
    return made


@pytest.fixture
async def local(context) -> AsyncIterator[httpx.AsyncClient]:
    """A caller on the local socket: admin."""
    async with _client(context, ("local:1000", 1)) as client:
        yield client


@pytest.fixture
async def stranger(context) -> AsyncIterator[httpx.AsyncClient]:
    """A caller over TCP who has not signed in."""
    async with _client(context, ("127.0.0.1", 50000)) as client:
        yield client


def _client(context, peer):
    transport = httpx.ASGITransport(build(context), client=peer, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
