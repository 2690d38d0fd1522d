"""Errors as problem documents (RFC 9457): type, title, status, detail, instance, and `errors` with one entry per field."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.contracts import NotConnected
from gateway.web.encode import dumps

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST: Final = 500  # characters of a detail that echoes what was asked for


class Problem(Exception):
    """A request that cannot be served. errors: what is wrong with which field; more: further members of the document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.more, self.headers = status, detail, tuple(errors), more or {}, headers

    @classmethod
    def field(cls, name: str, why: str) -> "Problem":
        """422: one field of the request is wrong."""
        return cls(422, f"{name}: {why}", errors=[{"field": name, "detail": why}])


def answer(
    status: int,
    detail: str,
    instance: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem document as a response."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:_LONGEST],
        "instance": instance[:_LONGEST],
    }
    if errors:
        document["errors"] = list(errors)
    return Response(dumps(document | dict(more or {})), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI, unavailable: Sequence[type[Exception]] = ()) -> None:
    """Every error of that application leaves as a problem document; those in `unavailable` as 503."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    kinds: list[type[Exception]] = [NotConnected, *unavailable]
    for kind in kinds:
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(Exception, _unexpected)  # the traceback goes to the log, never to the caller


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(error.status, error.detail, request.url.path, errors=error.errors, more=error.more, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in fault["loc"][1:]) or str(fault["loc"][0]), "detail": str(fault["msg"])}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in errors)
    return answer(422, detail, request.url.path, errors=errors)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(error.status_code, str(error.detail), request.url.path, headers=error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    return answer(503, str(error), request.url.path)


async def _unexpected(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the handler's signature
    return answer(500, "an unexpected error; the log of the gateway has its traceback", request.url.path)
