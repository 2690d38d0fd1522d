"""Is each part of the gateway doing its work? One line per component, with what a person needs in order to go on."""

from typing import Any, Final

from fastapi import APIRouter

from gateway.model import quality
from gateway.web import schema
from gateway.web.context import WebContext
from gateway.web.depend import Context, StatusReader
from gateway.web.encode import Json
from gateway.web.times import iso

router = APIRouter(tags=["status"], default_response_class=Json)

OK: Final = "ok"
ERROR: Final = "error"


@router.get("/diagnostics", response_model=None, responses=schema.of(schema.Diagnostics))
async def diagnostics(context: Context, caller: StatusReader) -> Json:  # noqa: ARG001 - asked for its permission
    """Each component with `status` (ok or error) and `details`; the whole is ok where all of them are."""
    status = context.health.status()
    components = {
        "gateway": _gateway(context),
        "twin": _twin(context),
        "events": await _events(context),
        "history": await _history(context),
    }
    for kind in ("sources", "sinks"):
        for name, unit in status.get(kind, {}).items():
            components[f"{kind[:-1]} {name}"] = _part(unit["state"] == "up", unit)
    components["outbox"] = _part(not any(fill["dropped"] for fill in status.get("outbox", ())), {"streams": status.get("outbox", [])})
    good = all(component["status"] == OK for component in components.values())
    return Json({"status": OK if good else ERROR, "time": iso(context.now_ns()), "components": components})


def _part(good: bool, details: dict[str, Any]) -> dict[str, Any]:
    return {"status": OK if good else ERROR, "details": details}


def _gateway(context: WebContext) -> dict[str, Any]:
    live, ready = context.health.live(), context.health.ready()
    return _part(live[0] and ready[0], {"live": live[0], "ready": ready[0], "reasons": list(dict.fromkeys(live[1] + ready[1]))})


def _twin(context: WebContext) -> dict[str, Any]:
    """Running = a value has come at all: a gateway without any live tag has nothing to twin."""
    view = context.view
    heard = bool((view.received_ns > 0).any())
    newest_ns = int(view.received_ns.max()) if heard else 0
    details = {
        "initialised": len(view.tags) > 0,
        "running": heard,
        "state_version": view.version,
        "tags": len(view.tags),
        "bad": int(quality.is_bad(view.status).sum()),
        "last_received": iso(newest_ns),
    }
    return _part(len(view.tags) > 0 and heard, details)


async def _events(context: WebContext) -> dict[str, Any]:
    try:
        newest = await context.events.query(limit=1)
    except context.unavailable as error:
        return _part(False, {"accessible": False, "why": str(error)})
    return _part(True, {"accessible": True, "newest": iso(newest[0].timestamp_ns) if newest else None})


async def _history(context: WebContext) -> dict[str, Any]:
    if not len(context.view.tags):
        return _part(True, {"accessible": True, "note": "there are no tags"})
    try:
        await context.history.read_at(0, context.now_ns())
    except context.unavailable as error:
        return _part(False, {"accessible": False, "why": str(error)})
    return _part(True, {"accessible": True})
