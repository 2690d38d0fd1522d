"""Commands on calibrations: begun here, worked on in a worker, kept version by version; and the parameters that are in force."""

import asyncio
import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from gateway.contracts import HistoryView
from gateway.model import quality
from gateway.model.calibration import Upkeep, Version, VersionState
from gateway.model.command import Caller
from gateway.model.instant import iso
from gateway.model.process import ProcessModel, Run
from gateway.model.series import Series
from gateway.model.tag import TagTable
from gateway.operations.arguments import BAD_INVALID_ARGUMENT, allow, number, whole
from gateway.operations.door import Args, Operation, Refused, names_of, text_of
from gateway.work import Column, Job

WINDOW_S: Final = 86_400.0
LONGEST_S: Final = 366 * 86_400.0
DEADLINE_S: Final = 300.0
MOST_SAMPLES: Final = 1_000_000
"""Of one tag in one window."""
LOOK_S: Final = 5.0  # between two looks at what is due
SYSTEM: Final = "calibration"
"""The user of what is done on schedule."""
_ASKED: Final = frozenset({"model", "tag", "window_s", "parameters", "step_s", "apply", "deadline_s"})


class VersionStore(Protocol):
    """Where versions are kept (`store.calibrations`)."""

    async def versions(self, model: str | None = None) -> list[Version]: ...
    async def add(self, version: Version) -> Version: ...
    async def put(self, changed: Sequence[Version]) -> None: ...


class Begin(Protocol):
    """`begin` of the simulations: a run of a job."""

    async def __call__(
        self,
        job: Job,
        names: Sequence[str],
        user: str,
        asked: Mapping[str, Any],
        steps: int = 0,
        then: Callable[[Run], Awaitable[Run]] | None = None,
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class Configured:
    """The models as the configuration has them, and what it says of their upkeep, by name."""

    models: Sequence[ProcessModel]
    upkeep: Mapping[str, Upkeep]


Told = Callable[[str, bool, Mapping[str, Any]], None]
"""(message, whether it asks for attention, details)."""


class Calibrations:
    """configured() is asked each time: a reload changes it. load() before anything else."""

    def __init__(
        self,
        table: VersionStore,
        begin: Begin,
        history: HistoryView,
        tags: Callable[[], TagTable],
        configured: Callable[[], Configured],
        told: Told,
        now_ns: Callable[[], int],
        unavailable: tuple[type[Exception], ...] = (),
    ) -> None:
        self._table, self._begin, self._history, self._tags, self._configured = table, begin, history, tags, configured
        self._told, self._now_ns, self._unavailable = told, now_ns, unavailable
        self._in_force: dict[str, Version] = {}
        self._began_ns: dict[str, int] = {}  # of the last try of a model on schedule
        self._turn, self._loaded = asyncio.Lock(), False
        self._closing = asyncio.Event()
        self.changes = 0  # counts what was put in force or taken out of it

    def operations(self) -> dict[str, Operation]:
        return {
            "calibration.run": Operation(
                "model:calibrate",
                self._run,
                "parameters of a model from history: model or tag, window_s, parameters, step_s, apply, deadline_s",
            ),
            "calibration.apply": Operation("model:calibrate", self._apply_command, "put a version in force: model, version"),
            "calibration.rollback": Operation("model:calibrate", self._rollback, "go back to the parameters before: model"),
            "calibration.list": Operation("twin:read", self._list, "versions of calibrated parameters, newest first: model", reads=True),
        }

    # --- what is in force ----------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """At the start: what is in force. Raises what `unavailable` names."""
        versions = await self._table.versions()
        self._in_force = {one.model: one for one in versions if one.state is VersionState.APPLIED}
        for one in reversed(versions):
            self._began_ns[one.model] = one.created_ns
        self._loaded = True
        self.changes += 1
        await self.void()

    def models(self) -> tuple[ProcessModel, ...]:
        """All models with the parameters that are in force. A version of a model that has changed since does not count."""
        return tuple(_with(model, self._in_force.get(model.name)) for model in self._configured().models)

    async def void(self) -> None:
        """Versions in force whose model the configuration has changed, or has no longer, are void; each is told."""
        async with self._turn:
            now = {model.name: model_hash(model) for model in self._configured().models}
            over = [one for one in self._in_force.values() if now.get(one.model) != one.model_hash]
            if not over:
                return
            await self._table.put([replace(one, state=VersionState.VOID) for one in over])
            for one in over:
                del self._in_force[one.model]
                why = "is changed in the configuration" if one.model in now else "is no longer in the configuration"
                message = f"calibration {one.number} of {one.model} is void: the model {why}; its configured parameters are in force"
                self._told(message, True, {"model": one.model, "version": one.number})
            self.changes += 1

    async def _put_in_force(self, version: Version, others: Sequence[Version]) -> Version:
        last = max((one.applied for one in others), default=0)
        now = replace(version, state=VersionState.APPLIED, applied=last + 1)
        before = self._in_force.get(version.model)
        changed = [now] if before is None else [now, replace(before, state=VersionState.REPLACED)]
        await self._table.put(changed)
        self._in_force[version.model] = now
        self.changes += 1
        return now

    # --- commands ------------------------------------------------------------------------------------------------------------------

    async def _run(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        allow(args, _ASKED)
        model = self._target(args)
        upkeep = self._configured().upkeep.get(model.name, Upkeep())
        window_s = number(args, "window_s", upkeep.window_s)
        if not 0 < window_s <= LONGEST_S:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"window_s is above 0 and at most {LONGEST_S:g}, got {window_s:g}")
        step_s = number(args, "step_s", math.nan)
        if step_s <= 0:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"step_s is above 0, got {step_s:g}")
        parameters = names_of(args, "parameters") if args.get("parameters") is not None else list(upkeep.parameters)
        apply = args.get("apply", False)
        if not isinstance(apply, bool):
            raise Refused(quality.BAD_TYPE_MISMATCH, f"argument 'apply' is true or false, got {str(apply)[:80]!r}")
        asked = replace(upkeep, window_s=window_s, parameters=tuple(parameters), apply=apply)
        deadline_s = number(args, "deadline_s", DEADLINE_S)
        run_id = await self._calibrate(model, asked, caller.user, None if math.isnan(step_s) else step_s, deadline_s)
        return {"run": run_id, "model": model.name, "warnings": []}

    def _target(self, args: Args) -> ProcessModel:
        """The model that is named, or that gives the tag."""
        models = {model.name: model for model in self._configured().models}
        if not models:
            raise Refused(quality.BAD_INVALID_STATE, "the configuration has no section `models`: there is nothing to calibrate")
        if ("model" in args) == ("tag" in args):
            raise Refused(BAD_INVALID_ARGUMENT, "name a model, or a tag that a model gives")
        if "model" in args:
            name = text_of(args, "model")
            if name not in models:
                raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no model {name[:80]!r}; there are {', '.join(sorted(models))}"[:900])
            return models[name]
        tag = text_of(args, "tag")
        found = next((model for model in models.values() if tag in model.outputs.values()), None)
        if found is None:
            given = ", ".join(sorted(name for model in models.values() for name in model.outputs.values()))
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"no model gives the tag {tag[:80]!r}; models give {given}"[:900])
        return found

    async def _calibrate(self, model: ProcessModel, asked: Upkeep, user: str, step_s: float | None, deadline_s: float) -> str:
        end_ns = self._now_ns()
        start_ns = end_ns - round(asked.window_s * 1e9)
        present = _with(model, self._in_force.get(model.name))
        args, arrays, data_hash = await self._data(present, start_ns, end_ns)
        args |= {"parameters": list(asked.parameters), "step_s": step_s}

        async def then(run: Run) -> Run:
            return await self._keep(run, model, asked, (start_ns, end_ns), data_hash)

        said = {"model": model.name, "window_s": asked.window_s, "parameters": list(asked.parameters), "apply": asked.apply, "seed": 0}
        return await self._begin(Job("calibrate", args, arrays, deadline_s=deadline_s), [model.name], user, said, 0, then)

    async def _data(self, model: ProcessModel, start_ns: int, end_ns: int) -> tuple[dict[str, Any], dict[str, Column], str]:
        """(arguments of the job, its arrays, hash of the samples)."""
        tags = list(dict.fromkeys([*model.outputs.values(), *(tag for tag in model.inputs.values() if isinstance(tag, str))]))
        arrays, found = dict[str, Column](), hashlib.sha256()
        for k, name in enumerate(tags):
            tag = self._tags().named(name)
            if tag is None:
                raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"{model.name}: there is no tag {name!r} any more")
            inside = await self._history.read(tag.tag_id, start_ns, end_ns, MOST_SAMPLES + 1)
            if inside.source_ns.size > MOST_SAMPLES:
                raise Refused(quality.BAD_OUT_OF_RANGE, f"{name} has more than {MOST_SAMPLES} samples in the window: take a shorter one")
            before = await self._history.read_at(tag.tag_id, start_ns)
            for word, column in _columns(before, inside, start_ns).items():
                arrays[f"{word}/{k}"] = column
                found.update(column.tobytes())
        rule = {key: dict(value) if isinstance(value, Mapping) else value for key, value in asdict(model).items()}
        args = {"model": rule, "tags": tags, "start_s": 0.0, "end_s": (end_ns - start_ns) / 1e9}
        return args, arrays, found.hexdigest()

    async def _keep(self, run: Run, model: ProcessModel, asked: Upkeep, window: tuple[int, int], data_hash: str) -> Run:
        """A new version; in force where that was asked for and it is no worse. The run says so."""
        report = dict(run.results)
        estimates = report["parameters"]
        version = Version(
            model.name, 0, run.run_id, run.user, self._now_ns(), *window, data_hash, model_hash(model),
            {one["name"]: one["value"] for one in estimates}, dict(report["spread"]),
            {key: value for key, value in report.items() if key != "plot"},
        )  # fmt: skip
        async with self._turn:
            version = await self._table.add(version)
            if asked.apply and report["better"] and model in self._configured().models:
                version = await self._put_in_force(version, await self._table.versions(model.name))
        applied = version.state is VersionState.APPLIED
        said = f"calibration {version.number} of {model.name}: {_fits(report)}"
        why = "" if applied or not asked.apply else "not applied: it is worse on held-out data than what is in force"
        self._told(
            said + (", applied" if applied else f", {why}" if why else ""), bool(why), {"model": model.name, "version": version.number}
        )
        return replace(run, results={**report, "version": version.number, "applied": applied, "why": why, "data_hash": data_hash})

    async def _apply_command(self, args: Args, _: Caller) -> Mapping[str, Any]:
        allow(args, {"model", "version"})
        model, wanted = self._target({"model": text_of(args, "model")}), whole(args, "version")
        if wanted is None:
            raise Refused(BAD_INVALID_ARGUMENT, "argument 'version' is the number of a version")
        async with self._turn:
            versions = await self._table.versions(model.name)
            one = next((version for version in versions if version.number == wanted), None)
            if one is None:
                raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"{model.name} has no version {wanted}")
            if one.state is VersionState.APPLIED:
                raise Refused(quality.BAD_INVALID_STATE, f"version {wanted} of {model.name} is in force already")
            if one.model_hash != model_hash(model):
                why = f"version {wanted} was made for {model.name} as it was configured before: calibrate it again"
                raise Refused(quality.BAD_INVALID_STATE, why)
            if not one.report.get("better", False):
                raise Refused(
                    quality.BAD_INVALID_STATE, f"version {wanted} is worse on held-out data than what was in force: {_fits(one.report)}"
                )
            one = await self._put_in_force(one, versions)
        self._told(f"calibration {one.number} of {model.name} is applied", False, {"model": model.name, "version": one.number})
        return {"model": model.name, "version": one.number, "parameters": dict(one.parameters)}

    async def _rollback(self, args: Args, _: Caller) -> Mapping[str, Any]:
        """To the version that was in force before, else to the configuration's own parameters."""
        allow(args, {"model"})
        model = self._target({"model": text_of(args, "model")})
        async with self._turn:
            now = self._in_force.get(model.name)
            if now is None:
                raise Refused(
                    quality.BAD_INVALID_STATE, f"{model.name} runs on its configured parameters: there is nothing to go back from"
                )
            fitting = [
                one
                for one in await self._table.versions(model.name)
                if one.state is VersionState.REPLACED and one.model_hash == model_hash(model)
            ]
            before = max(fitting, key=lambda one: one.applied, default=None)
            changed = [replace(now, state=VersionState.ROLLED_BACK)]
            if before is not None:
                before = replace(before, state=VersionState.APPLIED)
                changed.append(before)
            await self._table.put(changed)
            if before is None:
                del self._in_force[model.name]
            else:
                self._in_force[model.name] = before
            self.changes += 1
        to = "its configured parameters" if before is None else f"version {before.number}"
        self._told(f"calibration {now.number} of {model.name} is rolled back to {to}", True, {"model": model.name, "version": now.number})
        return {"model": model.name, "from": now.number, "version": None if before is None else before.number}

    async def _list(self, args: Args, _: Caller) -> Mapping[str, Any]:
        allow(args, {"model"})
        model = text_of(args, "model") if "model" in args else None
        if model is not None:
            self._target({"model": model})
        return {"versions": [version_row(one) for one in await self._table.versions(model)]}

    # --- on schedule ---------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Calibrates what is due, until close()."""
        while not self._closing.is_set():
            with suppress(*self._unavailable):
                await (self.void() if self._loaded else self.load())
                await self.due()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._closing.wait()

    async def due(self) -> None:
        """Begins what is due: `every` after the last version, and the first one once a window has passed since the start."""
        now_ns = self._now_ns()
        for model in self._configured().models:
            upkeep = self._configured().upkeep.get(model.name)
            if upkeep is None or not upkeep.every_s:
                continue
            last_ns = self._began_ns.setdefault(model.name, now_ns)
            if now_ns - last_ns < upkeep.every_s * 1e9:
                continue
            self._began_ns[model.name] = now_ns
            try:
                await self._calibrate(model, upkeep, SYSTEM, None, DEADLINE_S)
            except Refused as refused:
                self._told(f"{model.name} is not calibrated: {refused.message}", True, {"model": model.name})

    def close(self) -> None:
        """Ends run(). Idempotent."""
        self._closing.set()


def in_force(models: Sequence[ProcessModel], versions: Sequence[Version]) -> tuple[ProcessModel, ...]:
    """The models with the versions that are applied; for those who open the store themselves."""
    applied = {one.model: one for one in versions if one.state is VersionState.APPLIED}
    return tuple(_with(model, applied.get(model.name)) for model in models)


def model_hash(model: ProcessModel) -> str:
    """Of all that the configuration says of a model: its parameters are calibrated as those of this model."""
    return hashlib.sha256(json.dumps(asdict(model), sort_keys=True).encode()).hexdigest()


def _with(model: ProcessModel, version: Version | None) -> ProcessModel:
    if version is None or version.model_hash != model_hash(model):
        return model
    own = {name: sd for name, sd in model.spread.items() if name not in version.parameters}
    others = {name: text for name, text in model.varied.items() if name not in version.parameters}
    return replace(model, parameters={**model.parameters, **version.parameters}, spread={**own, **version.spread}, varied=others)


def _columns(before: Series, inside: Series, start_ns: int) -> dict[str, Column]:
    rows = before.source_ns < start_ns  # what an input is until its first sample in the window
    source_ns = np.concatenate([before.source_ns[rows], inside.source_ns])
    value, status = np.concatenate([before.value[rows], inside.value]), np.concatenate([before.status[rows], inside.status])
    return {"time_s": (source_ns - start_ns) / 1e9, "value": value, "status": status}


def _fits(report: Mapping[str, Any]) -> str:
    """How well it fits what it has not seen, in words."""
    return f"{report['held_out']['fit']:.1f} % of held-out data, before {report['before']['fit']:.1f} %"


def version_row(one: Version) -> dict[str, Any]:
    """JSON values."""
    return {
        "model": one.model,
        "version": one.number,
        "state": one.state.value,
        "run": one.run_id,
        "user": one.user,
        "created": iso(one.created_ns),
        "window": {"from": iso(one.start_ns), "to": iso(one.end_ns)},
        "data_hash": one.data_hash,
        "parameters": dict(one.parameters),
        "report": dict(one.report),
    }
