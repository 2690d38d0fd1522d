"""Commands on scenarios and runs: kept by name, run in a worker, never in the daemon's loop, and never written to the plant."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar
from uuid import uuid4

import numpy as np

from gateway.model import instant, quality
from gateway.model.command import Caller
from gateway.model.process import ProcessModel, Run, RunState, Scenario
from gateway.operations.arguments import allow, changes, flag, maybe_number, number, numbers, texts, whole
from gateway.operations.branches import Past, begun
from gateway.operations.door import Args, Operation, Refused, names_of, text_of
from gateway.simulation.process.model import ModelError
from gateway.simulation.tied import held, tied
from gateway.simulation.whatif import Ask, Limit, checked
from gateway.work import Column, Job, JobFailed, Jobs

N = TypeVar("N", int, float)
Watcher = Callable[[Run, Sequence[str]], None]

NOW: Final = "now"
"""The scenario of that name changes nothing: what is compared with."""
DEADLINE_S: Final = 60.0
LONGEST_S: Final = 600.0
WAITING: Final = 8  # runs that wait for a worker
SCENARIOS: Final = 1000
_MOST_COMPARED: Final = 8
_LONGEST: Final = 1000  # characters of a description
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
BAD_TOO_MANY_OPERATIONS: Final = 0x8010_0000
_LENGTHS: Final = frozenset({"horizon_s", "step_s", "runs", "seed", "deadline_s", "uncertainty"})
_ASKED: Final = _LENGTHS | {"antithetic", "half_width", "varied"}


Then = Callable[[Run], Awaitable[Run]]


class RunStore(Protocol):
    """Where scenarios and runs are kept (`store.runs`)."""

    async def scenarios(self) -> list[Scenario]: ...
    async def put_scenario(self, scenario: Scenario) -> None: ...
    async def remove_scenario(self, name: str) -> bool: ...
    async def put_run(self, run: Run) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Foresight:
    """What is simulated: the models of the site, its own scenarios, limits and ranges, and the twin's state now, by tag."""

    models: Sequence[ProcessModel]
    scenarios: Mapping[str, Scenario]
    limits: Sequence[Limit]
    ranges: Mapping[str, tuple[float, float]]
    start: Mapping[str, float]


class Simulations:
    """present() is asked at each command: a reload changes it. told(run) once a run has ended; unavailable: what the store raises."""

    def __init__(
        self,
        store: RunStore,
        jobs: Jobs,
        present: Callable[[], Foresight],
        told: Callable[[Run], None],
        now_ns: Callable[[], int],
        unavailable: tuple[type[Exception], ...] = (),
        past: Past | None = None,
    ) -> None:
        self._store, self._jobs, self._present, self._told, self._now_ns = store, jobs, present, told, now_ns
        self._unavailable, self._past = unavailable, past
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._watching: list[Watcher] = []
        self._beginning = 0  # runs that are begun, and are not counted by the jobs yet
        self.progress: dict[str, float] = {}

    def watch(self, told: Watcher) -> Callable[[], None]:
        """told(run, ids kept no longer) at the beginning of each run and at its end; what it returns ends that."""
        self._watching.append(told)
        return lambda: self._watching.remove(told) if told in self._watching else None

    def _tell(self, run: Run, gone: Sequence[str]) -> None:
        for told in tuple(self._watching):
            told(run, gone)

    def operations(self) -> dict[str, Operation]:
        asked = ", ".join(sorted(_ASKED))
        branched = (
            "sensitivity (true), risk (for a verdict: valid where no limit is likelier than that to be reached), "
            "at (a past time: simulated from then, and compared with what was measured)"
        )
        return {
            "scenario.save": Operation(
                "sim:run", self._save, "keep a scenario: name, description, parameters (by tag or model.parameter), horizon_s, step_s, runs"
            ),
            "scenario.delete": Operation("sim:run", self._delete, "remove a scenario: name"),
            "scenario.run": Operation("sim:run", self._run_scenario, f"run a scenario: name, parameters, {asked}, {branched}"),
            "scenario.compare": Operation("sim:run", self._compare, f"run scenarios under the same chance: names, {asked}"),
            "simulation.run": Operation("sim:run", self._what_if, f"a what-if from the present state: parameters, {asked}, {branched}"),
            "simulation.cancel": Operation("sim:run", self._cancel, "end a run: run"),
        }

    # --- scenarios -----------------------------------------------------------------------------------------------------------------

    async def _save(self, args: Args, _: Caller) -> Mapping[str, Any]:
        allow(args, {"name", "description", "parameters", "horizon_s", "step_s", "runs"})
        name, description = text_of(args, "name"), text_of(args, "description", "")
        if not _NAME.fullmatch(name) or name == NOW:
            raise Refused(
                quality.BAD_OUT_OF_RANGE, f"{name[:80]!r} is not a name for a scenario: 1 to 64 letters, digits, _ or -, not {NOW}"
            )
        if len(description) > _LONGEST:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"a description has at most {_LONGEST} characters")
        present, now_ns = self._present(), self._now_ns()
        if name in present.scenarios:
            raise Refused(quality.BAD_INVALID_STATE, f"the scenario {name!r} belongs to the configuration: choose another name")
        horizon, step, runs = maybe_number(args, "horizon_s"), maybe_number(args, "step_s"), whole(args, "runs")
        scenario = Scenario(name, description, changes(args), horizon, step, runs, now_ns, now_ns)
        await asyncio.to_thread(_checked, present, [_ask(scenario, {})])
        kept = await self._store.scenarios()
        if len(kept) >= SCENARIOS and all(one.name != name for one in kept):
            raise Refused(BAD_TOO_MANY_OPERATIONS, f"{SCENARIOS} scenarios are kept already: delete some")
        await self._store.put_scenario(scenario)
        return {"scenario": name}

    async def _delete(self, args: Args, _: Caller) -> Mapping[str, Any]:
        allow(args, {"name"})
        name = text_of(args, "name")
        if name in self._present().scenarios:
            raise Refused(quality.BAD_INVALID_STATE, f"the scenario {name!r} belongs to the configuration: remove it there")
        if not await self._store.remove_scenario(name):
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no scenario {name[:80]!r}")
        return {"scenario": name}

    async def _named(self, name: str, present: Foresight) -> Scenario:
        if name == NOW:
            return Scenario(NOW)
        kept = {one.name: one for one in await self._store.scenarios()} | dict(present.scenarios)
        if name not in kept:
            known = f"; there are {', '.join(sorted(kept)[:20])}" if kept else ""
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no scenario {name[:80]!r}{known}")
        return kept[name]

    # --- runs ----------------------------------------------------------------------------------------------------------------------

    async def _run_scenario(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        allow(args, _ASKED | {"name", "parameters", "sensitivity", "risk", "at"})
        present = self._present()
        scenario = await self._named(text_of(args, "name"), present)
        scenario = replace(scenario, parameters={**scenario.parameters, **changes(args)})
        return await self._simulate([scenario.name], present, scenario, args, caller)

    async def _what_if(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        allow(args, _ASKED | {"parameters", "sensitivity", "risk", "at"})
        return await self._simulate([], self._present(), Scenario("", parameters=changes(args)), args, caller)

    async def _simulate(
        self, names: Sequence[str], present: Foresight, scenario: Scenario, args: Args, caller: Caller
    ) -> Mapping[str, Any]:
        """From the present state or, with `at`, from a past one to now."""
        extra: dict[str, Any] = {}
        if flag(args, "sensitivity"):
            extra["sensitivity"] = [name for model in present.models for name in model.outputs.values()]
        if (risk := maybe_number(args, "risk")) is not None:
            if not 0 <= risk <= 1:
                raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'risk' is a probability from 0 to 1, got {risk:g}")
            extra["risk"] = risk
        if args.get("at") is None:
            return await self._begin("simulate", names, present, [_ask(scenario, args)], args, caller, extra)
        past = await begun(text_of(args, "at"), present.models, self._past, self._now_ns(), self._unavailable)
        present = replace(present, start=past.start)
        ask = _ask(replace(scenario, horizon_s=scenario.horizon_s or past.length_s), args)
        if ask.horizon_s == past.length_s and ask.step_s > 0:  # nothing is known beyond it
            ask = replace(ask, horizon_s=max(past.length_s // ask.step_s, 1.0) * ask.step_s)
        await asyncio.to_thread(_checked, present, [ask])  # before what was is laid out by step
        driven, measured = past.arrays(ask)
        extra |= {"at": instant.iso(past.at_ns), "driven": list(driven), "measured": list(measured)}
        arrays = {name: np.array(list(rows.values())) for name, rows in (("driven", driven), ("measured", measured)) if rows}
        return await self._begin("simulate", names, present, [ask], args, caller, extra, arrays)

    async def _compare(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        """The first of them is what the others are compared with; one alone is compared with the present."""
        allow(args, _ASKED | {"names"})
        present, names = self._present(), list(dict.fromkeys(names_of(args, "names")))
        if len(names) == 1 and names != [NOW]:
            names = [NOW, *names]
        if not 2 <= len(names) <= _MOST_COMPARED:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'names' names 1 to {_MOST_COMPARED} scenarios")
        scenarios = [await self._named(name, present) for name in names]
        own: dict[str, float | None] = {
            "horizon_s": max((one.horizon_s for one in scenarios if one.horizon_s is not None), default=None),
            "step_s": min((one.step_s for one in scenarios if one.step_s is not None), default=None),
            "runs": max((one.runs for one in scenarios if one.runs is not None), default=None),
        }
        shared = {key: value for key, value in own.items() if value is not None} | dict(args)
        asks = [_ask(replace(one, horizon_s=None, step_s=None, runs=None), shared) for one in scenarios]
        return await self._begin("compare", names, present, asks, args, caller)

    async def _begin(
        self, kind: str, names: Sequence[str], present: Foresight, asks: Sequence[Ask], args: Args, caller: Caller,
        extra: Mapping[str, Any] | None = None, arrays: Mapping[str, Column] | None = None,
    ) -> Mapping[str, Any]:  # fmt: skip
        warnings = await asyncio.to_thread(_checked, present, asks)  # the models of a large site take a tenth of a second
        seed = whole(args, "seed")
        seed = self._now_ns() % 2**32 if seed is None else seed
        whole_args = job_args(present, asks, names) | {"delta": True} | dict(extra or {})
        job = Job(kind, whole_args, arrays or {}, seed=seed, deadline_s=number(args, "deadline_s", DEADLINE_S))
        said = _said(asks, seed) | ({"at": extra["at"]} if extra and "at" in extra else {})
        run_id = await self.begin(job, names, caller.user, said, asks[0].steps)
        return {"run": run_id, "seed": seed, "warnings": warnings}

    async def begin(
        self, job: Job, names: Sequence[str], user: str, asked: Mapping[str, Any], steps: int = 0, then: Then | None = None
    ) -> str:
        """The id of a run of this job, which goes on by itself; then(run) has it before it is kept, where it was done. Raises Refused."""
        deadline_s = job.deadline_s
        if not 0 < deadline_s <= LONGEST_S:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"deadline_s is above 0 and at most {LONGEST_S:g}, got {deadline_s:g}")
        if self._jobs.workforce().waiting + self._beginning >= WAITING:
            raise Refused(BAD_TOO_MANY_OPERATIONS, f"{WAITING} runs wait for a worker already: try again later")
        run = Run(str(uuid4()), job.kind, names, user, self._now_ns(), asked)
        self._beginning += 1
        try:
            self._tell(run, await self._store.put_run(run))
            self._under_way[run.run_id] = asyncio.create_task(self._work(run, job, steps, then), name=f"run {run.run_id}")
            await asyncio.sleep(0)  # it has asked for a worker then
        finally:
            self._beginning -= 1
        return run.run_id

    async def _work(self, run: Run, job: Job, steps: int, then: Then | None) -> None:
        """One run to its end, which is kept and told, whatever it is."""
        self.progress[run.run_id] = 0.0
        try:
            found = await self._jobs.run(job, lambda share: self.progress.__setitem__(run.run_id, share))
            ended = replace(run, state=RunState.DONE, seconds=round(found.seconds, 4), steps=steps, results=found.values)
        except JobFailed as fault:
            ended = replace(run, state=RunState.FAILED, why=f"{fault.reason}: {fault.why}", steps=steps)
        except asyncio.CancelledError:
            ended = replace(run, state=RunState.FAILED, why="cancelled", steps=steps)
        finally:
            self.progress.pop(run.run_id, None)
            self._under_way.pop(run.run_id, None)
        gone: Sequence[str] = ()
        try:
            if then is not None and ended.state is RunState.DONE:
                ended = await then(ended)
            gone = await self._store.put_run(ended)
        except self._unavailable:
            ended = replace(ended, state=RunState.FAILED, why="its results could not be kept: the disk is away", results={})
        self._tell(ended, gone)
        self._told(ended)

    async def _cancel(self, args: Args, _: Caller) -> Mapping[str, Any]:
        allow(args, {"run"})
        run_id = text_of(args, "run")
        task = self._under_way.get(run_id)
        if task is None:
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"no run {run_id[:80]!r} is under way")
        task.cancel()
        await asyncio.wait([task])
        return {"run": run_id}

    async def close(self) -> None:
        """Ends what is under way; each run says so."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _checked(present: Foresight, asks: Sequence[Ask]) -> list[str]:
    """Warnings. Raises Refused that names what cannot work."""
    if not present.models:
        raise Refused(quality.BAD_INVALID_STATE, "the configuration has no section `models`: there is nothing to simulate")
    try:
        model, start = tied(present.models), held(present.models) | dict(present.start)
        return list(dict.fromkeys(warning for ask in asks for warning in checked(model, start, ask, present.ranges)))
    except ModelError as fault:
        raise Refused(quality.BAD_OUT_OF_RANGE, str(fault)) from None


def job_args(present: Foresight, asks: Sequence[Ask], names: Sequence[str] = ()) -> dict[str, Any]:
    """What the jobs `simulate` and `compare` take."""
    return {
        "models": list(present.models),
        "start": dict(present.start),
        "limits": list(present.limits),
        "asks": [ask_row(ask) for ask in asks],
        "names": list(names),
    }


def ask_row(ask: Ask) -> dict[str, Any]:
    """JSON values."""
    return {
        "parameters": dict(ask.parameters),
        "horizon_s": ask.horizon_s,
        "step_s": ask.step_s,
        "runs": ask.runs,
        "uncertainty": ask.uncertainty,
        "antithetic": ask.antithetic,
        "half_width": dict(ask.half_width),
        "varied": dict(ask.varied),
    }


def _said(asks: Sequence[Ask], seed: int) -> dict[str, Any]:
    """What a run keeps of what was asked."""
    first = ask_row(asks[0])
    changed = {"parameters": first.pop("parameters")} if len(asks) == 1 else {"parameters": [dict(ask.parameters) for ask in asks]}
    return {**changed, **first, "seed": seed}


def _ask(scenario: Scenario, args: Args) -> Ask:
    """Of a command, else of the scenario, else as usual."""
    usual = Ask()
    return Ask(
        scenario.parameters,
        _first(maybe_number(args, "horizon_s"), scenario.horizon_s, usual.horizon_s),
        _first(maybe_number(args, "step_s"), scenario.step_s, usual.step_s),
        _first(whole(args, "runs"), scenario.runs, usual.runs),
        _first(maybe_number(args, "uncertainty"), None, usual.uncertainty),
        flag(args, "antithetic"),
        numbers(args, "half_width"),
        texts(args, "varied"),
    )


def _first(stated: N | None, own: N | None, usual: N) -> N:
    """The first that is there: 0 is a value, and refused as such."""
    found = own if stated is None else stated
    return usual if found is None else found
