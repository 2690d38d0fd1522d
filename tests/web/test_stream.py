"""The stream on a real socket with a foreign client (websockets)."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.events import Publisher
from gateway.model.tag import Tag
from gateway.web import stream
from gateway.web.config import WebConfig
from gateway.web.server import WebServer
from web.room import opened

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@asynccontextmanager
async def serving(room, tmp_path):
    server = WebServer(room.app, "127.0.0.1", 0, tmp_path / "s.sock")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def server(room, tmp_path):
    async with serving(room, tmp_path) as made:
        yield made


def local(tmp_path):
    return unix_connect(str(tmp_path / "s.sock"), uri="ws://localhost/api/v1/stream", max_size=None)


async def until(link, kind):
    """The next message of that type; others are passed over."""
    async with asyncio.timeout(10):
        while True:
            message = json.loads(await link.recv())
            if message["type"] == kind:
                return message


async def subscribe(link, **wish):
    await link.send(json.dumps({"subscribe": wish}))


async def test_values_alarms_and_events_arrive(server, room, tmp_path):
    async with local(tmp_path) as link:
        assert (await until(link, "hello"))["role"] == "admin"
        await subscribe(link, tags=["line.temperature"], alarms=True, events=True)
        assert (await until(link, "alarms"))["conditions"] == []
        assert (await until(link, "snap"))["v"] == [25.9]
        await room.feed({"line.temperature": 28.0, "line.count": 5})
        assert (await until(link, "al"))["change"] == "active"
        assert (await until(link, "ev"))["source"] == "line.temperature"
    async with local(tmp_path) as link:
        await subscribe(link, tags="*", hz=10)
        await until(link, "snap")
        await room.feed({"line.temperature": 29.0})
        assert (await until(link, "d"))["v"] == [29.0]


async def test_who_has_not_signed_in_or_comes_from_elsewhere_gets_no_stream(server, room):
    url = f"ws://127.0.0.1:{server.port}/api/v1/stream"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url)
    assert refused.value.response.status_code in {401, 403}
    sid = room.sessions.redeem(room.sessions.link("ann", "viewer"))
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers={"Cookie": f"sid={sid}"}, origin="http://evil.example")
    assert refused.value.response.status_code == 403
    async with connect(url, additional_headers={"Cookie": f"sid={sid}"}, origin=f"http://127.0.0.1:{server.port}") as link:
        assert (await until(link, "hello"))["role"] == "viewer"


async def test_the_stream_ends_with_the_session(server, room):
    sid = room.sessions.redeem(room.sessions.link("ann", "viewer"))
    async with connect(f"ws://127.0.0.1:{server.port}/api/v1/stream", additional_headers={"Cookie": f"sid={sid}"}) as link:
        await subscribe(link, tags="*")
        await until(link, "snap")
        room.sessions.revoke(sid)
        await room.feed({"line.temperature": 30.0})
        await until(link, "gone")
        with pytest.raises(ConnectionClosed) as closed:
            await until(link, "never")
        assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize(
    "message", ["no json", "[]", '{"subscribe": 5}', '{"subscribe": {"tags": "some"}}', '{"subscribe": {"hz": -1}}', "[" * 5000]
)
async def test_a_message_that_is_not_understood_ends_the_connection_with_the_reason(server, tmp_path, message):
    async with local(tmp_path) as link:
        await link.send(message)
        assert (await until(link, "gone"))["why"]
        with pytest.raises(ConnectionClosed) as closed:
            await until(link, "never")
        assert closed.value.rcvd.code == 1008


async def test_a_frame_beyond_64_kib_ends_the_connection(server, tmp_path):
    async with local(tmp_path) as link:
        await link.send("x" * 70_000)
        with pytest.raises(ConnectionClosed) as closed:
            await until(link, "never")
        assert closed.value.rcvd.code == 1009


async def test_a_stop_is_prompt_and_tells_open_streams(room, tmp_path):
    async with serving(room, tmp_path) as server, local(tmp_path) as link:
        await subscribe(link, tags="*")
        await until(link, "snap")
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began < 1.5
        with pytest.raises(ConnectionClosed) as closed:
            await until(link, "never")
        assert closed.value.rcvd.code == 1012
        assert server.connections == 0


async def test_a_client_that_takes_nothing_is_conflated_and_then_cut_while_others_are_served(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "SLOW_S", 0.5)
    tags = [Tag(n, f"t{n:05d}") for n in range(15_000)]
    async with (
        opened(tmp_path / "data", WebConfig(port=0, insecure=True, anonymous="viewer"), tags) as room,
        serving(room, tmp_path) as server,
    ):
        deaf = socket.create_connection(("127.0.0.1", server.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        deaf.sendall((head + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        await asyncio.sleep(0)
        wish = json.dumps({"subscribe": {"tags": "*"}}).encode()
        async with local(tmp_path) as link:
            await until(link, "hello")
            deaf.sendall(bytes([0x81, 0x80 | len(wish)]) + b"\0\0\0\0" + wish)
            await subscribe(link, tags=["t00007"])
            await until(link, "snap")
            async with asyncio.timeout(20):
                count = 0
                while server.connections > 1:
                    count += 1
                    await room.feed({tag.name: float(count) for tag in tags}, after_s=0.1)
                    assert (await until(link, "d"))["v"] == [float(count)]
        deaf.close()


@pytest.mark.parametrize(("role", "heard"), [("operator", ["something else"]), ("manager", ["bob signed in", "something else"])])
async def test_who_did_what_is_streamed_to_those_who_may_read_the_audit(server, room, role, heard):
    sid = room.sessions.open("ann", role)
    async with connect(f"ws://127.0.0.1:{server.port}/api/v1/stream", additional_headers={"Cookie": f"sid={sid}"}) as link:
        await subscribe(link, tags=[], events=True)
        await until(link, "snap")
        say = Publisher("gateway", room.events.publish, lambda: room.now_ns)
        say.user("bob signed in", user="bob", origin="web:10.0.0.7")
        say.system("something else")
        assert [(await until(link, "ev"))["message"] for _ in heard] == heard
