"""History: samples of tags between two times, or buckets of them, as JSON, CSV or Parquet."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway.contracts import Buckets, Series
from gateway.model import quality
from gateway.model.quality import Statuses
from gateway.model.tag import Tag
from gateway.web import schema, table
from gateway.web.context import WebContext
from gateway.web.depend import Context, HistoryReader, moment, tag_named
from gateway.web.encode import Json, numbers
from gateway.web.problems import Problem
from gateway.web.times import iso

router = APIRouter(tags=["history"], default_response_class=Json)

JSON_ROWS: Final = 100_000
_DEFAULT_ROWS: Final = 10_000
_TAGS: Final = 200
EXPORTS: Final = 4  # at a time: they share the disk with the commits


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: tags, from start to before end, at most limit rows of each tag (None = all there are)."""

    tags: tuple[Tag, ...]
    start_ns: int
    end_ns: int
    limit: int | None
    buckets: int | None

    @property
    def bucket_ns(self) -> int:
        """Width of a bucket: so many of them cover the window."""
        return max(1, -(-(self.end_ns - self.start_ns) // (self.buckets or 1)))


@router.get("/history", response_model=None, responses=schema.of(schema.History))
async def history(
    request: Request,
    context: Context,
    caller: HistoryReader,  # noqa: ARG001 - asked for its permission
    tag: Annotated[list[str] | None, Query(max_length=_TAGS)] = None,
    prefix: Annotated[str | None, Query(description="instead of tag: all whose names begin with it")] = None,
    start: Annotated[str, Query(alias="from", description="ISO 8601, milliseconds since 1970, or now-6h")] = "now-1h",
    end: Annotated[str | None, Query(alias="to", description="as from; samples at that time are not in it; default: all until now")] = None,
    buckets: Annotated[int | None, Query(ge=1, le=10_000, description="so many, with min, max, mean, count, worst status")] = None,
    limit: Annotated[int | None, Query(ge=1, le=100_000_000, description="rows of each tag; JSON gives 10 000 unless told")] = None,
    format: Literal["json", "csv", "parquet"] = "json",  # noqa: A002 - the name in the address
) -> Response:
    """Samples oldest first. JSON carries columns and, where a tag has more rows, `next`: the `from` of the next request."""
    window = Window(
        _wanted(context, tag, prefix),
        moment("from", start, context),
        context.now_ns() + 1 if end is None else moment("to", end, context),
        limit,
        buckets,
    )
    if window.start_ns > window.end_ns:
        raise Problem.field("from", "lies after to")
    if format == "json":
        return await _json(context, window)
    name = f"{context.identity.name}-history.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    slots: asyncio.Semaphore = request.app.state.exports
    if slots.locked():
        raise Problem(503, f"{EXPORTS} exports are under way: try again when one is done")
    if format == "csv":
        return StreamingResponse(_csv(context, window, slots), media_type="text/csv; charset=utf-8", headers=headers)
    if not table.has_parquet():
        raise Problem(501, "Parquet needs pyarrow: pip install 'edgetwin[parquet]'; csv and json are always there")
    async with slots:
        spool = await table.parquet(_tables(context, window), buckets=buckets is not None)
    return StreamingResponse(table.chunks(spool), media_type="application/vnd.apache.parquet", headers=headers)


def _wanted(context: WebContext, names: list[str] | None, prefix: str | None) -> tuple[Tag, ...]:
    if prefix is not None:
        return tuple(tag for tag in context.view.tags if tag.name.startswith(prefix))
    if not names:
        raise Problem.field("tag", "name a tag, or a prefix of names")
    return tuple(tag_named(name, context) for name in dict.fromkeys(names))


async def _json(context: WebContext, window: Window) -> Json:
    if window.limit is not None and window.limit > JSON_ROWS:
        raise Problem.field("limit", f"JSON gives {JSON_ROWS} rows at most; csv and parquet have no limit")
    if len(window.tags) > _TAGS:
        raise Problem.field("prefix", f"JSON gives {_TAGS} tags at most; csv and parquet have no limit")
    rows = min(window.limit or _DEFAULT_ROWS, JSON_ROWS // max(1, len(window.tags)))
    series = []
    for tag in window.tags:
        head = {"tag": tag.name, "unit": tag.unit, "type": tag.type.name.lower()}
        if window.buckets is not None:
            found = await context.history.downsample(tag.tag_id, window.start_ns, window.end_ns, window.bucket_ns)
            series.append(head | _bucket_columns(found))
        else:
            samples = await context.history.read(tag.tag_id, window.start_ns, window.end_ns, rows + 1)
            series.append(head | _sample_columns(samples, rows))
    document: dict[str, Any] = {"from": iso(window.start_ns), "to": iso(window.end_ns), "series": series}
    return Json(document | ({"bucket_s": window.bucket_ns / 1e9} if window.buckets is not None else {}))


def _sample_columns(samples: Series, rows: int) -> dict[str, Any]:
    status = samples.status[:rows]
    columns: dict[str, Any] = {"t_ms": samples.source_ns[:rows] / 1e6, "value": numbers(samples.value[:rows], status)}
    if samples.text:
        columns["value"] = [samples.text.get(row) for row in range(status.size)]
    if status.any():
        columns["status"] = names(status)
    if samples.source_ns.size > rows:
        columns["next"] = iso(int(samples.source_ns[rows - 1]) // 1000 * 1000 + 1000)
    return columns


def _bucket_columns(found: Buckets) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "t_ms": found.start_ns / 1e6,
        "min": found.minimum,
        "max": found.maximum,
        "mean": found.mean,
        "count": found.count,
    }
    return columns | ({"worst": names(found.worst)} if found.worst.any() else {})


def names(status: Statuses) -> list[str]:
    """StatusCodes of a column by name."""
    known = {code: quality.name(code) for code in set(status.tolist())}
    return [known[code] for code in status.tolist()]


async def _tables(context: WebContext, window: Window) -> AsyncIterator[table.Table]:
    """The window as tables of bounded size, tag after tag."""
    for tag in window.tags:
        if window.buckets is not None:
            found = await context.history.downsample(tag.tag_id, window.start_ns, window.end_ns, window.bucket_ns)
            yield table.of_buckets(tag.name, found)
            continue
        start_ns, left = window.start_ns, window.limit
        while left is None or left > 0:
            samples = await context.history.read(tag.tag_id, start_ns, window.end_ns, min(left or table.ROWS, table.ROWS))
            rows = samples.source_ns.size
            if rows:
                yield table.of_samples(tag.name, samples)
                start_ns = int(samples.source_ns[-1]) + 1
            left = None if left is None else left - rows
            if rows < table.ROWS:
                break


async def _csv(context: WebContext, window: Window, slots: asyncio.Semaphore) -> AsyncIterator[str]:
    async with slots:
        yield table.csv_head(buckets=window.buckets is not None)
        async for part in _tables(context, window):
            yield await asyncio.to_thread(table.csv_lines, part)
