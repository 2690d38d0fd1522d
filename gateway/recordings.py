"""Recordings of the engine's input: on demand, and a rolling one where `store.record` asks for it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.engine.engine import Engine
from gateway.model import quality
from gateway.model.batch import SampleBatch
from gateway.operations import Refused
from gateway.settings import Site
from gateway.store.recording import Recorder, prune

ROLL_S = 3600.0


class Recordings:
    """At most one recording on demand beside the rolling one. Both see every entry of the engine loop."""

    def __init__(self, engine: Engine, site: Callable[[], Site], folder: Path, now_ns: Callable[[], int], keep_s: float | None) -> None:
        self._engine, self._site, self._folder, self._now_ns = engine, site, folder, now_ns
        self._keep_s = keep_s
        self.fault: str | None = None
        self._asked: Recorder | None = None
        self._asked_path: Path | None = None
        self._until_s = float("inf")
        self._rolling: Recorder | None = None
        self._rolled_s = float("-inf")

    def step(self, batch: SampleBatch, now_ns: int) -> None:
        for recorder in self._running():
            recorder.step(batch, now_ns)

    def tick(self, now_ns: int) -> None:
        for recorder in self._running():
            recorder.tick(now_ns)

    def command(self, kind: str, now_ns: int, **args: Any) -> None:
        """A person's command that changes the engine: acknowledge, release, commit, rebase."""
        for recorder in self._running():
            recorder.command(kind, now_ns, args)

    def start(self, path: str, seconds: float | None, *, local: bool) -> Mapping[str, Any]:
        """Begin a recording. A caller from elsewhere names a file in the recordings folder; one on this machine may name any path."""
        if self._asked is not None:
            raise Refused(quality.BAD_INVALID_STATE, f"a recording is running already: {self._asked_path}")
        target = Path(path)
        if not local or not target.is_absolute():
            if target.name != path or path.startswith("."):
                raise Refused(quality.BAD_OUT_OF_RANGE, f"{path!r}: name a file, without a folder; it goes to {self._folder}")
            target = self._folder / target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._asked = self._open(target)
        except OSError as error:
            raise Refused(quality.BAD_NOT_WRITABLE, f"cannot write {target}: {error.strerror}") from error
        self._asked_path = target
        self._until_s = float("inf") if seconds is None else time.monotonic() + seconds
        return {"path": str(target), "seconds": seconds}

    async def stop(self) -> Mapping[str, Any]:
        """End the recording on demand."""
        if self._asked is None:
            raise Refused(quality.BAD_INVALID_STATE, "no recording is running")
        recorder, state_hash = self._asked, self._engine.state_hash()
        self._asked, self._until_s = None, float("inf")
        await asyncio.to_thread(recorder.close, state_hash)
        return {"path": str(self._asked_path), "state_hash": state_hash, "fault": recorder.fault}

    async def look(self) -> None:
        """Called every few seconds: end what is over, roll the rolling one, remove what is too old. A disk that refuses ends no gateway."""
        if self._asked is not None and time.monotonic() >= self._until_s:
            await self.stop()
        if self._keep_s is not None and time.monotonic() - self._rolled_s >= min(ROLL_S, self._keep_s):
            self._rolled_s = time.monotonic()
            try:
                await self._roll(self._keep_s)
                self.fault = None
            except OSError as error:
                self.fault = f"recordings: {error}"

    def close(self) -> None:
        """End both, once the engine stands still."""
        state_hash = self._engine.state_hash()
        for recorder in self._running():
            recorder.close(state_hash)
        self._asked = self._rolling = None

    async def _roll(self, keep_s: float) -> None:
        folder = self._folder / "rolling"
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        before, state_hash = self._rolling, self._engine.state_hash()
        self._rolling = self._open(folder / f"{self._now_ns()}.etrec")
        if before is not None:
            await asyncio.to_thread(before.close, state_hash)
        await asyncio.to_thread(prune, folder, self._now_ns() - round(keep_s * 1e9))

    def _open(self, path: Path) -> Recorder:
        site = self._site()
        texts = {str(file): file.read_text(encoding="utf-8", errors="replace") for file in site.files if file.is_file()}
        header = {
            "version": __version__,
            "gateway": site.gateway.name,
            "digest": site.digest,
            "configuration": texts,
            "tags": [tag.name for tag in site.tags],
            "began_ns": self._now_ns(),
        }
        return Recorder(path, header, self._engine.snapshot())

    def _running(self) -> list[Recorder]:
        return [recorder for recorder in (self._asked, self._rolling) if recorder is not None]
