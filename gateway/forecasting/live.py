"""Live forecasts of a gateway: a task that samples, asks the worker and hands on each new outlook; faces see it as a ForecastView."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np
import structlog

from gateway.contracts import TwinView
from gateway.forecasting.outlooks import issues_of, outlook_of, scores_of
from gateway.forecasting.plan import Plan
from gateway.forecasting.sampler import Sampler
from gateway.jobs.resident import resident
from gateway.model.forecast import Foretold, Outlook, Scores
from gateway.settings import Site
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store
from gateway.work import Job, JobFailed, JobResult

log = structlog.get_logger()

LOOK_S: Final = 1.0  # between two looks at a configuration that forecasts nothing
DEADLINE_S: Final = 30.0
SAVE_S: Final = 60.0  # between two saves: what a worker that is killed forgets
UPKEEP_S: Final = 60.0
LAST_S: Final = 3.0  # for the save at the stop


class Live:
    """outlook.ForecastView. site() is the present configuration: a reload changes it, and the next step follows."""

    def __init__(self, site: Callable[[], Site], view: TwinView, store: Store, now_ns: Callable[[], int]) -> None:
        self._site, self._view, self._now_ns = site, view, now_ns
        self._store, self._upkeep_s = store, 0.0
        self._file, self._save_s = str(store.path / "forecast.state"), time.monotonic() + SAVE_S
        self.jobs = resident()
        self.fault: str | None = None
        self.issued = self.failed = 0
        self.began = ""  # how the roll that speaks now began, in words
        self.seconds = 0.0
        self._of: Site | None = None
        self._plan: Plan | None = None
        self._tags: tuple[int, ...] = ()
        self._sampler: Sampler | None = None
        self._newest: Outlook | None = None
        self._scores: Scores | None = None
        self._watching: list[Callable[[Outlook], None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    # --- ForecastView ----------------------------------------------------------------------------------------------------------------

    @property
    def tags(self) -> tuple[int, ...]:
        self._follow()
        return self._tags

    @property
    def lead_ns(self) -> int:
        self._follow()
        return 0 if self._plan is None else self._plan.lead * self._plan.step_ns

    @property
    def horizon_ns(self) -> int:
        self._follow()
        return 0 if self._plan is None else self._plan.steps * self._plan.step_ns

    def newest(self) -> Outlook | None:
        self._follow()
        return self._newest

    def watch(self, told: Callable[[Outlook], None]) -> Callable[[], None]:
        self._watching.append(told)
        return lambda: self._watching.remove(told) if told in self._watching else None

    async def past(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None = None) -> Foretold:
        if tag_id not in self.tags:
            raise KeyError(tag_id)
        found = await self._store.forecasts.past(tag_id, start_ns, end_ns, limit)
        return found if self._plan is None else self._plan.bounded(tag_id, found)

    def scores(self) -> Scores | None:
        self._follow()
        return self._scores

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tags, rows as everywhere."""
        self._follow()
        return () if self._plan is None else tuple(tag.name for tag in self._plan.tags)

    @property
    def lead_knot(self) -> int | None:
        """Which horizon of the scores is the lead; None before the first score."""
        if self._scores is None or self._plan is None:
            return None
        return int(np.searchsorted(self._scores.horizon_s, self.lead_ns / 1e9 - 1e-6))

    # --- the task --------------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until close()."""
        while not self._closing.is_set():
            self._follow()
            step_s = LOOK_S if self._plan is None else self._plan.rule.step
            try:
                async with asyncio.timeout(step_s - time.monotonic() % step_s):
                    await self._closing.wait()
            except TimeoutError:
                self._step()

    def _follow(self) -> None:
        """Another configuration begins anew where it forecasts something else."""
        site = self._site()
        if site is self._of:
            return
        self._of, before = site, self._plan
        self._plan = plan = Plan.of(site)
        self._tags = () if plan is None else tuple(plan.tag_id.tolist())
        if before is None or plan is None or plan.roll != before.roll or (plan.tag_id != before.tag_id).any():
            self._newest = self._scores = None
            self._sampler = None if plan is None else Sampler(plan.sampled, plan.step_ns)

    def _step(self) -> None:
        """One step of the grid; a forecast is asked for once `every` is over and none is on its way."""
        self._follow()
        plan, sampler = self._plan, self._sampler
        if plan is None or sampler is None:
            return
        sampler.sample(self._view, time.monotonic_ns())
        if self._asking is None and (len(sampler) >= plan.each or self._newest is None):
            self._asking = asyncio.create_task(self._ask(plan, sampler), name="forecast")
            self._asking.add_done_callback(self._asked)

    def _asked(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        if not task.cancelled():
            task.result()

    async def _ask(self, plan: Plan, sampler: Sampler) -> None:
        at_ns, save = self._now_ns(), time.monotonic() >= self._save_s
        args, arrays = plan.asked(at_ns, sampler.take(), self._file, save=save)
        try:
            result = await self.jobs.run(Job("forecast", args, arrays, deadline_s=DEADLINE_S))
        except JobFailed as fault:
            self._failed(fault)
            return
        outlook, scores = await asyncio.to_thread(lambda: (outlook_of(plan, at_ns, result), scores_of(result)))
        if save:
            self._save_s = time.monotonic() + SAVE_S
        if result.values["began"]:
            self.began = result.values["began"]
            log.info("forecasts", why=self.began, tags=len(plan.tags))
        if self._plan is None or self._plan.roll != plan.roll or sampler is not self._sampler:
            return  # a reload has asked for something else meanwhile
        if self.fault is not None:
            log.info("forecasts are issued again")
        self.fault, self.issued, self.seconds = None, self.issued + 1, result.seconds
        self._newest, self._scores = outlook, scores
        for told in tuple(self._watching):
            told(outlook)
        with suppress(StoreUnavailable):  # the commit loop says so, and opens it again
            await self._keep(plan, at_ns, result)

    async def _keep(self, plan: Plan, at_ns: int, result: JobResult) -> None:
        """What was said is stored; now and then what is too old goes."""
        await self._store.forecasts.put(issues_of(plan, at_ns, result))
        if time.monotonic() >= self._upkeep_s:
            self._upkeep_s = time.monotonic() + UPKEEP_S
            kept = plan.rule.retention
            await self._store.keep_forecasts(round(kept.age * 1e9), kept.bytes)

    def _failed(self, fault: JobFailed) -> None:
        self.failed += 1
        if self.fault is None and fault.reason != "cancelled":
            log.warning("no forecast", why=str(fault))
        self.fault = str(fault)

    def stop(self) -> None:
        """No more steps; close() ends the rest."""
        self._closing.set()

    async def close(self) -> None:
        """Ends the task, what is asked and the worker. Idempotent."""
        self.stop()
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=LAST_S)
        with suppress(JobFailed):  # then the next start takes up what was saved before
            await self._save()
        await self.jobs.close()

    async def _save(self) -> None:
        """With the samples that no forecast has seen yet."""
        if self._plan is not None and self._sampler is not None and self._newest is not None:
            args, arrays = self._plan.asked(self._now_ns(), self._sampler.take(), self._file, save=True)
            await self.jobs.run(Job("forecast", args, arrays, deadline_s=LAST_S))
