"""All that the web room knows of the daemon."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.access.people import People
from gateway.access.sessions import Sessions
from gateway.contracts import Commands, EventView, HistoryView, Identity, TwinView
from gateway.model.audit import AuditCheck, AuditRecord
from gateway.model.event import Category, Event, Severity
from gateway.model.unit import Unit
from gateway.outlook import ForecastView, KpiView, RunView
from gateway.web.config import WebConfig
from gateway.web.updates import Updates

Metric = tuple[str, Mapping[str, str], float, str]
"""name (`edgetwin_...`), labels, value, type (counter, gauge): one sample of the exposition."""


class Health(Protocol):
    """What the daemon knows of its own state."""

    def status(self) -> dict[str, Any]:
        """JSON values: state, reasons, sources, sinks, outbox, problems by name."""

    def live(self) -> tuple[bool, list[str]]:
        """Whether the process makes progress, and why not."""

    def ready(self) -> tuple[bool, list[str]]:
        """Whether it does its work, and why not."""

    def metrics(self) -> Iterable[Metric]: ...

    def predicted_limits(self) -> dict[str, Any]:
        """JSON values: what became of predicted limits, in all and of each."""

    async def performance_report(self) -> dict[str, Any]:
        """JSON values: how well the alarms serve (ISA-18.2, 16.5)."""


class EventSubscription(Protocol):
    """A bounded queue of events; dropped counts what did not fit."""

    dropped: int

    def __aiter__(self) -> AsyncIterator[Event]: ...
    def close(self) -> None: ...


class Subscribe(Protocol):
    """`subscribe` of the daemon's events."""

    def __call__(
        self, categories: Collection[Category] = (), severities: Collection[Severity] = (), *, size: int = 1000
    ) -> EventSubscription: ...


class AuditView(Protocol):
    """The audit of commands and sign-ins, read only."""

    async def audit_log(self, limit: int = 100, before: int | None = None, user: str | None = None) -> list[AuditRecord]:
        """The newest first: those with a smaller seq than `before`, and of one user, where that is given."""

    async def audit_verify(self) -> AuditCheck:
        """Reads the whole chain."""


@dataclass(frozen=True, slots=True)
class WebContext:
    identity: Identity
    view: TwinView
    history: HistoryView
    events: EventView
    commands: Commands
    units: Mapping[str, Unit]  # by UCUM code
    health: Health
    subscribe_events: Subscribe
    updates: Updates
    sessions: Sessions
    audit: AuditView
    people: People = field(default_factory=People)
    config: WebConfig = field(default_factory=WebConfig)
    now_ns: Callable[[], int] = time.time_ns
    unavailable: tuple[type[Exception], ...] = ()  # what history and events raise while the disk refuses: 503, try again
    simulations: RunView | None = None
    forecasts: ForecastView | None = None
    kpis: KpiView | None = None
