"""Limit, state and quality alarms as columns: one row per rule (IEC 62682, 5.4; OPC UA Part 9, 5.8).

A limit rule looks at x = value, or x = -value for the low limits, so that every limit is a high one: it raises at x > edge, and returns at
x <= edge - hysteresis. What the value must do next to matter is kept per tag as one closed band [calm_low, calm_high]: while a sample
that is not Bad stays in it, no condition of the tag can change, whatever delays are running.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.engine.where import NEVER, Where, every, least, some
from gateway.model.alarm import AlarmRule, Change, Condition, Limit, Transition
from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import BAD, Statuses

_BAD: Final = np.uint32(BAD)
COLUMNS: Final = ("active", "acknowledged", "due_ns", "since_ns", "shown")  # the state of a condition
_LOW: Final = frozenset({Limit.LO, Limit.LOLO})


@dataclass(frozen=True, slots=True)
class Note:
    """Who acknowledged, and what they said."""

    user: str = ""
    comment: str = ""


class Alarms:
    """The conditions of all rules, grouped by tag.

    per rule: tag, sign, edge, back (edge less hysteresis, in x), on_ns, off_ns; state: active, acknowledged, due_ns (a delay is running
    until then, NEVER otherwise), since_ns, shown (value at the last transition)
    per tag: first, count (its rows), calm_low, calm_high, was_bad (when last weighed)
    """

    def __init__(self, rules: Sequence[AlarmRule], tags: int) -> None:
        """Raises ValueError where a condition's name stands twice or a rule's tag is not in the table."""
        order = sorted(range(len(rules)), key=lambda k: rules[k].tag_id)
        self.rules = tuple(rules[k] for k in order)
        self.place = {rule.condition: row for row, rule in enumerate(self.rules)}
        if len(self.place) != len(self.rules):
            raise ValueError("two alarm rules make the same condition; a tag has one of each limit")
        if any(not 0 <= rule.tag_id < tags for rule in self.rules):
            raise ValueError("an alarm rule names a tag_id outside the table")
        self.tag: NDArray[np.intp] = np.array([rule.tag_id for rule in self.rules], np.intp)
        low = np.array([rule.limit in _LOW for rule in self.rules], bool)
        self.is_state: Mask = np.array([rule.limit is Limit.STATE for rule in self.rules], bool)
        self.is_bad: Mask = np.array([rule.limit is Limit.BAD for rule in self.rules], bool)
        self.sign: Floats = np.where(low, -1.0, 1.0)
        self.edge: Floats = self.sign * np.array([rule.threshold for rule in self.rules], np.float64)
        self.back: Floats = self.edge - np.array([0.0 if rule.limit is Limit.STATE else rule.hysteresis for rule in self.rules])
        self.on_ns: Times = np.array([rule.on_delay_ns for rule in self.rules], np.int64)
        self.off_ns: Times = np.array([rule.off_delay_ns for rule in self.rules], np.int64)
        size = len(self.rules)
        self.active: Mask = np.zeros(size, bool)
        self.acknowledged: Mask = np.ones(size, bool)
        self.due_ns: Times = np.full(size, NEVER, np.int64)
        self.since_ns: Times = np.zeros(size, np.int64)
        self.shown: Floats = np.full(size, np.nan)
        self.notes: dict[int, Note] = {}
        self.count: NDArray[np.intp] = np.bincount(self.tag, minlength=tags).astype(np.intp)
        self.first: NDArray[np.intp] = np.cumsum(self.count) - self.count
        ruled = self.count > 0
        self.calm_low: Floats = np.where(ruled, np.inf, -np.inf)
        self.calm_high: Floats = np.where(ruled, -np.inf, np.inf)
        self.was_bad: Mask = np.zeros(tags, bool)
        self.due_min = NEVER

    def evaluate(
        self, where: Where, rows: Rows, value: Floats, status: Statuses, source_ns: Times, now_ns: int, plain: bool
    ) -> list[Transition]:
        """k samples, each tag once (rows = where as indices); plain: all are plain Good. The transitions, in order of rows and rules."""
        calm = (value >= self.calm_low[where]) & (value <= self.calm_high[where])
        if not plain:
            bad = status >= _BAD
            calm = np.where(bad, self.was_bad[where], calm)  # Bad again: what holds goes on holding, what is delayed runs on
        if every(calm):
            return []
        pick = np.flatnonzero(~calm & (self.count[where] > 0))
        if not pick.size:
            return []
        return self._weigh(rows[pick], value[pick], status[pick], source_ns[pick], now_ns)

    def _weigh(self, tags: Rows, value: Floats, status: Statuses, source_ns: Times, now_ns: int) -> list[Transition]:
        """The slow road: every rule of these tags."""
        rules, sample = self._expand(tags)
        bad = (status >= _BAD)[sample]
        x, quality_rule = value[sample], self.is_bad[rules]
        active = self.active[rules]
        wanted = self._wanted(rules, x, active)
        wanted = np.where(quality_rule, bad, np.where(bad, active, wanted))  # Bad: a limit keeps its state, and its delay is over
        changes = wanted != active
        self.due_ns[rules[~changes]] = NEVER
        found: list[Transition] = []
        if some(changes):
            turn, at = rules[changes], sample[changes]
            delay = np.where(wanted[changes], self.on_ns[turn], self.off_ns[turn])
            now = delay == 0
            due = np.minimum(self.due_ns[turn], np.minimum(delay, NEVER - now_ns) + now_ns)
            self.due_ns[turn] = np.where(now, NEVER, due)
            self.due_min = min(self.due_min, least(due[~now]))
            found = self._turn(turn[now], value[at[now]], status[at[now]], source_ns[at[now]], now_ns)
        self._calm(tags, rules, x, bad)
        return found

    def _expand(self, tags: Rows) -> tuple[Rows, Rows]:
        """The rule rows of some tags, and for each the place of its tag in `tags`."""
        count = self.count[tags]
        sample = np.repeat(np.arange(tags.size), count)
        starts = np.cumsum(count) - count
        return np.arange(sample.size) - starts[sample] + self.first[tags][sample], sample

    def _wanted(self, rules: Rows, value: Floats, active: Mask) -> Mask:
        """Which limit and state rules the values speak for."""
        over: Mask = self.sign[rules] * value > np.where(active, self.back[rules], self.edge[rules])
        return np.where(self.is_state[rules], value == self.edge[rules], over)

    def _turn(self, rules: Rows, value: Floats, status: Statuses, source_ns: Times, now_ns: int) -> list[Transition]:
        """These rules change: state and records."""
        if not rules.size:
            return []
        raised = ~self.active[rules]
        self.active[rules] = raised
        self.acknowledged[rules] &= ~raised
        self.due_ns[rules] = NEVER
        self.since_ns[rules], self.shown[rules] = now_ns, value
        for row in rules[raised].tolist():
            self.notes.pop(row, None)
        columns = zip(rules.tolist(), source_ns.tolist(), value.tolist(), status.tolist(), strict=True)
        return [self.record(row, now_ns, source, number, code) for row, source, number, code in columns]

    def record(self, row: int, now_ns: int, source_ns: int, value: float, status: int) -> Transition:
        """The condition of a row as it stands, as a record."""
        active, note = bool(self.active[row]), self.notes.get(row, Note())
        change = Change.ACTIVE if active else Change.INACTIVE
        acknowledged = bool(self.acknowledged[row])
        after = Condition(self.rules[row], active, acknowledged, now_ns, value, note.user, note.comment, status)
        return Transition(after, change, now_ns, source_ns)

    def _calm(self, tags: Rows, rules: Rows, value: Floats, bad: Mask) -> None:
        """The bands of some tags anew; rules, value and bad: per rule of theirs. A Bad tag has none: its next sample is weighed."""
        active = self.active[rules]
        edge = np.where(active, self.back[rules], self.edge[rules]) * self.sign[rules]  # in units of the value again
        state, high = self.is_state[rules], self.sign[rules] > 0
        above = np.where(state | high, value > edge, value >= edge)  # a high limit holds at its edge, a low one leaves there
        low = np.where(above, np.where(state | high, np.nextafter(edge, np.inf), edge), -np.inf)
        top = np.where(above, np.inf, np.where(high & ~state, edge, np.nextafter(edge, -np.inf)))
        hit = state & (value == edge)
        low, top = np.where(hit, edge, low), np.where(hit, edge, top)
        quality_rule = self.is_bad[rules]
        low, top = np.where(quality_rule, -np.inf, low), np.where(quality_rule, np.inf, top)
        unknown = bad | np.isnan(value)
        low, top = np.where(unknown, np.inf, low), np.where(unknown, -np.inf, top)
        count = self.count[tags]
        starts = np.cumsum(count) - count
        self.was_bad[tags] = bad[starts]
        self.calm_low[tags] = np.maximum.reduceat(low, starts)
        self.calm_high[tags] = np.minimum.reduceat(top, starts)

    def expire(self, now_ns: int, value: Floats, status: Statuses, source_ns: Times) -> list[Transition]:
        """The delays that are over, oldest first; columns of the twin."""
        if now_ns < self.due_min:
            return []
        due = np.flatnonzero(self.due_ns <= now_ns)
        due = due[np.argsort(self.due_ns[due], kind="stable")]
        tags = self.tag[due]
        found = self._turn(due, value[tags], status[tags], source_ns[tags], now_ns)
        self.due_min = least(self.due_ns)
        self.settle(np.unique(tags), value, status)
        return found

    def settle(self, tags: Rows, value: Floats, status: Statuses) -> None:
        """The bands of some tags (each once) from the twin's columns, where their conditions changed by other means than a sample."""
        tags = tags[self.count[tags] > 0]
        if tags.size:
            rules, sample = self._expand(tags)
            self._calm(tags, rules, value[tags][sample], (status[tags] >= _BAD)[sample])

    def acknowledge(self, condition: str, now_ns: int, user: str, comment: str, value: float, status: int) -> list[Transition]:
        """Acknowledged; nothing where there is nothing to acknowledge. value, status: the tag's. Raises KeyError for an unknown name."""
        row = self.place[condition]
        if self.acknowledged[row]:
            return []
        self.acknowledged[row] = True
        self.notes[row] = Note(user, comment)
        after = Condition(self.rules[row], bool(self.active[row]), True, now_ns, value, user, comment, status)
        return [Transition(after, Change.ACKNOWLEDGED, now_ns)]

    def close(self, row: int, now_ns: int, value: float, status: int) -> list[Transition]:
        """The rule of an active condition is gone: it returns, and is over."""
        self.acknowledged[row] = True
        rows = np.array([row], np.intp)
        return self._turn(rows, np.array([value]), np.array([status], np.uint32), np.zeros(1, np.int64), now_ns)

    def standing(self) -> Rows:
        """The rows whose condition is of interest: active, or not acknowledged (Part 9, 5.5.2, Retain)."""
        found: Rows = np.flatnonzero(self.active | ~self.acknowledged)
        return found

    def conditions(self) -> list[Condition]:
        """Each rule's condition, in order of tags."""
        columns = zip(
            self.rules, self.active.tolist(), self.acknowledged.tolist(), self.since_ns.tolist(), self.shown.tolist(), strict=True
        )
        found = []
        for row, (rule, active, acknowledged, since, shown) in enumerate(columns):
            note = self.notes.get(row, Note())
            found.append(Condition(rule, active, acknowledged, since, shown, note.user, note.comment))
        return found

    def shift(self, delta_ns: int) -> None:
        """The wall clock stepped: running delays end as much later."""
        running = self.due_ns != NEVER
        self.due_ns[running] += delta_ns
        self.due_min = least(self.due_ns)
