"""KPIs of the line: figures of the shift, of the previous one and of today, and the event log that they are made of."""

import csv
import io
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.outlook import KpiView
from gateway.web import schema
from gateway.web.context import WebContext
from gateway.web.depend import Context, HistoryReader, TwinReader
from gateway.web.encode import Json
from gateway.web.problems import Problem
from gateway.web.times import parse

router = APIRouter(tags=["kpi"], default_response_class=Json)

COLUMNS: Final = ("datetime", "timestamp", "machine", "state", "event_type", "duration")


class LineEvent(schema.Shape):
    datetime: str
    timestamp: float
    machine: str
    state: str
    event_type: str
    duration: float


class LineEvents(schema.Shape):
    events: list[LineEvent]


def _view(context: WebContext) -> KpiView:
    if context.kpis is None or context.kpis.document() is None:
        raise Problem(404, "this gateway has no line: tie machines to tags in the section `line` of its configuration")
    return context.kpis


@router.get("/kpi", response_model=None)
async def kpi(context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """OEE and its factors, losses, bottleneck, economics and coverage: of the line and each machine, by period, and the forecast."""
    return Json(_view(context).document())


@router.get("/kpi/events", response_model=None, responses=schema.of(LineEvents))
async def events(
    context: Context,
    caller: HistoryReader,  # noqa: ARG001 - asked for its permission
    period: Literal["shift", "previous", "today"] = "shift",
    from_: Annotated[str | None, Query(alias="from", description="from then on, instead of the period's begin")] = None,
    to: Annotated[str | None, Query(description="until then, instead of the instant of the figures")] = None,
    format: Literal["json", "csv"] = "json",  # noqa: A002 - the name in the address
) -> Response:
    """The line's event log: states by the plant's own times, and items counted. What the figures are is worked out of it again exactly."""
    view = _view(context)
    span = view.span(period)
    if span is None:
        raise Problem(503, "the accounts of the line are being made from history: ask again in a moment")
    begin_ns, end_ns = _moment(context, "from", from_, span[0]), _moment(context, "to", to, span[1])
    if not begin_ns < end_ns:
        raise Problem.field("to", "an instant after `from`")
    rows = view.log(begin_ns, end_ns)
    if format == "csv":
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        name = f'attachment; filename="{context.identity.name}-events-{period}.csv"'
        return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})
    found: list[dict[str, Any]] = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return Json({"events": found})


def _moment(context: WebContext, name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        return parse(text, context.now_ns())
    except ValueError as fault:
        raise Problem.field(name, str(fault)) from None
