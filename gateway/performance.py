"""How well the alarm system serves its operator (ISA-18.2 and IEC 62682, clause 16; EEMUA 191), over the last 24 hours.

Pure but for `recall`: fed with transitions, asked with the time. An alarm counts where it asks for attention (annunciated): not while it
is shelved, suppressed or out of service; a predicted limit is no alarm. Memory is bounded by the intervals of a day and by the
conditions that were active in it.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from gateway.contracts import EventView, Figure
from gateway.model.alarm import HOUR_NS, Change, Condition, Limit, Shelving, Transition
from gateway.model.event import Category, Event, Severity
from gateway.ranking import Top
from gateway.tuning import CHATTER, CHATTER_NS, Advice, Run, tuned

Key = TypeVar("Key")
DAY_NS: Final = 24 * HOUR_NS
INTERVAL_NS: Final = 600_000_000_000  # the regular 10 minutes of the standards
SLOT_NS: Final = 10_000_000_000
FLOOD_BEGINS: Final = 10  # more annunciated alarms than that in a regular interval begin a flood,
FLOOD_ENDS: Final = 5  # fewer than that end it
FLEETING_NS: Final = 10_000_000_000  # back to normal before anybody could have acted
RUNS: Final = 100  # of one chattering condition, kept for a recommendation,
CHATTERERS: Final = 100  # of so many conditions
RECALLED: Final = 20_000  # events of the journal, at a start
PROMPT: Final = 1000  # up to so many standing conditions the stale ones are counted each time, beyond it each minute
_INTERVALS: Final = DAY_NS // INTERVAL_NS
_SLOTS: Final = INTERVAL_NS // SLOT_NS
_ASKING: Final = frozenset({Change.ACTIVE, Change.RE_ALARMED})
_BACK: Final = frozenset({Change.UNSHELVED, Change.UNSUPPRESSED, Change.IN_SERVICE, Change.ENABLED})


@dataclass(slots=True)
class _Interval:
    """What one regular interval of 10 minutes counted."""

    severity: Counter[Severity] = field(default_factory=Counter)
    condition: Counter[str] = field(default_factory=Counter)
    peak: int = 0  # the most in any 10 minutes that ended in it
    acknowledged: int = 0
    waited_ns: int = 0  # by those, together
    fleeting: int = 0

    @property
    def count(self) -> int:
        return self.severity.total()


@dataclass(slots=True)
class _Trail:
    """The recent past of one condition. began_ns: since when it stands annunciated, waits_ns: for its acknowledgement; 0 = it does not."""

    began_ns: int = 0
    waits_ns: int = 0
    last_ns: int = 0
    chattered_ns: int | None = None
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=CHATTER))


class AlarmPerformance:
    """The figures of clause 16.5. now_ns: when the observation begins."""

    def __init__(self, now_ns: int) -> None:
        self._began_ns = now_ns
        self._intervals: dict[int, _Interval] = {}
        self._slots: deque[list[int]] = deque(maxlen=_SLOTS + 1)  # (slot, count): the last 10 minutes
        self._trails: dict[str, _Trail] = {}
        self._chattered: dict[str, int] = {}  # condition -> when it did last
        self._top = Top()
        self._standing: dict[str, int] = {}  # active and not silenced -> since
        self._stale = (0, 0)  # in which minute they were counted last, and how many there were
        self._silenced: dict[str, tuple[str, ...]] = {}
        self._silences = Counter[str]()
        self._swept = 0  # the newest interval that there was
        self._report: tuple[int, dict[str, Any]] | None = None

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def recall(self, events: Iterable[Event], now_ns: int) -> None:
        """The journal's events of the day before, oldest first: what was counted before a restart is counted again."""
        for event in events:
            details = event.details
            name, word = details.get("condition"), details.get("change")
            if not isinstance(name, str) or word not in _CHANGES or details.get("limit") == Limit.PREDICTED:
                continue
            change, severity = _CHANGES[word], int(details.get("severity", event.level))
            active, seen = bool(details.get("active")), bool(details.get("acknowledged"))
            told_at_its_severity = change is Change.LEVEL and event.level == severity > Severity.INFO.level
            self._began_ns = min(self._began_ns, max(event.timestamp_ns, now_ns - DAY_NS))
            silenced = details.get("shelving", _UNSHELVED) != _UNSHELVED or details.get("enabled") is False
            silenced = silenced or bool(details.get("suppressed") or details.get("out_of_service"))
            asks = not silenced and (told_at_its_severity or _asks(change, active, seen))
            self._count(name, change, event.timestamp_ns, severity, stands=active and not silenced, asks=asks)
            if change is Change.ACKNOWLEDGED:
                self._acknowledged(name, event.timestamp_ns)

    def seed(self, conditions: Iterable[Condition]) -> None:
        """The conditions of interest and the silenced ones as they stand: after a start, and after a reload."""
        self._standing.clear()
        self._silenced.clear()
        self._silences.clear()
        known = set()
        for condition in conditions:
            if condition.rule.limit is not Limit.PREDICTED:
                known.add(condition.rule.condition)
                self._stand(condition)
        for name in self._trails.keys() - self._standing.keys():
            self._trails[name].began_ns = 0
        for name in self._trails.keys() - known:
            self._trails[name].waits_ns = 0
        self._report = None

    def take(self, transitions: Sequence[Transition]) -> None:
        """In order, as they happen."""
        for transition in transitions:
            condition, name = transition.condition, transition.rule.condition
            if condition.rule.limit is Limit.PREDICTED:
                continue
            silenced = condition.silenced or not condition.enabled
            change, anew = transition.change, 0 < condition.serial == condition.raised_serial
            asks = not silenced and (anew or _asks(change, condition.active, condition.acknowledged))
            self._count(name, change, transition.at_ns, condition.severity, stands=condition.active and not silenced, asks=asks)
            if change is Change.ACKNOWLEDGED:
                self._acknowledged(name, transition.at_ns)
            self._stand(condition)
        self._report = None

    def rebase(self, delta_ns: int) -> None:
        """The wall clock was set: what lasts goes on as it is."""
        self._began_ns += delta_ns
        self._standing = {name: since_ns + delta_ns for name, since_ns in self._standing.items()}
        for trail in self._trails.values():
            trail.began_ns += delta_ns if trail.began_ns else 0
            trail.waits_ns += delta_ns if trail.waits_ns else 0

    def _count(self, name: str, change: Change, at_ns: int, severity: int, *, stands: bool, asks: bool) -> None:
        if asks:
            self._annunciated(name, at_ns, severity)
        elif not stands:
            self._over(name, at_ns, returned=change is Change.INACTIVE)

    def _annunciated(self, name: str, at_ns: int, severity: int) -> None:
        interval = self._interval(at_ns)
        interval.severity[Severity.of_level(severity)] += 1
        interval.condition[name] += 1
        self._top.count(name)
        interval.peak = max(interval.peak, self._slot(at_ns))
        trail = self._trails.setdefault(name, _Trail())
        trail.waits_ns = trail.waits_ns or at_ns
        trail.last_ns = at_ns
        if trail.began_ns:
            return  # re-alarmed: it stands already
        trail.began_ns = at_ns
        if len(trail.runs) >= CHATTER - 1 and 0 <= at_ns - trail.runs[1 - CHATTER].began_ns <= CHATTER_NS:
            trail.chattered_ns = self._chattered[name] = at_ns
            if trail.runs.maxlen == CHATTER and sum(one.runs.maxlen == RUNS for one in self._trails.values()) < CHATTERERS:
                trail.runs = deque(trail.runs, maxlen=RUNS)

    def _over(self, name: str, at_ns: int, *, returned: bool) -> None:
        trail = self._trails.get(name)
        if trail is None or not trail.began_ns:
            return
        run = Run(trail.began_ns, at_ns)
        trail.began_ns = 0
        if returned:
            trail.runs.append(run)
            repeats = trail.chattered_ns is not None and at_ns - trail.chattered_ns <= CHATTER_NS
            self._interval(at_ns).fleeting += at_ns - run.began_ns < FLEETING_NS and not repeats

    def _acknowledged(self, name: str, at_ns: int) -> None:
        trail = self._trails.get(name)
        if trail is not None and trail.waits_ns:
            interval = self._interval(at_ns)
            interval.acknowledged += 1
            interval.waited_ns += max(0, at_ns - trail.waits_ns)
            trail.waits_ns = 0

    def _stand(self, condition: Condition) -> None:
        name = condition.rule.condition
        self._standing.pop(name, None)
        self._silences.subtract(self._silenced.pop(name, ()))
        if condition.silenced or not condition.enabled:
            self._silenced[name] = silences = _silences(condition)
            self._silences.update(silences)
        elif condition.active:
            self._standing[name] = condition.active_ns or condition.since_ns

    def _interval(self, at_ns: int) -> _Interval:
        number = at_ns // INTERVAL_NS
        if number not in self._intervals:
            self._intervals[number] = _Interval()
        self._sweep(number)
        return self._intervals[number]

    def _slot(self, at_ns: int) -> int:
        """Count one in the present slot; how many the last 10 minutes hold."""
        slot = at_ns // SLOT_NS
        if self._slots and self._slots[-1][0] >= slot:
            self._slots[-1][1] += 1
        else:
            self._slots.append([slot, 1])
        return self._lately(at_ns)

    def _lately(self, now_ns: int) -> int:
        slot = now_ns // SLOT_NS
        return sum(count for at, count in self._slots if slot - _SLOTS < at <= slot)

    def _sweep(self, number: int) -> None:
        """With each new interval: what is a day old goes."""
        if number == self._swept:
            return
        self._swept, oldest = number, number - _INTERVALS
        for old in [one for one in self._intervals if one <= oldest]:
            self._top.forget(self._intervals.pop(old).condition)
        gone = oldest * INTERVAL_NS
        self._chattered = {name: at_ns for name, at_ns in self._chattered.items() if at_ns >= gone}
        for name in [name for name, trail in self._trails.items() if not trail.began_ns and not trail.waits_ns and trail.last_ns < gone]:
            del self._trails[name]

    # --- what comes of it ------------------------------------------------------------------------------------------------------------

    def report(self, now_ns: int) -> dict[str, Any]:
        """JSON values; computed at most once a second while nothing happens. chattering: the names. Whatever its size, the plant's rules
        are not passed over.
        """
        second = now_ns // 1_000_000_000
        if self._report is None or self._report[0] != second:
            self._report = second, self._computed(now_ns)
        return self._report[1]

    def figures(self, now_ns: int) -> dict[str, Figure]:
        """The same as flat figures."""
        found = self.report(now_ns)
        severity = found["severity"]
        return {
            "AlarmsPer10Minutes": found["last_10_min"],
            "AlarmsLastDay": found["last_day"],
            "AveragePer10Minutes": found["per_10_min"],
            "AveragePerHour": found["per_hour"],
            "AveragePerDay": found["per_day"],
            "PeakPer10Minutes": found["peak_10_min"],
            "FloodNow": found["flood_now"],
            "FloodShare": found["flood_share"],
            "Standing": found["standing"],
            "Stale": found["stale"],
            "Chattering": len(found["chattering"]),
            "Fleeting": found["fleeting"],
            "TopTenShare": found["top_share"],
            "TopTen": "; ".join(f"{one['condition']}: {one['count']}" for one in found["top"]),
            "AcknowledgeTime": found["acknowledge_s"] or 0.0,
            "Shelved": found["shelved"],
            "Suppressed": found["suppressed"],
            "OutOfService": found["out_of_service"],
            "Disabled": found["disabled"],
            **{f"Severity{word.value.capitalize()}": severity[word.value] for word in Severity},
        }

    def metrics(self, now_ns: int) -> Iterator[tuple[str, Mapping[str, str], float, str]]:
        """The same for Prometheus: name, labels, value, type."""
        found = self.report(now_ns)
        for name, key in _GAUGES.items():
            yield f"edgetwin_{name}", {}, float(found[key] or 0.0), "gauge"
        yield "edgetwin_alarms_chattering", {}, float(len(found["chattering"])), "gauge"
        for state in _SILENCES:
            yield "edgetwin_alarms_silenced", {"state": state}, float(found[state]), "gauge"
        for word, count in found["severity"].items():
            yield "edgetwin_alarms_last_day", {"severity": word}, float(count), "gauge"

    def runs(self, condition: str) -> Sequence[Run]:
        """The last times that a condition stood, oldest first; many of one that chattered."""
        trail = self._trails.get(condition)
        return () if trail is None else tuple(trail.runs)

    def advice(self, condition: str) -> Advice:
        """What would have kept it quiet."""
        return tuned(self.runs(condition))

    def _computed(self, now_ns: int) -> dict[str, Any]:
        present, oldest = now_ns // INTERVAL_NS, now_ns // INTERVAL_NS - _INTERVALS
        self._sweep(present)
        kept = {number: one for number, one in sorted(self._intervals.items()) if oldest < number <= present}
        total = sum(one.count for one in kept.values())
        observed_ns = min(max(now_ns - self._began_ns, 0), DAY_NS)
        hours = max(observed_ns, HOUR_NS) / HOUR_NS  # less than an hour tells no rate by the day
        flooded, flood_now = _floods({number: one.count for number, one in kept.items()}, present)
        seen = min(_INTERVALS, max(1, present - self._began_ns // INTERVAL_NS + 1))
        waited = sum(one.acknowledged for one in kept.values())
        by_word = _total(one.severity for one in kept.values())
        return {
            "observed_h": round(observed_ns / HOUR_NS, 2),
            "last_10_min": self._lately(now_ns),
            "last_day": total,
            "per_10_min": round(total / hours / 6, 3),
            "per_hour": round(total / hours, 3),
            "per_day": round(total / hours * 24, 1),
            "peak_10_min": max((one.peak for one in kept.values()), default=0),
            "flood_now": flood_now,
            "flood_share": round(min(flooded, seen) / seen, 4),
            "standing": len(self._standing),
            "stale": self._stale_ones(now_ns),
            "chattering": self._chattering(now_ns),
            "fleeting": sum(one.fleeting for one in kept.values()),
            **self._top.report(),
            "severity": {word.value: by_word[word] for word in Severity},
            "acknowledge_s": round(sum(one.waited_ns for one in kept.values()) / waited / 1e9, 1) if waited else None,
            **{word: self._silences[word] for word in _SILENCES},
        }

    def _stale_ones(self, now_ns: int) -> int:
        minute, count = now_ns // 60_000_000_000, self._stale[1]
        if len(self._standing) <= PROMPT or minute != self._stale[0]:
            count = sum(now_ns - since_ns > DAY_NS for since_ns in self._standing.values())
            self._stale = minute, count
        return count

    def _chattering(self, now_ns: int) -> list[str]:
        """Those that chattered within the day."""
        return sorted(name for name, at_ns in self._chattered.items() if now_ns - at_ns < DAY_NS)


_GAUGES: Final = {
    "alarms_last_10_minutes": "last_10_min",
    "alarms_per_hour": "per_hour",
    "alarms_peak_per_10_minutes": "peak_10_min",
    "alarm_flood": "flood_now",
    "alarm_flood_ratio": "flood_share",
    "alarms_standing": "standing",
    "alarms_stale": "stale",
    "alarms_fleeting": "fleeting",
    "alarms_top_ten_ratio": "top_share",
    "alarm_acknowledge_seconds": "acknowledge_s",
}
_SILENCES: Final = ("shelved", "suppressed", "out_of_service", "disabled")
_CHANGES: Final = {change.value: change for change in Change}
_UNSHELVED: Final = Shelving.UNSHELVED.name.lower()


async def recall(performance: AlarmPerformance, journal: EventView, now_ns: int) -> None:
    """The figures go on from the journal. Raises what the journal raises while the disk refuses."""
    past = await journal.query(categories=(Category.THRESHOLD, Category.USER), start_ns=now_ns - DAY_NS, limit=RECALLED)
    performance.recall(reversed(past), now_ns)


def _asks(change: Change, active: bool, acknowledged: bool) -> bool:
    """Whether a transition asks for attention, if the condition is not silenced: what was, and still stands unseen, asks again."""
    return change in _ASKING or (change in _BACK and active and not acknowledged)


def _total(counts: Iterable[Counter[Key]]) -> Counter[Key]:
    total = Counter[Key]()
    for one in counts:
        total.update(one)
    return total


def _floods(counts: dict[int, int], present: int) -> tuple[int, bool]:
    """counts by number of interval, in order. How many regular intervals lay in a flood, and whether the present one does.

    A flood begins with the first interval of more than 10 annunciated alarms, and ends with the first of fewer than 5; the present
    interval has not ended yet.
    """
    flooded, on, before = 0, False, None
    for number, count in [*counts.items(), *([] if present in counts else [(present, 0)])]:
        on = on and before == number - 1  # an interval without any alarm is not listed, and ends it
        on = count > FLOOD_BEGINS or (on and (count >= FLOOD_ENDS or number == present))
        flooded, before = flooded + on, number
    return flooded, on


def _silences(condition: Condition) -> tuple[str, ...]:
    """The words of _SILENCES that hold."""
    holds = (condition.shelving is not Shelving.UNSHELVED, condition.suppressed, condition.out_of_service, not condition.enabled)
    return tuple(word for word, there in zip(_SILENCES, holds, strict=True) if there)
