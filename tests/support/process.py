"""A child process of a test: its own process group, its output in a file, stopped by its id."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Process:
    """Started at once; stdout and stderr lie in the files `stdout` and `stderr` below `folder`. As a context it ends by stop()."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._child.poll()

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def output(self) -> str:
        """Everything written to stdout so far."""
        return self.stdout.read_text(errors="replace")

    def errors(self) -> str:
        """Everything written to stderr so far."""
        return self.stderr.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Sends a signal to the process alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, within: float = 30.0) -> int:
        """The exit code; subprocess.TimeoutExpired when it does not end in time."""
        return self._child.wait(within)

    def stop(self, within: float = 10.0) -> int:
        """SIGTERM, then SIGKILL for it and its own children when the time is over; the exit code."""
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(within)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL for the process and its own children; the exit code."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._child.wait(10.0)

    def wait_output(self, text: str, within: float = 30.0) -> str:
        """Blocks until stdout or stderr holds the text; AssertionError with both when it ends or takes too long."""
        deadline = time.monotonic() + within
        while True:
            ended = not self.running
            seen = self.output() + self.errors()
            if text in seen:
                return seen
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} was not written (exit code {self.exit_code}):\n{seen}")
            time.sleep(0.02)
