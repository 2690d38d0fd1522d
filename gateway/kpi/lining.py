"""The KPIs of a site in the daemon: there while the site has a line, and nothing of it is loaded before."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gateway.contracts import Dated, Figure, HistoryView, Memory, TwinView
from gateway.model.kpi import KpiValue
from gateway.model.update import TwinUpdate
from gateway.operations.door import Commanded
from gateway.settings import Site
from gateway.work import Jobs

if TYPE_CHECKING:
    from gateway.forecasting.alerts import Foretold
    from gateway.kpi.ahead import LineAhead
    from gateway.kpi.live import LiveLine
    from gateway.kpi.served import Served

EVERY_S: Final = 1.0
Row = tuple[str, float, str, str, str, float]
Metric = tuple[str, Mapping[str, str], float, str]


class Lining:
    """outlook.KpiView. site() is the present one: a reload changes it."""

    def __init__(self, site: Callable[[], Site], view: TwinView, history: HistoryView, memory: Memory, now_ns: Callable[[], int]) -> None:
        self._site, self._parts = site, (site, view, history, memory, now_ns)
        self._served: Served | None = None
        self._asks: Callable[[LiveLine], LineAhead] | None = None
        self._ahead: LineAhead | None = None
        self._watching: list[Callable[[], None]] = []
        self._closing = asyncio.Event()
        self._look()

    def _look(self) -> "Served | None":
        if self._served is None and self._site().line is not None:
            from gateway.kpi.live import LiveLine
            from gateway.kpi.served import Served

            self._served = Served(LiveLine(*self._parts))
        return self._served

    def foretell(self, jobs: Jobs, engine: "Foretold", memory: Memory, commanded: Commanded) -> None:
        """From now on the rest of each shift is foretold, where the line's section asks for it."""

        def ahead(live: "LiveLine") -> "LineAhead":
            from gateway.kpi.ahead import LineAhead

            return LineAhead(live, jobs, engine, self._site, memory, commanded, self._parts[-1])

        self._asks = ahead

    def _forecast(self, live: "LiveLine") -> None:
        """A step of the forecast, once somebody wants one."""
        if self._ahead is None and self._asks is not None and live.rule is not None and live.rule.ahead is not None:
            self._ahead = self._asks(live)
        if self._ahead is not None:
            self._ahead.step()

    @property
    def live(self) -> "LiveLine | None":
        """The accounts; None where the site has no line."""
        served = self._look()
        return None if served is None or served.live.rule is None else served.live

    @property
    def fault(self) -> str | None:
        """Why less is known than should be."""
        if self.live is None:
            return None
        return self.live.fault or (None if self._ahead is None else self._ahead.fault)

    def take(self, update: TwinUpdate) -> None:
        """A step of the engine. On the loop."""
        if self._served is not None:
            self._served.live.take(update)

    async def run(self) -> None:
        """Until close(): a step each second."""
        while not self._closing.is_set():
            served = self._look()
            if served is not None:
                await served.live.step()
                self._forecast(served.live)
                served.ahead = None if self._ahead is None else self._ahead.report()
                for told in tuple(self._watching):
                    told()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S - time.monotonic() % EVERY_S):
                    await self._closing.wait()

    def close(self) -> None:
        """Ends run(). Idempotent."""
        self._closing.set()
        if self._ahead is not None:
            self._ahead.close()
        if self._served is not None:
            self._served.live.close()

    # --- KpiView ---------------------------------------------------------------------------------------------------------------------

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        self._watching.append(told)
        return lambda: self._watching.remove(told) if told in self._watching else None

    def figures(self) -> Mapping[str, Mapping[str, Figure | Dated]]:
        """For OPC UA, by `Kpi` and below."""
        served = self._look()
        return {} if served is None else served.figures()

    def values(self) -> Iterator[KpiValue]:
        return iter(()) if self._served is None else self._served.values()

    def document(self) -> dict[str, Any] | None:
        served = self._look()
        return None if served is None else served.document()

    def span(self, period: str) -> tuple[int, int] | None:
        live = self.live
        return None if live is None or live.periods is None else live.periods.spans().get(period)

    def log(self, begin_ns: int, end_ns: int) -> list[Row]:
        live = self.live
        return [] if live is None else live.rows(begin_ns, end_ns)

    def metrics(self) -> Iterator[Metric]:
        """For Prometheus."""
        return iter(()) if self._served is None else self._served.metrics()
