"""The application on real sockets."""

import asyncio
import json
import os
import stat
from contextlib import suppress

import httpx
import pytest
from websockets.asyncio.client import unix_connect

from gateway.contracts import NotConnected
from gateway.web import server as server_module
from gateway.web.server import WebServer
from support.waiting import eventually
from web.room import opened


@pytest.fixture
async def server(room, tmp_path):
    made = WebServer(room.app, "127.0.0.1", 0, tmp_path / "run" / "line1.sock")
    await made.start()
    yield made
    await made.stop()


async def test_it_serves_tcp_and_the_unix_socket_at_once(server, tmp_path):
    path = tmp_path / "run" / "line1.sock"
    async with httpx.AsyncClient() as tcp, httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as local:
        assert (await tcp.get(f"http://127.0.0.1:{server.port}/readyz")).status_code == 200
        assert (await tcp.get(f"http://127.0.0.1:{server.port}/api/v1/tags")).status_code == 401
        session = (await local.get("http://gateway/api/v1/session")).json()
    assert session["role"] == "admin"
    assert session["user"].startswith("local:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_a_taken_port_is_said_clearly(server, room):
    with pytest.raises(NotConnected, match=f"cannot listen on 127.0.0.1:{server.port}: Address already in use; set web.port"):
        await WebServer(room.app, "127.0.0.1", server.port).start()


async def test_a_socket_that_somebody_answers_on_is_not_taken_over(server, room, tmp_path):
    with pytest.raises(NotConnected, match="another gateway"):
        await WebServer(room.app, None, 0, tmp_path / "run" / "line1.sock").start()


async def test_the_socket_of_a_gateway_that_was_killed_is_taken_over(server, room, tmp_path):
    import socket

    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    again = WebServer(room.app, None, 0, path)
    await again.start()
    await again.stop()
    assert not path.exists()


async def test_it_runs_on_uvloop_as_the_daemon_does(tmp_path):
    """The peer of the unix socket, the stream and a prompt stop hold on uvloop's transports too."""
    import uvloop

    async def scenario():
        async with opened(tmp_path / "data") as room:
            server = WebServer(room.app, "127.0.0.1", 0, tmp_path / "u.sock")
            await server.start()
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(tmp_path / "u.sock"))) as local:
                session = (await local.get("http://gateway/api/v1/session")).json()
            async with unix_connect(str(tmp_path / "u.sock"), uri="ws://localhost/api/v1/stream") as link:
                hello = json.loads(await link.recv())
                await server.stop()
            return session["user"], hello["role"]

    assert await asyncio.to_thread(uvloop.run, scenario()) == (f"local:{os.getuid()}", "admin")


async def test_a_connection_that_asks_for_nothing_is_closed(room, monkeypatch):
    monkeypatch.setattr(server_module, "_HEAD_S", 0.2)
    server = WebServer(room.app, "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: loc")
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    await server.stop()


async def test_a_flood_of_connections_leaves_the_local_socket_open(room, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "_MOST", 5)
    over_tcp, local = WebServer(room.app, "127.0.0.1", 0), WebServer(room.app, None, 0, tmp_path / "f.sock")
    await over_tcp.start()
    await local.start()
    links = [await asyncio.open_connection("127.0.0.1", over_tcp.port) for _ in range(20)]
    await eventually(lambda: over_tcp.connections == 5)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(tmp_path / "f.sock"))) as client:
        assert (await client.get("http://gateway/healthz")).status_code == 200
    for _, writer in links:
        writer.close()
    await over_tcp.stop()
    await local.stop()


async def test_it_can_be_started_again_on_the_same_port(room):
    server = WebServer(room.app, "127.0.0.1", 0)
    await server.start()
    port = server.port
    await server.stop()
    await server.stop()
    await server.start()
    assert server.port == port
    await server.stop()


async def test_garbage_is_answered_and_harms_nobody(server):
    long, wrong = b"GET /" + b"a" * 100_000, b"POST /api/v1/commands HTTP/1.1\r\nContent-Length: x\r\n\r\n"
    for garbage in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", long, wrong):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(garbage)
        async with asyncio.timeout(5):
            assert (await reader.read(12)).startswith(b"HTTP/1.1 4")
        writer.close()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/healthz")).status_code == 200
