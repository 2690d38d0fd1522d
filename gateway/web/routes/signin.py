"""Signing in with name and password or a one-time link, and out again."""

from math import ceil
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Cookie, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, Response

from gateway.access import roles
from gateway.access.sessions import ABSOLUTE_S, LINK_S
from gateway.access.users import NotDone
from gateway.contracts import SignInRefused
from gateway.model.command import Caller
from gateway.web import schema
from gateway.web.depend import Anyone, Context
from gateway.web.encode import Json
from gateway.web.guard import COOKIE, bearer_of, origin_of
from gateway.web.problems import Problem
from gateway.web.routes.commands import Body, execute, validated
from gateway.web.times import iso

router = APIRouter(tags=["session"], default_response_class=Json)
page = APIRouter(include_in_schema=False)

# The browser goes on by itself: a redirect would still belong to whoever showed the link, and a Strict cookie would not be sent with it.
_SIGNED_IN = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>Edgetwin</title><a href="/">Signed in</a>'
)
_NO_LINK: Final = "this link was used before or is too old: ask the gateway for a new one"
_SPENT = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<title>Edgetwin</title><link rel="stylesheet" href="/static/start.css"><main><section><h1>This link signs nobody in</h1>'
    "<p>It was used before, or it is too old: ask the gateway for a new one with <code>edgetwin login</code>.</p>"
    '<p><a href="/">To the page, and its sign-in</a></p></section></main></html>'
)

TOKEN_DAYS: Final = 30.0


class LinkBody(BaseModel):
    """For whom a one-time link is made."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(default="admin", min_length=1, max_length=100)
    role: Literal["viewer", "operator", "engineer", "manager", "admin"] = "viewer"


class SignInBody(BaseModel):
    """Name and password. token: instead of a session, a token of that name for a program on one's own machine."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(max_length=100)
    password: str = Field(max_length=1000)
    token: str = Field(default="", max_length=100)


@router.post(
    "/session",
    response_model=None,
    responses=schema.of(schema.Session),
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": SignInBody.model_json_schema()}}, "required": True}},
)
async def enter(request: Request, context: Context, body: Body, sid: Annotated[str, Cookie()] = "") -> Json:
    """Signs in: a session in a cookie, or a token of 30 days. 401: wrong, in whichever way; 429: too many failures, wait."""
    asked = validated(SignInBody, body)
    try:
        caller = await context.people.sign_in(asked.user, asked.password, origin_of(request.scope))
    except SignInRefused as refusal:
        if refusal.wait_s <= 0:
            raise Problem(401, "wrong name or password") from None
        wait_s = ceil(refusal.wait_s)
        raise Problem(429, f"too many failures: try again in {wait_s} s", headers={"Retry-After": str(wait_s)}) from None
    who = {"user": caller.user, "role": caller.role, "permissions": roles.permissions(caller.role)}
    if asked.token:
        try:
            token, secret = await context.people.tokens.create(asked.token, caller.role, TOKEN_DAYS, owner=caller.user)
        except NotDone as refused:
            raise Problem(409, refused.why) from None
        await context.people.told(caller, "new token")
        return Json(who | {"token": secret, "token_id": token.token_id, "expires": iso(token.expires_ns)})
    context.sessions.revoke(sid)
    answer = Json(who)
    answer.set_cookie(
        COOKIE, context.sessions.open(caller.user, caller.role), max_age=int(ABSOLUTE_S), path="/", httponly=True, samesite="strict"
    )
    return answer


@router.get("/session", response_model=None, responses=schema.of(schema.Session))
async def session(caller: Anyone) -> Json:
    """Who the caller is, and what the caller may do."""
    return Json({"user": caller.user, "role": caller.role, "permissions": roles.permissions(caller.role)})


@router.delete("/session", response_model=None)
async def sign_out(request: Request, context: Context, sid: Annotated[str, Cookie()] = "") -> Response:
    """Ends the session of the cookie, or the token of a person that was sent instead, at once."""
    origin = origin_of(request.scope)
    left = await context.people.forget(bearer_of(request.headers) or "", origin)
    session = context.sessions.find(sid, touch=False)
    context.sessions.revoke(sid)
    if session is not None:
        left = Caller(session.user, session.role, origin)
    if left is not None:
        await context.people.left(left, "by the user")
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
async def link(context: Context, caller: Anyone, body: Body) -> Json:
    """A link that signs in once, within ten minutes."""
    asked = validated(LinkBody, body)
    outcome = await execute(context, caller, "session.link", {"user": asked.user, "role": asked.role})
    return Json({**outcome.result, "expires_s": LINK_S}, 201)


@page.get("/login", response_model=None)
async def sign_in(request: Request, context: Context, link: Annotated[str, Query(max_length=200)]) -> Response:
    """Opens a session and goes to the page; the link is spent."""
    sid, origin = context.sessions.redeem(link), origin_of(request.scope)
    session = None if sid is None else context.sessions.find(sid)
    if session is not None:
        await context.people.told(Caller(session.user, session.role, origin), "link")
    if sid is None or session is None:
        await context.people.told(Caller("", "", origin), "link", "no such link, or not any more")
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_SPENT, 401)
        raise Problem(401, _NO_LINK)
    answer = HTMLResponse(_SIGNED_IN)
    answer.set_cookie(COOKIE, sid, max_age=int(ABSOLUTE_S), path="/", httponly=True, samesite="strict")
    return answer
