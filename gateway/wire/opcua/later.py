"""Answers of one connection that wait for disk or plant, beside its other requests: who reads a year still gets its notifications."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.wire.opcua import limits


class Later:
    """At most limits.WAITING_AT_ONCE at a time; one more waits, and its connection with it. They begin in order."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        while len(self._tasks) >= limits.WAITING_AT_ONCE:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """The connection is gone: nobody waits for the answers."""
        for task in self._tasks:
            task.cancel()
