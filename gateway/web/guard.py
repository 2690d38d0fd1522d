"""What every request passes before any route sees it: Host, Origin, size of the body, who asks; and the headers of every answer."""

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.people import People
from gateway.access.sessions import Session, Sessions
from gateway.model.command import Caller
from gateway.web import problems
from gateway.web.config import WebConfig
from gateway.web.server import LOCAL

BODY_BYTES: Final = 1024 * 1024
COOKIE: Final = "sid"
_SAFE: Final = {"GET", "HEAD", "OPTIONS"}
_COOKIE: Final = re.compile(r"(?:^|;)\s*sid=([A-Za-z0-9_-]{1,100})\s*(?:;|$)")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """The ASGI application around the routes. Puts `caller` (or None) and `alive` (is the session still open?) into the request's state."""

    def __init__(self, app: ASGIApp, config: WebConfig, sessions: Sessions, people: People) -> None:
        self._app, self._config, self._sessions, self._people = app, config, sessions, people
        self._names = {"localhost", socket.gethostname().lower(), config.host.lower(), *(name.lower() for name in config.names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, why = refusal
            await problems.answer(status, why, scope["path"])(scope, receive, _with_headers(scope, send))
            return
        caller, alive = await self._caller(scope, headers)
        scope["state"] = {**scope.get("state", {}), "caller": caller, "alive": alive}
        await self._app(scope, _bounded(receive), _with_headers(scope, send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and reason where the request goes no further."""
        host = headers.get("host", "")
        if not _is_local(scope) and not self._is_ours(host):
            return 421, f"this gateway is not {host!r}: add the name to web.names"  # DNS rebinding
        if (scope["type"] == "websocket" or scope["method"] not in _SAFE) and not _same_origin(headers, host):
            return 403, "the request comes from a page of another origin"
        declared = headers.get("content-length", "0")
        if not declared.isascii() or not declared.isdigit() or int(declared[:20]) > BODY_BYTES:
            return 413, f"a body holds {BODY_BYTES} bytes at most"
        return None

    def _is_ours(self, host: str) -> bool:
        """A name that is ours, or an address: only a name can be made to point elsewhere."""
        name = re.sub(r":\d*$", "", host.strip().lower())
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    async def _caller(self, scope: Scope, headers: Headers) -> tuple[Caller | None, Callable[[], bool]]:
        origin = origin_of(scope)
        if _is_local(scope):
            return Caller(origin, "admin", origin), lambda: True
        token = bearer_of(headers)
        if token is not None:
            holder = await self._people.bearer(token, origin)
            return holder, lambda: self._people.holder(token, origin) is not None
        match = _COOKIE.search(headers.get("cookie", ""))
        sid = match[1] if match else ""
        session: Session | None = self._sessions.find(sid) if sid else None
        if session is not None:
            return Caller(session.user, session.role, origin), lambda: self._sessions.find(sid, touch=False) is not None
        if self._config.anonymous is not None:
            return Caller("anonymous", self._config.anonymous, origin), lambda: True
        return None, lambda: False


def bearer_of(headers: Headers) -> str | None:
    """The token that a request brings (RFC 6750, 2.1)."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def origin_of(scope: Mapping[str, Any]) -> str:
    """Where a request comes from, as in Caller."""
    address = str(scope["client"][0]) if scope.get("client") else "unknown"
    return address if address.partition(":")[0] == LOCAL else f"web:{address}"


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and str(client[0]).partition(":")[0] == LOCAL


def _same_origin(headers: Mapping[str, str], host: str) -> bool:
    """Fetch standard: a browser says where a page comes from; a program that says nothing carries no stolen cookie."""
    origin = headers.get("origin")
    if origin is not None:
        return origin.partition("://")[2].lower() == host.lower() != ""
    return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES:
                raise problems.Problem(413, f"a body holds {BODY_BYTES} bytes at most")
        return message

    return bounded


def _with_headers(scope: Scope, send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, text in _HEADERS.items():
                headers.setdefault(name, text)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return with_headers if scope["type"] == "http" else send
