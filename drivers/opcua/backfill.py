"""Filling the hole that an outage left: what the server's historian kept (Part 11, 6.4.3), and a word about what nobody kept."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from drivers.opcua.config import Config
from drivers.opcua.plan import Plan
from gateway.contracts import DriverContext, NotConnected
from gateway.wire.opcua import services
from gateway.wire.opcua.client import Link, Refused
from gateway.wire.opcua.decode import DataChange

HOLD_MOST_S: Final = 3.0  # so long live values wait for the past; then they pass it, and the past goes to the history as late


class Backfill:
    """Reads the history of all historizing nodes from one time on, one after the other."""

    def __init__(
        self,
        plan: Plan,
        config: Config,
        context: DriverContext,
        link: Link,
        put: Callable[[DataChange], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        self._plan = plan
        self._config = config
        self._context = context
        self._link = link
        self._put = put
        self._room = room

    async def run(self, missed_ns: int, without: set[int], namespaces: list[str], slice_: int, release: Callable[[], None]) -> None:
        """release lets the live values through: when done, or when they have waited long enough. Ends quietly with the link."""
        timer = asyncio.get_running_loop().call_later(HOLD_MOST_S, release)
        now_ns = self._context.now_ns()
        items = [(handle, item.address) for handle, item in enumerate(self._plan.items) if handle not in without]
        filled = 0
        try:
            with contextlib.suppress(Refused):
                kept = await services.historizing(self._link, items, namespaces, slice_) if self._config.history_backfill else []
                for handle in kept:
                    filled += await self._one(handle, namespaces, (missed_ns, now_ns))
        except NotConnected:
            return
        finally:
            timer.cancel()
            release()
        report = self._context.report
        if filled < len(items):
            report.count("gaps")
            outage_s = (now_ns - missed_ns) / 1e9
            report.problem("gap", f"{outage_s:.1f} s without a connection, and no history to fill it for {len(items) - filled} tags")
        else:
            report.problem("gap", None)

    async def _one(self, handle: int, namespaces: list[str], span_ns: tuple[int, int]) -> bool:
        item = (handle, self._plan.items[handle].address)
        try:
            async for page in services.history(self._link, item, namespaces, span_ns, self._plan.element):
                await self._room()
                self._context.report.count("backfilled", page.handle.size)
                self._put(page)
        except Refused:
            return False
        return True
