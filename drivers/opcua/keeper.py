"""What keeps a connection's subscriptions alive: creating them, retrying refused nodes, noticing silence, probing, rebuilding."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.opcua.config import Config
from drivers.opcua.plan import Plan, wanted
from drivers.opcua.pump import Pump
from gateway.contracts import DriverContext, NotConnected
from gateway.model import quality
from gateway.model.batch import SampleBatch
from gateway.model.quality import BAD
from gateway.wire.opcua import services
from gateway.wire.opcua.client import Link, Refused
from gateway.wire.opcua.decode import DataChange

KEEPALIVE_S: Final = 5.0
LIFETIME_S: Final = 600.0  # a subscription outlives a long commit, and our own restart
RETRY_FIRST_S, RETRY_MOST_S = 5.0, 300.0
TICK_S: Final = 0.5


@dataclass(slots=True)
class Refusal:
    """A node that the server would not monitor: when to try again, and the delay after that."""

    due_s: float
    delay_s: float


class Keeper:
    """The subscriptions of one connection. One task, ended by stop()."""

    def __init__(self, plan: Plan, config: Config, context: DriverContext, link: Link, put: Callable[[SampleBatch], None]) -> None:
        self._plan = plan
        self._config = config
        self._context = context
        self._link = link
        self._put = put
        self._slice = config.max_items_per_call
        self.namespaces: list[str] = []
        self._subscription: dict[int, int] = {}  # group -> subscription
        self._refused: dict[int, Refusal] = {}  # handle -> when again
        self._rebuild: set[int] = set()
        self._strays: set[int] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pump: Pump | None = None

    async def start(self, pump: Pump, failed: Callable[[str], None]) -> None:
        """Everything subscribed; then keep it so. Raises NotConnected."""
        self._pump = pump
        self._slice = await services.max_items_per_call(self._link, self._config.max_items_per_call)
        self.namespaces = await self._link.namespaces()
        for group in range(len(self._plan.intervals)):
            await self._create(group)
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _create(self, group: int) -> None:
        interval_s = self._plan.intervals[group]
        granted = await services.create_subscription(self._link, services.Terms(interval_s, max(KEEPALIVE_S, interval_s), LIFETIME_S))
        self._subscription[group] = granted.id
        assert self._pump is not None
        self._pump.add(granted)
        await self._monitor(group, self._plan.handles(group))

    async def _monitor(self, group: int, handles: list[int]) -> None:
        items = [wanted(self._plan, handle, self._config) for handle in handles]
        refused: list[tuple[int, int]] = []
        async for handle, outcome in services.monitor(self._link, self._subscription[group], items, self.namespaces, self._slice):
            if outcome.status >= BAD:
                refused.append((handle, outcome.status))
            elif self._refused.pop(handle, None) is not None:
                self._context.report.problem(self._plan.items[handle].tag.name, None)
        self._refuse(refused)

    def _refuse(self, refused: list[tuple[int, int]]) -> None:
        if not refused:
            return
        now_s = time.monotonic()
        for handle, status in refused:
            item = self._plan.items[handle]
            before = self._refused.get(handle)
            delay_s = RETRY_FIRST_S if before is None else min(2 * before.delay_s, RETRY_MOST_S)
            self._refused[handle] = Refusal(now_s + delay_s, delay_s)
            self._context.report.problem(item.tag.name, f"{quality.name(status)}: {item.address}")
        ids = self._plan.tag_id[[handle for handle, _ in refused]]
        self._put(SampleBatch.of(ids, np.full(ids.size, np.nan), [status for _, status in refused], received_ns=self._context.now_ns()))

    # --- what the pump finds --------------------------------------------------------------------------------------------------------------

    def ended(self, subscription: int, _status: int) -> None:
        for group, id_ in self._subscription.items():
            if id_ == subscription:
                self._rebuild.add(group)
        self._wake.set()

    def gap(self, _subscription: int, lost: int) -> None:
        self._context.report.count("gaps")
        self._context.report.count("lost_notifications", lost)

    def stray(self, subscription: int) -> None:
        self._strays.add(subscription)

    def seen(self, change: DataChange) -> None:
        pass

    def committed(self) -> None:
        pass

    # --- the task -------------------------------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(TICK_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
        except NotConnected:
            return
        except Refused:
            return
