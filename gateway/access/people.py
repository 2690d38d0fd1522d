"""Who comes in (contracts.Access): by name and password, by certificate, by token. Each attempt is recorded; failures slow down the next.

An unknown, disabled or passwordless name takes as long as a wrong password and is refused in the same words.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from gateway.access.attempts import Backoff, Thrift, Thrifts, address_of
from gateway.access.passwords import Hasher, outdated
from gateway.access.tokens import Tokens
from gateway.access.users import Nowhere, Repository, Unfit, Users
from gateway.contracts import SignInRefused
from gateway.model.command import Caller
from gateway.model.people import User

QUEUE: Final = 50  # sign-ins that wait for their turn
_TOLD: Final = 100  # characters of a name that a stranger gave
_KNOWN: Final = 1000  # (user, address) pairs that are remembered


@dataclass(frozen=True, slots=True)
class SignIn:
    """One attempt. by: password, certificate, token or link; why: empty where it was let in; left_out: so many before it have no record."""

    user: str
    role: str
    origin: str
    by: str
    why: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class SignOut:
    """The end of a session; left_out: so many before it have no record."""

    user: str
    role: str
    origin: str
    why: str
    left_out: int = 0


Record = Callable[[SignIn | SignOut], Awaitable[None]]


async def _unrecorded(_: SignIn | SignOut) -> None:
    """For those who keep no records."""


class People:
    """The Access of a gateway; users and tokens are changed through it. unavailable: what the repository raises while the disk refuses."""

    def __init__(
        self,
        repository: Repository | None = None,
        record: Record = _unrecorded,
        *,
        now_ns: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = monotonic,
        unavailable: tuple[type[Exception], ...] = (),
    ) -> None:
        self._repository: Repository = repository or Nowhere()
        self._record, self._clock, self._unavailable = record, clock, unavailable
        self._hasher = Hasher()
        self.users = Users(self._repository, self._hasher, now_ns)
        self.tokens = Tokens(self._repository, now_ns)
        self.users.on_revoked(self.tokens.end)
        self._backoff = Backoff()
        self._good, self._gone = (Thrifts(burst=30, interval_s=60.0) for _ in range(2))  # by user and address
        self._bad, self._all_bad = Thrifts(burst=30, interval_s=60.0), Thrift(burst=300, interval_s=6.0)  # by address, and of all
        self._known: dict[tuple[str, str], None] = {}
        self._turn = asyncio.Lock()
        self._tries: set[asyncio.Task[User | SignInRefused]] = set()

    async def load(self) -> None:
        """What the disk knows, at the start."""
        kept = await self._repository.load()
        self.users.use(kept)
        self.tokens.use(kept)

    @property
    def setup(self) -> bool:
        """Whether there has never been a user."""
        return not self.users.existed

    def anyone(self) -> bool:
        """Whether there is somebody who could sign in."""
        return any(not user.disabled for user in self.users.all())

    def on_revoked(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """callback(user) when that one is to be signed out everywhere; returns what ends it."""
        return self.users.on_revoked(callback)

    # --- coming in -------------------------------------------------------------------------------------------------------------------

    async def sign_in(self, user: str, password: str, origin: str) -> Caller:
        """Raises SignInRefused. Whoever goes away meanwhile has tried all the same."""
        if len(self._tries) >= QUEUE:
            raise SignInRefused("too many sign-ins wait", 1.0)
        attempt = asyncio.create_task(self._try(user, password, origin))
        self._tries.add(attempt)
        attempt.add_done_callback(self._tries.discard)
        found = await asyncio.shield(attempt)
        if isinstance(found, SignInRefused):
            raise found
        return await self._still(found, origin, "password")

    async def recognise(self, certificate: bytes, origin: str) -> Caller:
        """By the certificate's SHA-256. Raises SignInRefused."""
        thumbprint = hashlib.sha256(certificate).hexdigest()
        user = self.users.with_certificate(thumbprint)
        if user is None or user.disabled:
            await self._tell_bad(
                thumbprint if user is None else user.name,
                origin,
                "certificate",
                "nobody has this certificate" if user is None else "disabled",
            )
            raise SignInRefused("the certificate is nobody's")
        await self._tell_good(SignIn(user.name, user.role, origin, "certificate"))
        return await self._still(user, origin, "certificate")

    async def bearer(self, secret: str, origin: str) -> Caller | None:
        """Who holds this token; None where it opens nothing (any more). Only failures are recorded: it comes with each request.

        There is no delay: nobody guesses 256 bits, and a program with an old token must not shut out the people beside it.
        """
        caller = self.holder(secret, origin)
        if caller is None:
            await self._tell_bad("", origin, "token", "no such token, or not any more")
        return caller

    def holder(self, secret: str, origin: str) -> Caller | None:
        """Who holds this token now, without a record: for what lasts longer than a request."""
        token = self.tokens.find(secret)
        if token is None:
            return None
        if not token.owner:
            return Caller(f"token:{token.name}", token.role, origin)
        owner = self.users.find(token.owner)
        return None if owner is None or owner.disabled else Caller(owner.name, token.role, origin)

    async def forget(self, secret: str, origin: str) -> Caller | None:
        """Ends a person's own token; whose it was. That of a program is for those who manage them."""
        token, caller = self.tokens.find(secret), self.holder(secret, origin)
        if token is None or not token.owner or caller is None:
            return None
        await self.tokens.revoke(token.token_id)
        return caller

    async def told(self, caller: Caller, by: str, why: str = "") -> None:
        """Records a sign-in that was decided elsewhere, such as by a one-time link; why: empty where it was let in."""
        if why:
            await self._tell_bad(caller.user, caller.origin, by, why)
        else:
            await self._tell_good(SignIn(caller.user, caller.role, caller.origin, by))

    async def left(self, caller: Caller, why: str) -> None:
        """Records the end of a session; one that a change of its user ended, too."""
        left_out = self._gone.take((caller.user, address_of(caller.origin)), self._clock())
        if left_out is not None:
            await self._record(SignOut(caller.user, caller.role, caller.origin, why, left_out))

    # --- passwords and delays --------------------------------------------------------------------------------------------------------

    async def change_own_password(self, caller: Caller, present: str, new: str) -> None:
        """By its owner, who proves to know the present one. Raises SignInRefused, NotDone."""
        await self.sign_in(caller.user, present, caller.origin)
        if present == new:
            raise Unfit("the new password is the present one")
        await self.users.set_password(caller.user, new)

    def unlock(self, user: str) -> None:
        """That account's delay ends at once. Raises Unknown."""
        known = self.users.known(user)
        self._backoff.forget(_account(known.name))
        for name, address in self._known:
            if name == known.name:
                self._backoff.forget(_pair(name, address))

    def locked_s(self, user: str) -> float:
        """How long that account has to wait; 0 = not at all."""
        return self._backoff.wait_s([_account(user)], self._clock())

    def _keys(self, user: str, origin: str) -> tuple[list[str], list[str]]:
        """(what holds an attempt up, under what its failure is counted).

        The account and the address; the address counts each name once, so that a program with one wrong password does not shut out its
        neighbours. Where this very user has come in before, only the user's own failures there count: others cannot shut that one out.
        """
        address, known = address_of(origin), self.users.find(user)
        name = user[:_TOLD] if known is None else known.name
        pair = _pair(name, address)
        if (name, address) in self._known:
            return [pair], [pair]
        gates = [_account(name), f"address {address}"]
        return gates, [_account(name), pair] if self._backoff.holds(pair, self._clock()) else [*gates, pair]

    async def _try(self, user: str, password: str, origin: str) -> User | SignInRefused:
        async with self._turn:
            gates, counts = self._keys(user, origin)
            wait_s = self._backoff.wait_s(gates, self._clock())
            if wait_s <= 0:
                known = self.users.find(user)
                kept = "" if known is None or known.disabled else known.password
                matches = await self._hasher.matches(kept, password)
                if matches and known is not None and self.users.find(user) is known:
                    self._welcome_back(known.name, gates[0], address_of(origin))
                else:
                    self._backoff.failed(counts, self._clock())
                    known = None
        if wait_s > 0:
            await self._tell_bad(user, origin, "password", "too many failures")
            return SignInRefused("too many failures", wait_s)
        if known is None:
            await self._tell_bad(user, origin, "password", "wrong name or password")
            return SignInRefused("wrong name or password")
        if outdated(known.password):
            await self._renew(known, password)
        await self._tell_good(SignIn(known.name, known.role, origin, "password"))
        return known

    async def _still(self, user: User, origin: str, by: str) -> Caller:
        """Whoever was let in, unless that one was signed out while the record was written: the last look, with no wait behind it.

        Raises SignInRefused.
        """
        now = self.users.find(user.name)
        if now is None or replace(now, password="") != replace(user, password=""):  # a hash may have been renewed
            await self._tell_bad(user.name, origin, by, "signed out meanwhile")
            raise SignInRefused("signed out meanwhile")
        return Caller(user.name, user.role, origin)

    async def _renew(self, user: User, password: str) -> None:
        try:
            await self.users.rehash(user, password)
        except self._unavailable:
            return  # next time

    def _welcome_back(self, name: str, gate: str, address: str) -> None:
        """Earlier failures of this user, as far as they are this one's, are forgotten, and the address is known."""
        self._backoff.forget(gate)
        self._backoff.forget(_pair(name, address))
        self._known.pop((name, address), None)
        self._known[name, address] = None
        if len(self._known) > _KNOWN:
            self._known.pop(next(iter(self._known)))

    # --- records ---------------------------------------------------------------------------------------------------------------------

    async def _tell_good(self, sign_in: SignIn) -> None:
        who = (sign_in.user, address_of(sign_in.origin))
        left_out = self._good.take(who, self._clock())
        if left_out is not None:
            await self._record(SignIn(sign_in.user, sign_in.role, sign_in.origin, sign_in.by, "", left_out))

    async def _tell_bad(self, user: str, origin: str, by: str, why: str) -> None:
        left_out = self._bad.take(address_of(origin), self._clock())
        if left_out is not None:
            left_out = self._all_bad.take(self._clock(), left_out)
        if left_out is not None:
            await self._record(SignIn(user[:_TOLD], "", origin, by, why, left_out))


def _account(user: str) -> str:
    return f"account {user.casefold()}"


def _pair(user: str, address: str) -> str:
    return f"account {user.casefold()} at {address}"
