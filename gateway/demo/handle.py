"""The plant process in the hands of whoever started it: the demo, a test."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

READY_S: Final = 30.0
ANSWER_S: Final = 30.0
STOP_S: Final = 5.0


class PlantError(Exception):
    """The plant did not start, went away or refused a command; says why."""


class PlantProcess:
    """Runs `python -m gateway.demo.plant` as a context: it is ready inside and gone behind. One command at a time."""

    opcua_url: str
    mqtt_url: str
    tags: int

    def __init__(self, *options: str) -> None:
        self._options: Sequence[str] = options
        self._child: asyncio.subprocess.Process | None = None
        self._number = 0
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        return self._running().pid

    async def start(self) -> None:
        """Returns when server and broker listen. Raises PlantError."""
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.demo.plant",
            *self._options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for us alone: we stop the plant when we have counted
        )
        try:
            words = await self._hear(READY_S)
        except PlantError:
            await self.stop()
            raise
        self.opcua_url, self.mqtt_url, self.tags = words["opcua_url"], words["mqtt_url"], words["tags"]

    async def inject(self, fault: str, seconds: float | None = None, tags: Sequence[str] = ()) -> None:
        """One of the names of faults.Fault, for so many seconds or until clear()."""
        await self.command("inject", fault=fault, seconds=seconds, tags=list(tags))

    async def clear(self, fault: str | None = None) -> None:
        """Ends one fault, or all."""
        await self.command("clear", **({} if fault is None else {"fault": fault}))

    async def write(self, tag: str, value: float) -> None:
        """Sets a setpoint at the plant itself."""
        await self.command("write", tag=tag, value=value)

    async def pause(self) -> None:
        """Nothing is given out any more; returns when what was under way has arrived."""
        await self.command("pause")

    async def resume(self) -> None:
        await self.command("resume")

    async def save_emitted(self, path: Path, since_ns: int = 0) -> int:
        """Writes the ledger for `emission.load`; how many values it holds."""
        return int((await self.command("emitted", path=str(path), since_ns=since_ns))["count"])

    async def command(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Any command of the plant's; its answer. Raises PlantError."""
        async with self._turn:
            child = self._running()
            assert child.stdin is not None
            self._number += 1
            child.stdin.write(json.dumps({"id": self._number, "do": verb, **arguments}).encode() + b"\n")
            try:
                await child.stdin.drain()
            except (BrokenPipeError, ConnectionResetError) as error:
                raise PlantError(f"plant: {verb}: it is gone") from error
            answer = await self._hear(ANSWER_S)
        if not answer.get("ok"):
            raise PlantError(f"plant: {verb}: {answer.get('why')}")
        return answer

    async def stop(self) -> None:
        """Idempotent; the end of its stdin stops it, SIGKILL where that takes longer than 5 s."""
        child, self._child = self._child, None
        if child is None or child.returncode is not None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), STOP_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise PlantError("plant: not started")
        return self._child

    async def _hear(self, within_s: float) -> dict[str, Any]:
        child = self._running()
        assert child.stdout is not None
        try:
            line = await asyncio.wait_for(child.stdout.readline(), within_s)
        except TimeoutError:
            raise PlantError(f"plant: no answer within {within_s:g} s") from None
        if not line:
            raise PlantError(f"plant: it ended with exit code {await child.wait()}")
        words: dict[str, Any] = json.loads(line)
        return words
