"""Changes: every one of them is a command, and what the operations say becomes the HTTP status."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.model import quality
from gateway.model.command import Caller, Command, Outcome
from gateway.model.jsontext import loads
from gateway.web import schema
from gateway.web.context import WebContext
from gateway.web.depend import Anyone, Context
from gateway.web.encode import Json
from gateway.web.problems import Problem

router = APIRouter(tags=["commands"], default_response_class=Json)

BODY_S: Final = 15.0

_HTTP: Final[Mapping[int, int]] = MappingProxyType(
    {
        quality.BAD_USER_ACCESS_DENIED: 403,
        quality.BAD_NOT_WRITABLE: 403,
        0x8004_0000: 503,  # BadResourceUnavailable
        0x8021_0000: 403,  # BadIdentityTokenRejected
        quality.BAD_NODE_ID_UNKNOWN: 404,
        quality.BAD_NO_DATA: 404,
        0x8075_0000: 404,  # BadMethodInvalid
        0x809A_0000: 404,  # BadEventIdUnknown
        quality.BAD_INVALID_STATE: 409,
        0x80CF_0000: 409,  # BadConditionBranchAlreadyAcked
        0x80D3_0000: 422,  # BadShelvingTimeOutOfRange
        quality.BAD_OUT_OF_SERVICE: 409,
        quality.BAD_OUT_OF_RANGE: 422,
        quality.BAD_TYPE_MISMATCH: 422,
        0x80AB_0000: 422,  # BadInvalidArgument
        0x8012_0000: 422,  # BadCertificateInvalid
        quality.BAD_CONFIGURATION_ERROR: 422,
        quality.BAD_NOT_SUPPORTED: 404,
        quality.BAD_NOT_CONNECTED: 503,
        quality.BAD_NO_COMMUNICATION: 503,
        quality.BAD_TIMEOUT: 504,
        quality.BAD_UNEXPECTED_ERROR: 500,
    }
)


Model = TypeVar("Model", bound=BaseModel)


class CommandBody(BaseModel):
    """One command: its kind and its arguments."""

    model_config = ConfigDict(extra="forbid")

    command: str = Field(min_length=1, max_length=100, description="for example alarm.acknowledge")
    args: dict[str, Any] = Field(default_factory=dict)


async def json_body(request: Request) -> Any:
    """The JSON of a request, {} for an empty body; Problem 422 for anything else, 415 for what another page could send unasked."""
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.body()
    except TimeoutError:
        raise Problem(408, f"the body did not come within {BODY_S:.0f} s") from None
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "send the body as application/json")
    try:
        return loads(body)
    except ValueError as error:
        raise Problem.field("body", str(error)) from None


Body = Annotated[Any, Depends(json_body)]


def validated(model: type[Model], body: Any) -> Model:
    """The body as that model; Problem 422 with one entry per fault."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        errors = [{"field": ".".join(map(str, fault["loc"])) or "body", "detail": _why(model, fault)} for fault in error.errors()]
        raise Problem(422, "; ".join(f"{fault['field']}: {fault['detail']}" for fault in errors), errors=errors) from None


def _why(model: type[BaseModel], fault: Mapping[str, Any]) -> str:
    """What is wrong with a field; of one that there is not, also which there are."""
    if fault["type"] != "extra_forbidden":
        return str(fault["msg"])
    known = sorted(one.alias or name for name, one in model.model_fields.items()) if len(fault["loc"]) == 1 else []
    return f"is not a known field (known: {', '.join(known)})" if known else "is not a known field"


async def perform(context: WebContext, caller: Caller, kind: str, args: Mapping[str, Any]) -> Json:
    """Through the one door; the outcome as JSON, Problem where it is Bad."""
    return Json(_shown(kind, await execute(context, caller, kind, args)))


async def execute(context: WebContext, caller: Caller, kind: str, args: Mapping[str, Any]) -> Outcome:
    """Through the one door; Problem where the outcome is Bad."""
    outcome = await context.commands.execute(Command(kind, args, caller))
    if quality.word(outcome.status) == "bad":
        raise refused(kind, outcome)
    return outcome


def _shown(kind: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "command": kind,
        "status": quality.name(outcome.status),
        "code": outcome.status,
        "message": outcome.message,
        "result": dict(outcome.result),
    }


def refused(kind: str, outcome: Outcome) -> Problem:
    """What a Bad outcome is in HTTP."""
    shown = _shown(kind, outcome)
    more = {"status_code": shown["status"], "code": outcome.status, "command": kind, "result": shown["result"]}
    return Problem(_HTTP.get(outcome.status & 0xFFFF_0000, 409), outcome.message or shown["status"], more=more)


_BODY: Final = {"requestBody": {"content": {"application/json": {"schema": CommandBody.model_json_schema()}}, "required": True}}


@router.post("/commands", response_model=None, responses=schema.of(schema.Outcome), openapi_extra=_BODY)
async def commands(context: Context, caller: Anyone, body: Body) -> Json:
    """Executes one command. 403: not permitted, 404: unknown, 409: not now, 422: out of range or wrong type, 503: no link to the plant."""
    asked = validated(CommandBody, body)
    return await perform(context, caller, asked.command, asked.args)
