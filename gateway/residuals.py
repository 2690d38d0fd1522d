"""The plant against its models, in the daemon: each watched model takes a step beside the twin, one after the other, and gives way between.

Learning and diagnosis go to a thread. What a model shows in place of a sensor goes to the engine like any sample, and into its recordings.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import uuid4

import structlog

from gateway.contracts import Figure, Memory
from gateway.engine.engine import Engine
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.calibration import Watch
from gateway.model.event import Category, Event, Severity
from gateway.model.process import ProcessModel
from gateway.operations.calibrations import model_hash
from gateway.operations.door import Commanded
from gateway.settings import Site
from gateway.simulation.process.model import ModelError
from gateway.simulation.residuals.monitor import SENSOR, Cause, Monitor, named
from gateway.simulation.residuals.whitened import Noise

log = structlog.get_logger()

LOOK_S: Final = 1.0  # between two looks at a configuration that watches nothing
_OBJECT: Final = "Simulation/Models"


@dataclass(slots=True)
class Watched:
    """One model that is watched. wrong: the outputs that it stands in for -> steps since; heard: the newest source time of each output."""

    rule: ProcessModel
    watch: Watch
    monitor: Monitor
    due_s: float
    wrong: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    raw: dict[str, float] = field(default_factory=dict)
    suspected: set[str] = field(default_factory=set)


class Residuals:
    """site() is the present one, its models with the parameters that are in force. put: into the inbox of the engine."""

    def __init__(
        self,
        engine: Engine,
        site: Callable[[], Site],
        put: Callable[[SampleBatch], None],
        commanded: Commanded,
        publish: Callable[[Event], None],
        memory: Memory,
        now_ns: Callable[[], int],
    ) -> None:
        self._engine, self._site, self._put, self._commanded = engine, site, put, commanded
        self._publish, self._memory, self._now_ns = publish, memory, now_ns
        self._of: Site | None = None
        self.watched: dict[str, Watched] = {}
        self._shown: dict[str, tuple[str, ...]] = {}  # models that ever were watched -> their outputs: figures keep their names
        self._closing = asyncio.Event()

    # --- the task ------------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until close()."""
        while not self._closing.is_set():
            self.follow()
            await self.steps(time.monotonic())
            due_s = min((one.due_s for one in self.watched.values()), default=math.inf)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(due_s - time.monotonic(), 0.0), LOOK_S)):
                    await self._closing.wait()

    async def steps(self, now_s: float) -> None:
        """One step of each model that is due."""
        for one in list(self.watched.values()):
            if now_s >= one.due_s:
                one.due_s = max(one.due_s + one.watch.step_s, now_s)
                try:
                    await self.step(one)
                except (ArithmeticError, ValueError) as fault:
                    self._failed(one, fault)
                await asyncio.sleep(0)

    def _failed(self, one: Watched, fault: Exception) -> None:
        """A model that cannot go on is watched no longer, until the configuration changes; its sensors are given back."""
        log.error("a model is watched no longer", model=one.rule.name, why=str(fault))
        del self.watched[one.rule.name]
        self._release_others()
        self._tell(
            one.rule.name,
            f"the model {one.rule.name} is compared with its plant no longer: {fault}",
            Severity.ERROR,
            {"model": one.rule.name},
        )

    def close(self) -> None:
        """Ends run(). Idempotent."""
        self._closing.set()

    def follow(self) -> None:
        """Another configuration, or other parameters: models that changed begin anew."""
        site = self._site()
        if site is self._of:
            return
        self._of, before, now_s = site, self.watched, time.monotonic()
        self.watched = {}
        for rule in site.models:
            watch, old = site.watches.get(rule.name), before.get(rule.name)
            if watch is None:
                continue
            if old is not None and (old.rule, old.watch) == (rule, watch):
                self.watched[rule.name] = old
                continue
            self._shown[rule.name] = tuple(rule.outputs)
            try:
                self.watched[rule.name] = self._begun(rule, watch, now_s)
            except ModelError as fault:  # such as an ARX model at another step than its own
                message = f"the model {rule.name} cannot be compared with its plant: {fault}"
                self._tell(rule.name, message, Severity.ERROR, {"model": rule.name})
        self._release_others()

    def _begun(self, rule: ProcessModel, watch: Watch, now_s: float) -> Watched:
        one = Watched(rule, watch, Monitor(rule, watch.step_s, watch.false_alarm_s / watch.step_s), now_s)
        kept = json.loads(self._memory.get(rule.name) or "{}")
        if kept.get("model") == model_hash(rule) and kept.get("step_s") == watch.step_s:
            one.monitor.trust([Noise(**noise) for noise in kept["noises"]])
        for output in rule.outputs if watch.stand_in else ():
            if self._stood_in(self._tag_id(rule, output)):
                one.wrong[output] = 0
                one.monitor.distrust(output)
        return one

    def _release_others(self) -> None:
        """Tags that a model stood in for which does so no longer."""
        covered = {self._tag_id(one.rule, output) for one in self.watched.values() for output in one.wrong}
        self._release([tag_id for tag_id in self._engine.held if self._stood_in(tag_id) and tag_id not in covered])

    # --- one step ------------------------------------------------------------------------------------------------------------------

    async def step(self, one: Watched) -> None:
        """One model's step: its residuals, what they tell, and its stand-in."""
        rule, monitor = one.rule, one.monitor
        start = {output: self._value(rule.outputs[output]) for output in one.wrong}
        come = monitor.step(self._inputs(rule), {output: self._measured(one, output) for output in rule.outputs}, start)
        if monitor.ready and await asyncio.to_thread(monitor.learn):
            assert monitor.noises is not None
            noises = [asdict(noise) for noise in monitor.noises]
            self._memory.put(rule.name, json.dumps({"model": model_hash(rule), "step_s": one.watch.step_s, "noises": noises}))
        for output in come:
            causes = await asyncio.to_thread(monitor.causes, output)
            one.suspected.add(output)
            self._tell_suspect(one, output, causes)
            if one.watch.stand_in and named(causes) == [SENSOR]:
                one.wrong.setdefault(output, 0)
        for output in sorted(one.suspected):
            if not monitor.suspect[monitor.outputs.index(output)]:
                one.suspected.discard(output)
                self._tell(
                    rule.outputs[output],
                    f"{rule.outputs[output]} agrees with its model {rule.name} again",
                    Severity.INFO,
                    {"model": rule.name},
                )
        if one.watch.stand_in:
            self._stand_in(one)

    def _inputs(self, rule: ProcessModel) -> dict[str, float]:
        return {name: self._value(given) if isinstance(given, str) else given for name, given in rule.inputs.items()}

    def _value(self, tag: str) -> float:
        """What the twin shows, whatever stands in or was put in; NaN where it is Bad."""
        view = self._engine.view
        tag_id = view.tags.index.get(tag)
        if tag_id is None or view.status.item(tag_id) >= quality.BAD:
            return math.nan
        return float(view.value.item(tag_id))

    def _measured(self, one: Watched, output: str) -> float:
        """The newest reading of the sensor itself; NaN where it is not Good, was put in by hand, or was looked at before."""
        tag_id = self._tag_id(one.rule, output)
        value, status, source_ns = self._reading(tag_id)
        one.raw[output] = value
        fresh = source_ns != one.heard.get(output)
        one.heard[output] = source_ns
        by_hand = status & 0xFFFF_0000 == quality.GOOD_LOCAL_OVERRIDE
        return value if fresh and status < quality.UNCERTAIN and not by_hand else math.nan

    def _reading(self, tag_id: int) -> tuple[float, int, int]:
        """(value, status, time) of the source, behind a stand-in too."""
        held, view = self._engine.held.get(tag_id), self._engine.view
        if tag_id < 0:
            return math.nan, quality.BAD_NODE_ID_UNKNOWN, 0
        if held is not None and self._stood_in(tag_id):
            return held.value, held.status, held.source_ns
        return view.value.item(tag_id), view.status.item(tag_id), view.source_ns.item(tag_id)

    def _stood_in(self, tag_id: int) -> bool:
        substitute = tag_id in self._engine.held and self._engine.view.status.item(tag_id) & 0xFFFF_0000 == quality.UNCERTAIN_SUBSTITUTE
        return substitute and bool(self._engine.twin.overridden.item(tag_id))

    def _tag_id(self, rule: ProcessModel, output: str) -> int:
        return self._engine.view.tags.index.get(rule.outputs[output], -1)

    # --- the stand-in --------------------------------------------------------------------------------------------------------------

    def _stand_in(self, one: Watched) -> None:
        """For sensors that are wrong or Bad: the model's value; given back once the sensor is Good and has agreed for a while."""
        monitor = one.monitor
        for k, output in enumerate(monitor.outputs):
            tag_id = self._tag_id(one.rule, output)
            if tag_id < 0 or not monitor.running:
                continue
            bad = self._reading(tag_id)[1] >= quality.BAD
            if output not in one.wrong:
                if not (bad and self._engine.twin.tags.enabled[tag_id]):
                    continue
                one.wrong[output] = 0
                self._tell_standing(one, output, "it is Bad")
            if one.wrong[output] > 2 and not self._stood_in(tag_id) and not self._by_hand(tag_id) and not bad:
                del one.wrong[output]  # somebody has released it
            elif not bad and not monitor.suspect[k] and one.wrong[output] > 2:
                del one.wrong[output]
                self._release([tag_id])
            else:
                one.wrong[output] += 1
                self._offer(tag_id, monitor.stand_in(output))

    def _by_hand(self, tag_id: int) -> bool:
        return self._engine.view.status.item(tag_id) & 0xFFFF_0000 == quality.GOOD_LOCAL_OVERRIDE

    def _offer(self, tag_id: int, value: float) -> None:
        if math.isfinite(value):
            now_ns = self._now_ns()
            self._put(SampleBatch.of([tag_id], [value], quality.GOOD, now_ns, received_ns=now_ns, origin=Origin.MODEL))

    def _release(self, tag_ids: Sequence[int]) -> None:
        if tag_ids:
            self._commanded("release", self._engine.release(tag_ids, self._now_ns()), tag_ids=list(tag_ids))

    # --- what it says --------------------------------------------------------------------------------------------------------------

    def _tell_suspect(self, one: Watched, output: str, causes: Sequence[Cause]) -> None:
        rule, tag = one.rule, one.rule.outputs[output]
        suspects = named(causes)
        best = causes[0]
        if best.name == SENSOR:
            words = f"the sensor reads {best.change:+.3g} off"
        else:
            words = f"{rule.name}.{best.name} looks like {best.change:.3g} instead of {float(one.monitor.model.parameters[best.name]):.3g}"
        others = [tag if name == SENSOR else f"{rule.name}.{name}" for name in suspects[1:]]
        message = f"{tag} does not agree with its model {rule.name}: {words}" + (f" (or {', '.join(others)})" if others else "")
        rows = [{"cause": cause.name, "change": cause.change, "gain": cause.gain} for cause in causes if math.isfinite(cause.gain)]
        self._tell(tag, message, Severity.WARNING, {"model": rule.name, "tag": tag, "suspected": suspects, "causes": rows})
        if one.watch.stand_in and suspects == [SENSOR]:
            self._tell_standing(one, output, "its sensor is wrong")

    def _tell_standing(self, one: Watched, output: str, why: str) -> None:
        tag = one.rule.outputs[output]
        message = f"the model {one.rule.name} stands in for {tag}: {why}"
        self._tell(tag, message, Severity.WARNING, {"model": one.rule.name, "tag": tag})

    def _tell(self, source: str, message: str, severity: Severity, details: Mapping[str, Any]) -> None:
        self._publish(Event(str(uuid4()), self._now_ns(), Category.PROCESS, severity.level, source, message, details))

    def figures(self) -> dict[str, dict[str, Figure]]:
        """For OPC UA: one Object for each watched model below Simulation/Models. Residual and Raw are of the first output."""
        self.follow()
        found: dict[str, dict[str, Figure]] = {_OBJECT: {"Watched": len(self.watched)}} if self._shown else {}
        for name in self._shown:
            one = self.watched.get(name)
            if one is None:
                found[f"{_OBJECT}/{name}"] = {
                    **dict.fromkeys(("Residual", "NIS", "NISLow", "NISHigh", "EWMA", "Health", "Raw"), math.nan),
                    "State": "gone",
                    "StandsIn": False,
                }
                continue
            monitor = one.monitor
            low, high = monitor.band
            found[f"{_OBJECT}/{name}"] = {
                "Residual": float(monitor.residual[0]),
                "NIS": monitor.mean_nis,
                "NISLow": low,
                "NISHigh": high,
                "EWMA": monitor.smoothed,
                "Health": monitor.share,
                "Raw": float(one.raw.get(monitor.outputs[0], math.nan)),
                "State": monitor.health.value,
                "StandsIn": bool(one.wrong),
            }
        return found
