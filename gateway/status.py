"""What the gateway says of itself: one status document for CLI, REST and doctor, and the same figures for Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from gateway.contracts import Dated, Figure, Identity, TwinView
from gateway.forecasting import report as forecasts
from gateway.forecasting.alerts import Alerts
from gateway.forecasting.live import Live
from gateway.health import Health, Unit
from gateway.kpi.lining import Lining
from gateway.model.alarm import Change, Limit
from gateway.model.batch import Origin, SampleBatch
from gateway.model.instant import iso
from gateway.model.sync import Sync
from gateway.model.update import TwinUpdate
from gateway.northbound import Northbound
from gateway.performance import CHATTERERS, AlarmPerformance
from gateway.road import Inbox, Pending
from gateway.southbound import Southbound
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store
from gateway.tuning import hysteresis
from gateway.watch import process_figures
from gateway.work import Workforce

Metric = tuple[str, Mapping[str, str], float, str]
LOW: Final = frozenset({Limit.LO, Limit.LOLO})
LIMITS: Final = LOW | {Limit.HI, Limit.HIHI}
HISTORY_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Report:
    """The parts that it speaks of."""

    identity: Identity
    sync: Callable[[], Sync]
    view: TwinView
    health: Health
    store: Store
    inbox: Inbox
    pending: Pending
    counts: Counter[str]
    north: Northbound
    south: Southbound
    performance: AlarmPerformance
    alerts: Alerts
    rules: Callable[[], int]  # how many alarm rules there are
    workforce: Callable[[], Workforce]
    forecasts: Live
    kpis: Lining
    urls: Callable[[], Mapping[str, str]]
    now_ns: Callable[[], int]

    def live(self) -> tuple[bool, list[str]]:
        return self.health.live()

    def ready(self) -> tuple[bool, list[str]]:
        return self.health.ready()

    def figures(self) -> dict[str, Mapping[str, Figure | Dated]]:
        """The gateway's own figures for its OPC UA nodes: health, queues, rates. Cheap to ask."""
        sync, fill, now_ns = self.sync(), self.store.outbox.fill(), self.now_ns()
        oldest_ns = min((one.oldest_ns for one in fill if one.oldest_ns is not None), default=now_ns)
        return {
            "Twin": {"SyncMode": sync.mode.value, "UpdateRate": float(sync.update_frequency)},
            "Gateway": {
                "Ready": self.health.ready()[0],
                "Degraded": "; ".join(self.health.degraded()),
                "InboxSamples": self.inbox.samples,
                "OutboxRows": sum(one.rows for one in fill),
                "OutboxAge": max(0.0, (now_ns - oldest_ns) / 1e9),
                "SamplesIn": self.counts["samples_in"],
                "AlarmsRaised": self.counts["alarms_raised"],
                "Events": self.counts["events"],
            },
            "Gateway/AlarmPerformance": self.performance.figures(now_ns),
            "Gateway/Forecast": forecasts.figures(self.forecasts, now_ns),
            "Gateway/PredictedLimits": self.alerts.figures(),
            **self.kpis.figures(),
        }

    def status(self) -> dict[str, Any]:
        """JSON values. `state` is ok, degraded (something is away or full) or not_ready, with reasons."""
        now_ns = self.now_ns()
        able, reasons = self.health.able()  # a face that does not listen is no more than degraded: it comes by itself
        degraded = self.health.degraded() + [
            f"outbox {fill['stream']}: {fill['dropped']} rows given up" for fill in self._outbox(now_ns) if fill["dropped"]
        ]
        return {
            "name": self.identity.name,
            "path": self.identity.path,
            "version": self.identity.version,
            "boot": self.identity.boot,
            "time": iso(now_ns),
            "uptime_s": round((now_ns - self.health.started_ns) / 1e9, 1),
            "ready_after_s": self.health.ready_after_s,
            "state": "not_ready" if not able else "degraded" if degraded else "ok",
            "reasons": reasons + degraded,
            "urls": dict(self.urls()),
            "twin": self._twin(),
            "alarms": self._alarms() | {"performance": self.performance.report(now_ns)},
            "predicted_limits": {name: part for name, part in self.alerts.report().items() if name != "limits"},
            "sources": {
                name: self._unit(source.unit) | {"kind": source.section.kind, "tags": len(source.tags)}
                for name, source in self.south.sources.items()
            },
            "sinks": {name: self._unit(face.unit) | {"kind": face.kind} for name, face in self.north.faces.items()},
            "outbox": self._outbox(now_ns),
            "store": self._store(),
            "road": {
                "inbox_samples": self.inbox.samples,
                "given_up": self.pending.dropped,
                "loop_lag_ms": round(self.health.loop_lag_s * 1e3, 2),
            },
            "counters": dict(self.counts),
            "process": process_figures(),
            "workers": asdict(self.workforce()),
            "forecast": forecasts.status(self.forecasts),
        }

    def metrics(self) -> Iterator[Metric]:
        """Base units and `_total` as Prometheus asks."""
        yield "edgetwin_up", {}, 1.0, "gauge"
        yield "edgetwin_ready", {}, float(self.health.ready()[0]), "gauge"
        yield "edgetwin_uptime_seconds", {}, (self.now_ns() - self.health.started_ns) / 1e9, "gauge"
        yield "edgetwin_event_loop_lag_seconds", {}, self.health.loop_lag_s, "gauge"
        figures = process_figures()
        yield "edgetwin_resident_memory_bytes", {}, figures["rss_mb"] * 2**20, "gauge"
        workforce = self.workforce()
        yield "edgetwin_workers", {}, float(workforce.alive), "gauge"
        yield "edgetwin_workers_resident_memory_bytes", {}, float(workforce.resident_bytes), "gauge"
        yield "edgetwin_jobs_total", {"ended": "done"}, float(workforce.done), "counter"
        yield "edgetwin_jobs_total", {"ended": "failed"}, float(workforce.failed), "counter"
        yield "edgetwin_open_files", {}, figures["open_files"], "gauge"
        yield "edgetwin_cpu_seconds_total", {}, figures["cpu_s"], "counter"
        yield "edgetwin_inbox_samples", {}, float(self.inbox.samples), "gauge"
        for word, number in self._twin()["quality"].items():
            yield "edgetwin_tags", {"quality": word}, float(number), "gauge"
        for word, number in self._alarms().items():
            yield "edgetwin_conditions", {"state": word}, float(number), "gauge"
        yield from self.performance.metrics(self.now_ns())
        yield from forecasts.metrics(self.forecasts)
        yield from self.alerts.metrics()
        yield from self.kpis.metrics()
        for name, number in self.counts.items():
            yield f"edgetwin_{name}_total", {}, float(number), "counter"
        for unit in self.health.units.values():
            labels = {"kind": unit.kind, "name": unit.name}
            yield "edgetwin_unit_up", labels, float(unit.state == "up"), "gauge"
            yield "edgetwin_unit_problems", labels, float(len(unit.problems)), "gauge"
            for name, number in unit.counters.items():
                yield f"edgetwin_{unit.kind}_{name}_total", {"name": unit.name}, float(number), "counter"
        for fill in self.store.outbox.fill():
            labels = {"stream": fill.stream}
            yield "edgetwin_outbox_rows", labels, float(fill.rows), "gauge"
            yield "edgetwin_outbox_bytes", labels, float(fill.bytes), "gauge"
            yield "edgetwin_outbox_dropped_total", labels, float(fill.dropped), "counter"
            yield "edgetwin_outbox_quarantined_total", labels, float(fill.quarantined), "counter"

    def predicted_limits(self) -> dict[str, Any]:
        """What became of predicted limits: in all, and of each."""
        return self.alerts.report()

    async def performance_report(self) -> dict[str, Any]:
        """What the alarms' figures say, and for what chatters the hysteresis that its history asks for."""
        report = self.performance.report(self.now_ns())
        advised = [
            {"condition": name, **asdict(self.performance.advice(name)), "hysteresis": await self._hysteresis(name)}
            for name in report["chattering"][:CHATTERERS]
        ]
        return report | {"chattering": advised}

    async def _hysteresis(self, name: str) -> float | None:
        runs = self.performance.runs(name)
        try:
            rule = self.view.condition(name).rule
            if rule.limit not in LIMITS or not runs:
                return None
            past = await self.store.history.read(rule.tag_id, runs[0].began_ns, runs[-1].ended_ns + 1, limit=HISTORY_ROWS)
        except (KeyError, StoreUnavailable):
            return None
        return hysteresis(runs, past.source_ns, past.value, rule.threshold, low=rule.limit in LOW)

    def _twin(self) -> dict[str, Any]:
        severity = self.view.status >> np.uint32(30)
        sync = self.sync()
        return {
            "state_version": self.view.version,
            "mode": sync.mode.value,
            "update_frequency": sync.update_frequency,
            "tags": len(self.view.tags),
            "quality": {
                "good": int((severity == 0).sum()),
                "uncertain": int((severity == 1).sum()),
                "bad": int((severity >= 2).sum()),
            },
        }

    def _alarms(self) -> dict[str, int]:
        active, unacknowledged = self.view.standing()
        return {"active": active, "unacknowledged": unacknowledged, "rules": self.rules()}

    def _outbox(self, now_ns: int) -> list[dict[str, Any]]:
        return [
            asdict(fill) | {"oldest_age_s": None if fill.oldest_ns is None else round((now_ns - fill.oldest_ns) / 1e9, 1)}
            for fill in self.store.outbox.fill()
        ]

    def _store(self) -> dict[str, Any]:
        return asdict(self.store.stats()) | {"fault": self.health.store_fault}

    @staticmethod
    def _unit(unit: Unit) -> dict[str, Any]:
        return unit.status() | {"since": iso(unit.since_ns)}


def count(totals: Counter[str], update: TwinUpdate, batch: SampleBatch | None) -> None:
    """One step of the engine, into the gateway's counters. A predicted limit is no alarm."""
    if batch is not None and batch.origin in {Origin.SOURCE, Origin.AGAIN}:
        totals["samples_in"] += len(batch)
    counts = update.counts
    if counts.applied:
        totals["samples_applied"] += counts.applied
    if counts.unusual:
        for name in _UNUSUAL:
            number = getattr(counts, name)
            if number:
                totals[f"samples_{name}"] += number
    for transition in update.transitions:
        if transition.change in _COUNTED and transition.rule.limit is not Limit.PREDICTED:
            totals[_COUNTED[transition.change]] += 1
        totals["events"] += 1


_UNUSUAL: Final = ("late", "duplicate", "skewed", "refused", "overridden", "reordered")
_COUNTED: Final = {Change.ACTIVE: "alarms_raised", Change.INACTIVE: "alarms_cleared"}
