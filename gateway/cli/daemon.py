"""The way to a running daemon: HTTP on its local socket, or on the address given with --url."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway import local
from gateway.cli.failure import FAILED, UNREACHABLE, WRONG, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import httpx
    from websockets.sync.client import ClientConnection

_TIMEOUT_S: Final = 10.0
_PAGE: Final = 200  # names in one request
_HINT: Final = (
    "is it running? `edgetwin run CONFIG` starts it, `systemctl status edgetwin` shows the service; "
    "its local socket is open to root and to its own group alone"
)


class Daemon:
    """One daemon, at a socket or at an address. Failures carry the exit code."""

    def __init__(self, socket: Path | None, url: str) -> None:
        self.socket, self.url = socket, url.rstrip("/")

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return self.url if self.socket is None else str(self.socket)

    def get(self, path: str, **params: Any) -> Any:
        """JSON of GET /api/v1<path>."""
        return self._ask("GET", path, params={name: given for name, given in params.items() if given is not None})

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float = _TIMEOUT_S) -> Any:
        """JSON of POST /api/v1<path>."""
        return self._ask("POST", path, json=dict(body), timeout=timeout_s)

    def sign_out(self) -> None:
        """The token that `edgetwin login` keeps for this address opens nothing any more; EDGETWIN_TOKEN is somebody else's."""
        token = kept_tokens(tokens_file()).get(self.url, {}).get("token")
        if token:
            with self._client() as client, _reach(self.place):
                _check(client.delete("/api/v1/session", headers={"Authorization": f"Bearer {token}"}))

    def command(self, kind: str, args: Mapping[str, Any], timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
        """The outcome of a command."""
        outcome: dict[str, Any] = self.post("/commands", {"command": kind, "args": dict(args)}, timeout_s)
        return outcome

    def rows(self, tags: Sequence[str]) -> list[dict[str, Any]]:
        """What is known of these tags, in this order; Failure where one of them is not there."""
        return [row for start in range(0, len(tags), _PAGE) for row in self.get("/tags", name=tags[start : start + _PAGE])["tags"]]

    @contextmanager
    def download(self, path: str, params: Mapping[str, Any]) -> Iterator[Iterator[bytes]]:
        """The answer of GET /api/v1<path> in pieces."""
        with self._client() as client, _reach(self.place), client.stream("GET", f"/api/v1{path}", params=dict(params)) as answer:
            if answer.is_error:
                answer.read()
            _check(answer)
            yield answer.iter_bytes()

    def stream(self) -> ClientConnection:
        """An open WebSocket to /api/v1/stream."""
        from websockets.exceptions import InvalidHandshake
        from websockets.sync.client import connect, unix_connect

        try:
            if self.socket is not None:
                return unix_connect(str(self.socket), uri="ws://localhost/api/v1/stream", max_size=None, open_timeout=_TIMEOUT_S)
            return connect(
                self.url.replace("http", "ws", 1) + "/api/v1/stream",
                max_size=None,
                open_timeout=_TIMEOUT_S,
                additional_headers=self._authorization(),
            )
        except InvalidHandshake as error:
            raise Failure(FAILED, f"{self.place} refuses: {error}") from None
        except (OSError, TimeoutError) as error:
            raise Failure(UNREACHABLE, f"cannot reach {self.place}: {error}", _HINT) from None

    def _ask(self, verb: str, path: str, **more: Any) -> Any:
        with self._client() as client, _reach(self.place):
            answer = client.request(verb, f"/api/v1{path}", **more)
        _check(answer)
        return answer.json()

    def _client(self) -> httpx.Client:
        import httpx

        transport = None if self.socket is None else httpx.HTTPTransport(uds=str(self.socket))
        return httpx.Client(base_url=self.url, transport=transport, timeout=_TIMEOUT_S, trust_env=False, headers=self._authorization())

    def _authorization(self) -> dict[str, str]:
        """EDGETWIN_TOKEN, else what `edgetwin login` keeps for this address; the local socket needs none."""
        if self.socket is not None:
            return {}
        token = os.environ.get("EDGETWIN_TOKEN") or kept_tokens(tokens_file()).get(self.url, {}).get("token")
        return {"Authorization": f"Bearer {token}"} if token else {}


def tokens_file() -> Path:
    """Where `edgetwin login` keeps its tokens."""
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "edgetwin" / "tokens.json"


def kept_tokens(path: Path) -> dict[str, Any]:
    """By address; empty where there are none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {url: entry for url, entry in found.items() if isinstance(entry, dict)} if isinstance(found, dict) else {}


def find(url: str | None, name: str | None) -> Daemon:
    """The daemon that is meant: the address, the socket of that name, or the only socket there is."""
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise Failure(WRONG, f"--url {url}: write http://HOST:PORT")
        return Daemon(None, url)
    found = local.sockets()
    if name is not None:
        found = [path for path in found if path.stem == name]
    if not found:
        which = f"no gateway named {name}" if name else "no gateway"
        raise Failure(UNREACHABLE, f"{which} has its socket in {' or '.join(map(str, local.folders()))}", _HINT)
    if len(found) > 1:
        alive = [path for path in found if _answers(path)]
        if len(alive) > 1:
            names = ", ".join(sorted({path.stem for path in alive}))
            raise Failure(WRONG, f"several gateways run here: {names}", f"say which one: --name {min(path.stem for path in alive)}")
        if not alive:
            where = ", ".join(sorted({str(path.parent) for path in found}))
            raise Failure(UNREACHABLE, f"no gateway answers on any of the {len(found)} sockets in {where}", _HINT)
        found = alive
    return Daemon(found[0], "http://localhost")


def running(name: str) -> Daemon | None:
    """The daemon of that name, if it runs on this machine."""
    return next((Daemon(path, "http://localhost") for path in local.sockets() if path.stem == name and _answers(path)), None)


def _answers(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) == 0


@contextmanager
def _reach(place: str) -> Iterator[None]:
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise Failure(UNREACHABLE, f"cannot reach {place}: {error}", _HINT) from None


def _check(answer: httpx.Response) -> None:
    """Failure with the words of the problem document."""
    if not answer.is_error:
        return
    kind = answer.headers.get("content-type", "")
    problem = answer.json() if kind.endswith("json") else {}
    why = problem.get("detail") or f"{answer.status_code} {answer.reason_phrase}"
    raise Failure(FAILED, why, _sign_in(answer.request) if answer.status_code == 401 else "", problem.get("status_code", ""))


def _sign_in(request: httpx.Request) -> str:
    """What to do about a 401."""
    if request.method == "POST" and request.url.path.endswith("/session"):  # that was the sign-in
        return ""
    if "Authorization" in request.headers:
        return "the token that was sent opens nothing (any more): see EDGETWIN_TOKEN, or `edgetwin login --url ...` again"
    return "`edgetwin login --url ...` signs in; without --url the local socket is used, which needs none"
