"""A worker: `python -m gateway.jobs.worker`. One job after the other from standard input, progress and results to standard output.

It ends with its standard input. Whoever started it kills it at a deadline; it also ends by itself when that one is gone.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from gateway.jobs import frames
from gateway.jobs.table import Impossible, work
from gateway.work import Column

_NICENESS: Final = 5  # the daemon goes first
_EVERY_S: Final = 0.1  # between two words of progress
_GRACE_S: Final = 5  # beyond the deadline, which is the starter's to keep
_LONGEST: Final = 2000  # characters of a failure


def main() -> None:
    """Work until standard input ends."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not stand among the messages
    _modest()
    while True:
        message = frames.read(sys.stdin.buffer)
        if message is None:
            return
        signal.alarm(int(message[0]["deadline_s"]) + _GRACE_S)
        _answer(out, *message)
        signal.alarm(0)


def _modest() -> None:
    """The first to go when memory is short, and the last in line for the processor."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(OSError):
        os.nice(_NICENESS)


def _answer(out: BinaryIO, header: Mapping[str, Any], arrays: Mapping[str, Column]) -> None:
    tell = _Progress(out, header["job"])
    generator = np.random.Generator(np.random.PCG64(header["seed"]))
    try:
        values, found = work(header["kind"])(header["args"], arrays, generator, tell)
        pieces = frames.encode({"job": header["job"], "result": values}, found)
    except Impossible as fault:
        pieces = _failure(header["job"], "refused", str(fault))
    except MemoryError:
        pieces = _failure(header["job"], "refused", "it needs more memory than there is: fewer runs, fewer steps")
    except Exception as fault:  # noqa: BLE001  the bulkhead of one job: named to the starter, with its traceback on stderr
        traceback.print_exc()
        pieces = _failure(header["job"], "error", f"{type(fault).__name__}: {fault}")
    _write(out, pieces)


def _failure(job: int, reason: str, why: str) -> list[bytes | memoryview]:
    return frames.encode({"job": job, "failure": {"reason": reason, "why": why[:_LONGEST]}}, {})


def _write(out: BinaryIO, pieces: list[bytes | memoryview]) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[out.write(rest) :]


class _Progress:
    """Sends a share now and then; the end of whoever listens is the end of the worker (SIGPIPE or BrokenPipeError)."""

    def __init__(self, out: BinaryIO, job: int) -> None:
        self._out, self._job, self._next_s = out, job, 0.0

    def __call__(self, share: float) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            _write(self._out, frames.encode({"job": self._job, "progress": float(share)}, {}))


if __name__ == "__main__":
    main()
