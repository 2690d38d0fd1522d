"""Awaiting a condition with a deadline: what tests do instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

POLL_S = 0.01


async def eventually(condition: Callable[[], Any | Awaitable[Any]], within: float = 5.0, what: str = "") -> Any:
    """The first true result of condition (a plain or async function), asked every 10 ms; AssertionError after `within` seconds.

    An AssertionError raised by the condition counts as "not yet" and is shown when the time is over.
    """
    deadline, last = time.monotonic() + within, None
    while True:
        result, last = await _ask(condition)
        if result:
            return result
        if time.monotonic() >= deadline:
            told = what or inspect.getsource(condition).strip() if inspect.isfunction(condition) else what or repr(condition)
            raise AssertionError(f"not within {within:g} s: {told}" + (f"\nlast: {last}" if last else ""))
        await asyncio.sleep(POLL_S)


async def _ask(condition: Callable[[], Any | Awaitable[Any]]) -> tuple[Any, AssertionError | None]:
    try:
        result = condition()
        return (await result if inspect.isawaitable(result) else result), None
    except AssertionError as error:
        return None, error
