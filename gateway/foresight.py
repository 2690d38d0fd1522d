"""Simulation in the daemon: the site's models with the twin's present state, worked on beside the loop, kept in the store."""

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from typing import Any, Final
from uuid import uuid4

import numpy as np

from gateway.contracts import TwinView
from gateway.forecasting.alerts import Foretold
from gateway.forecasting.live import Live
from gateway.jobs.workers import Workers
from gateway.kpi.lining import Lining
from gateway.model.alarm import Limit as AlarmLimit
from gateway.model.event import Category, Event, Severity
from gateway.model.forecast import Outlook
from gateway.model.process import Run, RunState, Scenario
from gateway.model.tag import TagTable
from gateway.operations.calibrations import Calibrations, Configured
from gateway.operations.door import Commanded
from gateway.operations.simulations import Foresight, Simulations
from gateway.past import since
from gateway.settings import Site
from gateway.simulation.branch import Course
from gateway.simulation.tied import held, tied, varied
from gateway.simulation.trajectories import Trajectories
from gateway.simulation.whatif import Ask, Limit, checked, run
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store
from gateway.work import Workforce

_LIMITS: Final = frozenset({AlarmLimit.HIHI, AlarmLimit.HI, AlarmLimit.LO, AlarmLimit.LOLO})


class Foreseeing:
    """Workers, and the commands on scenarios and runs. site() is the present one: a reload changes it."""

    def __init__(
        self, store: Store, view: TwinView, site: Callable[[], Site], publish: Callable[[Event], None], now_ns: Callable[[], int]
    ) -> None:
        self.jobs = Workers()
        self._kept: tuple[Site, int, Site] | None = None
        self.forecasts = Live(self.calibrated, view, store, now_ns)
        self._store, self._view, self._site, self._publish, self._now_ns = store.runs, view, site, publish, now_ns
        self._history = store.history
        self._words = store.memory("line")
        self.line = Lining(site, view, store.history, store.memory("kpi"), now_ns)
        self.simulations = Simulations(store.runs, self.jobs, self._present, self._told, now_ns, (StoreUnavailable,), self._past)
        self.calibrations = Calibrations(
            store.calibrations, self.simulations.begin, store.history, lambda: view.tags, self._configured, self._said, now_ns,
            (StoreUnavailable,),
        )  # fmt: skip

    def tell(self, issued: Callable[[Outlook], None], engine: Foretold, commanded: Commanded) -> None:
        """Who is told of forecasts, and the engine whose conditions the line's become."""
        self.forecasts.watch(issued)
        self.line.foretell(self.jobs, engine, self._words, commanded)

    def loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the road, by name."""
        return {"forecasts": self.forecasts.run(), "calibrations": self.calibrations.run(), "kpis": self.line.run()}

    def faults(self) -> dict[str, str | None]:
        """What is wrong with them, by name."""
        return {"forecasts": self.forecasts.fault, "kpis": self.line.fault}

    def _configured(self) -> Configured:
        site = self._site()
        return Configured(site.models, site.upkeep)

    def calibrated(self) -> Site:
        """The present site, its models with the parameters that are in force; the same object until one of them changes."""
        site, changes = self._site(), self.calibrations.changes
        if self._kept is None or self._kept[0] is not site or self._kept[1] != changes:
            self._kept = site, changes, replace(site, models=self.calibrations.models())
        return self._kept[2]

    def _said(self, message: str, asks: bool, details: Mapping[str, Any]) -> None:
        level = (Severity.WARNING if asks else Severity.INFO).level
        self._publish(Event(str(uuid4()), self._now_ns(), Category.PROCESS, level, "calibration", message, details))

    def _present(self) -> Foresight:
        site, view = self.calibrated(), self._view
        index, named = view.tags.index, names_of(site)
        now = {name: float(view.value[index[name]]) for name in named if name in index}
        return foresight(site, {name: value for name, value in now.items() if math.isfinite(value)})

    async def _past(self, names: Sequence[str], at_ns: int) -> tuple[Mapping[str, Course], int]:
        now_ns = self._now_ns()
        return await since(self._history, self._view.tags, names, at_ns, now_ns, self._view), now_ns

    async def recall(self) -> None:
        """At the start: runs that the last stop cut off have failed, and calibrated parameters are in force again."""
        with suppress(StoreUnavailable):
            await self._store.end_interrupted("the gateway stopped before it was done")
            await self.calibrations.load()

    async def scenarios(self) -> list[tuple[Scenario, bool]]:
        """By name; True: it belongs to the configuration. Raises StoreUnavailable."""
        own = self._site().scenarios
        kept = [(one, False) for one in await self._store.scenarios() if one.name not in own]
        return sorted([*kept, *((one, True) for one in own.values())], key=lambda pair: pair[0].name)

    async def runs(self, limit: int) -> list[Run]:
        """The newest first, without results. Raises StoreUnavailable."""
        return await self._store.runs(limit)

    async def run(self, run_id: str) -> Run | None:
        """With its results. Raises StoreUnavailable."""
        return await self._store.run(run_id)

    def progress(self, run_id: str) -> float | None:
        """The share that is done of a run that is under way."""
        return self.simulations.progress.get(run_id)

    def watch(self, told: Callable[[Run, Sequence[str]], None]) -> Callable[[], None]:
        """As RunView.watch."""
        return self.simulations.watch(told)

    def _told(self, run: Run) -> None:
        if self._site().events.publish_simulation_results:
            self._publish(run_event(run, self._now_ns()))

    async def close(self) -> None:
        """Ends what is under way, and the workers."""
        self.line.close()
        self.calibrations.close()
        self.forecasts.stop()
        await self.simulations.close()
        await self.jobs.close()
        await self.forecasts.close()

    def workforce(self) -> Workforce:
        """All worker processes."""
        one, other = self.jobs.workforce(), self.forecasts.jobs.workforce()
        return Workforce(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))


def foresight(site: Site, start: Mapping[str, float]) -> Foresight:
    """What is simulated of a site, from a state by tag."""
    named = names_of(site)
    limits = [
        Limit(rule.tag, one.value, threshold)
        for rule in site.rules
        if rule.tag in named
        for one, threshold in ([(level.limit, level.threshold) for level in rule.levels] or [(rule.limit, rule.threshold)])
        if one in _LIMITS
    ]
    return Foresight(site.models, site.scenarios, limits, ranges(site.tags, named), start)


def ensemble(present: Foresight, ask: Ask, seed: int | None) -> Trajectories:
    """A what-if here and now, for notebooks. Without a seed there is no noise. Raises ModelError."""
    model, start = tied(present.models), held(present.models) | dict(present.start)
    checked(model, start, ask, present.ranges)
    spread = {} if seed is None else varied(present.models)
    return run(model, start, ask, spread, np.random.default_rng(seed or 0), noise=seed is not None)


def names_of(site: Site) -> set[str]:
    """The tags that models give or take."""
    return {tag for model in site.models for tag in (*model.outputs.values(), *model.inputs.values()) if isinstance(tag, str)}


def ranges(tags: TagTable, named: set[str]) -> dict[str, tuple[float, float]]:
    """Within which values a tag may be set: its range, and the bounds of who may write it."""
    found = {}
    for tag in tags:
        if tag.name in named:
            low, high = tag.eu_range or (-math.inf, math.inf)
            rule = tag.write_rule
            found[tag.name] = (low, high) if rule is None else (max(low, rule.low), min(high, rule.high))
    return found


def run_event(ended: Run, now_ns: int) -> Event:
    """A run has ended: which one, and what became of it."""
    done = ended.state is RunState.DONE
    which = f" of {', '.join(ended.scenarios)}" if ended.scenarios else ""
    partial = ended.results.get("partial", "")
    message = f"simulation{which} {'ended early: ' + partial if partial else ended.state.value}" + (f": {ended.why}" if ended.why else "")
    level = Severity.INFO.level if done and not partial else Severity.WARNING.level
    details: dict[str, Any] = {"run": ended.run_id, "kind": ended.kind, "user": ended.user, "steps": ended.steps, "seconds": ended.seconds}
    return Event(str(uuid4()), now_ns, Category.PROCESS, level, "simulation", message, details)
