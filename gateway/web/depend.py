"""What routes ask for: the context, the caller with a permission, a moment from the query."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from gateway.access import roles
from gateway.model.command import Caller
from gateway.model.event import Category
from gateway.model.tag import Tag
from gateway.web import times
from gateway.web.context import WebContext
from gateway.web.problems import Problem


def context_of(connection: HTTPConnection) -> WebContext:
    """The context that `build` was given."""
    context = connection.app.state.context
    assert isinstance(context, WebContext)
    return context


Context = Annotated[WebContext, Depends(context_of)]


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks; Problem 401 for a caller without session, local socket or anonymous role."""
    caller = getattr(connection.state, "caller", None)
    if not isinstance(caller, Caller):
        raise Problem(
            401, "sign in first: with name and password, a token, or the one-time link that `edgetwin user link` makes on its machine"
        )
    return caller


def need(permission: str) -> Callable[[Caller], Caller]:
    """A dependency: the caller, who has that permission; Problem 403 otherwise."""

    def holder(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if not roles.allowed(caller.role, permission):
            raise Problem(403, f"{permission} is not among the permissions of role {caller.role}")
        return caller

    return holder


Anyone = Annotated[Caller, Depends(caller_of)]
TwinReader = Annotated[Caller, Depends(need("twin:read"))]
HistoryReader = Annotated[Caller, Depends(need("history:read"))]
EventReader = Annotated[Caller, Depends(need("event:read"))]
StatusReader = Annotated[Caller, Depends(need("status:read"))]
AuditReader = Annotated[Caller, Depends(need("audit:read"))]
UserManager = Annotated[Caller, Depends(need("user:manage"))]


def audible(role: str) -> frozenset[Category]:
    """The categories of events that a role sees: who did what is for those who may read the audit."""
    return frozenset(Category) if roles.allowed(role, "audit:read") else frozenset(Category) - {Category.USER}


def moment(name: str, text: str, context: WebContext) -> int:
    """UTC ns from a field of the query; Problem 422 with the accepted forms."""
    try:
        return times.parse(text, context.now_ns())
    except ValueError as error:
        raise Problem.field(name, str(error)) from None


def tag_named(name: str, context: WebContext) -> Tag:
    """The tag of that name; Problem 404."""
    tag = context.view.tags.named(name)
    if tag is None:
        raise Problem(404, f"there is no tag {name[:200]!r}")
    return tag
