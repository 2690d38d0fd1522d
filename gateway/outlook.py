"""Forecasts and runs, as faces may see them. They are apart from measured history: times ahead of now, and never Good."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from gateway.model.forecast import Foretold, Outlook, Scores
from gateway.model.kpi import KpiValue
from gateway.model.process import Run, Scenario


class ForecastView(Protocol):
    """The live forecasts of a gateway. Cheap to ask but for past()."""

    @property
    def tags(self) -> Sequence[int]:
        """tag_id of those that are forecast; a reload changes them."""

    @property
    def lead_ns(self) -> int:
        """How far ahead the scalars look."""

    @property
    def horizon_ns(self) -> int: ...

    def newest(self) -> Outlook | None:
        """None before the first was issued."""

    def watch(self, told: Callable[[Outlook], None]) -> Callable[[], None]:
        """told is called on the loop with each newly issued outlook; what it returns ends that."""

    async def past(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None = None) -> Foretold:
        """start <= instant forecast for < end, the first `limit` of them. Raises KeyError, or what history raises without its disk."""

    def scores(self) -> Scores | None:
        """How the published forecasts did so far, rows as `tags`; None before the first is due."""


class KpiView(Protocol):
    """The KPIs of a site's line. Cheap to ask; without a line there are none."""

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """told is called on the loop about once a second, when there may be new figures; what it returns ends that."""

    def values(self) -> Iterable[KpiValue]:
        """All of them, of the line and its machines, in all periods."""

    def document(self) -> dict[str, Any] | None:
        """The same as JSON values, with more of what they are made of; None where there is no line."""

    def span(self, period: str) -> tuple[int, int] | None:
        """Begin and end of `shift`, `previous` or `today`; None before they are known, and for any other word."""

    def log(self, begin_ns: int, end_ns: int) -> list[tuple[str, float, str, str, str, float]]:
        """The line's event log (datetime, timestamp, machine, state, event_type, duration), no further than the figures go."""


class RunView(Protocol):
    """Scenarios and runs, read only. What is async raises what `unavailable` names while the disk is away."""

    async def scenarios(self) -> list[tuple[Scenario, bool]]:
        """By name; True: it belongs to the configuration."""

    async def runs(self, limit: int) -> list[Run]:
        """The newest first, without results."""

    async def run(self, run_id: str) -> Run | None:
        """With its results."""

    def progress(self, run_id: str) -> float | None:
        """The share that is done of a run that is under way."""

    def watch(self, told: Callable[[Run, Sequence[str]], None]) -> Callable[[], None]:
        """told(run, ids kept no longer) on the loop at the beginning of each run and at its end; what it returns ends that."""
