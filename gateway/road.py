"""The waits on a sample's road, each with a size, a policy for when it is full, and a counter; and the clock that the road runs on."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.contracts import Driver
from gateway.health import Unit
from gateway.model.batch import SampleBatch
from gateway.model.event import Event
from gateway.model.outbox import OutboxRow
from gateway.model.update import TwinUpdate, conflate
from gateway.store.commit import Step

INBOX_SAMPLES = 200_000
PENDING_SAMPLES = 2_000_000
LATEST_UPDATES = 512
LATEST_SAMPLES = 1_000_000  # large updates fill the memory before many do
KEPT_EVENTS = 10_000  # of what must not be lost, while the store is away


class Clock:
    """UTC ns that never goes back and never jumps by itself: wall time at the start, carried on by the monotonic clock."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns

    def step(self, threshold_ns: int = 500_000_000) -> int:
        """Follow the wall clock where it was set: by how many ns, 0 where it was not."""
        jump = time.time_ns() - self.now_ns()
        if abs(jump) < threshold_ns:
            return 0
        self._offset_ns += jump
        return jump


class Signal:
    """An asyncio.Event for one waiter: set() is remembered, and forgotten by the wait() that it ends. Costs a fraction."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Idempotent."""
        self._set = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def clear(self) -> None:
        """Forget it."""
        self._set = False

    async def wait(self) -> None:
        """Until set() was called, now or since it was forgotten."""
        if not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._set = False


class Inbox:
    """Batches on their way to the engine, bounded in samples: a full inbox makes the drivers wait, and they stop asking their sources."""

    def __init__(self, samples: int = INBOX_SAMPLES) -> None:
        self._limit = samples
        self._queue: deque[tuple[Driver | None, SampleBatch]] = deque()
        self.samples = 0
        self._filled = Signal()
        self._drained = asyncio.Event()
        self._drained.set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0

    async def put(self, batch: SampleBatch, driver: Driver | None = None) -> None:
        """Wait for room, then queue the batch."""
        while self.samples and self.samples + len(batch) > self._limit:
            self._drained.clear()
            await self._drained.wait()
        self.put_now(batch, driver)

    def put_now(self, batch: SampleBatch, driver: Driver | None = None) -> None:
        """Queue the batch whatever the room: for the gateway's own few rows."""
        self._queue.append((driver, batch))
        self.samples += len(batch)
        self._filled.set()

    async def get(self, timeout_s: float | None) -> tuple[Driver | None, SampleBatch] | None:
        """The oldest batch; None once the time is over, or earlier: look at the clock."""
        if not self._queue:
            self._filled.clear()
            if timeout_s is not None:
                self._wake_within(timeout_s)
            await self._filled.wait()
            if not self._queue:
                return None
        driver, batch = self._queue.popleft()
        self.samples -= len(batch)
        self._drained.set()
        return driver, batch

    def _wake_within(self, timeout_s: float) -> None:
        """One timer for all that wait: moved only where it would ring too late."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + timeout_s
        if self._alarm is None or self._alarm_s > at_s or self._alarm_s <= loop.time():
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._alarm_s = loop.call_at(at_s, self._ring), at_s

    def _ring(self) -> None:
        self._alarm = None
        self._filled.set()

    def wake(self) -> None:
        """Let a waiting get() look at the time again."""
        self._filled.set()

    @property
    def empty(self) -> bool:
        return not self._queue


class LatestQueue:
    """Updates on their way to one LATEST sink; when it is slow, what waits is conflated to the newest value per tag."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._updates: list[TwinUpdate] = []
        self._samples = 0  # in all of them
        self._filled = Signal()

    def offer(self, update: TwinUpdate) -> None:
        if len(self._updates) >= LATEST_UPDATES or (self._samples > LATEST_SAMPLES and len(self._updates) > 1):
            self._updates = [conflate(self._updates)]
            self._samples = len(self._updates[0].rows)
            self._unit.count("conflated")
        self._updates.append(update)
        self._samples += len(update.rows)
        self._filled.set()

    async def take(self) -> list[TwinUpdate]:
        """What waits, oldest first; at least one."""
        while not self._updates:
            self._filled.clear()
            await self._filled.wait()
        updates, self._updates, self._samples = self._updates, [], 0
        return updates

    def clear(self) -> None:
        self._updates, self._samples = [], 0


Receipt = tuple[Driver, object, int]
"""What the driver's accept() takes, and of how many messages it is."""


@dataclass(slots=True)
class Gathered:
    steps: list[Step] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    receipts: dict[int, Receipt] = field(default_factory=dict)  # by id(driver): the newest stands for all before it
    waiting: int = 0  # of how many messages those are
    samples: int = 0


class Pending:
    """What the engine has done since the last commit.

    Full = the engine waits, and with it the drivers; except while the store is away: then the oldest steps give way, counted.
    """

    def __init__(self, limit: int = PENDING_SAMPLES) -> None:
        self._limit = limit
        self._gathered = Gathered()
        self._urgent = asyncio.Event()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.snapshot_wanted = False
        self.store_is_away = False
        self.closed = False
        self.dropped = 0
        self.swaps = 0

    def add(self, step: Step, events: Sequence[Event], outbox: Sequence[OutboxRow], receipt: Receipt | None) -> None:
        gathered = self._gathered
        gathered.steps.append(step)
        gathered.events.extend(events)
        gathered.outbox.extend(outbox)
        gathered.samples += len(step.rows) + len(step.late)
        if receipt is not None:
            gathered.receipts[id(receipt[0])] = receipt
            gathered.waiting += receipt[2]
        self._filled.set()
        if gathered.samples > self._limit or len(gathered.steps) > self._limit // 4:
            self._overflow(gathered)

    def _overflow(self, gathered: Gathered) -> None:
        if not self.store_is_away:
            self._room.clear()
            return
        surplus, gone = gathered.samples - self._limit // 2, 0
        while surplus > 0 and gone < len(gathered.steps) - 1:
            oldest = gathered.steps[gone]
            surplus -= len(oldest.rows) + len(oldest.late)
            self.dropped += len(oldest.rows) + len(oldest.late)
            gone += 1
        del gathered.steps[:gone], gathered.events[:-KEPT_EVENTS]
        gathered.samples = sum(len(step.rows) + len(step.late) for step in gathered.steps)
        gathered.outbox = [row for row in gathered.outbox if not row.droppable][-KEPT_EVENTS:]

    def away(self, away: bool) -> None:
        """The store refuses, or takes commits again. Nobody waits for room while it is away."""
        self.store_is_away = away
        if away:
            self._room.set()

    def add_event(self, event: Event, outbox: Sequence[OutboxRow] = ()) -> None:
        self._gathered.events.append(event)
        self._gathered.outbox.extend(outbox)
        self._filled.set()

    def hurry(self) -> None:
        """Commit at once: an alarm transition waits, or half a driver's window."""
        self._urgent.set()
        self._filled.set()

    def close(self) -> None:
        """Nothing comes any more: what is here goes into a last commit."""
        self.closed = True
        self.hurry()

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait while it is full."""
        await self._room.wait()

    async def due(self, interval_s: float) -> None:
        """Wait until something is there, and then for more of it, at most `interval_s`."""
        self._filled.clear()
        if self.empty and not self.snapshot_wanted and not self.closed:
            await self._filled.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await self._urgent.wait()

    def swap(self) -> Gathered:
        """What is to be committed; `swaps` counts them."""
        self.swaps += 1
        gathered, self._gathered = self._gathered, Gathered()
        self._urgent.clear()
        self._room.set()
        return gathered

    @property
    def waiting(self) -> int:
        """How many messages wait for the commit."""
        return self._gathered.waiting

    @property
    def empty(self) -> bool:
        return not self._gathered.steps and not self._gathered.events and not self._gathered.outbox


class Wake:
    """Tells any number of waiters that something was committed. Take `next` before looking, and await it when there was nothing to see.

    through: the number of the last swap that is on disk.
    """

    def __init__(self) -> None:
        self.next = asyncio.Event()
        self.through = 0

    def __call__(self, through: int = 0) -> None:
        self.through = max(self.through, through)
        woken, self.next = self.next, asyncio.Event()
        woken.set()

    async def reached(self, swap: int) -> None:
        """Wait until that swap is on disk."""
        while self.through < swap:
            await self.next.wait()
