"""The gateway's own alarms: links, outbox, store and certificate as conditions `Gateway/Alarms/<subject>`, on the road of all alarms.

What is wrong is looked at every few seconds and told on the edge alone, once it has lasted: a link that comes back at once raises nothing.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from gateway.engine.engine import Engine
from gateway.forecasting.alerts import rules_of as predictions
from gateway.health import Health, State
from gateway.kpi.rules import rules_of as waits
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Condition, Limit
from gateway.operations.door import Commanded
from gateway.settings import Site

ON_DELAY_NS: Final = 10_000_000_000
OUTBOX_RAISES: Final = 0.80  # of the bound in bytes
OUTBOX_RETURNS: Final = 0.70
CERTIFICATE_NS: Final = 30 * 86_400_000_000_000
OWNER: Final = "Gateway"
OUTBOX, STORE, AUDIT, CERTIFICATE = "outbox", "store", "audit", "certificate"
_AWAY: Final = frozenset({State.DOWN, State.FAILED})


def rules(site: Site) -> tuple[AlarmRule, ...]:
    """All rules of a site: of its tags, of the limits that are predicted, and the gateway's own unless `events.system_alarms` says no."""
    if not site.events.system_alarms:
        return (*site.rules, *predictions(site), *waits(site))
    own = [
        *(_source(name) for name in site.sources),
        *(_sink(unit.name) for unit in site.upstream),
        _rule(OUTBOX, 700, "the outbox is nearly full", "an upstream link is away or too slow", "old values give way", "restore the link"),
        _rule(
            STORE, 900, "the store takes no data", "disk full, read-only or broken", "history is not kept", "make room, look at the disk"
        ),
        _rule(AUDIT, 800, "the audit is not written", "disk full, read-only or broken", "commands leave no record", "look at edgetwin.db"),
        _rule(CERTIFICATE, 500, "the certificate expires", "", "OPC UA clients will refuse the gateway", "edgetwin cert renew"),
    ]
    return (*site.rules, *own, *predictions(site), *waits(site))


def _source(name: str) -> AlarmRule:
    return _rule(
        f"source.{name}", 600, f"no link to the source {name}", "", "its tags keep their last values", "look at device and network"
    )


def _sink(name: str) -> AlarmRule:
    return _rule(f"sink.{name}", 500, f"no link to {name}", "", "what it must get waits in the outbox", "look at broker and network")


def _rule(subject: str, severity: int, message: str, cause: str, consequence: str, action: str) -> AlarmRule:
    return AlarmRule(
        SYSTEM_TAG,
        OWNER,
        Limit.SYSTEM,
        0.0,
        severity=severity,
        message=message,
        cause=cause,
        consequence=consequence,
        action=action,
        subject=subject,
    )


def wrong(health: Health, site: Site, outbox_share: float, expires_ns: int | None, now_ns: int) -> dict[str, str | None]:
    """Each subject -> what is wrong, None where all is well. Nothing is said of a unit that is still starting, and of an outbox between
    the marks.
    """
    found: dict[str, str | None] = {}
    upstream = {unit.name for unit in site.upstream}
    for unit in health.units.values():
        if (unit.kind == "source" and unit.name in site.sources) or (unit.kind == "sink" and unit.name in upstream):
            if unit.state in _AWAY:
                found[f"{unit.kind}.{unit.name}"] = unit.reason or unit.state.value
            elif unit.state is State.UP:
                found[f"{unit.kind}.{unit.name}"] = None
    if not OUTBOX_RETURNS <= outbox_share < OUTBOX_RAISES:
        found[OUTBOX] = f"{outbox_share:.0%} of it are used" if outbox_share >= OUTBOX_RAISES else None
    found[STORE] = health.store_fault
    found[AUDIT] = health.notes.get(AUDIT)
    soon = expires_ns is not None and expires_ns - now_ns < CERTIFICATE_NS
    found[CERTIFICATE] = (
        f"valid until {dt.datetime.fromtimestamp(expires_ns / 1e9, dt.UTC):%Y-%m-%d %H:%M} UTC" if soon and expires_ns else None
    )
    return found


class Edges:
    """What of it is to be told. condition_of(name): as the engine has it; KeyError where it is not there."""

    def __init__(self, condition_of: Callable[[str], Condition], delay_ns: int = ON_DELAY_NS) -> None:
        self._condition_of, self._delay_ns = condition_of, delay_ns
        self._since_ns: dict[str, int] = {}
        self._calm: set[str] = set()  # found well, and the engine has it so: nothing to ask

    def look(self, found: Mapping[str, str | None], now_ns: int) -> Iterable[tuple[str, bool, str]]:
        """(condition, active, why) of those that change now. now_ns: of a clock that is never set."""
        self._since_ns = {subject: since_ns for subject, since_ns in self._since_ns.items() if subject in found}
        self._calm = {subject for subject in self._calm if found.get(subject, "") is None}
        for subject, why in found.items():
            if subject in self._calm:
                continue
            name = f"{OWNER}/Alarms/{subject}"
            try:
                condition = self._condition_of(name)
            except KeyError:  # not among the rules: the alarms are off, or a reload is under way
                continue
            if why is None:
                self._since_ns.pop(subject, None)
                if condition.active:
                    yield name, False, ""
                else:
                    self._calm.add(subject)
            elif condition.enabled and not condition.active and now_ns - self._since_ns.setdefault(subject, now_ns) >= self._delay_ns:
                yield name, True, why


class Fill(Protocol):
    """What is asked of the outbox."""

    @property
    def share(self) -> float:
        """How much of the bound is used."""


class OwnAlarms:
    """Looks, and gives what changed to the engine, on the road of all commands: recorded, journalled, sent."""

    def __init__(
        self,
        engine: Engine,
        health: Health,
        outbox: Fill,
        site: Callable[[], Site],
        commanded: Commanded,
        now_ns: Callable[[], int],
        delay_ns: int = ON_DELAY_NS,
    ) -> None:
        self._engine, self._health, self._outbox, self._site = engine, health, outbox, site
        self._commanded, self._now_ns = commanded, now_ns
        self._edges = Edges(engine.view.condition, delay_ns)
        self._certificate = Certificate(site().gateway.data_dir)

    async def look(self) -> None:
        """Called every few seconds."""
        expires_ns = await self._certificate.expires_ns()
        now_ns = self._now_ns()
        found = wrong(self._health, self._site(), self._outbox.share, expires_ns, now_ns)
        for condition, active, why in self._edges.look(found, time.monotonic_ns()):
            message = f"{self._engine.view.condition(condition).rule.message}: {why}" if active else ""
            update = self._engine.system(condition, active, now_ns, message)
            self._commanded("system", update, condition=condition, active=active, message=message)


class Certificate:
    """When the gateway's own OPC UA certificate expires; read again where the file is another one."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "pki" / "own" / "cert.der"
        self._changed_ns = 0
        self._expires_ns: int | None = None

    async def expires_ns(self) -> int | None:
        """UTC ns; None where there is no certificate."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
        except OSError:
            return None
        if changed_ns != self._changed_ns:
            self._changed_ns, self._expires_ns = changed_ns, await asyncio.to_thread(expiry_ns, self._path)
        return self._expires_ns


def expiry_ns(path: Path) -> int | None:
    """When the certificate (DER) in that file expires, UTC ns; None where there is none that can be read. Blocks."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None
    return round(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000
