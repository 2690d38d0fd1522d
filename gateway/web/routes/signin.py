"""Signing in with a one-time link, and out again."""

from typing import Annotated, Literal

from fastapi import APIRouter, Cookie, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, Response

from gateway.access import roles
from gateway.access.sessions import ABSOLUTE_S, LINK_S
from gateway.web import schema
from gateway.web.depend import Anyone, Context, UserManager
from gateway.web.encode import Json
from gateway.web.guard import COOKIE
from gateway.web.problems import Problem
from gateway.web.routes.commands import Body, validated

router = APIRouter(tags=["session"], default_response_class=Json)
page = APIRouter(include_in_schema=False)

# The browser goes on by itself: a redirect would still belong to whoever showed the link, and a Strict cookie would not be sent with it.
_SIGNED_IN = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>Edgetwin</title><a href="/">Signed in</a>'
)


class LinkBody(BaseModel):
    """For whom a one-time link is made."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(default="admin", min_length=1, max_length=100)
    role: Literal["viewer", "operator", "engineer", "manager", "admin"] = "viewer"


@router.get("/session", response_model=None, responses=schema.of(schema.Session))
async def session(caller: Anyone) -> Json:
    """Who the caller is, and what the caller may do."""
    return Json({"user": caller.user, "role": caller.role, "permissions": roles.permissions(caller.role)})


@router.delete("/session", response_model=None)
async def sign_out(context: Context, sid: Annotated[str, Cookie()] = "") -> Response:
    """Ends the session of the cookie at once."""
    context.sessions.revoke(sid)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


@router.post(
    "/session/links",
    response_model=None,
    status_code=201,
    responses=schema.of(schema.Link, 201),
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": LinkBody.model_json_schema()}}}},
)
async def link(context: Context, caller: UserManager, body: Body) -> Json:  # noqa: ARG001 - asked for its permission
    """A link that signs in once, within ten minutes."""
    asked = validated(LinkBody, body)
    secret = context.sessions.link(asked.user, asked.role)
    return Json({"path": f"/login?link={secret}", "user": asked.user, "role": asked.role, "expires_s": LINK_S}, 201)


@page.get("/login", response_model=None)
async def sign_in(context: Context, link: Annotated[str, Query(max_length=200)]) -> Response:
    """Opens a session and goes to the page; the link is spent."""
    sid = context.sessions.redeem(link)
    if sid is None:
        raise Problem(401, "this link was used before or is too old: ask the gateway for a new one")
    answer = HTMLResponse(_SIGNED_IN)
    answer.set_cookie(COOKIE, sid, max_age=int(ABSOLUTE_S), path="/", httponly=True, samesite="strict")
    return answer
