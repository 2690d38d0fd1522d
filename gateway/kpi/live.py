"""The KPIs of a site's line: each second its accounts go on, and the figures of shift, previous shift and day are made anew."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from gateway.contracts import HistoryView, Memory, TwinView
from gateway.kpi.inputs import Inputs
from gateway.kpi.periods import NAMES, Periods, edges, periods
from gateway.model.kpi import LineSite
from gateway.model.series import Series
from gateway.model.update import TwinUpdate
from gateway.settings import Site
from gateway.simulation.line import plant, plantlog
from gateway.simulation.line.bottleneck import Bottleneck
from gateway.simulation.line.measured import STATES, UNKNOWN, Account
from gateway.store.errors import StoreUnavailable

LEAST_S: Final = 0.5  # between two searches for bottlenecks
SHARE: Final = 0.02  # of a thread's time at most for finding bottlenecks
MEMORY: Final = "line"
NOTHING: Final = Bottleneck("", "", {})
_MS_NS: Final = 1_000_000  # figures are of whole milliseconds, which every notation of a time holds exactly
_AHEAD_NS: Final = 86_400_000_000_000


class LiveLine:
    """site() is the present one: a reload changes it, and the accounts begin anew from history where the line or its tags changed."""

    def __init__(self, site: Callable[[], Site], view: TwinView, history: HistoryView, memory: Memory, now_ns: Callable[[], int]) -> None:
        self._site, self.view, self._history, self._memory, self._now_ns = site, view, history, memory, now_ns
        self._of: Site | None = None
        self._began_ns = now_ns()
        self.rule: LineSite | None = None
        self.inputs = Inputs((), 0)
        self.shape: plant.Shape | None = None
        self.periods: Periods | None = None
        self.at_ns = 0
        self.fault: str | None = None
        self.figures: dict[str, dict[str, Any]] = {}  # by period, as plant.figures
        self.bottlenecks: dict[str, Bottleneck] = dict.fromkeys(NAMES, NOTHING)
        self._looking: asyncio.Task[None] | None = None
        self._look_s = 0.0
        self._early: list[TwinUpdate] = []  # what came while history was read
        self._filling = False
        self._blank(site())

    def _blank(self, site: Site) -> None:
        """The line of a site, of which nothing is known yet: its figures have their names."""
        self.rule, self.shape, self.periods, self.figures, self.at_ns = site.line, None, None, {}, 0
        self.inputs = Inputs((), 0) if site.line is None else Inputs(site.line.machines, len(site.tags))
        self.bottlenecks = dict.fromkeys(NAMES, NOTHING)
        if site.line is not None:
            shape, empty = plant.Shape.of(site.line.line), {rule.name: Account(0, 0) for rule in site.line.machines}
            self.figures = {word: plant.figures(shape, empty) for word in NAMES}

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def take(self, update: TwinUpdate) -> None:
        """A step of the engine. On the loop."""
        if self._filling:
            self._early.append(update)
        elif self.inputs.machines:
            self.inputs.take(update.rows, update.now_ns)
            if len(update.late):
                self.inputs.take(update.late, update.now_ns, late=True)

    def close(self) -> None:
        """Ends what is under way. Idempotent."""
        if self._looking is not None:
            self._looking.cancel()

    async def step(self) -> None:
        """Follow the configuration and the clock, and make the figures up to the instant that all samples are there of."""
        await self._follow()
        rule, shape = self.rule, self.shape
        if rule is None or shape is None or self._filling:
            return
        now_ns = self._now_ns()
        self.inputs.look(self.view, now_ns, self._began_ns)
        self._memory.put(MEMORY, json.dumps(self.inputs.state(now_ns, 0 if self.periods is None else self.periods.begin_ns)))
        self.advance(now_ns)

    def advance(self, now_ns: int) -> None:
        """The accounts and figures at that time of the clock."""
        shape, rule = self.shape, self.rule
        assert shape is not None and rule is not None  # noqa: PT018  the caller has looked
        self.at_ns = max((now_ns - self.inputs.settle_ns) // _MS_NS * _MS_NS, self.at_ns)
        self._roll(rule)
        for tied in self.inputs.machines.values():
            tied.book.advance(self.at_ns)
        self.figures = {word: plant.figures(shape, self.accounts(word)) for word in NAMES}
        if self._looking is None and time.monotonic() >= self._look_s:
            self._looking = asyncio.create_task(self._find(shape), name="bottleneck")

    def accounts(self, period: str) -> dict[str, Account]:
        """By machine, of a period by its word."""
        return {name: tied.book.accounts[period] for name, tied in self.inputs.machines.items() if period in tied.book.accounts}

    def _roll(self, rule: LineSite) -> None:
        """Another shift, or another day."""
        if self.periods is not None and self.at_ns < min(self.periods.shift.end_ns, self.periods.today.end_ns):
            return
        site = self._site()
        zone, shifts = ZoneInfo(site.gateway.timezone), site.kpi.shifts
        self.periods = found = periods(shifts, zone, self.at_ns)
        for name, tied in self.inputs.machines.items():
            until_ns = max(found.today.end_ns, found.shift.end_ns) + _AHEAD_NS
            tied.book.begin(found.spans(), edges(rule.line, name, shifts, zone, found.begin_ns, until_ns))
        self.bottlenecks = dict.fromkeys(NAMES, NOTHING)
        self._look_s = 0.0

    async def _find(self, shape: plant.Shape) -> None:
        """Bottlenecks of all periods, off the loop; the next time when that costs little again."""
        copies = {word: {name: one.copy() for name, one in self.accounts(word).items()} for word in NAMES}
        began = time.monotonic()
        try:
            self.bottlenecks = await asyncio.to_thread(lambda: {word: plant.bottleneck(shape, copies[word]) for word in NAMES})
        finally:
            self._looking = None
        self._look_s = began + max((time.monotonic() - began) / SHARE, LEAST_S)

    # --- where it begins -------------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        site, before = self._site(), self._of
        if site is before:
            return
        self._of, rule = site, site.line
        same = before is not None and (before.line, before.kpi, before.gateway, before.tags) == (rule, site.kpi, site.gateway, site.tags)
        if same:
            return
        fresh = before is None or not self.inputs.machines
        kept = json.loads(self._memory.get(MEMORY) or "{}") if fresh else self.inputs.state(self._now_ns(), 0)
        self._blank(site)
        if rule is None:
            return
        self._filling = True
        try:
            await self._fill(rule, site, kept, fresh=fresh)
        finally:
            self._filling = False
            early, self._early = self._early, []
            for update in early:
                self.take(update)

    async def _fill(self, rule: LineSite, site: Site, kept: Mapping[str, Any], *, fresh: bool) -> None:
        """The accounts of what history has; without the disk they begin now."""
        now_ns = self._now_ns()
        found = periods(site.kpi.shifts, ZoneInfo(site.gateway.timezone), now_ns)
        try:
            past = {name: await self._past(tied.tags, found.begin_ns, now_ns) for name, tied in self.inputs.machines.items()}
        except StoreUnavailable as fault:
            self.fault, past = f"the shift so far is not known: {fault}", {}
        if fresh:
            self.inputs.restore(kept, _last(past, self._began_ns) or now_ns)
        else:
            for name, tied in self.inputs.machines.items():
                tied.gaps = list(kept["gaps"].get(name, []))
                tied.lose(now_ns)  # for an instant: the next look takes what is not on disk yet from the twin

        def filled() -> plant.Shape:
            for name, tied in self.inputs.machines.items():
                tied.fill(past.get(name, {}))
                tied.book.advance(found.begin_ns)
                zone = ZoneInfo(site.gateway.timezone)
                until_ns = max(found.today.end_ns, found.shift.end_ns) + _AHEAD_NS
                tied.book.begin(found.spans(), edges(rule.line, name, site.kpi.shifts, zone, found.begin_ns, until_ns))
                tied.book.advance(now_ns - self.inputs.settle_ns)
            return plant.Shape.of(rule.line)

        self.shape = await asyncio.to_thread(filled)
        self.periods = found

    async def _past(self, tags: Mapping[int, Any], begin_ns: int, end_ns: int) -> dict[int, Series]:
        found = {}
        for tag_id in tags:
            before = await self._history.read_at(tag_id, begin_ns)
            since = await self._history.read(tag_id, begin_ns + 1, end_ns + 1)
            found[tag_id] = _joined(before, since)
        return found

    # --- what is asked ---------------------------------------------------------------------------------------------------------------

    def rows(self, begin_ns: int, end_ns: int) -> list[plantlog.Row]:
        """The line's event log from begin to end, no further than the figures go."""
        end_ns = min(end_ns, self.at_ns)
        return plantlog.rows({name: tied.book.entries for name, tied in self.inputs.machines.items()}, begin_ns, max(end_ns, begin_ns))

    def state(self, machine: str) -> tuple[str, float]:
        """What it does, and for how many seconds."""
        book = self.inputs.machines[machine].book
        word = plantlog.UNKNOWN_STATE if book.state == UNKNOWN else STATES[book.state].value
        return word, max(book.at_ns - book.since_ns, 0) / 1e9


def _last(past: Mapping[str, Mapping[int, Series]], before_ns: int) -> int:
    """The newest sample before that instant; 0 for none."""
    times = (series.source_ns[series.source_ns < before_ns] for each in past.values() for series in each.values())
    return max((int(one[-1]) for one in times if one.size), default=0)


def _joined(first: Series, then: Series) -> Series:
    count = first.source_ns.size
    return Series(
        np.concatenate([first.source_ns, then.source_ns]),
        np.concatenate([first.value, then.value]),
        np.concatenate([first.status, then.status]),
        {**first.text, **{count + row: text for row, text in then.text.items()}},
    )
