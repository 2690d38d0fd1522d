"""The twin as it is now: tags one by one or in pages, and the whole state as a tree, now or at an earlier commit."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.model.tag import Tag
from gateway.web.depend import Context, TwinReader, moment, tag_named
from gateway.web.encode import Json, tag_row
from gateway.web.problems import Problem

router = APIRouter(tags=["twin"], default_response_class=Json)
PAGE = 1000


@router.get("/tags", response_model=None)
async def tags(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    prefix: Annotated[str, Query(description="names that begin with it")] = "",
    name: Annotated[list[str] | None, Query(max_length=PAGE, description="just these, in this order")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = PAGE,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Json:
    """Tags with their present values, in order of the table; `total` counts all that match."""
    found = [tag_named(each, context) for each in name] if name else _beginning(prefix, context)
    now_ns = context.now_ns()
    page = found[offset : offset + limit]
    return Json({"total": len(found), "offset": offset, "tags": [tag_row(tag, context.view, now_ns) for tag in page]})


def _beginning(prefix: str, context: Context) -> list[Tag]:
    return [tag for tag in context.view.tags if tag.name.startswith(prefix)]


@router.get("/tags/{name}", response_model=None)
async def tag(name: str, context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """One tag with its present value."""
    return Json(tag_row(tag_named(name, context), context.view, context.now_ns()))


@router.get("/twin", response_model=None)
async def twin(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    at: Annotated[str | None, Query(description="ISO 8601, milliseconds since 1970, or now-10m")] = None,
) -> Json:
    """The state as a tree: the dots of the names become levels, null stands where the status is Bad."""
    view = context.view
    if at is None:
        return Json(view.snapshot().tree(view.tags))
    snapshot = view.at(moment("at", at, context))
    if snapshot is None:
        raise Problem(404, f"no commit at or before {at[:40]} is in memory; /api/v1/history reaches further back")
    return Json(snapshot.tree(view.tags))
