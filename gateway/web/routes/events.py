"""Events: the journal."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from gateway.model.event import Category, Event, Severity
from gateway.web import schema
from gateway.web.depend import Anyone, Context, EventReader, audible, moment
from gateway.web.encode import Json
from gateway.web.routes.commands import perform
from gateway.web.times import iso

router = APIRouter(tags=["alarms and events"], default_response_class=Json)


@router.get("/events", response_model=None, responses=schema.of(schema.Events))
async def events(
    context: Context,
    caller: EventReader,
    category: Annotated[list[Category] | None, Query(max_length=20)] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=20)] = None,
    source: str | None = None,
    since: Annotated[str | None, Query(description="ISO 8601, milliseconds since 1970, or now-1h")] = None,
    until: str | None = None,
    acknowledged: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="at most so many, the newest first")] = 100,
) -> Json:
    """The newest events that match, newest first. Those of category user: who did what, with the permission audit:read."""
    wanted = audible(caller.role).intersection(category or Category)
    if not wanted:
        return Json({"events": []})
    found = await context.events.query(
        categories=sorted(wanted),
        severities=severity or (),
        source=source,
        start_ns=None if since is None else moment("since", since, context),
        end_ns=None if until is None else moment("until", until, context),
        acknowledged=acknowledged,
        limit=limit,
    )
    return Json({"events": [event_row(event) for event in found]})


@router.post("/events/{event_id}/acknowledge", response_model=None, responses=schema.of(schema.Outcome))
async def acknowledge_event(event_id: str, context: Context, caller: Anyone) -> Json:
    """Marks one event as seen."""
    return await perform(context, caller, "event.acknowledge", {"event_id": event_id})


@router.delete("/events", response_model=None, responses=schema.of(schema.Outcome))
async def clear_events(
    context: Context, caller: Anyone, older_than_days: Annotated[float | None, Query(ge=0, le=100_000, allow_inf_nan=False)] = None
) -> Json:
    """Removes events from the journal: those older than so many days, or all of them; the result says how many."""
    args: Mapping[str, Any] = {} if older_than_days is None else {"older_than_days": older_than_days}
    return await perform(context, caller, "event.clear", args)


def event_row(event: Event) -> dict[str, Any]:
    """An event as JSON values, in the shape of the MQTT messages."""
    return {
        "event_id": event.event_id,
        "timestamp": iso(event.timestamp_ns),
        "category": event.category.value,
        "severity": event.severity.value,
        "level": event.level,
        "source": event.source,
        "message": event.message,
        "details": dict(event.details),
        "acknowledged": event.acknowledged,
    }
