"""The loops that carry a sample from a driver to the sinks. The only place that retries, backs off and contains an unexpected error.

    run_driver -> Inbox -> run_engine -> Road.take -> Pending -> run_store -> Driver.accept
                                              |                      `-> run_sink (EVERY: outbox)
                                              `-> LatestQueue -> run_sink (LATEST)

A unit that is not connected is tried again for ever: after 0.5 s, doubling to 4 s for the first ten minutes, later to at most 60 s.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import numpy as np
import structlog

from gateway.contracts import Delivery, Driver, EverySink, LatestSink, NotConnected, OutboxView, Rejected, Sink, Watched
from gateway.health import Health, State, Unit
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.tag import Tag
from gateway.model.update import TwinUpdate
from gateway.road import Inbox, LatestQueue, Pending, Wake
from gateway.store.commit import Commit
from gateway.store.errors import StoreUnavailable

log = structlog.get_logger()

CONNECT_DEADLINE_S = 30.0
CLOSE_DEADLINE_S = 5.0
STORE_PAUSE_S = 1.0
SNAPSHOT_EVERY_S = 60.0
_BAD = np.uint32(quality.BAD)
GRACE_S = 5.0  # after a start, in which a source that is not reached yet is no lost link: nothing was said of it before


class Engine(Protocol):
    """What the loops need of the engine."""

    def step(self, batch: SampleBatch, now_ns: int) -> TwinUpdate: ...
    def tick(self, now_ns: int) -> TwinUpdate: ...
    def next_deadline(self) -> int | None: ...
    def snapshot(self) -> bytes: ...


class Recorder(Protocol):
    """What the engine loop tells a recording."""

    def step(self, batch: SampleBatch, now_ns: int) -> None: ...
    def tick(self, now_ns: int) -> None: ...


class Store(Protocol):
    """What the loops need of the store."""

    async def commit(self, commit: Commit) -> None: ...
    async def reopen(self) -> None: ...


class Take(Protocol):
    """Where the engine's updates go: `app` hands them to events, outbox, pending commit and sinks."""

    def __call__(self, update: TwinUpdate, batch: SampleBatch | None, driver: Driver | None) -> None: ...


async def run_engine(engine: Engine, inbox: Inbox, pending: Pending, take: Take, now_ns: Callable[[], int], recorder: Recorder) -> None:
    """Step for each batch, tick at each deadline. An unexpected error ends the process: the twin must not go on wrong."""
    began_ns = now_ns()
    recorder.tick(began_ns)
    take(engine.tick(began_ns), None, None)  # scheduled commits count from here
    while True:
        deadline = engine.next_deadline()
        wait_s = None if deadline is None else max(0.0, (deadline - now_ns()) / 1e9)
        found = await inbox.get(wait_s)
        if pending.full:
            await pending.room()
        at_ns = now_ns()
        if found is not None:
            driver, batch = found
            recorder.step(batch, at_ns)
            take(engine.step(batch, at_ns), batch, driver)
            if not inbox.empty:  # else the next get() lets the others have their turn
                await asyncio.sleep(0)
        elif deadline is not None and deadline <= at_ns:
            recorder.tick(at_ns)
            take(engine.tick(at_ns), None, None)


async def run_store(
    store: Store,
    pending: Pending,
    snapshot: Callable[[], bytes],
    health: Health,
    interval_s: float,
    committed: Wake,
    now_ns: Callable[[], int],
    away: Callable[[bool], None],
) -> None:
    """Group commit: one transaction per interval, at once when asked; until `pending` is closed and empty, with a last snapshot.

    away(True) is told when the disk begins to refuse, away(False) when it takes commits again.
    """
    snapshot_s = float("-inf")
    while not (pending.closed and pending.empty):
        await pending.due(interval_s)
        due = pending.snapshot_wanted or pending.closed or time.monotonic() - snapshot_s > SNAPSHOT_EVERY_S
        pending.snapshot_wanted = False
        await commit_once(store, pending, health, snapshot if due else None, now_ns, away)
        if due:
            snapshot_s = time.monotonic()
        committed(pending.swaps)


async def commit_once(
    store: Store,
    pending: Pending,
    health: Health,
    snapshot: Callable[[], bytes] | None,
    now_ns: Callable[[], int],
    away: Callable[[bool], None],
) -> None:
    """Commit what is pending; while the disk refuses, try the same transaction again after re-opening the file."""
    gathered = pending.swap()
    health.committing_since_ns = now_ns()
    commit = Commit(gathered.steps, gathered.events, gathered.outbox, snapshot() if snapshot else None)
    delay_s = 0.25
    while True:
        try:
            await store.commit(commit)
            break
        except StoreUnavailable as fault:
            if health.store_fault is None:
                log.exception("store unavailable")
                pending.away(True)
                away(True)
            health.store_fault = str(fault)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, 5.0)
        with suppress(StoreUnavailable):
            await store.reopen()
    if pending.store_is_away:
        log.info("store available again", samples_given_up=pending.dropped)
        health.store_fault = None
        pending.away(False)
        away(False)
    health.committing_since_ns = None
    for driver, receipt, _ in gathered.receipts.values():
        driver.accept(receipt)


class Backoff:
    """When to try again. Jitter keeps a hall of gateways from coming back in step."""

    def __init__(self) -> None:
        self._first = 0.0
        self._delay = 0.0

    def next_s(self) -> float:
        now = time.monotonic()
        if self._delay == 0.0:
            self._first, self._delay = now, 0.5
        else:
            self._delay = min(self._delay * 2, 4.0 if now - self._first < 600 else 60.0)
        return self._delay * random.uniform(0.75, 1.0)  # noqa: S311  not a secret

    def reset(self) -> None:
        self._delay = 0.0


@asynccontextmanager
async def _connected(unit: Unit, one: Driver | Sink) -> AsyncIterator[None]:
    """connect() within its deadline, close() whatever happens."""
    try:
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await one.connect()
        except TimeoutError as error:
            raise NotConnected(f"no answer within {CONNECT_DEADLINE_S:g} s") from error
        if unit.turn(State.UP):
            log.info("connected", kind=unit.kind, name=unit.name)
        yield
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await one.close()


async def _bulkhead(unit: Unit, session: Callable[[], Awaitable[None]], lost: Callable[[str], None]) -> None:
    """Run a unit's session for ever. NotConnected: back off. Anything unexpected: it fails loudly and starts anew, the rest goes on."""
    backoff = Backoff()
    while True:
        began = time.monotonic()
        try:
            await session()
            why = "ended"
        except* NotConnected as group:
            why = "; ".join(str(error) for error in _leaves(group))
            if unit.turn(State.DOWN, why):
                log.warning("not connected", kind=unit.kind, name=unit.name, why=why)
        except* Exception as group:  # the one bulkhead
            why = "; ".join(f"{type(error).__name__}: {error}" for error in _leaves(group))
            unit.count("failures")
            unit.turn(State.FAILED, why)
            log.exception("unit failed", kind=unit.kind, name=unit.name)
        lost(why)
        if time.monotonic() - began > 10.0:
            backoff.reset()
        unit.count("reconnects")
        await asyncio.sleep(backoff.next_s())


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves


def link_lost(tags: Sequence[Tag], now_ns: int, status: int = quality.BAD_NO_COMMUNICATION) -> SampleBatch:
    """The gateway's word on all tags of a source: the last value stays, the status says that the link is gone."""
    ids = [tag.tag_id for tag in tags if tag.enabled]
    return SampleBatch.of(ids, [float("nan")] * len(ids), status, now_ns, received_ns=now_ns, origin=Origin.GATEWAY)


async def run_driver(
    driver: Driver,
    tags: Sequence[Tag],
    inbox: Inbox,
    unit: Unit,
    now_ns: Callable[[], int],
    unknown: Callable[[SampleBatch], Awaitable[SampleBatch]],
) -> None:
    """Read for ever. When the link goes, its tags turn Bad by the normal road, once; at the start after a moment's grace.

    unknown(batch): of a batch that a source delivers again, what is not on disk yet.
    """
    told, heard, began = False, False, time.monotonic()

    async def session() -> None:
        nonlocal told, heard
        async with _connected(unit, driver):
            while True:
                batch = await driver.read()
                unit.count("samples", len(batch))
                told, heard = False, True
                await inbox.put(await unknown(batch) if batch.origin is Origin.AGAIN else batch, driver)

    def lost(_: str) -> None:
        nonlocal told
        if not told and tags and (heard or time.monotonic() - began >= GRACE_S):
            inbox.put_now(link_lost(tags, now_ns()))
            told = True

    await _bulkhead(unit, session, lost)


async def run_sink(sink: Sink, latest: LatestQueue, outbox: OutboxView, committed: Wake, unit: Unit) -> None:
    """Connect for ever; LATEST and EVERY flow side by side while it stands."""

    async def session() -> None:
        latest.clear()
        async with _connected(unit, sink), asyncio.TaskGroup() as group:
            if Delivery.LATEST in sink.delivery and isinstance(sink, LatestSink):
                group.create_task(_pump_latest(sink, latest, unit))
            if Delivery.EVERY in sink.delivery and isinstance(sink, EverySink):
                for stream in sink.streams:
                    group.create_task(_pump_every(sink, stream, outbox, committed, unit))
            if isinstance(sink, Watched):
                await sink.gone()
            await asyncio.get_running_loop().create_future()  # until a pump or the stop ends it

    await _bulkhead(unit, session, lambda _: None)


async def _pump_latest(sink: LatestSink, latest: LatestQueue, unit: Unit) -> None:
    while True:
        for place, update in enumerate(await latest.take()):
            if place:
                await asyncio.sleep(0)  # a socket that takes all at once would never give the loop its turn
            await sink.write(update)
            _handed_on(update, unit)


def _handed_on(update: TwinUpdate, unit: Unit) -> None:
    counters, rows, reported = unit.counters, update.rows, update.reported
    counters["updates"] += 1
    samples = reported.tobytes().count(1)
    if samples:
        counters["samples"] += samples
        source_ns = rows.source_ns
        if samples < source_ns.size:
            source_ns = source_ns[reported & (rows.status < _BAD)]
        elif np.count_nonzero(rows.status):
            source_ns = source_ns[rows.status < _BAD]
        unit.latency.add(unit.now_ns(), source_ns)


async def _pump_every(sink: EverySink, stream: str, outbox: OutboxView, committed: Wake, unit: Unit) -> None:
    while True:
        next_commit = committed.next
        try:
            rows = await outbox.peek(stream, sink.window)
            if not rows:
                await next_commit.wait()
                continue
            await sink.deliver(rows)
        except StoreUnavailable:  # the commit loop says so and opens it again; the link and what is LATEST go on
            await asyncio.sleep(STORE_PAUSE_S)
            continue
        except Rejected as rejected:
            with suppress(StoreUnavailable):
                await outbox.quarantine(rejected.rows, rejected.why)
            unit.count("quarantined", len(rejected.rows))
            unit.problem(stream, f"{len(rejected.rows)} rows quarantined: {rejected.why}")
            continue
        outbox.acked(stream, rows[-1].seq)
        unit.count("delivered", len(rows))
