"""The live conditions as columns, one row per rule: what samples and time do to them (IEC 62682, 5.4; OPC UA Part 9, 5.5 to 5.8).

What the value must do next to matter is kept per tag as one closed band [calm_low, calm_high]: while a sample that is not Bad stays in it,
no condition can change by it, whatever delays are running. A tag that is the setpoint or command of another's rule is calm while it stands
still. A rate of change is looked at beside the band.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from gateway.engine.conditions import TIMES, Conditions
from gateway.engine.heralds import Heralds
from gateway.engine.limits import Levels, rises
from gateway.engine.related import SILENT, Related
from gateway.engine.where import NEVER, Where, every, least, some
from gateway.model.alarm import AlarmRule, Change, Limit, Shelving, Transition
from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import BAD, Statuses

_BAD: Final = np.uint32(BAD)
TOLD: Final = frozenset({Limit.SYSTEM, Limit.PREDICTED})
"""Limits that no sample moves: the gateway itself says how they stand."""


class Live(Protocol):
    """The twin's columns, read in place."""

    value: Floats
    status: Statuses
    source_ns: Times


class Alarms(Conditions):
    """The conditions of all rules, grouped by tag; those that no sample moves at the end: of the gateway itself, and predicted limits.

    per rule: tag (-1 where no sample moves it), shows (the tag whose value it tells, -1 of the gateway itself), on_ns, off_ns, latching
    per tag: first, count (its rows), watched (it has rules, or others' look at it), calm_low, calm_high, was_bad (when last weighed)
    """

    def __init__(self, rules: Sequence[AlarmRule], tags: int) -> None:
        """Raises ValueError where a condition's name stands twice or a rule's tag is not in the table."""
        super().__init__(rules)
        own = [rule.tag_id for rule in self.rules if rule.limit not in TOLD]
        self.shows: Rows = np.array([-1 if rule.limit is Limit.SYSTEM else rule.tag_id for rule in self.rules], np.intp)
        if any(not 0 <= rule.tag_id < tags for rule in self.rules if rule.limit is not Limit.SYSTEM):
            raise ValueError("an alarm rule names a tag_id outside the table")
        size = len(self.rules)
        self.tag: Rows = np.array(own + [-1] * (size - len(own)), np.intp)
        self.heralds = Heralds(self.rules)
        self.related = Related(self.rules, tags)
        self.on_ns: Times = np.array([rule.on_delay_ns for rule in self.rules], np.int64)
        self.off_ns: Times = np.array([rule.off_delay_ns for rule in self.rules], np.int64)
        self.latching: Mask = np.array([rule.latch for rule in self.rules], bool)
        self.count: Rows = np.bincount(self.tag[: len(own)], minlength=tags).astype(np.intp)
        self.first: Rows = np.cumsum(self.count) - self.count
        self.watched: Mask = (self.count > 0) | self.related.aimed_at
        self.calm_low: Floats = np.where(self.watched, np.inf, -np.inf)
        self.calm_high: Floats = np.where(self.watched, -np.inf, np.inf)
        self.was_bad: Mask = np.zeros(tags, bool)

    # --- samples ------------------------------------------------------------------------------------------------------------------------

    def evaluate(self, where: Where, rows: Rows, value: Floats, status: Statuses, now_ns: int, plain: bool, live: Live) -> list[Transition]:
        """k samples, each tag once (rows = where as indices), that live shows already; plain: all are plain Good. In order of rows."""
        calm = (value >= self.calm_low[where]) & (value <= self.calm_high[where])
        if not plain:
            bad = status >= _BAD
            calm = np.where(bad, self.was_bad[where], calm)  # Bad again: what holds goes on holding, what is delayed runs on
        if self.related.any_rate:
            calm = self.related.steady(self, rows, calm, live)
        if every(calm):
            return []
        pick = np.flatnonzero(~calm & self.watched[where])
        return self.weigh(rows[pick], now_ns, live) if pick.size else []

    def weigh(self, tags: Rows, now_ns: int, live: Live) -> list[Transition]:
        """The slow road: every rule of these tags (each once), and the rules of others that look at them."""
        tags = self.related.followed(tags, live)
        ruled = tags[self.count[tags] > 0]
        found: list[Transition] = []
        if ruled.size:
            rules, sample = self._expand(ruled)
            bad = (live.status[ruled] >= _BAD)[sample]
            goal, idle = self._goals(rules, bad, now_ns, live)
            found = self.move(rules, goal, idle, now_ns, live)
            self._calm(ruled, rules, bad, live)
        self._aimed(tags, live)
        return found

    def _expand(self, tags: Rows) -> tuple[Rows, Rows]:
        """The rule rows of some tags, and for each the place of its tag in `tags`."""
        count = self.count[tags]
        sample = np.repeat(np.arange(tags.size), count)
        starts = np.cumsum(count) - count
        return np.arange(sample.size) - starts[sample] + self.first[tags][sample], sample

    def _goals(self, rules: Rows, bad: Mask, now_ns: int, live: Live) -> tuple[Levels, Mask]:
        """The level that each rule is to have, and which rules are left as they are, delays included.

        Bad: a limit keeps its state, and its delay is over. The same holds while a setpoint or command is Bad.
        """
        level, x, hold, idle = self.level[rules], live.value[self.tag[rules]], bad, np.zeros(rules.size, bool)
        if self.related.any:
            x, hold, idle = self.related.look(self, rules, x, bad, now_ns, live)
        goal = np.where(hold | idle, level, self.limits.wanted(rules, x, level))
        goal = np.where(self.limits.is_bad[rules], bad, goal)
        return np.where(self.enabled[rules], goal, 0).astype(np.int32), idle

    def move(self, rules: Rows, goal: Levels, idle: Mask | None, now_ns: int, live: Live) -> list[Transition]:
        """These rules go to these levels, at once or after their delays.

        A delay runs on while the goal stays on the same side of things (away from normal, or back to it); the goal at its end counts.
        """
        level = self.level[rules]
        changes = (goal != level) | (self.latched[rules] & ~self.latching[rules])
        quiet = ~changes if idle is None else ~changes & ~idle
        self.due_ns[rules[quiet]], self.want[rules[quiet]] = NEVER, goal[quiet]
        if not some(changes):
            return []
        turn, goal, level = rules[changes], goal[changes], level[changes]
        up = rises(level, goal)
        delay = np.where(up, self.on_ns[turn], self.off_ns[turn])
        running = np.where(rises(level, self.want[turn]) == up, self.due_ns[turn], NEVER)
        due = np.minimum(running, np.minimum(delay, NEVER - now_ns) + now_ns)
        at_once = delay == 0
        self.want[turn], self.due_ns[turn] = goal, np.where(at_once, NEVER, due)
        self.due_min = min(self.due_min, least(due[~at_once]))
        return self._turn(turn[at_once], goal[at_once], now_ns, live)

    def _turn(self, rules: Rows, goal: Levels, now_ns: int, live: Live) -> list[Transition]:
        """These rules change their level now: state and records."""
        if not rules.size:
            return []
        before, on = self.level[rules], goal != 0
        anew, latch = on & (before == 0), ~on & self.latching[rules]
        worse = (np.sign(goal) != np.sign(before)) | (self.limits.rank(rules, goal) > self.limits.rank(rules, before))
        self.level[rules] = self.want[rules] = goal
        self.active[rules], self.latched[rules] = on | latch, latch
        self.shown_level[rules[on]], self.active_ns[rules[anew]] = goal[on], now_ns
        self.due_ns[rules] = NEVER
        self.fade_ns[rules[~on]] = self.again_ns[rules[~on]] = NEVER
        value, status, source_ns = self._readings(rules, live)
        self.shown[rules], self.shown_status[rules] = value, status
        raised = on & worse
        words = np.where(anew, 0, np.where(on, 1, np.where(latch, 2, 3))).tolist()
        found = self.tell(rules, [_TURNS[word] for word in words], now_ns, source_ns, rules[raised])
        ended = rules[~on & ~latch]
        over = ended[self.shelving[ended] == Shelving.ONE_SHOT]
        if over.size:
            found += self.unshelve(over, now_ns)
        true = self.heralds.come_true(rules, goal, self.level)
        return found + self.told_off(true, now_ns, live) if true.size else found

    def told_off(self, rules: Rows, now_ns: int, live: Live) -> list[Transition]:
        """What was predicted is there: the alarm says so, and the prediction has said what it had to."""
        self.last[rules] = 0.0
        return self.move(rules, np.zeros(rules.size, np.int32), None, now_ns, live)

    def _readings(self, rules: Rows, live: Live) -> tuple[Floats, Statuses, Times]:
        """What a rule's tag shows; the time is that of the newer of tag and setpoint. 1 or 0 of the gateway itself."""
        own = rules.size and int(self.shows[rules].min()) >= 0
        if not own:
            system = self.shows[rules] < 0
            value, status = self.last[rules].copy(), np.zeros(rules.size, np.uint32)
            source_ns = np.zeros(rules.size, np.int64)
            rest = np.flatnonzero(~system)
            if rest.size:
                value[rest], status[rest], source_ns[rest] = self._readings(rules[rest], live)
            return value, status, source_ns
        tags = self.shows[rules]
        return live.value[tags], live.status[tags], self.related.newest(rules, live.source_ns[tags], live)

    # --- bands --------------------------------------------------------------------------------------------------------------------------

    def settle(self, tags: Rows, live: Live) -> None:
        """The bands of some tags (each once), where their conditions changed by other means than a sample; not before there was one."""
        tags = tags[(self.count[tags] > 0) & ~np.isin(live.status[tags], SILENT)]
        if tags.size:
            rules, sample = self._expand(tags)
            self._calm(tags, rules, (live.status[tags] >= _BAD)[sample], live)

    def _calm(self, tags: Rows, rules: Rows, bad: Mask, live: Live) -> None:
        """The bands of some tags anew; rules and bad: per rule of theirs. A Bad tag has none: its next sample is weighed."""
        value = live.value[self.tag[rules]]
        low, top = self.limits.band(rules, value, self.level[rules])
        if self.related.any:
            self.related.narrow(self, rules, value, low, top, live)
        free = self.limits.is_bad[rules] | ~self.enabled[rules]
        low, top = np.where(free, -np.inf, low), np.where(free, np.inf, top)
        unknown = bad | np.isnan(value)
        low, top = np.where(unknown, np.inf, low), np.where(unknown, -np.inf, top)
        count = self.count[tags]
        starts = np.cumsum(count) - count
        self.was_bad[tags] = bad[starts]
        self.calm_low[tags] = np.maximum.reduceat(low, starts)
        self.calm_high[tags] = np.minimum.reduceat(top, starts)
        aims = tags[self.related.aimed_at[tags]]
        if aims.size:
            self.calm_low[aims] = np.fmax(self.calm_low[aims], live.value[aims])
            self.calm_high[aims] = np.fmin(self.calm_high[aims], live.value[aims])

    def _aimed(self, tags: Rows, live: Live) -> None:
        """The bands of tags that have no rules, but are looked at by others'."""
        aims = tags[self.count[tags] == 0]
        if aims.size:
            value, bad = live.value[aims], live.status[aims] >= _BAD
            unknown = bad | np.isnan(value)
            self.was_bad[aims] = bad
            self.calm_low[aims], self.calm_high[aims] = np.where(unknown, np.inf, value), np.where(unknown, -np.inf, value)

    # --- time ---------------------------------------------------------------------------------------------------------------------------

    def expire(self, now_ns: int, live: Live) -> list[Transition]:
        """What time alone does: rates that are over, delays (oldest first), the end of shelving, alarms that ask for attention again."""
        if now_ns < self.due_min:
            return []
        found: list[Transition] = []
        turned: list[Rows] = []
        for _ in range(2):  # a rate may rise and be over between two calls
            self._fade(now_ns)
            due = np.flatnonzero(self.due_ns <= now_ns)
            due = due[np.argsort(self.due_ns[due], kind="stable")]
            found += self._turn(due, self.want[due], now_ns, live)
            turned.append(self.tag[due])
        over = np.flatnonzero(self.unshelve_ns <= now_ns)
        if over.size:
            found += self.unshelve(over, now_ns)
        again = np.flatnonzero(self.again_ns <= now_ns)
        if again.size:
            found += self._re_alarm(again, now_ns)
        self.due_min = self.deadline()
        tags = np.concatenate(turned)
        self.settle(np.unique(tags[tags >= 0]), live)
        return found

    def _fade(self, now_ns: int) -> None:
        """No sample came for so long that the mean rate since the last one is back: an alarm returns, a delay towards one is over."""
        over = np.flatnonzero((self.fade_ns <= now_ns) & (self.fade_ns <= self.due_ns))
        if not over.size:
            return
        back = over[self.level[over] != 0]
        at_ns = self.fade_ns[back]
        self.want[over], self.due_ns[over] = 0, NEVER
        self.due_ns[back] = np.minimum(self.off_ns[back], NEVER - at_ns) + at_ns
        self.fade_ns[over] = NEVER

    def _re_alarm(self, rules: Rows, now_ns: int) -> list[Transition]:
        """Part 9, 5.8.2 (ReAlarmTime): as if it had just come; while it is silenced it waits for another time (IEC 62682, 11)."""
        loud = rules[~self.silenced(rules)]
        self.again_ns[rules] = now_ns + self.again_after_ns[rules]
        self.active_ns[loud] = now_ns
        return self.tell(loud, [Change.RE_ALARMED] * loud.size, now_ns, None, loud)

    def unshelve(self, rules: Rows, now_ns: int) -> list[Transition]:
        """Shelving is over, by time or because the alarm is (Part 9, 5.8.17)."""
        self.shelving[rules], self.unshelve_ns[rules] = 0, NEVER
        for row in rules.tolist():
            self.note(row, "", None, now_ns)
        return self.tell(rules, [Change.UNSHELVED] * rules.size, now_ns)

    def shift(self, delta_ns: int) -> None:
        """The wall clock stepped: what waits ends as much later; rates are learned anew."""
        for name in TIMES:
            column = getattr(self, name)
            column[column != NEVER] += delta_ns
        self.foretold = {row: prediction.moved(delta_ns) for row, prediction in self.foretold.items()}
        rates = self.related.is_rate
        self.last_ns[rates] = -np.abs(self.last_ns[rates])
        self.due_min = self.deadline()


_TURNS: Final = (Change.ACTIVE, Change.LEVEL, Change.LATCHED, Change.INACTIVE)
