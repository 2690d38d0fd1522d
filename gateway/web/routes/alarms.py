"""Alarms: conditions as they stand, what a person may do to them, and how well they serve (Part 9; IEC 62682)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from itertools import chain
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.alarm import SYSTEM_TAG, Condition, Limit, Transition
from gateway.model.event import Severity
from gateway.model.forecast import Prediction
from gateway.web import schema
from gateway.web.depend import Anyone, Context, TwinReader
from gateway.web.encode import Json
from gateway.web.routes.commands import Body, perform, validated
from gateway.web.times import iso

router = APIRouter(tags=["alarms and events"], default_response_class=Json)

_STATES: Final[dict[str, Callable[[Condition], bool]]] = {
    "active": lambda c: c.active,
    "retained": lambda c: c.retained,
    "all": lambda _: True,
}
GATEWAY: Final = "Gateway"  # whose own alarms stand under this name
_DAY_NS: Final = 86_400_000_000_000  # what is not expected within the horizon comes last
ROUND: Final = 500  # tags, or conditions, at a stretch


class SaidBody(BaseModel):
    """What a person says with it, and which state they saw."""

    model_config = ConfigDict(extra="forbid")

    comment: str = Field(default="", max_length=1000)
    serial: int | None = Field(default=None, description="of the transition that was seen: refused where a newer one asks for attention")


class ShelveBody(SaidBody):
    """For how long: one of the two."""

    duration: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="seconds, at most the rule's shelve_max")
    once: bool = Field(default=False, description="until it returns to normal")


@router.get("/alarms", response_model=None, responses=schema.of(schema.Alarms))
async def alarms(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    state: Annotated[
        Literal["active", "retained", "all"] | None,
        Query(description="retained: active, not acknowledged or not confirmed; all where another filter is given"),
    ] = None,
    active: bool | None = None,
    unacknowledged: bool | None = None,
    shelved: bool | None = None,
    suppressed: Annotated[bool | None, Query(description="suppressed or out of service")] = None,
    tag: Annotated[list[str] | None, Query(max_length=200)] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=20)] = None,
    offset: Annotated[int, Query(ge=0, description="so many of those that match are left out first")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000, description="at most so many")] = 10_000,
) -> Json:
    """Conditions as they stand, the most severe first; total says how many match."""
    flags = (active, unacknowledged, shelved, suppressed)
    state = state or ("retained" if flags == (None,) * 4 else "all")
    wanted, narrow = _STATES[state], state != "all" or True in flags
    tags, words = frozenset(tag or ()), frozenset(severity or ())
    found = [
        condition
        async for condition in _candidates(context.view, tags, narrow=narrow)
        if wanted(condition) and _matches(condition, flags) and (not words or Severity.of_level(condition.severity) in words)
    ]
    found.sort(key=lambda c: (-c.severity, -c.since_ns))
    return Json({"total": len(found), "offset": offset, "alarms": [condition_row(one) for one in found[offset : offset + limit]]})


async def _candidates(view: TwinView, names: Collection[str], *, narrow: bool) -> AsyncIterator[Condition]:
    """The conditions of these tags, or of all; narrow: but for those that are calm and not silenced. A long list leaves room for others."""
    if narrow and not names:
        async for condition in _noticeable(view):
            yield condition
        return
    own = [SYSTEM_TAG] if not names or GATEWAY in names else []
    tags = [view.tags.index[name] for name in names if name in view.tags.index] if names else view.ruled()
    for place, tag_id in enumerate([*tags, *own]):
        if place % ROUND == ROUND - 1:
            await asyncio.sleep(0)
        for rule in view.rules_of(tag_id):
            if rule.limit is not Limit.PREDICTED:
                with suppress(KeyError):  # a reload took it meanwhile
                    yield view.condition(rule.condition)


async def _noticeable(view: TwinView) -> AsyncIterator[Condition]:
    """Those of interest and the silenced ones, each once."""
    seen: set[str] = set()
    for condition in chain(view.each_retained(), view.each_silenced()):
        if condition.rule.condition not in seen and condition.rule.limit is not Limit.PREDICTED:
            seen.add(condition.rule.condition)
            yield condition
            if len(seen) % ROUND == 0:
                await asyncio.sleep(0)


def _matches(condition: Condition, flags: tuple[bool | None, ...]) -> bool:
    now = (condition.active, not condition.acknowledged, bool(condition.shelving), condition.suppressed or condition.out_of_service)
    return all(flag is None or flag is there for flag, there in zip(flags, now, strict=True))


@router.get("/alarms/performance", response_model=None, responses=schema.of(schema.AlarmPerformance))
async def performance(context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """How well the alarms serve their operator, over the last 24 hours (ISA-18.2, 16.5)."""
    return Json(await context.health.performance_report())


@router.get("/alerts", response_model=None, responses=schema.of(schema.Alarms))
async def alerts(context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """Predicted limits that are of interest or silenced, the soonest first: they are acknowledged and shelved by the routes of alarms."""
    found = {one.rule.condition: one for one in chain(context.view.each_retained(), context.view.each_silenced()) if _is_alert(one)}
    rows = [condition_row(one) for one in sorted(found.values(), key=_soon)]
    return Json({"total": len(rows), "offset": 0, "alarms": rows})


@router.get("/alerts/verification", response_model=None, responses=schema.of(schema.Verification))
async def verification(context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """What became of predicted limits: hits, false alarms, missed ones, lead times, Brier scores; in all and of each."""
    return Json(context.health.predicted_limits())


def _is_alert(condition: Condition) -> bool:
    return condition.rule.limit is Limit.PREDICTED


def _soon(condition: Condition) -> tuple[bool, int]:
    told = condition.prediction
    return not condition.active, 0 if told is None else told.expected_ns or told.issued_ns + _DAY_NS


def _documented(body: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": body.model_json_schema()}}}}


def _route(verb: str, summary: str, body: type[SaidBody] = SaidBody) -> None:
    """`POST /alarms/<tag>/Alarms/<limit>/<verb>` as the command `alarm.<verb>`."""

    async def operate(condition: str, context: Context, caller: Anyone, said: Body) -> Json:
        args = validated(body, said).model_dump(exclude_defaults=True)
        return await perform(context, caller, f"alarm.{verb}", {"condition": condition, **args})

    endpoint: Callable[..., Awaitable[Json]] = operate
    router.add_api_route(
        f"/alarms/{{condition:path}}/{verb}",
        endpoint,
        methods=["POST"],
        name=f"{verb}_alarm",
        summary=summary,
        response_model=None,
        responses=schema.of(schema.Outcome),
        openapi_extra=_documented(body),
    )


_route("acknowledge", "Acknowledges one condition, named <tag>/Alarms/<limit>")
_route("confirm", "Confirms one condition that was acknowledged")
_route("comment", "Says something about one condition")
_route("shelve", "Shelves one condition for a while, or once", ShelveBody)
_route("unshelve", "Ends a shelving")
_route("suppress", "Suppresses one condition")
_route("unsuppress", "Ends a suppression")
_route("out_of_service", "Takes one condition out of service")
_route("in_service", "Puts one condition into service again")
_route("enable", "Enables one condition")
_route("disable", "Disables one condition")
_route("reset", "Lets a latched condition go")


def condition_row(condition: Condition) -> dict[str, Any]:
    """A condition as JSON values."""
    rule, told = condition.rule, condition.prediction
    return ({} if told is None else {"prediction": prediction_row(told)}) | {
        "condition": rule.condition,
        "tag": rule.tag,
        "limit": rule.limit.value,
        "threshold": condition.threshold,
        "severity": Severity.of_level(condition.severity).value,
        "level": condition.severity,
        "message": condition.message or rule.message,
        "active": condition.active,
        "acknowledged": condition.acknowledged,
        "confirmed": condition.confirmed,
        "latched": condition.latched,
        "enabled": condition.enabled,
        "shelving": condition.shelving.name.lower(),
        "unshelve_at": iso(condition.unshelve_ns),
        "shelve_max_s": rule.shelve_max_ns / 1e9,
        "suppressed": condition.suppressed,
        "out_of_service": condition.out_of_service,
        "retained": condition.retained,
        "holds": None if condition.level is None else condition.level.value,
        "value": condition.value,
        "status": quality.name(condition.status),
        "since": iso(condition.since_ns),
        "change": None if condition.change is None else condition.change.value,
        "raised": iso(condition.active_ns) if condition.active_ns else None,
        "active_since": iso(condition.active_ns) if condition.active else None,
        "serial": condition.serial,
        "user": condition.user,
        "comment": condition.comment,
        "comment_user": condition.comment_user,
        "comment_time": iso(condition.comment_ns),
        "cause": rule.cause,
        "consequence": rule.consequence,
        "action": rule.action,
    }


def prediction_row(told: Prediction) -> dict[str, Any]:
    """What a predicted limit rests on: seconds from when it was issued; null: not within the horizon."""
    return {
        "limit": told.limit,
        "threshold": told.threshold,
        "probability": told.probability,
        "time": iso(told.expected_ns or 0),
        "lead_s": told.median_s,
        "early_s": told.early_s,
        "late_s": told.late_s,
        "issued": iso(told.issued_ns),
        "model": told.model,
    }


def transition_row(transition: Transition) -> dict[str, Any]:
    """A transition as JSON values: those of the condition after it, what changed, and when."""
    return condition_row(transition.condition) | {
        "change": transition.change.value,
        "since": iso(transition.at_ns),
        "timestamp": iso(transition.source_ns) or iso(transition.at_ns),
    }
