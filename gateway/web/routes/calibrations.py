"""Calibrated parameters: begun here, read at /runs/{run} once done, kept as versions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.web import schema
from gateway.web.depend import Anyone, Context, TwinReader
from gateway.web.encode import Json
from gateway.web.routes.commands import Body, execute, perform, validated

router = APIRouter(tags=["simulation"], default_response_class=Json)

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CalibrationBody(BaseModel):
    """Which model (by its name, or by a tag that it gives), from how much of the newest history."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    tag: str | None = None
    window_s: Seconds | None = None
    parameters: list[str] | None = Field(default=None, max_length=64, description="only these are sought")
    step_s: Seconds | None = None
    apply: bool = Field(default=False, description="put it in force, unless it is worse on held-out data")
    deadline_s: Seconds | None = None


class VersionBody(BaseModel):
    """One version."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1)


class VersionRow(schema.Shape):
    model: str
    version: int
    state: str = Field(description="kept, applied (in force), replaced, rolled_back or void")
    run: str
    user: str
    created: str
    window: dict[str, str]
    data_hash: str
    parameters: dict[str, float]
    report: dict[str, Any]


class Versions(schema.Shape):
    versions: list[VersionRow]


class Begun(schema.Shape):
    run: str
    model: str
    warnings: list[str]


def _asked(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}


@router.get("/calibrations", response_model=None, responses=schema.of(Versions))
async def calibrations(
    context: Context,
    caller: TwinReader,
    model: Annotated[str | None, Query(max_length=64, description="of this one only")] = None,
) -> Json:
    """All versions, the newest first."""
    return Json(dict((await execute(context, caller, "calibration.list", {} if model is None else {"model": model})).result))


@router.post("/calibrations", status_code=202, response_model=None, responses=schema.of(Begun, 202), openapi_extra=_asked(CalibrationBody))
async def begin(context: Context, caller: Anyone, body: Body) -> Json:
    """Begins a calibration, and says which run it is: its report is at /runs/{run}."""
    args = validated(CalibrationBody, body).model_dump(exclude_none=True)
    return Json(dict((await execute(context, caller, "calibration.run", args)).result), status_code=202)


@router.post("/calibrations/{model}/apply", response_model=None, responses=schema.of(schema.Outcome), openapi_extra=_asked(VersionBody))
async def apply(model: str, context: Context, caller: Anyone, body: Body) -> Json:
    """Puts a version in force. 409: it is worse on held-out data, or its model has changed since."""
    return await perform(context, caller, "calibration.apply", {"model": model, "version": validated(VersionBody, body).version})


@router.post("/calibrations/{model}/rollback", response_model=None, responses=schema.of(schema.Outcome))
async def rollback(model: str, context: Context, caller: Anyone) -> Json:
    """Goes back to the parameters that were in force before."""
    return await perform(context, caller, "calibration.rollback", {"model": model})
