"""Serving an ASGI application in the running loop, on a TCP port and on a unix socket, with uvicorn's protocols.

No signal handlers, no lifespan, no second loop and no timer of its own: the daemon decides when it starts and stops.
"""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from gateway.contracts import NotConnected

LOCAL: Final = "local"
"""scope["client"][0] of a caller on the local socket begins with it; over TCP an address stands there, so nobody can claim it."""
FRAME_BYTES: Final = 64 * 1024
CONNECTIONS: Final = 200  # beyond it requests are answered 503,
_MOST: Final = 300  # and beyond this one, streams included, connections are closed at once. The local socket counts for itself
_HEAD_S: Final = 15.0  # a connection that has not asked for anything by then is closed
_DRAIN_S: Final = 2.0  # for answers under way at stop
_MODE: Final = 0o660  # who may open the socket is admin


class WebServer:
    """`await start()`, then `await stop()`. Port 0 takes a free one: `port` says which."""

    def __init__(self, app: ASGIApp, host: str | None, port: int, path: Path | None = None) -> None:
        """host None = no TCP; path None = no unix socket."""
        self._host, self.port, self._path = host, port, path
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._config = Config(
            app=app,
            http=_Http,
            ws=_WebSocket,
            loop="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # a broken request is the caller's news, not the log's
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=15,
            ws_max_size=FRAME_BYTES,
            ws_per_message_deflate=False,
            h11_max_incomplete_event_size=16 * 1024,
        )

    @property
    def connections(self) -> int:
        """Open connections, of both kinds."""
        return len(self._state.connections)

    async def start(self) -> None:
        """Listens. Raises NotConnected where the port is taken, the address is not ours or the socket's directory is not writable."""
        if not self._config.loaded:
            self._config.load()
        try:
            if self._host is not None:
                await self._listen_tcp(self._host)
            if self._path is not None:
                await self._listen_unix(self._path)
        except NotConnected:
            await self.stop()
            raise

    async def _listen_tcp(self, host: str) -> None:
        try:
            server = await asyncio.get_running_loop().create_server(self._protocol, host, self.port, reuse_address=True)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise NotConnected(f"web: cannot listen on {host}:{self.port}: {reason}; set web.port to a free port") from error
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]

    async def _listen_unix(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _remove_stale(path)
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                before = os.umask(0o777 & ~_MODE)
                try:
                    link.bind(str(path))
                finally:
                    os.umask(before)
                self._servers.append(await asyncio.get_running_loop().create_unix_server(self._protocol, sock=link))
            except OSError:
                link.close()
                raise
        except OSError as error:
            raise NotConnected(f"web: cannot listen on {path}: {error.strerror or error}") from error

    def _protocol(self) -> asyncio.Protocol:
        return _Http(config=self._config, server_state=self._state, app_state={})

    async def stop(self) -> None:
        """Prompt and idempotent: no new connections, open WebSockets are told (1012), answers under way get two seconds."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=_DRAIN_S)
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=_DRAIN_S)
        if self._servers and self._path is not None:
            self._path.unlink(missing_ok=True)
        self._servers.clear()


def _remove_stale(path: Path) -> None:
    """Takes away a socket that nobody answers on any more; OSError where something else lies there, or somebody answers."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(17, "something that is no socket lies there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        with suppress(ConnectionRefusedError):
            probe.connect(str(path))
            raise FileExistsError(17, "another gateway of that name is running")
    path.unlink()


class _Http(H11Protocol):
    """uvicorn's, which also knows the peer of a unix socket, and closes a connection that asks for nothing."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = _peer(transport) or self.client
        self.app_state = {"abort": transport.abort}
        if len(self.connections) > _MOST:
            transport.abort()
        self._head_timer = asyncio.get_running_loop().call_later(_HEAD_S, self._idle)

    def _idle(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None:
            self._head_timer.cancel()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._head_timer.cancel()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.cancel()
        super().connection_lost(exc)


class _WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's, which also knows the peer of a unix socket, and how to cut a connection that takes nothing any more."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = _peer(transport) or self.client
        abort: Callable[[], None] = transport.abort
        self.app_state = {"abort": abort}

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # a refusal is an answer too: without this every one of them is logged as an error


def _peer(transport: asyncio.Transport) -> tuple[str, int] | None:
    """(`local:<uid>`, pid) of a process on the unix socket (SO_PEERCRED, unix(7)); None for TCP."""
    link = transport.get_extra_info("socket")
    if link is None or link.family != socket.AF_UNIX:
        return None
    pid, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return f"{LOCAL}:{uid}", pid
