"""Sessions of people at the web page, kept in memory: a restart signs everybody out, a revocation holds at once.

A one-time link (256 bits, single use, ten minutes) becomes a session (256 bits again, so a link seen in a log opens nothing).
Only hashes are kept. A session ends after 15 idle minutes and after 12 hours in any case (OWASP ASVS 5.0, V7.3).
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.access.roles import ROLES

LINK_S: Final = 600.0
IDLE_S: Final = 900.0
ABSOLUTE_S: Final = 43_200.0
_BYTES: Final = 32
_LIMIT: Final = 1000  # sessions, and links: the oldest gives way


@dataclass(slots=True)
class Session:
    """A person who signed in. Times are of the clock given to Sessions, in seconds."""

    user: str
    role: str
    began_s: float
    seen_s: float

    def open(self, now_s: float) -> bool:
        """Whether it is still good at that time."""
        return now_s - self.seen_s < IDLE_S and now_s - self.began_s < ABSOLUTE_S


@dataclass(frozen=True, slots=True)
class _Link:
    user: str
    role: str
    until_s: float


class Sessions:
    """Links and sessions by the hash of their secret. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._links: dict[bytes, _Link] = {}
        self._sessions: dict[bytes, Session] = {}

    def link(self, user: str, role: str) -> str:
        """A secret that signs in once, within ten minutes. ValueError for an unknown role."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is no role: {', '.join(ROLES)}")
        secret = secrets.token_urlsafe(_BYTES)
        self._purge()
        self._links[_hash(secret)] = _Link(user, role, self._clock() + LINK_S)
        return secret

    def redeem(self, secret: str) -> str | None:
        """The secret of a new session for that of a link, which is spent by it; None where there is no such link any more."""
        link = self._links.pop(_hash(secret), None)
        now_s = self._clock()
        if link is None or now_s >= link.until_s:
            return None
        return self.open(link.user, link.role)

    def open(self, user: str, role: str) -> str:
        """The secret of a new session for somebody who has signed in."""
        self._purge()
        sid, now_s = secrets.token_urlsafe(_BYTES), self._clock()
        self._sessions[_hash(sid)] = Session(user, role, now_s, now_s)
        return sid

    def find(self, sid: str, *, touch: bool = True) -> Session | None:
        """The open session of that secret, and a sign of life of it (touch); None where it has ended."""
        session, now_s = self._sessions.get(_hash(sid)), self._clock()
        if session is None or not session.open(now_s):
            return None
        if touch:
            session.seen_s = now_s
        return session

    def revoke(self, sid: str) -> None:
        """Signs out; nothing to do for a secret that opens nothing."""
        self._sessions.pop(_hash(sid), None)

    def revoke_user(self, user: str) -> None:
        """Signs that one out everywhere, links that are not used yet included."""
        name = user.casefold()
        self._sessions = {key: session for key, session in self._sessions.items() if session.user.casefold() != name}
        self._links = {key: link for key, link in self._links.items() if link.user.casefold() != name}

    def __len__(self) -> int:
        now_s = self._clock()
        return sum(session.open(now_s) for session in self._sessions.values())

    def _purge(self) -> None:
        now_s = self._clock()
        self._links = {key: link for key, link in self._links.items() if now_s < link.until_s}
        self._sessions = {key: session for key, session in self._sessions.items() if session.open(now_s)}
        for table in (self._links, self._sessions):
            while len(table) >= _LIMIT:
                table.pop(next(iter(table)))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
