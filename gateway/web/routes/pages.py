"""The start page and the documentation: files beside this room, served as they are."""

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from gateway.web import docs, stream
from gateway.web.problems import Problem

router = APIRouter(include_in_schema=False)

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = ("start.css", "start.js", "trend.js", "icon.svg")


@router.get("/", response_model=None)
async def start() -> Response:
    """The start page. It holds no value itself: its script asks the API, with the rights of who looks at it."""
    return _file("index.html")


@router.get("/static/{name}", response_model=None)
async def static(name: str) -> Response:
    """One of the page's own files."""
    if name not in _FILES:
        raise Problem(404, "there is no such file")
    return _file(name)


@router.get("/api/docs", response_model=None)
async def documentation(request: Request) -> Response:
    """The API as a page."""
    app = request.app
    return HTMLResponse(docs.page(app.openapi(), stream.__doc__ or "", app.openapi_url, "/static/start.css"))


def _file(name: str) -> Response:
    content = files("gateway.web").joinpath("start", name).read_bytes()
    return Response(content, media_type=f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8", headers={"Cache-Control": "no-cache"})
