"""Tokens for programs: 256 random bits that are shown once, and of which only the hash is kept."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from gateway.access.roles import ROLES
from gateway.access.users import Conflict, Repository, Unfit, Unknown
from gateway.model.people import People as Kept
from gateway.model.people import Token

PREFIX: Final = "edgetwin_"  # so that a search for leaked secrets finds one
MOST: Final = 1000
PER_PERSON: Final = 20  # the oldest gives way
DAYS_MOST: Final = 3660.0
_NAME_MOST: Final = 100
_DAY_NS: Final = 86_400_000_000_000


class Tokens:
    """Tokens by the hash of their secret. Changes raise NotDone, and what the repository raises."""

    def __init__(self, repository: Repository, now_ns: Callable[[], int]) -> None:
        self._repository, self._now_ns = repository, now_ns
        self._tokens: dict[bytes, Token] = {}

    def use(self, kept: Kept) -> None:
        """What the disk knows, at the start."""
        self._tokens = {token.key: token for token in kept.tokens}

    def all(self) -> list[Token]:
        """The newest first, those that have expired too."""
        return sorted(self._tokens.values(), key=lambda token: -token.created_ns)

    def find(self, secret: str) -> Token | None:
        """The token of that secret; None where there is none, or it has expired."""
        token = self._tokens.get(_key(secret))
        return token if token is not None and not (0 < token.expires_ns <= self._now_ns()) else None

    async def create(self, name: str, role: str, days: float | None, owner: str = "") -> tuple[Token, str]:
        """(the token, its secret, which is told this once). days None = it does not expire."""
        if not 0 < len(name) <= _NAME_MOST or not name.isprintable():
            raise Unfit(f"a token has a name, of {_NAME_MOST} characters at most")
        if role not in ROLES:
            raise Unfit(f"{role[:100]!r} is no role: {', '.join(ROLES)}")
        if days is not None and not 0 < days <= DAYS_MOST:
            raise Unfit(f"a token lives {DAYS_MOST:.0f} days at most")
        gone = self._make_room(owner)
        secret = PREFIX + secrets.token_urlsafe(32)
        now_ns = self._now_ns()
        until_ns = 0 if days is None else now_ns + round(days * _DAY_NS)
        token = Token(secrets.token_hex(8), name, role, owner, _key(secret), now_ns, until_ns)
        self._tokens[token.key] = token  # before any wait: an end of the owner's tokens from now on ends this one too
        try:
            await self._repository.put_token(token)
        except BaseException:
            self._tokens.pop(token.key, None)
            raise
        ended = token.key not in self._tokens
        gone += [token] if ended else []
        if gone:
            await self._repository.remove_tokens([each.token_id for each in gone])
        if ended:
            raise Conflict(f"{owner} was signed out meanwhile")
        return token, secret

    def end(self, owner: str) -> None:
        """Those of that person open nothing any more; the repository has ended them with the change that is the reason."""
        self._tokens = {key: token for key, token in self._tokens.items() if token.owner != owner}

    async def revoke(self, token_id: str) -> Token:
        """It opens nothing any more."""
        for token in self._tokens.values():
            if token.token_id == token_id:
                del self._tokens[token.key]
                await self._repository.remove_tokens([token_id])
                return token
        raise Unknown(f"there is no token {token_id[:100]!r}")

    def _make_room(self, owner: str) -> list[Token]:
        """Takes out what gives way to one more; the repository still has it."""
        gone = []
        if owner:
            theirs = sorted((token for token in self._tokens.values() if token.owner == owner), key=lambda token: token.created_ns)
            gone = theirs[: max(0, len(theirs) - PER_PERSON + 1)]
        if len(self._tokens) - len(gone) >= MOST:
            now_ns = self._now_ns()
            gone = [*gone, *(token for token in self._tokens.values() if 0 < token.expires_ns <= now_ns and token not in gone)]
            if len(self._tokens) - len(gone) >= MOST:
                raise Conflict(f"there are {MOST} tokens: revoke some of them first")
        for token in gone:
            del self._tokens[token.key]
        return gone


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
