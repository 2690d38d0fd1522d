"""People and tokens: who may come in. All changes go through the one door; a secret stands in no answer but the one that makes it."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.web import schema
from gateway.web.depend import Anyone, Context, UserManager
from gateway.web.encode import Json
from gateway.web.problems import Problem
from gateway.web.routes.commands import Body, perform, validated
from gateway.web.rows import token_row, user_row

router = APIRouter(tags=["people"], default_response_class=Json)

Role = Literal["viewer", "operator", "engineer", "manager", "admin"]
Secret = Annotated[str, StringConstraints(max_length=1000)]


class NewUser(BaseModel):
    """Somebody who may sign in, with a password, a certificate or both."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(max_length=100)
    role: Role
    password: Secret = ""
    certificate: str = Field(default="", max_length=200, description="SHA-256 of its DER, in hex")


class UserChange(BaseModel):
    """One change: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    password: Secret | None = None
    certificate: str | None = Field(default=None, max_length=200, description="SHA-256 of its DER, in hex; empty takes it away")
    disabled: bool | None = None
    locked: Literal[False] | None = Field(default=None, description="false ends the delay after failed sign-ins")


class OwnPassword(BaseModel):
    model_config = ConfigDict(extra="forbid")

    present: Secret
    password: Secret


class NewToken(BaseModel):
    """A program that may come in. It is told its secret once, in the answer."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100)
    role: Role
    days: float | None = Field(default=365.0, description="null = it does not expire", allow_inf_nan=False)


class UserRow(schema.Shape):
    user: str
    role: Role
    disabled: bool
    password: bool = Field(description="whether there is one")
    certificate: str
    locked_s: float = Field(description="how long no sign-in is tried after too many failures")
    created: str | None
    changed: str | None


class Users(schema.Shape):
    users: list[UserRow]
    setup: bool = Field(description="whether there has never been a user")


class TokenRow(schema.Shape):
    token_id: str
    name: str
    role: Role
    owner: str = Field(description="the person it acts for; empty = a program of its own")
    created: str | None
    expires: str | None


class Tokens(schema.Shape):
    tokens: list[TokenRow]


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}


_OUTCOME: Final = schema.of(schema.Outcome)


@router.get("/users", response_model=None, responses=schema.of(Users))
async def users(context: Context, caller: UserManager) -> Json:  # noqa: ARG001 - asked for its permission
    """Everybody, by name."""
    people = context.people
    return Json({"users": [user_row(user, people) for user in people.users.all()], "setup": people.setup})


@router.post("/users", response_model=None, responses=_OUTCOME, openapi_extra=_body(NewUser))
async def add_user(context: Context, caller: Anyone, body: Body) -> Json:
    """Adds a user."""
    asked = validated(NewUser, body)
    return await perform(context, caller, "user.add", {name: value for name, value in asked.model_dump().items() if value != ""})


@router.patch("/users/{user}", response_model=None, responses=_OUTCOME, openapi_extra=_body(UserChange))
async def change_user(user: str, context: Context, caller: Anyone, body: Body) -> Json:
    """Changes one thing of a user. Another role or password, and disabling, sign that user out everywhere."""
    asked = validated(UserChange, body).model_dump(exclude_none=True)
    if len(asked) != 1:
        raise Problem(422, f"give exactly one of {', '.join(UserChange.model_fields)}")
    ((name, value),) = asked.items()
    if name == "disabled":
        return await perform(context, caller, "user.disable" if value else "user.enable", {"user": user})
    if name == "locked":
        return await perform(context, caller, "user.unlock", {"user": user})
    return await perform(context, caller, "user.passwd" if name == "password" else f"user.{name}", {"user": user, name: value})


@router.delete("/users/{user}", response_model=None, responses=_OUTCOME)
async def remove_user(user: str, context: Context, caller: Anyone) -> Json:
    """Removes a user, and signs that one out everywhere."""
    return await perform(context, caller, "user.remove", {"user": user})


@router.post("/session/password", response_model=None, responses=_OUTCOME, openapi_extra=_body(OwnPassword))
async def own_password(context: Context, caller: Anyone, body: Body) -> Json:
    """Changes one's own password; all sessions of that user end."""
    asked = validated(OwnPassword, body)
    return await perform(context, caller, "user.own_password", {"present": asked.present, "password": asked.password})


@router.get("/tokens", response_model=None, responses=schema.of(Tokens))
async def tokens(context: Context, caller: UserManager) -> Json:  # noqa: ARG001 - asked for its permission
    """The newest first. Nobody can be told their secrets any more."""
    return Json({"tokens": [token_row(token) for token in context.people.tokens.all()]})


@router.post("/tokens", response_model=None, responses=_OUTCOME, openapi_extra=_body(NewToken))
async def create_token(context: Context, caller: Anyone, body: Body) -> Json:
    """Makes a token; `result.token` is told this once."""
    return await perform(context, caller, "token.create", validated(NewToken, body).model_dump())


@router.delete("/tokens/{token_id}", response_model=None, responses=_OUTCOME)
async def revoke_token(token_id: str, context: Context, caller: Anyone) -> Json:
    """It opens nothing from now on."""
    return await perform(context, caller, "token.revoke", {"token_id": token_id})
