"""Predicted limits in the daemon: each new outlook becomes conditions of the engine, and what became of them is kept and told."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from gateway.contracts import Figure, Memory, TwinView
from gateway.model.alarm import VALUE_LIMITS, AlarmRule, Change, Condition, Limit, Transition, predicted
from gateway.model.event import Category, Event
from gateway.model.forecast import Alert, Outlook, Prediction, Predictions
from gateway.model.quality import BAD
from gateway.model.update import TwinUpdate
from gateway.operations.door import Commanded
from gateway.settings import Site
from gateway.simulation.forecast.alerting import Alerting, Manner
from gateway.simulation.forecast.verification import SUMS, Verification

MEMORY: Final = "predicted_limits"
_VERDICTS, _SCORES = "verdicts", "scores"  # keys in it
SAVED_NS: Final = 300_000_000_000  # the scores of probabilities are saved so often, alerts and verdicts at once
_WITHIN: Final = {Limit.HIHI: Limit.HI, Limit.LOLO: Limit.LO}
_MUTED_LEVEL: Final = 250
TURNED: Final = 100  # conditions that begin or end with one forecast at most: the rest follows with the next ones, for the loop's sake
TOLD: Final = 300  # and of those that go on, so many are told anew
Places = npt.NDArray[np.intp]


class Foretold(Protocol):
    """What is needed of the engine."""

    @property
    def view(self) -> TwinView: ...
    def foretell(self, alerts: Iterable[Alert], now_ns: int) -> TwinUpdate: ...


def rules_of(site: Site) -> tuple[AlarmRule, ...]:
    """The rules of the predicted limits of a site: one for each limit of a tag that is forecast."""
    forecast = site.forecast
    if forecast is None or not forecast.alert.enabled:
        return ()
    named = frozenset(forecast.tags)
    return predicted((rule for rule in site.rules if rule.tag in named), forecast.alert.severity)


class Alerts:
    """issued() is told each outlook, take() what the engine's conditions did; what they make of it goes the road of commands.

    A row is one predicted limit, in the order of the site's rules.
    """

    def __init__(
        self,
        engine: Foretold,
        site: Callable[[], Site],
        memory: Memory,
        commanded: Commanded,
        publish: Callable[[Event], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._engine, self._site, self._memory, self._commanded = engine, site, memory, commanded
        self._publish, self._now_ns = publish, now_ns
        self._of: Site | None = None
        self._scored_ns, self._changed = now_ns(), False
        self._begin((), None)

    def _begin(self, rules: Sequence[AlarmRule], site: Site | None) -> None:
        """Rows for these rules; what was known of those that stay goes on."""
        forecast = None if site is None else site.forecast
        self.rules, self.names = tuple(rules), tuple(rule.condition for rule in rules)
        self._row = {(rule.tag_id, rule.subject): row for row, rule in enumerate(rules)}
        self._laid: tuple[npt.NDArray[np.int64], tuple[tuple[str, ...], ...], Places] | None = None  # _places, and of what
        self._tag_id = np.array([rule.tag_id for rule in rules], np.intp)
        self._there, self._blind = np.zeros(len(rules), bool), np.zeros(len(rules), bool)
        self._shown, self._next = np.zeros(len(rules), bool), 0
        within_ns, manner, floor, count = np.zeros(len(rules), np.int64), Manner(), 0.0, 10
        if site is not None and forecast is not None:
            rule = forecast.alert
            manner, floor, count = Manner(rule.probability, rule.clear, rule.lead, rule.issues), rule.precision, rule.count
            delay = {(one.tag_id, word): one.on_delay_ns for one in site.rules for word in _words(one)}
            horizon_ns = round(forecast.horizon * 1e9)
            within_ns[:] = [horizon_ns + delay.get((one.tag_id, one.subject), 0) for one in rules]
        self.alerting = Alerting.of(len(rules), manner)
        self.verification = Verification(within_ns, self._now_ns(), floor=floor, count=count)
        if kept := self._memory.get(_VERDICTS):
            verdicts = json.loads(kept)
            self.verification.restore(verdicts, self.names)
            stands = frozenset(verdicts["stands"])
            self.alerting.stands[:] = [name in stands for name in self.names]
        if kept := self._memory.get(_SCORES):
            head, columns = kept.split("\n")
            words = head.split("\t")
            sums = np.frombuffer(b64decode(columns), "<f8").reshape(len(SUMS), len(words))
            there = {name: at for at, name in enumerate(words)}
            row = np.array([there.get(name, -1) for name in self.names], np.intp)
            self.verification.add(np.where(row >= 0, sums[:, row], 0.0))

    def _follow(self) -> None:
        """Another configuration, or the first: rows of its own where it foretells something else."""
        site, before = self._site(), self._of
        if site is before:
            return
        self._of, rules = site, rules_of(site)
        if before is None or rules != self.rules or site.forecast != before.forecast or site.rules != before.rules:
            if self.rules:
                self._save()
                self._save_scores(self._now_ns())
            self._begin(rules, site)
            self._seed()

    def _seed(self) -> None:
        """How the conditions stand: what is neither of interest nor silenced is calm."""
        view = self._engine.view
        for condition in (*view.each_retained(), *view.each_silenced()):
            self._note(condition)
            row = self._row.get((condition.rule.tag_id, condition.rule.subject))
            if row is not None and condition.active and condition.rule.limit is Limit.PREDICTED:
                self._shown[row] = self.alerting.stands[row] = True

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def issued(self, outlook: Outlook) -> None:
        """The newest forecasts. On the loop."""
        self._follow()
        if not self.rules:
            return
        now_ns, told, place = self._now_ns(), outlook.predictions, self._places(outlook)
        known = place >= 0
        probability, median_s = (np.full(len(self.rules), np.nan) for _ in range(2))
        probability[known], median_s[known] = told.probability.ravel()[place[known]], told.median_s.ravel()[place[known]]
        unknown = self._blind | (self._engine.view.status[self._tag_id] >= np.uint32(BAD))
        probability[unknown] = np.nan
        self.verification.void(unknown)
        begins, ends = self.alerting.issue(probability, median_s, self._there)
        stands = self.alerting.stands
        turned = self.verification.issue(now_ns, np.where(self._there, np.nan, probability), stands, begins)
        self._tell(told, place, now_ns)
        self._say(turned, now_ns)
        if self._changed or turned or begins.any() or ends.any():
            self._save()
        if now_ns - self._scored_ns >= SAVED_NS:
            self._save_scores(now_ns)

    def _places(self, outlook: Outlook) -> Places:
        """(rows,) where in the outlook's columns each row stands, -1 where it does not; the same as long as the outlooks' rows are."""
        words = outlook.predictions.words
        if self._laid is None or self._laid[0] is not outlook.tag_id or self._laid[1] is not words:
            width, found = outlook.predictions.probability.shape[1], np.full(len(self.rules), -1, np.intp)
            for at, (tag_id, limits) in enumerate(zip(outlook.tag_id.tolist(), words, strict=True)):
                for column, word in enumerate(limits):
                    if (row := self._row.get((tag_id, word))) is not None:
                        found[row] = at * width + column
            self._laid = outlook.tag_id, words, found
        return self._laid[2]

    def _tell(self, told: Predictions, place: Places, now_ns: int) -> None:
        """The conditions of what is to stand, and of what stood."""
        show = self.alerting.stands & ~self.verification.muted & ~self._there
        turn, stay = np.flatnonzero(show != self._shown)[:TURNED], np.flatnonzero(show & self._shown)
        rows = [*turn.tolist(), *np.roll(stay, -self._next)[:TOLD].tolist()]
        self._next = (self._next + TOLD) % stay.size if stay.size > TOLD else 0
        self._shown[turn], width = show[turn], told.probability.shape[1]
        alerts = [
            Alert(self.names[row], bool(show[row]), told.one(*divmod(at, width)) if at >= 0 else self._nothing(row, now_ns))
            for row, at in zip(rows, place[np.array(rows, np.intp)].tolist(), strict=True)
        ]
        if alerts:
            update = self._engine.foretell(alerts, now_ns)
            self._commanded("foretell", update, alerts=[[one.condition, one.stands, one.prediction.row()] for one in alerts])

    def _nothing(self, row: int, now_ns: int) -> Prediction:
        """Of a limit that is not forecast any more."""
        nan = float("nan")
        return Prediction(self.rules[row].subject, self.rules[row].threshold, 0.0, nan, nan, nan, now_ns, "")

    def take(self, transitions: Sequence[Transition]) -> None:
        """What conditions did, in order: the limits themselves are what predictions are held against."""
        for transition in transitions:
            for row in self._note(transition.condition) if self._row else ():
                self.alerting.stands[row] = self._shown[row] = False  # the engine has ended it with the alarm
                self._say(self.verification.passed(row, transition.at_ns, self.alerting.stands), transition.at_ns)
                self._changed = True

    def _note(self, condition: Condition) -> list[int]:
        """How the limits of an alarm stand now; the rows of those that became active by it."""
        rule, found = condition.rule, []
        holds = _holding(condition)
        for word in _words(rule):
            row = self._row.get((rule.tag_id, word))
            if row is not None:
                self._blind[row] = not condition.enabled
                if word in holds and not self._there[row] and condition.change in {Change.ACTIVE, Change.LEVEL}:
                    found.append(row)
                self._there[row] = word in holds
        return found

    def rebase(self, delta_ns: int) -> None:
        """The wall clock was set."""
        self.verification.shift(delta_ns)
        self._scored_ns += delta_ns

    def _say(self, turned: Iterable[int], now_ns: int) -> None:
        """A class that was muted, or is told again."""
        for row in turned:
            rule, muted, count = self.rules[row], bool(self.verification.muted[row]), self.verification.count
            share = f"{'fewer' if muted else 'no fewer'} than {self.verification.floor:.0%} of its last {count} came true"
            name = f"{rule.tag} {rule.subject}: its predictions are {'muted' if muted else 'told again'}"
            details = {"tag": rule.tag, "predicts": rule.subject, "muted": muted, **self.verification.row(row, now_ns)}
            self._publish(Event(str(uuid4()), now_ns, Category.PROCESS, _MUTED_LEVEL, rule.tag, f"{name}, {share}", details))

    def _save(self) -> None:
        self._changed = False
        stands = [self.names[row] for row in np.flatnonzero(self.alerting.stands).tolist()]
        self._memory.put(_VERDICTS, json.dumps(self.verification.state(self.names) | {"stands": stands}))

    def _save_scores(self, now_ns: int) -> None:
        """Names in a line, then float64 columns as base64: thousands of limits cost no turn of the loop."""
        self._scored_ns = now_ns
        self._memory.put(_SCORES, "\t".join(self.names) + "\n" + b64encode(self.verification.sums().astype("<f8").tobytes()).decode())

    # --- what comes of it ------------------------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """JSON values: the figures of all limits, and of each of which there is something to say."""
        now_ns, verification = self._now_ns(), self.verification
        each = [
            {"condition": self.names[row], "tag": self.rules[row].tag, "limit": self.rules[row].subject, **verification.row(row, now_ns)}
            for row in verification.told()
        ]
        return {
            "observed_h": round((now_ns - verification.began_ns) / 3.6e12, 3),
            "standing": int(np.count_nonzero(self._shown)),
            "limits_watched": len(self.rules),
            **verification.total(now_ns),
            "limits": each,
        }

    def figures(self) -> dict[str, Figure]:
        """The same in all, flat; 0 where there is nothing to say yet."""
        total = self.verification.total(self._now_ns())
        muted = np.flatnonzero(self.verification.muted).tolist()
        return {
            "Watched": len(self.rules),
            "Standing": int(np.count_nonzero(self._shown)),
            **{name: total[key] for name, key in _COUNTS.items()},
            **{name: float(total[key] or 0.0) for name, key in _SHARES.items()},
            "MutedLimits": "; ".join(self.names[row] for row in muted),
        }

    def metrics(self) -> Iterator[tuple[str, Mapping[str, str], float, str]]:
        """The same for Prometheus, by tag and limit."""
        report = self.report()
        yield "edgetwin_predicted_limits_standing", {}, float(report["standing"]), "gauge"
        for one in report["limits"]:
            labels = {"tag": one["tag"], "limit": one["limit"]}
            for word in ("hits", "false", "missed"):
                yield "edgetwin_predicted_limit_verdicts_total", labels | {"verdict": word}, float(one[word]), "counter"
            yield "edgetwin_predicted_limit_muted", labels, float(one["muted"]), "gauge"
            if one["lead_s"] is not None:
                yield "edgetwin_predicted_limit_lead_seconds", labels, one["lead_s"], "gauge"
            if one["brier_skill"] is not None:
                yield "edgetwin_predicted_limit_brier_skill", labels, one["brier_skill"], "gauge"
            if one["reliability_slope"] is not None:
                yield "edgetwin_predicted_limit_reliability_slope", labels, one["reliability_slope"], "gauge"


_COUNTS: Final = {"Hits": "hits", "FalseAlarms": "false", "Foreseen": "foreseen", "Missed": "missed", "Muted": "muted"}
_SHARES: Final = {
    "Precision": "precision",
    "HitRate": "recall",
    "FalseAlarmsPerDay": "false_per_day",
    "MedianLeadTime": "lead_s",
    "BrierScore": "brier",
    "BrierSkill": "brier_skill",
    "ReliabilitySlope": "reliability_slope",
}


def _words(rule: AlarmRule) -> list[str]:
    """The limits of a value that a rule watches."""
    limits = [level.limit for level in rule.levels] or [rule.limit]
    return [limit.value for limit in limits if limit in VALUE_LIMITS]


def _holding(condition: Condition) -> frozenset[str]:
    """Which of them are passed: the level that holds, and those within it."""
    if not condition.active or condition.latched:
        return frozenset()
    level = condition.level or condition.rule.limit
    inner = _WITHIN.get(level, level) if condition.rule.levels else level
    return frozenset({level.value, inner.value})
