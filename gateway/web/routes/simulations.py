"""Scenarios and runs: what would happen if. A run is begun by a command and read here once it has ended."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.model.process import Run, RunState
from gateway.outlook import RunView
from gateway.web import schema
from gateway.web.context import WebContext
from gateway.web.depend import Anyone, Context, TwinReader, moment
from gateway.web.encode import Json
from gateway.web.problems import Problem
from gateway.web.routes.commands import Body, execute, perform, validated
from gateway.web.rows import scenario_row
from gateway.web.times import iso

router = APIRouter(tags=["simulation"], default_response_class=Json)

Pair = tuple[float, float]
Changes = Annotated[
    dict[str, float | list[Pair]],
    Field(max_length=200, description="tag or model.parameter -> value; an input also -> [[seconds, value], ...], a course"),
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ScenarioBody(BaseModel):
    """What a scenario changes, and how it is run where nothing else is asked."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=1000)
    parameters: Changes = Field(default_factory=dict)
    horizon_s: Seconds | None = None
    step_s: Seconds | None = None
    runs: int | None = Field(default=None, ge=1)


class AskBody(BaseModel):
    """How it is run."""

    model_config = ConfigDict(extra="forbid")

    horizon_s: Seconds | None = None
    step_s: Seconds | None = None
    runs: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)
    deadline_s: Seconds | None = None
    uncertainty: float | None = Field(default=None, ge=0, le=1, description="relative standard deviation of all parameters")
    antithetic: bool = Field(default=False, description="the second half of the runs has the negated noise of the first")
    half_width: dict[str, float] = Field(
        default_factory=dict, description="tag -> 95 % half-width of its mean at the horizon that is enough; runs is then the most"
    )
    varied: dict[str, str] = Field(default_factory=dict, description="tag or model.parameter -> uniform(1, 2) or another distribution")


class RunBody(AskBody):
    """A what-if: of a scenario, or from the present state; parameters come on top."""

    scenario: str | None = None
    parameters: Changes = Field(default_factory=dict)
    sensitivity: bool = Field(default=False, description="also which parameter the spread comes from (Sobol)")
    risk: float | None = Field(default=None, ge=0, le=1, description="also a verdict: valid where no limit is likelier to be reached")
    at: str | None = Field(default=None, description="a past time: simulated from then, to now, and compared with what was measured")


class CompareBody(AskBody):
    """The first is what the others are compared with; `now` changes nothing."""

    compare: list[str] = Field(min_length=1, max_length=8)


class ScenarioRow(schema.Shape):
    name: str
    description: str
    parameters: dict[str, float | list[Pair]]
    horizon_s: float | None
    step_s: float | None
    runs: int | None
    created: str | None
    updated: str | None
    configured: bool = Field(description="it belongs to the configuration, and is changed there")


class Scenarios(schema.Shape):
    scenarios: list[ScenarioRow]


class RunRow(schema.Shape):
    run: str
    kind: str
    scenarios: list[str]
    user: str
    started: str | None
    state: RunState
    progress: float | None = Field(description="the share that is done; null once it has ended")
    seconds: float
    steps: int
    why: str
    asked: dict[str, Any]


class WholeRun(RunRow):
    results: dict[str, Any] = Field(
        description="time_s, outputs (mean, sd, p05, p50, p95 by tag), limits (probability, time_s), partial; delta (against no change); "
        "sensitivity; measured and as_it_was (with `at`: what was measured, and how well the models follow it without a change)"
    )


class Runs(schema.Shape):
    runs: list[RunRow]


class Begun(schema.Shape):
    run: str
    seed: int
    warnings: list[str]


def _view(context: WebContext) -> RunView:
    if context.simulations is None:
        raise Problem(404, "this gateway simulates nothing")
    return context.simulations


@router.get("/scenarios", response_model=None, responses=schema.of(Scenarios))
async def scenarios(context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """All of them, by name."""
    return Json({"scenarios": [scenario_row(pair[0], configured=pair[1]) for pair in await _view(context).scenarios()]})


@router.get("/scenarios/{name}", response_model=None, responses=schema.of(ScenarioRow))
async def scenario(name: str, context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """One of them."""
    for pair in await _view(context).scenarios():
        if pair[0].name == name:
            return Json(scenario_row(pair[0], configured=pair[1]))
    raise Problem(404, f"there is no scenario {name[:80]!r}")


_SCENARIO = {"requestBody": {"content": {"application/json": {"schema": ScenarioBody.model_json_schema()}}, "required": True}}
_RUN = {
    "requestBody": {
        "content": {"application/json": {"schema": {"anyOf": [RunBody.model_json_schema(), CompareBody.model_json_schema()]}}},
        "required": True,
    }
}


@router.put("/scenarios/{name}", response_model=None, responses=schema.of(schema.Outcome), openapi_extra=_SCENARIO)
async def save(name: str, context: Context, caller: Anyone, body: Body) -> Json:
    """Keeps a scenario under that name."""
    asked = validated(ScenarioBody, body)
    return await perform(context, caller, "scenario.save", {"name": name, **asked.model_dump(exclude_none=True)})


@router.delete("/scenarios/{name}", response_model=None, responses=schema.of(schema.Outcome))
async def delete(name: str, context: Context, caller: Anyone) -> Json:
    """Removes a scenario."""
    return await perform(context, caller, "scenario.delete", {"name": name})


@router.get("/runs", response_model=None, responses=schema.of(Runs))
async def runs(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    limit: Annotated[int, Query(ge=1, le=100, description="at most so many")] = 100,
) -> Json:
    """The last runs, newest first, without their results."""
    view = _view(context)
    return Json({"runs": [_run_row(one, view) for one in await view.runs(limit)]})


@router.get("/runs/{run}", response_model=None, responses=schema.of(WholeRun))
async def run(run: str, context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """One run with its results."""
    view = _view(context)
    found = await view.run(run)
    if found is None:
        raise Problem(404, f"there is no run {run[:80]!r} (any more)")
    return Json(_run_row(found, view) | {"results": dict(found.results)})


@router.post("/runs", status_code=202, response_model=None, responses=schema.of(Begun, 202), openapi_extra=_RUN)
async def begin(context: Context, caller: Anyone, body: Body) -> Json:
    """Begins a run, and says which: its results are at /runs/{run} once its state is no longer `running`."""
    if isinstance(body, dict) and "compare" in body:
        asked = validated(CompareBody, body).model_dump(exclude_none=True)
        kind, args = "scenario.compare", {"names": asked.pop("compare"), **asked}
    else:
        args = validated(RunBody, body).model_dump(exclude_none=True)
        if "at" in args:
            args["at"] = iso(moment("at", args["at"], context))
        name = args.pop("scenario", None)
        kind, args = ("simulation.run", args) if name is None else ("scenario.run", args | {"name": name})
    return Json(dict((await execute(context, caller, kind, args)).result), status_code=202)


@router.delete("/runs/{run}", response_model=None, responses=schema.of(schema.Outcome))
async def cancel(run: str, context: Context, caller: Anyone) -> Json:
    """Ends a run that is under way."""
    return await perform(context, caller, "simulation.cancel", {"run": run})


def _run_row(one: Run, view: RunView) -> dict[str, Any]:
    return {
        "run": one.run_id,
        "kind": one.kind,
        "scenarios": list(one.scenarios),
        "user": one.user,
        "started": iso(one.started_ns),
        "state": one.state.value,
        "progress": view.progress(one.run_id),
        "seconds": one.seconds,
        "steps": one.steps,
        "why": one.why,
        "asked": dict(one.asked),
    }
