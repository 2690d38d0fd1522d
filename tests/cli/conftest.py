"""A gateway on a local socket in a folder of the test, and `edgetwin` beside it."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from gateway import local
from gateway.cli import app
from gateway.web.server import WebServer
from web.room import opened


@dataclass
class Said:
    """What a verb said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the sockets of this test lie; none of the machine's own are seen."""
    monkeypatch.setattr(local, "SYSTEM", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("EDGETWIN_URL", raising=False)
    made = tmp_path / "edgetwin"
    made.mkdir()
    return made


def run(*args) -> Said:
    """One verb, in this thread."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


async def edgetwin(*args) -> Said:
    """One verb, beside the gateway of this loop."""
    return await asyncio.to_thread(run, *args)


@pytest.fixture
async def room(tmp_path, folder):
    """A gateway named line1, listening on its local socket."""
    async with opened(tmp_path / "data") as made:
        await made.feed({"line.temperature": 22.5, "line.state": 1})
        server = WebServer(made.app, None, 0, folder / "line1.sock")
        await server.start()
        yield made
        await server.stop()
