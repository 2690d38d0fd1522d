"""The twin as it is now: tags one by one or in pages, and the whole state as a tree, now or at an earlier commit."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.model import quality, statefile
from gateway.model.tag import Tag
from gateway.web import schema
from gateway.web.depend import Anyone, Context, TwinReader, moment, tag_named
from gateway.web.encode import Json, tag_row, typed
from gateway.web.problems import Problem
from gateway.web.routes.commands import Body, perform
from gateway.web.times import iso

router = APIRouter(tags=["twin"], default_response_class=Json)
state = APIRouter(tags=["twin"], default_response_class=Json)
PAGE: Final = 1000
FROM_DISK: Final = 2000  # tags of an earlier state that memory does not hold any more


@router.get("/tags", response_model=None, responses=schema.of(schema.TagPage))
async def tags(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    prefix: Annotated[str, Query(description="names that begin with it")] = "",
    name: Annotated[list[str] | None, Query(max_length=PAGE, description="just these, in this order")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="at most so many")] = PAGE,
    offset: Annotated[int, Query(ge=0, le=10_000_000, description="so many of those that match are left out first")] = 0,
) -> Json:
    """Tags with their present values, in order of the table; `total` counts all that match."""
    found = [tag_named(each, context) for each in name] if name else _beginning(prefix, context)
    now_ns = context.now_ns()
    page = found[offset : offset + limit]
    return Json({"total": len(found), "offset": offset, "tags": [tag_row(tag, context.view, context.units, now_ns) for tag in page]})


def _beginning(prefix: str, context: Context) -> list[Tag]:
    return [tag for tag in context.view.tags if tag.name.startswith(prefix)]


@router.get("/tags/{name}", response_model=None, responses=schema.of(schema.TagRow))
async def tag(name: str, context: Context, caller: TwinReader) -> Json:  # noqa: ARG001 - asked for its permission
    """One tag with its present value."""
    return Json(tag_row(tag_named(name, context), context.view, context.units, context.now_ns()))


@router.get("/twin", response_model=None)
@state.get("/digital-twin/state", response_model=None)
async def twin(
    context: Context,
    caller: TwinReader,  # noqa: ARG001 - asked for its permission
    at: Annotated[str | None, Query(description="ISO 8601, milliseconds since 1970, or now-10m")] = None,
) -> Json:
    """The state as a tree: the dots of the names become levels, null where the status is Bad. Earlier: from memory, else from disk."""
    view = context.view
    if at is None:
        return Json(view.snapshot().tree(view.tags))
    at_ns = moment("at", at, context)
    snapshot = view.at(at_ns)
    return Json(snapshot.tree(view.tags) if snapshot is not None else await _from_disk(context, at_ns))


@router.get("/twin/file", response_model=None)
async def state_file(context: Context, caller: TwinReader) -> Response:  # noqa: ARG001 - asked for its permission
    """The present state as a file: the tree with a version and a checksum under `$file`."""
    view = context.view
    snapshot = view.snapshot()
    content = statefile.text(statefile.document(snapshot.tree(view.tags), snapshot.status, view.tags))
    return Response(content, media_type="application/json", headers={"Content-Disposition": 'attachment; filename="state.json"'})


@router.put("/twin/file", response_model=None, responses=schema.of(schema.Outcome))
async def take_state_file(context: Context, caller: Anyone, body: Body) -> Json:
    """Takes over the values of such a file until the sources give others; refused as a whole where one of them cannot be."""
    return await perform(context, caller, "state.import", {"state": body})


async def _from_disk(context: Context, at_ns: int) -> dict[str, Any]:
    """The last sample of each tag at or before that time; Problem 404 where there is none at all."""
    tags = [tag for tag in context.view.tags if tag.enabled]
    if len(tags) > FROM_DISK:
        raise Problem(
            404, f"that commit is not in memory any more, and {len(tags)} tags are too many to read from disk: ask /api/v1/history"
        )
    tree: dict[str, Any] = {}
    newest_ns = 0
    for tag in tags:
        found = await context.history.read_at(tag.tag_id, at_ns)
        value = None
        if found.source_ns.size:
            newest_ns = max(newest_ns, int(found.source_ns[0]))
            bad = quality.word(int(found.status[0])) == "bad"
            value = None if bad else typed(tag.type, float(found.value[0]), found.text.get(0))
        level = tree
        for name in tag.path[:-1]:
            level = level.setdefault(name, {})
        level[tag.path[-1]] = value
    if not newest_ns:
        raise Problem(404, f"nothing is known of {iso(at_ns)}")
    return {"timestamp": iso(newest_ns), **tree}
