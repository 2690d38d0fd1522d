"""The application on real sockets."""

import stat

import httpx
import pytest

from gateway.contracts import NotConnected
from gateway.web.server import WebServer


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
