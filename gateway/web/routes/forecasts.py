"""Forecasts: what is foreseen of each tag, how far to its limits, how good such forecasts were, and what was forecast before."""

import csv
import io
import math
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from gateway.model import quality
from gateway.model.duration import seconds
from gateway.model.forecast import Foretold, Outlook, Scores
from gateway.model.forecast_record import instants, scalars
from gateway.model.instant import iso_column
from gateway.model.tag import Tag
from gateway.outlook import ForecastView
from gateway.web import schema
from gateway.web.context import WebContext
from gateway.web.depend import Context, HistoryReader, TwinReader, tag_named
from gateway.web.encode import Json
from gateway.web.problems import Problem
from gateway.web.times import iso

router = APIRouter(tags=["forecasts"], default_response_class=Json)

ROWS: Final = 100_000  # of what was forecast before, in one answer
_LONGEST_S: Final = 366 * 86_400.0
_CSV: Final = "text/csv; charset=utf-8"


class LimitTimes(schema.Shape):
    p05: float | None
    p50: float | None
    p95: float | None


class LimitRow(schema.Shape):
    limit: str = Field(description="HIHI, HI, LO or LOLO")
    threshold: float | None
    probability: float | None = Field(description="that it is passed before the horizon's end")
    time_s: LimitTimes = Field(description="by when, in seconds from `issued`, with that probability; null: not within the horizon")
    expected: str | None = Field(description="that moment, by the median")


class ForecastRow(schema.Shape):
    tag: str
    unit: str
    issued: str | None = Field(description="null: none was issued yet")
    lead_s: float
    timestamp: str | None = Field(description="the instant that p05, p50 and p95 are valid for: `issued` and the lead")
    p05: float | None
    p50: float | None
    p95: float | None
    quality: str = Field(description="uncertain, since it is no measurement; bad while there is none")
    status: str = Field(description="OPC UA StatusCode by name")
    model: str | None
    skill: float | None = Field(description="1 - CRPS / CRPS of persistence at the lead; null before the first forecast is due")
    limits: list[LimitRow]


class Forecasts(schema.Shape):
    lead_s: float
    horizon_s: float
    forecasts: list[ForecastRow]


class Band(schema.Shape):
    t_ms: list[float]
    p05: list[float | None]
    p50: list[float | None]
    p95: list[float | None]


class ScoreRow(schema.Shape):
    horizon_s: float
    n: float = Field(description="forecasts that came due with a Good sample")
    crps: float | None
    error: float | None = Field(description="absolute error, in the tag's unit")
    mase: float | None = Field(description="that error over persistence's")
    coverage: float | None = Field(description="share of samples within the band P05 to P95")
    model: str


class PastBand(Band):
    more: bool = Field(description="there is more than one answer holds: ask for a shorter time")


class Forecast(ForecastRow):
    horizon_s: float
    trajectory: Band
    scores: list[ScoreRow]
    past: PastBand | None = None


def _view(context: WebContext) -> ForecastView:
    if context.forecasts is None or not context.forecasts.tags:
        raise Problem(404, "this gateway forecasts nothing: name tags in the section `forecast` of its configuration")
    return context.forecasts


@router.get("/forecasts", response_model=None, responses=schema.of(Forecasts))
async def forecasts(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    prefix: Annotated[str, Query(description="all whose names begin with it")] = "",
    format: Literal["json", "csv"] = "json",  # noqa: A002 - the name in the address
) -> Response:
    """What is foreseen of all tags at the lead."""
    view = context.forecasts
    outlook = None if view is None else view.newest()
    tags = [] if view is None else [context.view.tags[tag_id] for tag_id in view.tags]
    rows = [_row(view, outlook, tag) for tag in tags if tag.name.startswith(prefix)] if view is not None else []
    if format == "csv":
        names = ("tag", "timestamp", "p05", "p50", "p95", "status", "issued", "model", "skill")
        return Response(_csv(names, ([row[name] for name in names] for row in rows)), media_type=_CSV)
    seconds_of = (0.0, 0.0) if view is None else (view.lead_ns / 1e9, view.horizon_ns / 1e9)
    return Json({"lead_s": seconds_of[0], "horizon_s": seconds_of[1], "forecasts": rows})


@router.get("/forecasts/{tag}", response_model=None, responses=schema.of(Forecast))
async def forecast(
    tag: str,
    context: Context,
    caller: HistoryReader,  # noqa: ARG001 - asked for its permission
    past: Annotated[str | None, Query(description="also what was forecast one lead earlier for the last so long: 1h")] = None,
    format: Literal["json", "csv"] = "json",  # noqa: A002 - the name in the address
) -> Response:
    """One tag: the whole trajectory, its limits, its scores."""
    view, found = _view(context), tag_named(tag, context)
    if found.tag_id not in view.tags:
        raise Problem(404, f"{found.name} is not forecast: name it in the section `forecast` of the configuration")
    outlook = view.newest()
    behind = None if past is None else await _past(view, found, past, context.now_ns())
    if format == "csv":
        return Response(_rows(found, outlook, behind), media_type=_CSV, headers=_attachment(context, found))
    document = _row(view, outlook, found) | {
        "horizon_s": view.horizon_ns / 1e9,
        "trajectory": _trajectory(outlook, found),
        "scores": _scores(view, found.tag_id),
    }
    if behind is not None:
        columns = {"t_ms": behind.valid_ns[:ROWS] / 1e6, **{name: getattr(behind, name)[:ROWS] for name in _QUANTILES}}
        document["past"] = columns | {"more": behind.valid_ns.size > ROWS}
    return Json(document)


_QUANTILES: Final = ("p05", "p50", "p95")


def _row(view: ForecastView, outlook: Outlook | None, tag: Tag) -> dict[str, Any]:
    if outlook is not None and (outlook.tag_id == tag.tag_id).any():
        return scalars(outlook, outlook.row_of(tag.tag_id), tag)
    status = quality.BAD_WAITING_FOR_INITIAL_DATA
    nothing = dict.fromkeys(("issued", "timestamp", *_QUANTILES, "model", "skill"))
    said = {"quality": quality.word(status), "status": quality.name(status), "limits": []}
    return {"tag": tag.name, "unit": tag.unit, "lead_s": view.lead_ns / 1e9, **nothing, **said}


def _trajectory(outlook: Outlook | None, tag: Tag) -> dict[str, Any]:
    if outlook is None or not (outlook.tag_id == tag.tag_id).any():
        return {"t_ms": [], **{name: [] for name in _QUANTILES}}
    row = outlook.row_of(tag.tag_id)
    return {"t_ms": instants(outlook) / 1e6, **{name: np.ascontiguousarray(getattr(outlook, name)[row]) for name in _QUANTILES}}


def _scores(view: ForecastView, tag_id: int) -> list[dict[str, Any]]:
    scores: Scores | None = view.scores()
    if scores is None or tag_id not in view.tags:
        return []
    row = list(view.tags).index(tag_id)
    if row >= scores.n.shape[0]:
        return []  # of another configuration still
    return [
        {
            "horizon_s": float(scores.horizon_s[knot]),
            **{name: _number(getattr(scores, name)[row, knot]) for name in ("n", "crps", "error", "mase", "coverage")},
            "model": scores.models[int(scores.model[row, knot])],
        }
        for knot in range(scores.horizon_s.size)
    ]


async def _past(view: ForecastView, tag: Tag, past: str, now_ns: int) -> Foretold:
    try:
        span_s = seconds(past)
    except ValueError as fault:
        raise Problem.field("past", str(fault)) from None
    if not 0 < span_s <= _LONGEST_S:
        raise Problem.field("past", f"a time of more than 0 s, and at most {_LONGEST_S / 86_400:g} days")
    try:
        return await view.past(tag.tag_id, now_ns - round(span_s * 1e9), now_ns + 1, ROWS + 1)
    except KeyError:
        raise Problem(404, f"{tag.name} is not forecast any more") from None


def _rows(tag: Tag, outlook: Outlook | None, behind: Foretold | None) -> str:
    """CSV: what was forecast one lead earlier (past), then the newest trajectory (ahead)."""
    lines: list[Iterable[Any]] = []
    if behind is not None:
        lines += zip(
            iso_column(behind.valid_ns),
            *(_cells(getattr(behind, name)) for name in _QUANTILES),
            ["past"] * behind.valid_ns.size,
            strict=True,
        )
    if outlook is not None and (outlook.tag_id == tag.tag_id).any():
        row, valid_ns = outlook.row_of(tag.tag_id), instants(outlook)
        lines += zip(
            iso_column(valid_ns), *(_cells(getattr(outlook, name)[row]) for name in _QUANTILES), ["ahead"] * valid_ns.size, strict=True
        )
    return _csv(("timestamp", *_QUANTILES, "kind"), lines)


def _cells(column: np.ndarray[Any, np.dtype[np.float64]]) -> list[float | None]:
    return [_number(value) for value in column.tolist()]


def _csv(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """RFC 4180; numbers so that they read back exactly, nothing for null."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _attachment(context: WebContext, tag: Tag) -> dict[str, str]:
    stamp = iso(context.now_ns()) or ""
    return {"Content-Disposition": f'attachment; filename="{context.identity.name}-{tag.name}-forecast-{stamp[:19].replace(":", "")}.csv"'}
