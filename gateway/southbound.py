"""The sources: one driver, one task and one health unit each; started, stopped, and replaced on a reload without losing a sample."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from gateway.contracts import Driver, DriverContext, Identity, Memory, Relaxing, TwinView, Windowed, Writable
from gateway.health import Health, State, Unit
from gateway.model.batch import SampleBatch
from gateway.model.tag import Tag, TagTable
from gateway.plugins import driver_class
from gateway.road import Inbox
from gateway.runner import link_lost, run_driver
from gateway.settings import Unit as Section
from gateway.watch import Silence

HANDOVER_S = 10.0
OVERLAP_S = 1.0
_OBSERVED_INTERVALS = ("mqtt",)  # kinds whose tags are silent after three observed intervals

_KEPT_SESSIONS = ("mqtt",)  # kinds whose source queues for us between two connections


@dataclass(slots=True)
class Source:
    """One running source."""

    section: Section
    tags: tuple[Tag, ...]
    driver: Driver
    unit: Unit
    silence: Silence | None = None
    task: "asyncio.Task[None] | None" = field(default=None)

    def same_as(self, other: "Source") -> bool:
        """Whether a reload may leave it running."""
        return self.section == other.section and self.tags == other.tags


class Southbound:
    """All sources by name."""

    def __init__(
        self,
        identity: Identity,
        memory: Callable[[str], Memory],
        view: TwinView,
        inbox: Inbox,
        health: Health,
        now_ns: Callable[[], int],
        unknown: Callable[[SampleBatch], Awaitable[SampleBatch]],
    ) -> None:
        self._identity, self._memory, self._view = identity, memory, view
        self._inbox, self._health, self._now_ns, self._unknown = inbox, health, now_ns, unknown
        self.sources: dict[str, Source] = {}
        self.relaxed = False
        self.stopping = False  # a reload under way waits for nobody any more
        self._windowed: dict[type[Driver], bool] = {}

    def build(self, sections: Mapping[str, Section], table: TagTable) -> dict[str, Source]:
        """A source for each section, not started. Raises ConfigError."""
        return {
            name: self._build(section, [tag for tag in table if tag.source == name and tag.enabled]) for name, section in sections.items()
        }

    def _build(self, section: Section, tags: Sequence[Tag]) -> Source:
        unit = self._health.fresh("source", section.name)
        context = DriverContext(section.name, tags, self._memory(f"source/{section.name}"), unit, self._now_ns, self._identity)
        driver = driver_class(section.kind)(section.config, context)
        before = self.sources.get(section.name)
        learned = None if before is None else before.silence
        silence = Silence(tags, self._view, learned) if section.kind in _OBSERVED_INTERVALS else None
        return Source(section, tuple(tags), driver, unit, silence)

    def start(self, group: asyncio.TaskGroup, sources: Mapping[str, Source]) -> None:
        """Run them; each connects in its own time."""
        for name, source in sources.items():
            if self.relaxed and isinstance(source.driver, Relaxing):
                source.driver.relax(True)
            run = run_driver(source.driver, source.tags, self._inbox, source.unit, self._now_ns, self._unknown)
            self._health.keep(source.unit)
            source.task = group.create_task(run, name=f"source {name}")
            self.sources[name] = source

    async def stop(self) -> None:
        """End all of them; what they have not handed over stays with their sources."""
        await _ended([source.task for source in self.sources.values()])

    async def replace(self, group: asyncio.TaskGroup, wanted: Mapping[str, Source]) -> list[str]:
        """Bring the running sources to what is wanted, without losing a sample. Names of what changed.

        Where the source keeps what we miss for the next connection of our name, the old one goes first. Elsewhere both stand side by side
        for a moment: the new one begins before the old one has delivered what its source had queued; the engine drops what comes twice.
        """
        old = dict(self.sources)
        changed = {name: source for name, source in wanted.items() if name not in old or not old[name].same_as(source)}
        gone = [name for name in old if name not in wanted]
        kept = [name for name in changed if name in old and old[name].section.kind in _KEPT_SESSIONS]
        replaced = [name for name in changed if name in old]
        try:
            await _ended([old[name].task for name in kept])
            self.start(group, changed)
            overlapping = [name for name in replaced if name not in kept]
            await asyncio.gather(*(self._stands(changed[name]) for name in overlapping))
            if overlapping and not self.stopping:
                await asyncio.sleep(OVERLAP_S)
        finally:  # also where a stop cuts the reload short: nobody else knows of the old ones any more
            await _ended([old[name].task for name in [*gone, *replaced]])
        for name in replaced:
            if changed[name].unit.state is not State.UP:
                self._inbox.put_now(link_lost(changed[name].tags, self._now_ns()))
        for name in gone:
            del self.sources[name]
            self._health.forget("source", name)
        return sorted([*changed, *gone])

    async def _stands(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HANDOVER_S
        while source.unit.state is not State.UP and loop.time() < deadline and not self.stopping:  # noqa: ASYNC110  a state that may change back
            await asyncio.sleep(0.02)  # only in a reload, a few times

    def relax(self, on: bool) -> None:
        """The disk is away (on), or is back: sources that can read on without acknowledging do so meanwhile."""
        self.relaxed = on
        for source in self.sources.values():
            if isinstance(source.driver, Relaxing):
                source.driver.relax(on)

    def silences(self) -> list[tuple[Silence, bool]]:
        """Those of the sources that have one, each with whether the source is up."""
        return [(source.silence, source.unit.state is State.UP) for source in self.sources.values() if source.silence is not None]

    def writer(self, tag: Tag) -> Writable | None:
        """The driver that can write that tag to the plant; None for a source that cannot."""
        source = self.sources.get(tag.source)
        return source.driver if source is not None and isinstance(source.driver, Writable) else None

    def hurries(self, driver: Driver, waiting: int) -> bool:
        """Whether half of what the driver's source lets wait is waiting for a commit."""
        kind = type(driver)
        if kind not in self._windowed:  # asking an instance for what it can takes microseconds, and this is asked for each message
            self._windowed[kind] = isinstance(driver, Windowed)
        return self._windowed[kind] and waiting * 2 >= cast(Windowed, driver).window


async def _ended(tasks: Sequence["asyncio.Task[None] | None"]) -> None:
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
