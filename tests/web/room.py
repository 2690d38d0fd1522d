"""A gateway without sources and sinks: the real engine, store, events and door behind the real web room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import httpx

from gateway.access.people import People
from gateway.access.roles import allowed
from gateway.access.sessions import Sessions
from gateway.contracts import Identity
from gateway.engine.engine import Engine
from gateway.events import Events, threshold_event
from gateway.model import quality
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import SampleBatch
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable, TagType
from gateway.operations import Door, Operation, Refused, alarms, people
from gateway.operations.certificates import Certificates
from gateway.performance import AlarmPerformance
from gateway.settings import read_units
from gateway.store.commit import Commit, Step
from gateway.store.config import StoreConfig
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store
from gateway.web.api import build
from gateway.web.config import WebConfig
from gateway.web.context import WebContext
from gateway.web.updates import Updates
from support.forecasts import Held

S = 1_000_000_000
START = 1_800_000_000 * S
TAGS = (
    Tag(0, "line.temperature", "plc1", unit="Cel", eu_range=(0.0, 60.0), deadband=0.1),
    Tag(1, "line.count", "plc1", type=TagType.INT, unit="1"),
    Tag(2, "line.state", "cell", type=TagType.ENUM, labels={0: "stopped", 1: "running"}),
    Tag(3, "line.message", "cell", type=TagType.TEXT),
    Tag(4, "oven.temperature", "plc1", unit="Cel"),
)
RULES = (AlarmRule(0, "line.temperature", Limit.HI, 27.0, hysteresis=0.5, severity=500, message="too warm"),)


class Health:
    """What the daemon would say of itself: reasons as the test sets them."""

    def __init__(self) -> None:
        self.performance = AlarmPerformance(START)
        self.reasons: list[str] = []
        self.sources: dict[str, dict] = {
            "plc1": {"state": "up", "reason": "", "kind": "opcua", "problems": {"oven.temperature": "no such node"}}
        }

    def status(self):
        return {
            "name": "line1",
            "state": "ok" if not self.reasons else "not_ready",
            "reasons": self.reasons,
            "uptime_s": 12.5,
            "twin": {"tags": 5, "quality": {"good": 3, "uncertain": 0, "bad": 2}},
            "alarms": {"active": 1, "unacknowledged": 1, "rules": 1, "performance": self.performance.report(START + 3600 * S)},
            "sources": self.sources,
            "sinks": {},
            "outbox": [
                {
                    "stream": "hq/live",
                    "rows": 10,
                    "bytes": 2_000_000,
                    "oldest_age_s": 5.0,
                    "quarantined": 0,
                    "dropped": 0,
                    "outage_hours": 31.0,
                }
            ],
        }

    def live(self):
        return True, []

    def ready(self):
        return not self.reasons, self.reasons

    def predicted_limits(self):
        return {}

    async def performance_report(self):
        found = self.performance.report(START + 3600 * S)
        advised = [{"condition": name, **asdict(self.performance.advice(name)), "hysteresis": None} for name in found["chattering"]]
        return found | {"chattering": advised}

    def metrics(self):
        return [
            ("edgetwin_samples_total", {"source": "plc1"}, 12.0, "counter"),
            ("edgetwin_up", {}, 1.0, "gauge"),
            ("edgetwin_samples_total", {"source": 'a"b\n'}, 1.0, "counter"),
        ]


class Room:
    """The parts, and `feed` to let samples in. now_ns moves by hand."""

    def __init__(self, store: Store, table: TagTable, config: WebConfig, rules=RULES) -> None:
        self.store, self.now_ns = store, START
        self.engine = Engine(table, rules, (), Sync(update_frequency=10.0))
        self.events, self.updates, self.health = Events(), Updates(), Health()
        self.clock_s = 0.0
        self.sessions = Sessions(lambda: self.clock_s)
        self.signed_in: list = []
        self.people = People(store.people, self._sign_in, now_ns=lambda: self.now_ns, clock=lambda: self.clock_s)
        self.people.on_revoked(self.sessions.revoke_user)
        self.forecasts = Held([0, 4])
        self.executed: list[str] = []
        self.refuse: set[str] = set()  # tags that take no value
        table_of_operations = alarms.operations(
            self.engine, store.journal, lambda _kind, update, **_args: self._take(update), lambda: self.now_ns, self._durable
        )
        table_of_operations |= people.operations(self.people, self.sessions.link)
        table_of_operations |= Certificates(Path(store.path) / "pki", "line1", lambda: self.now_ns).operations()
        self.door = Door({**table_of_operations, "tag.write": Operation("tag:write", self._write, "")}, allowed, self._audit)
        self.context = WebContext(
            identity=Identity("line1", "acme/line1", store.boot, "0.1.0", str(store.path)),
            view=self.engine.view,
            history=store.history,
            events=store.journal,
            commands=self.door,
            units=read_units(),
            health=self.health,
            subscribe_events=self.events.subscribe,
            updates=self.updates,
            sessions=self.sessions,
            people=self.people,
            audit=store,
            config=config,
            now_ns=lambda: self.now_ns,
            unavailable=(StoreUnavailable,),
            forecasts=self.forecasts,
        )
        self.app = build(self.context)
        self._waiting: list = []

    async def _audit(self, command, outcome):
        self.executed.append(command.kind)
        await self.store.audit(command, outcome, self.now_ns)

    async def _sign_in(self, sign_in):
        self.signed_in.append(sign_in)

    async def _durable(self):
        await self.store.flush()
        return True

    async def _write(self, args, caller):
        if args["tag"] in self.refuse:
            raise Refused(quality.BAD_OUT_OF_RANGE, "not that")
        await self.feed({args["tag"]: args["value"]})
        return {"tag": args["tag"]}

    def _take(self, update):
        self._waiting.append(update)
        self.health.performance.take(update.transitions)
        self.updates.publish(update)
        for transition in update.transitions:
            self.events.publish(threshold_event(transition))

    async def feed(self, values, status=0, text=None, after_s=1.0):
        """One step with these values {name: number}, after so many seconds; committed and published."""
        self.now_ns += round(after_s * S)
        table = self.engine.view.tags
        ids = [table.index[name] for name in values]
        batch = SampleBatch.of(ids, list(values.values()), status, self.now_ns, received_ns=self.now_ns, text=text)
        update = self.engine.step(batch, self.now_ns)
        self._take(update)
        await self.store.commit(
            Commit(
                steps=[Step(self.now_ns, batch.origin, update.rows, update.late)],
                events=[threshold_event(transition) for transition in update.transitions],
            )
        )
        return update

    def client(self, peer: tuple[str, int] = ("local:1000", 1), **more) -> httpx.AsyncClient:
        """A caller: on the local socket unless told otherwise."""
        transport = httpx.ASGITransport(self.app, client=peer, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", **more)


@asynccontextmanager
async def opened(path: Path, config: WebConfig | None = None, tags=TAGS, rules=RULES) -> AsyncIterator[Room]:
    """A room over a store in that folder."""
    table = TagTable.of(tags)
    store = await Store.open(path, StoreConfig(), table, START)
    try:
        yield Room(store, table, config or WebConfig(port=0), rules)
    finally:
        await store.close()
