"""The people that a gateway knows: kept in memory, written to disk before a change counts.

Whoever is disabled or removed, or gets another password or role, is signed out everywhere: `on_revoked` says where.
"""

import asyncio
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.access import passwords
from gateway.access.passwords import Hasher
from gateway.access.roles import ROLES
from gateway.model.people import People as Kept
from gateway.model.people import Token, User

MOST: Final = 1000
_NAME: Final = re.compile(r"[^\W_][\w.@-]{0,63}")
_RESERVED: Final = frozenset({"anonymous", "local", "gateway", "signal", "token"})  # they stand for something else in the audit
_THUMBPRINT: Final = re.compile(r"[0-9a-f]{64}")


class NotDone(Exception):
    """A change that is refused; why is for the one who asked."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Unknown(NotDone):
    """There is no such user or token."""


class Unfit(NotDone):
    """A name, role or password that cannot be."""


class Conflict(NotDone):
    """Not as things stand: the name is taken, or nobody could manage users any more."""


class Repository(Protocol):
    """Where people and tokens are kept; each call is durable when it returns."""

    async def load(self) -> Kept: ...
    async def put_user(self, user: User, *, signed_out: bool = False) -> None:
        """signed_out: the tokens of that user end with the same change."""

    async def remove_user(self, name: str) -> None:
        """With the tokens of that user."""

    async def put_token(self, token: Token) -> None: ...
    async def remove_tokens(self, token_ids: Sequence[str]) -> None: ...


class Nowhere:
    """The Repository of what is forgotten at the end."""

    async def load(self) -> Kept:
        return Kept()

    async def put_user(self, user: User, *, signed_out: bool = False) -> None: ...
    async def remove_user(self, name: str) -> None: ...
    async def put_token(self, token: Token) -> None: ...
    async def remove_tokens(self, token_ids: Sequence[str]) -> None: ...


class Users:
    """People by name, whatever the case of its letters. Changes raise NotDone, and what the repository raises."""

    def __init__(self, repository: Repository, hasher: Hasher, now_ns: Callable[[], int]) -> None:
        self._repository, self._hasher, self._now_ns = repository, hasher, now_ns
        self._users: dict[str, User] = {}
        self._certificates: dict[str, User] = {}
        self._changing = asyncio.Lock()
        self._revoked: list[Callable[[str], None]] = []
        self.existed = False

    def use(self, kept: Kept) -> None:
        """What the disk knows, at the start."""
        self._users = {_fold(user.name): user for user in kept.users}
        self.existed = kept.existed or bool(kept.users)
        self._index()

    def find(self, name: str) -> User | None:
        return self._users.get(_fold(name))

    def with_certificate(self, thumbprint: str) -> User | None:
        return self._certificates.get(thumbprint)

    def all(self) -> list[User]:
        """By name."""
        return sorted(self._users.values(), key=lambda user: _fold(user.name))

    def on_revoked(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """callback(user) when that one is to be signed out; returns what ends it."""
        self._revoked.append(callback)
        return lambda: self._revoked.remove(callback) if callback in self._revoked else None

    async def add(self, name: str, role: str, password: str = "", certificate: str = "") -> User:
        """A new user, by password, certificate or both."""
        check_name(name)
        if not password and not certificate:
            raise Unfit("a user signs in with a password or a certificate: give one of them")
        hashed = await self._hashed(password, name) if password else ""
        async with self._changing:
            if self.find(name) is not None:
                raise Conflict(f"there is a user {name!r} already")
            if len(self._users) >= MOST:
                raise Conflict(f"there are {MOST} users, and there can be no more")
            user = User(name, _role(role), hashed, self._free(certificate), False, self._now_ns(), self._now_ns())
            await self._keep(user)
            return user

    async def set_password(self, name: str, password: str) -> User:
        known = self.known(name)
        hashed = await self._hashed(password, known.name)
        return await self._change(name, revoke=True, password=hashed)

    async def rehash(self, user: User, password: str) -> None:
        """The same password with the parameters of today; nobody is signed out by it."""
        hashed = await self._hasher.hash(password)
        async with self._changing:
            if self.find(user.name) is user:
                await self._keep(dataclasses.replace(user, password=hashed))

    async def set_role(self, name: str, role: str) -> User:
        return await self._change(name, revoke=True, role=_role(role))

    async def set_certificate(self, name: str, certificate: str) -> User:
        """certificate: its SHA-256 in hex; empty takes it away."""
        return await self._change(name, revoke=True, certificate=certificate)

    async def enable(self, name: str) -> User:
        return await self._change(name, revoke=False, disabled=False)

    async def disable(self, name: str) -> User:
        return await self._change(name, revoke=True, disabled=True)

    async def remove(self, name: str) -> User:
        async with self._changing:
            user = self.known(name)
            self._spare_an_admin(user, None)
            await self._repository.remove_user(user.name)
            del self._users[_fold(name)]
            self._index()
        self._sign_out(user.name)
        return user

    def known(self, name: str) -> User:
        """Raises Unknown."""
        user = self.find(name)
        if user is None:
            raise Unknown(f"there is no user {name[:100]!r}")
        return user

    async def _change(self, name: str, *, revoke: bool, **fields: str | bool) -> User:
        async with self._changing:
            before = self.known(name)
            if "certificate" in fields:
                fields["certificate"] = self._free(str(fields["certificate"]), before)
            user = dataclasses.replace(before, **fields, changed_ns=self._now_ns())  # type: ignore[arg-type]  # fields of User by name
            self._spare_an_admin(before, user)
            if not user.password and not user.certificate:
                raise Conflict(f"{user.name} could not sign in any more: give a password first")
            await self._keep(user, signed_out=revoke)
        if revoke:
            self._sign_out(user.name)
        return user

    async def _keep(self, user: User, *, signed_out: bool = False) -> None:
        await self._repository.put_user(user, signed_out=signed_out)
        self._users[_fold(user.name)] = user
        self.existed = True
        self._index()

    def _index(self) -> None:
        self._certificates = {user.certificate: user for user in self._users.values() if user.certificate}

    async def _hashed(self, password: str, name: str) -> str:
        why = passwords.fault(password, name)
        if why is not None:
            raise Unfit(why)
        return await self._hasher.hash(password)

    def _free(self, certificate: str, owner: User | None = None) -> str:
        """A certificate's thumbprint that nobody else has."""
        thumbprint = certificate.lower().replace(":", "")
        if thumbprint and not _THUMBPRINT.fullmatch(thumbprint):
            raise Unfit("a certificate is named by the SHA-256 of its DER, 64 hexadecimal digits")
        if self._certificates.get(thumbprint, owner) is not owner:
            raise Conflict("that certificate is another user's")
        return thumbprint

    def _spare_an_admin(self, before: User, after: User | None) -> None:
        """Refuses what would leave users, but none who may manage them."""
        if not _manages(before) or (after is not None and _manages(after)):
            return
        if not any(_manages(user) for user in self._users.values() if user is not before):
            raise Conflict(f"{before.name} is the last admin: make another one first")

    def _sign_out(self, name: str) -> None:
        for callback in tuple(self._revoked):
            callback(name)


def check_name(name: str) -> None:
    """Raises Unfit for what cannot be a user's name: the audit shows it, beside names that stand for something else."""
    if not _NAME.fullmatch(name) or _fold(name) in _RESERVED:
        raise Unfit(f"{name[:100]!r} is no user name: letters, digits and . _ @ -, beginning with a letter or digit, 64 at most")


def _fold(name: str) -> str:
    return name.casefold()


def _manages(user: User) -> bool:
    return user.role == "admin" and not user.disabled


def _role(role: str) -> str:
    if role not in ROLES:
        raise Unfit(f"{role[:100]!r} is no role: {', '.join(ROLES)}")
    return role
