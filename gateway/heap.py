"""The heap of a process that runs for years: what starting and large requests leave behind goes back to the system."""

import ctypes
import gc
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

_GROWN_BYTES: Final = 32 * 2**20
_EVERY_S: Final = 10.0
_ARENAS: Final = 2
_M_ARENA_MAX: Final = -8  # malloc.h


@cache
def _malloc_trim() -> Callable[[int], int]:
    """malloc_trim(3); where the C library has none, nothing is done."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim or (lambda _pad: 0)


def few_arenas() -> None:
    """mallopt(3): the threads share two arenas instead of eight for each core, each with free pages of its own; one lock more is no matter
    where one thread at a time runs. To be called before there are threads; MALLOC_ARENA_MAX in the environment goes first.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, _ARENAS)


class Heap:
    """settle() once after the start; look() now and then."""

    def __init__(self) -> None:
        self._held_bytes = 0
        self._looked_s = time.monotonic()

    def settle(self) -> None:
        """What is there now stays: the collector passes over it no more, and goes on with what comes."""
        gc.collect()
        gc.freeze()
        gc.enable()
        self._trim()

    def look(self) -> None:
        """Free pages amid the used ones go back to the system, where the process has grown much since the last time."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _EVERY_S and resident_bytes() > self._held_bytes + _GROWN_BYTES:
            self._trim()

    def _trim(self) -> None:
        _malloc_trim()(0)
        self._held_bytes, self._looked_s = resident_bytes(), time.monotonic()


def resident_bytes() -> int:
    """proc(5): statm."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
