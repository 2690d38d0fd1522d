"""Fixtures of the web room: the room itself, a caller on the local socket, and a stranger over TCP."""

import pytest

from web.room import opened

STRANGER = ("127.0.0.1", 50000)


@pytest.fixture
async def room(tmp_path):
    """One minute of samples: temperature 20.0 .. 25.9 in steps of 0.1 per second, then state, text and count."""
    async with opened(tmp_path / "data") as made:
        for second in range(60):
            await made.feed({"line.temperature": 20.0 + second / 10})
        await made.feed({"line.count": 41, "line.state": 1, "line.message": float("nan")}, text={2: "ok"}, after_s=0.5)
        yield made


@pytest.fixture
async def local(room):
    """A caller on the local socket: admin."""
    async with room.client() as client:
        yield client


@pytest.fixture
async def stranger(room):
    """A caller over TCP who has not signed in."""
    async with room.client(STRANGER) as client:
        yield client
