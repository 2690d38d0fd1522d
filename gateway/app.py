"""The wiring, all of it: a Gateway is built from a Site, starts sinks, engine and drivers in this order, and stops them in reverse."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from gateway import __version__, own_alarms
from gateway.access.people import People
from gateway.access.roles import allowed
from gateway.access.sessions import Sessions
from gateway.contracts import ConfigError, Driver, Identity, SinkContext
from gateway.engine.engine import Engine
from gateway.events import Events, Publisher, of_transitions, state_changed_event
from gateway.forecasting.alerts import MEMORY, Alerts
from gateway.foresight import Foreseeing
from gateway.health import Health, State, Unit, notify
from gateway.heap import Heap
from gateway.logs import LogConfig, configure
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.event import Event, Severity
from gateway.model.update import TwinUpdate
from gateway.northbound import Northbound, nothing
from gateway.operations import Door, Operation, Refused, admin, alarms, people
from gateway.operations.certificates import Certificates
from gateway.operations.setpoints import Setpoints
from gateway.page import Page
from gateway.performance import AlarmPerformance, recall
from gateway.recordings import Recordings
from gateway.reload import plan, sinks_of
from gateway.residuals import Residuals
from gateway.road import Clock, Inbox, Pending, Wake
from gateway.runner import run_engine, run_store
from gateway.settings import SettingsError, Site
from gateway.signing import FIRST_USER, commands, recorder, refusals
from gateway.southbound import Southbound
from gateway.status import Report, count
from gateway.store.commit import Step
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store
from gateway.watch import process_age_s, watch

log = structlog.get_logger()

DRAIN_S = 5.0
RELOAD_S = 15.0
DURABLE_S = 10.0
LISTEN_S = 10.0
LOOK_EVERY_S = 2.0


class Gateway:
    """One gateway: twin, sources and sinks over an open store. load(present site) reads the configuration again, for a reload."""

    def __init__(self, site: Site, load: Callable[[Site], Site], store: Store, clock: Clock) -> None:
        self.site, self._load, self.store, self.clock = site, load, store, clock
        now_ns = clock.now_ns
        self.identity = Identity(site.gateway.name, site.gateway.path, store.boot, __version__, str(site.gateway.data_dir))
        self.counts: Counter[str] = Counter()
        self.health = Health(now_ns)
        self.events = Events(site.events.max_events)
        self.say = Publisher("gateway", self.publish, now_ns)
        self.people = People(store.people, recorder(store, self.say, now_ns), now_ns=now_ns, unavailable=(StoreUnavailable,))
        self.sessions = Sessions(time.monotonic)
        self.people.on_revoked(self.sessions.revoke_user)
        self.inbox, self.pending, self.committed = Inbox(), Pending(), Wake()
        self.performance = AlarmPerformance(now_ns())
        self.engine = Engine(site.tags, own_alarms.rules(site), site.derived, site.sync)
        folder = Path(self.identity.data_dir) / "recordings"
        self.foreseeing = Foreseeing(store, self.engine.view, lambda: self.site, self.publish, now_ns)
        self.alerts = Alerts(self.engine, lambda: self.site, store.memory(MEMORY), self._commanded, self.publish, now_ns)
        self.foreseeing.tell(self.alerts.issued, self.engine, self._commanded)
        self.recordings = Recordings(self.engine, lambda: self.site, folder, now_ns, store.config.record)
        self.south = Southbound(self.identity, store.memory, self.engine.view, self.inbox, self.health, now_ns, self._unknown)
        self.north = Northbound(self.health, store.outbox, self.committed, self._sink_context)
        self.door = Door(self._operations(), allowed, commands(store, self.say, now_ns), lambda: store.audit_fault)
        self.report = Report(
            identity=self.identity,
            sync=lambda: self.site.sync,
            view=self.engine.view,
            health=self.health,
            store=store,
            inbox=self.inbox,
            pending=self.pending,
            counts=self.counts,
            north=self.north,
            south=self.south,
            performance=self.performance,
            alerts=self.alerts,
            rules=lambda: len(self.engine.alarms.rules),
            workforce=self.foreseeing.workforce,
            forecasts=self.foreseeing.forecasts,
            kpis=self.foreseeing.line,
            urls=self.urls,
            now_ns=now_ns,
        )
        self.page = Page(
            site, self.identity, self.engine.view, store, self.door, self.report, self.events, self.sessions, self.people, now_ns,
            self.foreseeing, self.foreseeing.forecasts, self.foreseeing.line,
        )  # fmt: skip
        self.residuals = Residuals(
            self.engine, self.foreseeing.calibrated, self.inbox.put_now, self._commanded, self.publish, store.memory("residual"), now_ns
        )
        self._own_alarms = own_alarms.OwnAlarms(self.engine, self.health, store.outbox, lambda: self.site, self._commanded, now_ns)
        self._heap = Heap()
        self.ended = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._reloading = asyncio.Lock()

    # --- life ----------------------------------------------------------------------------------------------------------------------

    async def serve(self, stop: asyncio.Event, started: asyncio.Event) -> None:
        """Run until `stop`; `started` is set once everything listens. An unexpected error of engine or store ends it."""
        try:
            await self.people.load()
            await self._restore()
            await self.foreseeing.recall()
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._live(group, stop, started)
        finally:
            self.ended.set()

    async def _live(self, group: asyncio.TaskGroup, stop: asyncio.Event, started: asyncio.Event) -> None:
        tasks = await self._start(group)
        self.health.ready_after_s = round(process_age_s(), 3)
        notify("READY=1", f"STATUS=running, {len(self.site.tags)} tags")
        self._heap.settle()
        log.info("ready", after_s=self.health.ready_after_s, tags=len(self.site.tags), **self.urls())
        if self.people.setup and self.page.config.anonymous is None:
            log.warning("no users", hint=FIRST_USER)
        self.say.system("Digital twin initialized", tags=len(self.site.tags), version=__version__)
        started.set()
        await stop.wait()
        await self._stop(tasks)

    async def _restore(self) -> None:
        """State and alarms as they were at the last commit: the snapshot, and the steps since."""
        restored = await self.store.restore()
        for event in self.store.alarms_at_open:
            self.publish(event)
        if restored.snapshot is not None:
            try:
                self.engine.restore(restored.snapshot)
            except ValueError as damaged:
                self.say.error("StateNotRestored", str(damaged))
        for at_ns, batch in restored.steps:
            self.engine.replay(batch, at_ns)
        with suppress(StoreUnavailable):  # else the figures begin anew
            await recall(self.performance, self.store.journal, self.clock.now_ns())
        self.performance.seed([*self.engine.view.retained(), *self.engine.view.silenced()])

    async def _start(self, group: asyncio.TaskGroup) -> dict[str, "asyncio.Task[None]"]:
        """Sinks, then engine, then drivers."""
        now_ns, pending = self.clock.now_ns, self.pending
        await self.store.retire([unit.name for unit in self.site.upstream])
        sources = self.south.build(self.site.sources, self.site.tags)
        faces = self.north.build(sinks_of(self.site)) | self.page.faces(self.health)
        self.north.start(group, faces)
        interval_s = self.store.config.commit_interval
        running = {
            "store": run_store(
                self.store, pending, self.engine.snapshot, self.health, interval_s, self.committed, now_ns, self.south.relax
            ),
            "engine": run_engine(self.engine, self.inbox, pending, self._take, now_ns, self.recordings),
            "watch": watch(self.health, self.clock, self._rebase, self.south.silences, self.inbox.put_now),
            "look": self._look(),
            **self.foreseeing.loops(),
            "residuals": self.residuals.run(),
            "maintain": self._maintain(),
        }
        tasks = {name: group.create_task(loop, name=name) for name, loop in running.items()}
        await _within(LISTEN_S, self.north.tried(["opcua", "web"]))
        self.south.start(group, sources)
        return tasks

    async def _stop(self, tasks: Mapping[str, "asyncio.Task[None]"]) -> None:
        """Sources first, then what is on the road, then the sinks; each within its deadline."""
        notify("STOPPING=1", "STATUS=stopping")
        self.door.close()
        self.south.stopping = True
        await _within(RELOAD_S, self._reloading.acquire())  # a reload that is under way ends first
        self.residuals.close()
        await _within(DRAIN_S, self.foreseeing.close())
        await self.south.stop()
        await _within(DRAIN_S, self._drained())
        for name in ("watch", "look", "maintain", "engine"):
            tasks[name].cancel()
        await asyncio.wait([tasks[name] for name in ("watch", "look", "maintain", "engine")])
        await asyncio.to_thread(self.recordings.close)
        self.pending.close()
        await _within(DRAIN_S, asyncio.shield(tasks["store"]))
        with suppress(StoreUnavailable):
            await _within(DRAIN_S, self.north.drained(self.store.flush))
        await self.north.stop()
        tasks["store"].cancel()

    async def _drained(self) -> None:
        while not self.inbox.empty:  # noqa: ASYNC110  at the stop only, within a deadline
            await asyncio.sleep(0.01)

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(StoreUnavailable):  # the commit loop says so, and opens it again
                await self.store.maintain(self.clock.now_ns())

    async def _look(self) -> None:
        while True:
            await self.recordings.look()
            faults = {"recordings": self.recordings.fault, "store": self.store.damage, own_alarms.AUDIT: self.store.audit_fault}
            for name, why in (faults | self.foreseeing.faults()).items():
                self.health.note(name, why)
            await self._own_alarms.look()
            self._heap.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def urls(self) -> dict[str, str]:
        """Where it can be reached, of the faces that listen."""
        return self.page.urls(self.health) | self.north.urls()

    # --- the road ------------------------------------------------------------------------------------------------------------------

    def _take(self, update: TwinUpdate, batch: SampleBatch | None, driver: Driver | None) -> None:
        """Where an update goes: events, outbox and history into the next commit; LATEST sinks and the page at once."""
        rules = self.site.events
        count(self.counts, update, batch)
        self.foreseeing.line.take(update)
        if update.transitions:
            self.performance.take(update.transitions)
            self.alerts.take(update.transitions)
        events = of_transitions(update.transitions)
        if rules.publish_threshold_breaches:
            for event in events:
                self.events.publish(event)
        if update.committed and rules.publish_state_changes:
            self.events.publish(state_changed_event(update, self.site.tags))
        receipt = None if driver is None or batch is None or batch.receipt is None else (driver, batch.receipt, batch.messages)
        if receipt or events or len(update.rows) or len(update.late):
            origin = Origin.GATEWAY if batch is None else batch.origin
            step = Step(update.now_ns, origin, update.rows, update.late)
            self.pending.add(step, events if rules.persistence_enabled else (), self.north.rows(update, events), receipt)
        if events and not len(update.rows):
            self.pending.snapshot_wanted = True  # time alone did this: no sample on disk would bring it back
        if events or (driver is not None and self.south.hurries(driver, self.pending.waiting)):
            self.pending.hurry()
        self.north.offer(update)
        self.page.updates.publish(update)

    async def _unknown(self, batch: SampleBatch) -> SampleBatch:
        """Of samples that a source delivers again: what is not on disk yet, and what may bring a tag back whose link was lost."""
        await self._durable()
        view, keep = self.engine.view, np.ones(len(batch), np.bool_)
        for tag_id in np.unique(batch.tag_id[batch.source_ns > 0]).tolist():
            rows = np.flatnonzero((batch.tag_id == tag_id) & (batch.source_ns > 0))
            begin, end = int(batch.source_ns[rows].min()), int(batch.source_ns[rows].max()) + 1
            try:
                series = await self.store.history.read(tag_id, begin, end)
            except StoreUnavailable:
                return batch  # at least once
            there = set(zip(series.source_ns.tolist(), series.value.tolist(), strict=True))
            on_disk = [pair in there for pair in zip(batch.source_ns[rows].tolist(), batch.value[rows].tolist(), strict=True)]
            revives = (batch.source_ns[rows] == view.source_ns[tag_id]) & (view.status[tag_id] >= quality.UNCERTAIN)
            keep[rows] = ~np.array(on_disk) | revives
        self.counts["samples_again"] += int(len(batch) - np.count_nonzero(keep))
        return batch.pick(np.flatnonzero(keep))

    def publish(self, event: Event) -> None:
        """An event of the gateway itself: to subscribers, to the journal and to the EVERY sinks."""
        self.counts["events"] += 1
        self.events.publish(event)
        if self.site.events.persistence_enabled:
            carrier = nothing(event.timestamp_ns, self.engine.view.version)
            self.pending.add_event(event, self.north.rows(carrier, [event]))

    def _rebase(self, jump_ns: int) -> None:
        """The wall clock was set: pending engine times move with it."""
        self.recordings.command("rebase", self.clock.now_ns(), delta_ns=jump_ns)
        self.engine.rebase(jump_ns)
        self.performance.rebase(jump_ns)
        self.alerts.rebase(jump_ns)
        self.pending.snapshot_wanted = True
        self.pending.hurry()
        self.inbox.wake()
        self.say.system(f"the wall clock was set by {jump_ns / 1e9:+.3f} s", Severity.WARNING, by_s=jump_ns / 1e9)

    # --- commands ------------------------------------------------------------------------------------------------------------------

    def _operations(self) -> dict[str, Operation]:
        now_ns = self.clock.now_ns
        return {
            **alarms.operations(self.engine, self.store.journal, self._commanded, now_ns, self._durable),
            **Setpoints(self.engine, self.south.writer, self.inbox.put, self._commanded, now_ns).operations(),
            **admin.operations(self.reload, self.recordings, self._commit_twin),
            **people.operations(self.people, self.sessions.link),
            **self.foreseeing.simulations.operations(),
            **self.foreseeing.calibrations.operations(),
            **Certificates(Path(self.identity.data_dir) / "pki", self.identity.name, now_ns).operations(),
        }

    def _commanded(self, kind: str, update: TwinUpdate, **args: Any) -> None:
        """A command changed the engine: the same road, and a snapshot, since no sample tells of it. A newer prediction alone waits."""
        self.recordings.command(kind, update.now_ns, **args)
        self._take(update, None, None)
        self.pending.snapshot_wanted |= kind != "foretell"
        self.pending.hurry()
        self.inbox.wake()

    async def _durable(self) -> bool:
        """Wait until all that was done so far is on disk; False where that takes too long."""
        if self.pending.empty:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(DURABLE_S):
                await self.committed.reached(self.pending.swaps + 1)
                return True
        return False

    def _commit_twin(self) -> Mapping[str, Any]:
        self._commanded("commit", self.engine.commit(self.clock.now_ns()))
        return {"state_version": self.engine.view.version}

    def _sink_context(self, name: str, unit: Unit) -> SinkContext:
        return SinkContext(
            name=name,
            gateway=self.identity,
            view=self.engine.view,
            history=self.store.history,
            events=self.store.journal,
            commands=self.door,
            units=self.site.units,
            memory=self.store.memory(f"sink/{name}"),
            report=unit,
            now_ns=self.clock.now_ns,
            figures=lambda: {**self.report.figures(), **self.residuals.figures()},
            access=self.people,
            unavailable=(StoreUnavailable,),
            record=refusals(self.store, self.say, self.clock.now_ns),
            subscribe_events=self.events.subscribe,
            forecasts=self.foreseeing.forecasts,
            kpis=self.foreseeing.line,
            runs=self.foreseeing,
        )

    # --- reload --------------------------------------------------------------------------------------------------------------------

    async def reload(self, *, dry_run: bool = False) -> Mapping[str, Any]:
        """Validate, show, apply without losing a sample; on any fault everything stays as it was. Raises Refused."""
        monotonic_us = time.monotonic_ns() // 1000
        notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}")
        try:
            async with self._reloading:
                return await self._reload(dry_run)
        except (SettingsError, ConfigError, ValueError) as fault:
            raise Refused(quality.BAD_CONFIGURATION_ERROR, f"the configuration stays as it was: {fault}") from fault
        finally:
            notify("READY=1")

    async def _reload(self, dry_run: bool) -> Mapping[str, Any]:
        new = await asyncio.to_thread(self._load, self.site)
        change = plan(self.site, new)
        if change.fixed:
            raise Refused(quality.BAD_INVALID_STATE, f"needs a restart: {', '.join(change.fixed)}")
        shown = {"differences": change.differences}
        if dry_run or not change.differences or self._group is None:
            return shown
        sources = self.south.build(new.sources, new.tags)
        faces = self.north.build(change.sinks)
        if change.tags or own_alarms.rules(new) != own_alarms.rules(self.site):
            self.engine.retable(new.tags, own_alarms.rules(new), new.derived)
            self.store.retable(new.tags)
            self.performance.seed([*self.engine.view.retained(), *self.engine.view.silenced()])
        self.site = new
        log_config = new.sections["log"]
        assert isinstance(log_config, LogConfig)
        configure(log_config)
        self.events.resize(new.events.max_events)
        changed = await self.south.replace(self._group, sources)
        await self.north.replace(self._group, faces, change.gone)
        with suppress(StoreUnavailable):  # else at the next start
            await self.store.retire([unit.name for unit in new.upstream])
        self.pending.snapshot_wanted = True
        self.inbox.wake()
        not_up = [name for name in changed if name in self.south.sources and self.south.sources[name].unit.state is not State.UP]
        log.info("configuration reloaded", differences=len(change.differences), sources=changed, not_up=not_up, sinks=sorted(faces))
        self.say.system("configuration reloaded", differences=len(change.differences), sources=changed, sinks=sorted(faces))
        return shown | {"sources": changed, "not_up": not_up, "sinks": sorted(faces)}


async def _within(seconds: float, what: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await what
