"""What keeps a connection's subscriptions alive: taking them over or making them, retrying refused nodes, noticing silence, rebuilding."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Container, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.opcua import memory
from drivers.opcua.backfill import Backfill
from drivers.opcua.config import Config
from drivers.opcua.plan import Plan, wanted
from drivers.opcua.probe import Probe
from drivers.opcua.pump import Pump
from gateway.contracts import DriverContext, NotConnected
from gateway.model import quality
from gateway.model.quality import BAD, BAD_NODE_ID_UNKNOWN
from gateway.wire.opcua import services
from gateway.wire.opcua.client import Link, Refused
from gateway.wire.opcua.decode import DataChange
from gateway.wire.opcua.services import Granted

KEEPALIVE_S: Final = 5.0
LIFETIME_S: Final = 120.0  # a subscription outlives a slow disk, and a restart of ours
RETRY_FIRST_S, RETRY_MOST_S = 5.0, 300.0
REBUILD_FIRST_S, REBUILD_MOST_S, REBUILD_CALM_S = 1.0, 60.0, 300.0
TICK_S: Final = 0.5
REMEMBER_EVERY_S: Final = 1.0
_CODE: Final = np.uint32(0xFFFF_0000)


@dataclass(slots=True)
class Refusal:
    """A node that the server does not monitor: its StatusCode, when to try again, and the delay before that."""

    status: int
    due_s: float
    delay_s: float


@dataclass(slots=True)
class Rebuild:
    """A subscription to make anew: when, and the delay before the next time."""

    due_s: float
    delay_s: float


class Keeper:
    """The subscriptions of one connection: start() makes them, a task keeps them, stop() ends it."""

    def __init__(
        self,
        plan: Plan,
        config: Config,
        context: DriverContext,
        link: Link,
        put: Callable[[DataChange], None],
        room: Callable[[], Awaitable[None]],
        named: set[int],
    ) -> None:
        self._plan = plan
        self._config = config
        self._context = context
        self._link = link
        self._put = put
        self._backfill = Backfill(plan, config, context, link, put, room)
        self._named = named  # handles that are a problem by name; outlives this connection
        self._missed_ns: int | None = None  # from when on the past is still being filled in
        self._slice = config.max_items_per_call
        self.namespaces: list[str] = []
        self._granted: dict[int, Granted] = {}  # group -> subscription
        self._item_id: dict[int, int] = {}  # handle -> the server's id
        self._refused: dict[int, Refusal] = {}  # handle -> when again
        self._rebuild: dict[int, Rebuild] = {}  # group -> when
        self._rebuilt: dict[int, Rebuild] = {}  # group -> when last, and the delay then
        self._strays: set[int] = set()
        self._probe = Probe(plan)
        self._remembered_s = 0.0
        self._asked_s = 0.0
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump: Pump

    # --- start and stop -------------------------------------------------------------------------------------------------------------------

    async def start(self, pump: Pump, settled: Container[tuple[int, int]], failed: Callable[[BaseException], None]) -> None:
        """Everything subscribed; then keep it so. failed: an error nobody expected. Raises NotConnected."""
        self._pump = pump
        self._context.report.problem("gap", None)
        try:
            self._slice = await services.max_items_per_call(self._link, self._config.max_items_per_call)
            self.namespaces = await self._link.namespaces()
            past = memory.recall(self._context.memory, self._plan.digest)
            resumed = await self._take_over(past, settled) if past is not None and past.granted and self._config.known else False
            if not resumed:
                for group in range(len(self._plan.intervals)):
                    await self._create(group, hold=past is not None)
        except Refused as refusal:
            raise NotConnected(f"{self._config.url}: {refusal}") from refusal
        self._missed_ns = past.committed_ns if past is not None and not resumed else None
        self._remember(force=True)
        self.run(self._keep(failed), failed)
        if self._missed_ns is not None:
            self.run(self._fill_in(self._missed_ns), failed)

    def run(self, work: Coroutine[None, None, None], failed: Callable[[BaseException], None]) -> None:
        """A task of this connection, ended by stop()."""

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (fault := task.exception()) is not None:
                failed(fault)

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)

    async def stop(self) -> None:
        """Ends the tasks; the subscriptions stay with the server, for a transfer."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- creating -------------------------------------------------------------------------------------------------------------------------

    async def _create(self, group: int, *, hold: bool = False) -> None:
        interval_s = self._plan.intervals[group]
        granted = await services.create_subscription(self._link, services.Terms(interval_s, max(KEEPALIVE_S, interval_s), LIFETIME_S))
        self._granted[group] = granted
        self._pump.add(granted, hold=hold)
        await self._monitor(group, self._plan.handles(group))

    async def _monitor(self, group: int, handles: Sequence[int]) -> None:
        items = [wanted(self._plan, handle, self._config) for handle in handles]
        refused: list[tuple[int, int]] = []
        async for handle, outcome in services.monitor(self._link, self._granted[group].id, items, self.namespaces, self._slice):
            if outcome.status >= BAD:
                refused.append((handle, outcome.status))
                continue
            self._item_id[handle] = outcome.id
            self._refused.pop(handle, None)
            if handle in self._named:
                self._named.discard(handle)
                self._context.report.problem(self._plan.items[handle].tag.name, None)
        self._refuse(refused)

    def _refuse(self, refused: Sequence[tuple[int, int]]) -> None:
        """The tags get the server's StatusCode, once; the nodes are tried again later and later."""
        told = []
        for handle, status in refused:
            before = self._refused.get(handle)
            delay_s = RETRY_FIRST_S if before is None else min(2 * before.delay_s, RETRY_MOST_S)
            self._refused[handle] = Refusal(status, time.monotonic() + delay_s, delay_s)
            if before is None or before.status != status:
                told.append((handle, status))
                self._name(handle, status)
        if told:
            n = len(told)
            handles = np.array([handle for handle, _ in told], np.uint32)
            statuses = np.array([status for _, status in told], np.uint32)
            self._put(DataChange(handles, np.full(n, np.nan), statuses, np.zeros(n, np.int64)))

    def _name(self, handle: int, status: int) -> None:
        item = self._plan.items[handle]
        self._named.add(handle)
        self._context.report.problem(item.tag.name, f"{quality.name(status)}: {item.address}")

    async def _take_over(self, past: memory.Remembered, settled: Container[tuple[int, int]]) -> bool:
        """Transfer the subscriptions of the session before; False where the server has them no more, and none is left behind."""
        memory.remember(
            self._context.memory, self._plan.digest, past.committed_ns, (), ()
        )  # tried once: a server may drop the link over it
        if len(past.granted) != len(self._plan.intervals):
            return False
        try:
            results = await services.transfer(self._link, [granted.id for granted in past.granted])
        except Refused:
            results = []
        if len(results) != len(past.granted) or any(status >= BAD for status, _ in results):
            taken = [granted.id for granted, (status, _) in zip(past.granted, results, strict=False) if status < BAD]
            await self._delete(taken)
            return False
        for group, (granted, (_, available)) in enumerate(zip(past.granted, results, strict=True)):
            self._granted[group] = granted
            self._pump.add(granted, hold=True, expected=None)
            await self._pump.resume(granted.id, available, settled)
        self._refused = {handle: Refusal(0, 0.0, RETRY_FIRST_S / 2) for handle in past.refused if handle < len(self._plan.items)}
        self._context.report.count("subscriptions_taken_over", len(past.granted))
        return True

    async def _delete(self, subscriptions: Sequence[int]) -> None:
        if subscriptions:
            with contextlib.suppress(Refused):
                await services.delete_subscriptions(self._link, subscriptions)

    # --- what pump and driver find --------------------------------------------------------------------------------------------------------

    def ended(self, subscription: int, _status: int) -> None:
        """The server ended a subscription: make it anew."""
        for group, granted in self._granted.items():
            if granted.id == subscription:
                self._plan_rebuild(group)

    def gap(self, subscription: int, lost: int) -> None:
        """Notifications that cannot be had again: said, not hidden."""
        self._context.report.count("gaps")
        self._context.report.count("lost_notifications", lost)
        self._context.report.problem(
            "gap", f"{lost} notifications of subscription {subscription} are lost: the server sent and forgot them"
        )

    def stray(self, subscription: int) -> None:
        """A subscription of an earlier session, which nobody reads."""
        self._strays.add(subscription)

    def seen(self, change: DataChange) -> None:
        """A notification's values; a node that vanished is tried again like one that was refused."""
        self._probe.seen(change)
        if np.count_nonzero(change.status):
            gone = (change.status & _CODE) == BAD_NODE_ID_UNKNOWN
            for handle in change.handle[gone].tolist():
                if handle not in self._refused:
                    self._refused[handle] = Refusal(BAD_NODE_ID_UNKNOWN, time.monotonic() + RETRY_FIRST_S, RETRY_FIRST_S)
                    self._name(handle, BAD_NODE_ID_UNKNOWN)

    def committed(self) -> None:
        """Something was committed."""
        self._remember()

    def _remember(self, *, force: bool = False) -> None:
        now_s = time.monotonic()
        if force or now_s - self._remembered_s >= REMEMBER_EVERY_S:
            self._remembered_s = now_s
            granted = [self._granted[group] for group in sorted(self._granted)]
            committed_ns = self._context.now_ns() if self._missed_ns is None else self._missed_ns
            memory.remember(self._context.memory, self._plan.digest, committed_ns, granted, sorted(self._refused))

    # --- the task -------------------------------------------------------------------------------------------------------------------------

    async def _fill_in(self, missed_ns: int) -> None:
        await self._backfill.run(missed_ns, set(self._refused), self.namespaces, self._slice, self._release)
        self._missed_ns = None

    def _release(self) -> None:
        for granted in self._granted.values():
            self._pump.release(granted.id)

    async def _keep(self, failed: Callable[[BaseException], None]) -> None:
        with contextlib.suppress(NotConnected):  # the link has told the driver already
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._wake.wait()
                self._wake.clear()
                self._listen(failed)
                await self._retry_refused()
                await self._probe_silent()
                await self._rebuild_due()
                strays, self._strays = list(self._strays), set()
                await self._delete(strays)

    async def _ask(self) -> None:
        with contextlib.suppress(Refused, NotConnected):  # an answer is an answer; without one the link fails by itself
            await self._link.alive()

    def _listen(self, failed: Callable[[BaseException], None]) -> None:
        """Two keep-alives missed: one subscription is dead, or, when nothing at all comes, the link (Part 4, 5.14.1.1).

        A server may keep alive more rarely than asked, and while nothing is asked for nothing comes: then a Read tells whether it lives.
        """
        if time.monotonic() - max(self._pump.heard_s, self._asked_s) > KEEPALIVE_S + 1.0:
            self._asked_s = time.monotonic()
            self.run(self._ask(), failed)
        silent = self._pump.silent(time.monotonic()) if self._pump.listening else []
        if silent and len(silent) == len(self._pump.streams):
            self._link.fail("connected but silent: two keep-alives are missing")
            raise NotConnected("silent")
        for subscription in silent:
            self.ended(subscription, BAD)

    def _plan_rebuild(self, group: int) -> None:
        if group in self._rebuild:
            return
        now_s, before = time.monotonic(), self._rebuilt.get(group)
        calm = before is None or now_s - before.due_s > REBUILD_CALM_S
        delay_s = 0.0 if calm or before is None else min(max(REBUILD_FIRST_S, 2 * before.delay_s), REBUILD_MOST_S)
        self._rebuild[group] = Rebuild(now_s + delay_s, delay_s)
        self._wake.set()

    async def _rebuild_due(self) -> None:
        now_s = time.monotonic()
        for group, rebuild in list(self._rebuild.items()):
            if rebuild.due_s > now_s:
                continue
            del self._rebuild[group]
            self._rebuilt[group] = Rebuild(now_s, rebuild.delay_s)
            old = self._granted[group].id
            self._pump.remove(old)
            await self._delete([old])
            try:
                await self._create(group)
            except Refused as refusal:
                self._context.report.problem("subscription", str(refusal))
                self._plan_rebuild(group)
                continue
            self._context.report.problem("subscription", None)
            self._context.report.count("subscriptions_rebuilt")
            self._remember(force=True)

    async def _retry_refused(self) -> None:
        now_s = time.monotonic()
        due = [handle for handle, refusal in self._refused.items() if refusal.due_s <= now_s]
        if not due:
            return
        self.namespaces = await self._asked(self._link.namespaces(), self.namespaces)
        for group in range(len(self._plan.intervals)):
            handles = [handle for handle in due if self._plan.items[handle].group == group]
            old = [self._item_id.pop(handle) for handle in handles if handle in self._item_id]
            with contextlib.suppress(Refused):
                if old:
                    await services.forget_items(self._link, self._granted[group].id, old)
            try:
                if handles:
                    await self._monitor(group, handles)
            except Refused as refusal:
                self._refuse([(handle, refusal.status) for handle in handles])
        self._remember(force=True)

    async def _probe_silent(self) -> None:
        handles = [int(handle) for handle in self._probe.due(time.monotonic_ns()) if int(handle) not in self._refused]
        for start in range(0, len(handles), self._slice):
            items = [(handle, self._plan.items[handle].address) for handle in handles[start : start + self._slice]]
            try:
                read = await services.read_values(self._link, items, self.namespaces, self._plan.element)
            except Refused as refusal:
                self._context.report.problem("probe", str(refusal))
                return
            if read is not None:
                self._context.report.count("probes", read.handle.size)
                self._probe.learn(read, time.monotonic_ns())
                self._put(read)
        patience_s = 2 * max((granted.publishing_interval_s for granted in self._granted.values()), default=0.0) + 1.0
        for handle in self._probe.dead(time.monotonic_ns(), round(patience_s * 1e9)):
            self._context.report.count("dead_subscriptions")
            self._plan_rebuild(self._plan.items[handle].group)

    async def _asked(self, answer: Awaitable[list[str]], otherwise: list[str]) -> list[str]:
        try:
            return await answer
        except Refused:
            return otherwise
