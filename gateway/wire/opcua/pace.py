"""Long requests beside short ones: work in slices, and decoding and encoding in a thread of its own where there is much of it."""

import asyncio
import contextvars
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary

from gateway.wire.opcua import limits
from gateway.wire.opcua.guards import decoded

T = TypeVar("T")
_MANY = 100  # results


class Pace:
    """`if pace.due(): await pace.rest()` in a loop of small steps."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._began > limits.BREATH_S

    async def rest(self) -> None:
        """Everything else that waits has its turn."""
        await asyncio.sleep(0)
        self._began = time.monotonic()


class Codec:
    """The library's codec for messages of any size: one large one at a time, and the event loop goes on meanwhile."""

    def __init__(self) -> None:
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="opcua-codec")

    async def decode(self, kind: type[T], body: Buffer) -> T:
        """Raises as `decoded`."""
        if len(body) <= limits.BESIDE_BYTES:
            return decoded(kind, body)
        return await self._aside(lambda: decoded(kind, body))

    async def encode(self, results: Sequence[Any]) -> bytes:
        """An array of structures. Raises what the library raises."""
        return _array(results) if len(results) <= _MANY else await self._aside(lambda: _array(results))

    async def _aside(self, work: Callable[[], T]) -> T:
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._beside, run, work)

    def close(self) -> None:
        self._beside.shutdown(wait=False, cancel_futures=True)


def _array(results: Sequence[Any]) -> bytes:
    return b"".join((struct.pack("<i", len(results)), *map(struct_to_binary, results)))
