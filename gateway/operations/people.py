"""Commands on people and tokens. A secret among the arguments or the result is seen by nobody but its owner: see `redact`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from gateway.access.roles import ROLES, at_least
from gateway.access.users import Conflict, NotDone, Unknown, check_name
from gateway.contracts import SignInRefused
from gateway.model import quality
from gateway.model.command import Caller
from gateway.model.people import Token, User
from gateway.operations.door import Args, Operation, Refused, text_of

BAD_INVALID_ARGUMENT: Final = 0x80AB_0000
BAD_IDENTITY_TOKEN_REJECTED: Final = 0x8021_0000


class Users(Protocol):
    """What these commands need of the people; all raise NotDone."""

    async def add(self, name: str, role: str, password: str = "", certificate: str = "") -> User: ...
    async def set_password(self, name: str, password: str) -> User: ...
    async def set_role(self, name: str, role: str) -> User: ...
    async def set_certificate(self, name: str, certificate: str) -> User: ...
    async def enable(self, name: str) -> User: ...
    async def disable(self, name: str) -> User: ...
    async def remove(self, name: str) -> User: ...
    def find(self, name: str) -> User | None: ...


class Tokens(Protocol):
    async def create(self, name: str, role: str, days: float | None, owner: str = "") -> tuple[Token, str]: ...
    async def revoke(self, token_id: str) -> Token: ...


class People(Protocol):
    @property
    def users(self) -> Users: ...
    @property
    def tokens(self) -> Tokens: ...
    def unlock(self, user: str) -> None: ...
    async def change_own_password(self, caller: Caller, present: str, new: str) -> None: ...


Do = Callable[[Args, Caller], Awaitable[Mapping[str, Any]]]


class _Change:
    """What each command on a user does."""

    def __init__(self, people: People, link: Callable[[str, str], str]) -> None:
        self._people, self._users, self._link = people, people.users, link

    async def add(self, args: Args, _: Caller) -> Mapping[str, Any]:
        password, certificate = _secret(args, "password", ""), text_of(args, "certificate", "")
        return _told(await self._users.add(text_of(args, "user"), text_of(args, "role"), password, certificate))

    async def passwd(self, args: Args, _: Caller) -> Mapping[str, Any]:
        return _told(await self._users.set_password(text_of(args, "user"), _secret(args, "password")))

    async def own_password(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        try:
            await self._people.change_own_password(caller, _secret(args, "present"), _secret(args, "password"))
        except SignInRefused as refused:
            why = "the present password is another one" if not refused.wait_s else f"too many failures: wait {refused.wait_s:.0f} s"
            raise Refused(BAD_IDENTITY_TOKEN_REJECTED, why) from refused
        return {"user": caller.user}

    async def role(self, args: Args, _: Caller) -> Mapping[str, Any]:
        return _told(await self._users.set_role(text_of(args, "user"), text_of(args, "role")))

    async def certificate(self, args: Args, _: Caller) -> Mapping[str, Any]:
        return _told(await self._users.set_certificate(text_of(args, "user"), text_of(args, "certificate")))

    async def enable(self, args: Args, _: Caller) -> Mapping[str, Any]:
        return _told(await self._users.enable(text_of(args, "user")))

    async def disable(self, args: Args, _: Caller) -> Mapping[str, Any]:
        return _told(await self._users.disable(text_of(args, "user")))

    async def remove(self, args: Args, _: Caller) -> Mapping[str, Any]:
        return _told(await self._users.remove(text_of(args, "user")))

    async def unlock(self, args: Args, _: Caller) -> Mapping[str, Any]:
        self._people.unlock(text_of(args, "user"))
        return {"user": text_of(args, "user")}

    async def link(self, args: Args, _: Caller) -> Mapping[str, Any]:
        user, role = text_of(args, "user"), text_of(args, "role")
        check_name(user)
        if role not in ROLES:
            raise Refused(BAD_INVALID_ARGUMENT, f"{role[:100]!r} is no role: {', '.join(ROLES)}")
        known = self._users.find(user)
        if known is not None and (known.disabled or not at_least(known.role, role)):
            why = "is disabled" if known.disabled else f"has the role {known.role}, which is less than {role}"
            raise Refused(quality.BAD_INVALID_STATE, f"{known.name} {why}")
        return {"user": user, "role": role, "path": f"/login?link={self._link(user, role)}"}


def operations(people: People, link: Callable[[str, str], str]) -> dict[str, Operation]:
    """link(user, role) makes the secret of a one-time link."""
    change = _Change(people, link)
    return {
        "user.add": _managed(change.add, "add a user: user, role, password or certificate (SHA-256 of its DER)"),
        "user.passwd": _managed(change.passwd, "give a user another password: user, password"),
        "user.role": _managed(change.role, "give a user another role: user, role"),
        "user.certificate": _managed(change.certificate, "the certificate that a user signs in with: user, certificate (empty = none)"),
        "user.enable": _managed(change.enable, "let a user in again: user"),
        "user.disable": _managed(change.disable, "keep a user out, at once and everywhere: user"),
        "user.remove": _managed(change.remove, "remove a user: user"),
        "user.unlock": _managed(change.unlock, "end the delay after failed sign-ins: user"),
        "user.own_password": Operation("account:own", _plain(change.own_password), "change one's own password: present, password"),
        "session.link": _managed(change.link, "make a link that signs in once: user, role"),
        **_token_operations(people.tokens),
    }


def _token_operations(tokens: Tokens) -> dict[str, Operation]:
    async def create(args: Args, _: Caller) -> Mapping[str, Any]:
        days = args.get("days", 365.0)
        if days is not None and (isinstance(days, bool) or not isinstance(days, int | float)):
            raise Refused(quality.BAD_TYPE_MISMATCH, "days is a number, or null for a token that does not expire")
        token, secret = await tokens.create(text_of(args, "name"), text_of(args, "role"), None if days is None else float(days))
        return {"token_id": token.token_id, "name": token.name, "role": token.role, "token": secret}

    async def revoke(args: Args, _: Caller) -> Mapping[str, Any]:
        token = await tokens.revoke(text_of(args, "token_id"))
        return {"token_id": token.token_id, "name": token.name}

    return {
        "token.create": _managed(create, "make a token for a program: name, role, days (365; null = for ever)"),
        "token.revoke": _managed(revoke, "a token opens nothing any more: token_id"),
    }


def _managed(do: Do, summary: str) -> Operation:
    return Operation("user:manage", _plain(do), summary)


def _plain(do: Do) -> Do:
    """The same, with what the people refuse in the words of OPC UA."""

    async def done(args: Args, caller: Caller) -> Mapping[str, Any]:
        try:
            return await do(args, caller)
        except Unknown as refused:
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, refused.why) from refused
        except Conflict as refused:
            raise Refused(quality.BAD_INVALID_STATE, refused.why) from refused
        except NotDone as refused:
            raise Refused(BAD_INVALID_ARGUMENT, refused.why) from refused

    return done


def _secret(args: Args, key: str, default: str | None = None) -> str:
    """As text_of, without repeating in a message what came."""
    value = args.get(key, default)
    if not isinstance(value, str):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is a text")
    return value


def _told(user: User) -> Mapping[str, Any]:
    return {"user": user.name, "role": user.role, "disabled": user.disabled}
