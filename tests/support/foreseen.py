"""The demo's plant run as fast as it goes through the engine, and forecast: no wall clock, the parts that the daemon uses."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gateway.demo.disturbances import disturbed
from gateway.demo.physics import Inputs
from gateway.demo.signals import signals, values
from gateway.demo.virtual import VirtualPlant
from gateway.engine.engine import Engine
from gateway.forecasting.plan import Plan
from gateway.forecasting.sampler import Sampler
from gateway.jobs import forecast as job
from gateway.launch import load_site
from gateway.model import quality
from gateway.model.batch import SampleBatch
from gateway.settings.forecasting import Forecast
from gateway.work import JobResult, silent

BEGIN_NS = 1_800_000_000_000_000_000
DEMO = Path(__file__).parents[2] / "config" / "demo.yaml"


class Plant:
    """The demo's plant by steps of step_s, with the demo's troubles where `troubled`."""

    def __init__(self, seed: int, step_s: float, *, troubled: bool = True) -> None:
        self.virtual = VirtualPlant(seed)
        self.signals = tuple(signal for signal in signals(self.virtual.parameters) if signal.type.name != "TEXT")
        self.inputs, self.step_s, self.troubled = Inputs(), step_s, troubled

    def step(self) -> np.ndarray:
        """The values of all signals one step later."""
        acting = disturbed(self.inputs, self.virtual.state.time_s) if self.troubled else self.inputs
        return values(self.signals, self.virtual.step(acting, self.step_s), self.inputs)


class Road:
    """Engine, sampler and the worker's job over a plant: what comes of each forecast is told to `told`.

    parts: other parts of the demo's site.
    """

    def __init__(self, plant: Plant, rule: Forecast, told: Callable[[JobResult, int], None] = lambda *_: None, **parts: Any) -> None:
        site = replace(load_site(DEMO), forecast=rule, **parts)
        self.plant, self.site, self.told = plant, site, told
        self.engine = Engine(site.tags, site.rules, site.derived, site.sync)
        plan = Plan.of(site)
        assert plan is not None
        self.plan, self.sampler = plan, Sampler(plan.sampled, plan.step_ns)
        known = [(row, site.tags.index[signal.name]) for row, signal in enumerate(plant.signals) if signal.name in site.tags.index]
        self._row, self._tag_id = np.array(known, np.intp).T
        self.now_ns = BEGIN_NS
        self.result: JobResult | None = None
        job._kept.clear()

    def run(self, seconds: float, change: Callable[[int], None] = lambda _: None) -> JobResult:
        """So long; change(step) may act on the plant before each step. The last result."""
        for step in range(round(seconds / self.plant.step_s)):
            change(step)
            self.now_ns += round(self.plant.step_s * 1e9)
            self._sampled(self.plant.step())
            if len(self.sampler) >= self.plan.each or self.result is None:
                self._forecast()
        assert self.result is not None
        return self.result

    def _sampled(self, y: np.ndarray) -> None:
        good = np.full(self._row.size, quality.GOOD, np.uint32)
        source_ns = np.full(self._row.size, self.now_ns, np.int64)
        self.engine.step(SampleBatch(self._tag_id.astype(np.int32), y[self._row], good, source_ns, self.now_ns), self.now_ns)
        self.sampler.sample(self.engine.view, self.now_ns)

    def _forecast(self) -> None:
        args, arrays = self.plan.asked(self.now_ns, self.sampler.take(), "", save=False)
        args = args | {"models": [asdict(model) for model in args["models"]]}
        values, found = job.forecast(args, arrays, np.random.default_rng(0), silent)
        self.result = JobResult(values, found, 0.0)
        self.told(self.result, self.now_ns)


def rule(tags: Sequence[str], **times: float) -> Forecast:
    """A section `forecast`."""
    return Forecast(tags=tuple(tags), **times)
