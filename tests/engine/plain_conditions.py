"""The plainest alarms: one object per condition, one thing at a time, after the words of Part 9 and IEC 62682. The columns must agree."""

import math
from dataclasses import dataclass, field

from gateway.model import quality
from gateway.model.alarm import Action, AlarmRule, Change, Limit, Shelving

CODES = {Limit.LOLO: -2, Limit.LO: -1, Limit.HI: 1, Limit.HIHI: 2}
NAMES = {code: limit for limit, code in CODES.items()}
CHANGES = {
    Action.ACKNOWLEDGE: Change.ACKNOWLEDGED, Action.CONFIRM: Change.CONFIRMED, Action.COMMENT: Change.COMMENTED,
    Action.RESET: Change.RESET, Action.SHELVE: Change.SHELVED, Action.SHELVE_ONCE: Change.SHELVED,
    Action.UNSHELVE: Change.UNSHELVED, Action.SUPPRESS: Change.SUPPRESSED, Action.UNSUPPRESS: Change.UNSUPPRESSED,
    Action.OUT_OF_SERVICE: Change.OUT_OF_SERVICE, Action.IN_SERVICE: Change.IN_SERVICE, Action.ENABLE: Change.ENABLED,
    Action.DISABLE: Change.DISABLED,
}  # fmt: skip
Shown = tuple[float, int, int]  # value, status, source_ns


@dataclass
class PlainCondition:
    rule: AlarmRule
    active: bool = False
    acknowledged: bool = True
    confirmed: bool = True
    latched: bool = False
    enabled: bool = True
    suppressed: bool = False
    out_of_service: bool = False
    shelving: Shelving = Shelving.UNSHELVED
    unshelve: int | None = None
    level: int = 0
    shown_level: int = 0
    due: tuple[int, int] | None = None  # when, and to which level
    fade: int | None = None
    again: int | None = None
    serial: int = 0
    raised: int = 0
    since: int = 0
    begun: int = 0
    value: float = math.nan
    status: int = 0
    actor: str = ""
    said: tuple[str, str, int] = ("", "", 0)  # comment, by whom, when
    severities: tuple[int, int] = (0, 0)  # told last, and the other one before it
    last: tuple[float, int] | None = None  # of a rate
    aim: float = math.nan  # the command last seen
    told: list = field(default_factory=list)

    # --- the process ----------------------------------------------------------------------------------------------------------------

    def weigh(self, tags: dict[int, Shown], now: int) -> None:
        rule, (value, status, source) = self.rule, tags[self.rule.tag_id]
        if not self.enabled:
            return
        bad = status >= quality.BAD
        blind = rule.target_id >= 0 and tags[rule.target_id][1] >= quality.BAD
        if rule.limit is Limit.DISC and not blind and tags[rule.target_id][0] != self.aim:
            self.due, self.aim = None, tags[rule.target_id][0]
        rate = self._rate(value, source, bad, now) if rule.limit is Limit.ROC else value
        if rule.limit is Limit.BAD:
            self._go(int(bad), tags, now)
        elif bad or blind:
            self._go(self.level, tags, now)
        elif rate is not None:
            self._go(self._wanted(rate, tags), tags, now)

    def _wanted(self, value: float, tags: dict[int, Shown]) -> int:
        rule = self.rule
        if rule.limit is Limit.STATE:
            return int(value == rule.threshold)
        gap = value - tags[rule.target_id][0] if rule.target_id >= 0 else value
        return int(abs(gap) > rule.threshold) if rule.limit is Limit.DISC else self._outermost(gap)

    def _outermost(self, x: float) -> int:
        """The level farthest from normal that x is beyond; levels that are held are left by the hysteresis."""
        rule = self.rule
        if rule.limit is Limit.LEVEL:
            limits = {CODES[level.limit]: level.threshold for level in rule.levels}
        elif rule.limit in {Limit.DEV, Limit.ROC}:
            limits = {-1: -rule.threshold, 1: rule.threshold}
        else:
            limits = {CODES[rule.limit]: rule.threshold}
        held = self.level if rule.limit not in {Limit.HIHI, Limit.LOLO, Limit.LO} else self.level * CODES[rule.limit]
        found = 0
        for code, limit in sorted(limits.items(), key=lambda pair: abs(pair[0])):
            at = limit
            across = [other for side, other in limits.items() if side * code < 0]  # a hysteresis never reaches the other side
            if code * held > 0 and abs(held) >= abs(code):
                at = max([at - rule.hysteresis, *across]) if code > 0 else min([at + rule.hysteresis, *across])
            if x > at if code > 0 else x < at:
                found = code
        return found if rule.limit in {Limit.LEVEL, Limit.DEV, Limit.ROC} else int(found != 0)

    def _rate(self, value: float, source: int, bad: bool, now: int) -> float | None:
        rule, last = self.rule, self.last
        if bad:
            self.fade = None
            return None
        if last is None or value != last[0] or source != last[1]:
            self.last = (value, source)
        if last is not None and source > last[1]:
            elapsed = source - last[1]
            rate, back = (value - last[0]) / (elapsed / 1e9), rule.threshold - rule.hysteresis
            self.fade = None
            if abs(rate) > (back if self.level else rule.threshold):
                self.fade = now + int(elapsed * (abs(rate) / back - 1.0))
            return rate
        stood = last is not None and last == (value, source) and self.fade is None and self.due is None
        return 0.0 if stood else None

    def _go(self, goal: int, tags: dict[int, Shown], now: int) -> None:
        if goal == self.level:
            self.due = None
            return
        out = self._out(goal)
        delay = self.rule.on_delay_ns if out else self.rule.off_delay_ns
        if not delay:
            self._turn(goal, tags, now)
        elif self.due is not None and self._out(self.due[1]) == out:
            self.due = (self.due[0], goal)
        else:
            self.due = (now + delay, goal)

    def _out(self, goal: int) -> bool:
        return goal != 0 and (goal * self.level <= 0 or abs(goal) > abs(self.level))

    def _severity(self, level: int) -> int:
        return next((one.severity for one in self.rule.levels if CODES[one.limit] == level), self.rule.severity)

    def _turn(self, goal: int, tags: dict[int, Shown], now: int) -> None:
        before, self.level, self.due = self.level, goal, None
        self.value, self.status = tags[self.rule.tag_id][:2]
        if goal:
            raised = goal * before <= 0 or (bool(self.rule.levels) and self._severity(goal) > self._severity(before))
            self.active, self.latched, self.shown_level = True, False, goal
            if not before:
                self.begun = now
            self._tell(Change.LEVEL if before else Change.ACTIVE, now, raised=raised)
            return
        self.fade = self.again = None
        self.latched = self.rule.latch
        self.active = self.latched
        self._tell(Change.LATCHED if self.latched else Change.INACTIVE, now)
        if not self.active and self.shelving is Shelving.ONE_SHOT:
            self._unshelve(now)

    # --- time -----------------------------------------------------------------------------------------------------------------------

    def expire(self, tags: dict[int, Shown], now: int) -> None:
        for _ in range(2):  # a rate may rise and be over between two calls
            if self.fade is not None and self.fade <= now and (self.due is None or self.fade <= self.due[0]):
                self.due = (self.fade + self.rule.off_delay_ns, 0) if self.level else None
                self.fade = None
            if self.due is not None and self.due[0] <= now:
                self._turn(self.due[1], tags, now)
        if self.unshelve is not None and self.unshelve <= now:
            self._unshelve(now)
        if self.again is not None and self.again <= now:
            self.again = now + self.rule.re_alarm_ns
            if self.shelving is Shelving.UNSHELVED and not self.suppressed and not self.out_of_service:
                self.begun = now
                self._tell(Change.RE_ALARMED, now, raised=True)

    def deadline(self) -> int | None:
        times = (self.due and self.due[0], self.fade, self.unshelve, self.again)
        return min((at for at in times if at is not None), default=None)

    def _unshelve(self, now: int) -> None:
        self.shelving, self.unshelve, self.actor = Shelving.UNSHELVED, None, ""
        self._tell(Change.UNSHELVED, now)

    # --- persons --------------------------------------------------------------------------------------------------------------------

    def refused(self, action: Action, duration: int) -> int | None:  # noqa: PLR0911 - the table of Part 9, line by line
        if action is Action.ENABLE:
            return quality.BAD_CONDITION_ALREADY_ENABLED if self.enabled else None
        if not self.enabled:
            return quality.BAD_CONDITION_ALREADY_DISABLED if action is Action.DISABLE else quality.BAD_CONDITION_DISABLED
        if action is Action.ACKNOWLEDGE and self.acknowledged:
            return quality.BAD_CONDITION_ALREADY_ACKED
        if action is Action.CONFIRM and self.confirmed:
            return quality.BAD_CONDITION_ALREADY_CONFIRMED
        if action is Action.UNSHELVE and self.shelving is Shelving.UNSHELVED:
            return quality.BAD_CONDITION_NOT_SHELVED
        shelves = {Action.SHELVE: Shelving.TIMED, Action.SHELVE_ONCE: Shelving.ONE_SHOT}
        if action in shelves and self.shelving is shelves[action]:
            return quality.BAD_CONDITION_ALREADY_SHELVED
        if action is Action.SHELVE and not 0 < duration <= self.rule.shelve_max_ns:
            return quality.BAD_SHELVING_TIME_OUT_OF_RANGE
        wrong = {
            Action.CONFIRM: not self.acknowledged,
            Action.RESET: not (self.latched and self.acknowledged and self.confirmed),
            Action.SUPPRESS: self.suppressed,
            Action.UNSUPPRESS: not self.suppressed,
            Action.OUT_OF_SERVICE: self.out_of_service,
            Action.IN_SERVICE: not self.out_of_service,
        }
        return quality.BAD_INVALID_STATE if wrong.get(action) else None

    def act(self, action: Action, said: tuple[str, str | None], duration: int, tags: dict[int, Shown], now: int) -> None:
        flag = {Action.ACKNOWLEDGE: "acknowledged", Action.CONFIRM: "confirmed", Action.SUPPRESS: "suppressed"}.get(action)
        if flag or action is Action.OUT_OF_SERVICE:
            setattr(self, flag or "out_of_service", True)
        elif action is Action.RESET:
            self.active = self.latched = False
        elif action is Action.SHELVE:
            self.shelving, self.unshelve = Shelving.TIMED, now + duration
        elif action is Action.SHELVE_ONCE:
            self.shelving, self.unshelve = Shelving.ONE_SHOT, now + self.rule.shelve_max_ns
        elif action is Action.UNSHELVE:
            self.shelving, self.unshelve = Shelving.UNSHELVED, None
        elif action is Action.UNSUPPRESS:
            self.suppressed = False
        elif action is Action.IN_SERVICE:
            self.out_of_service = False
        elif action in {Action.ENABLE, Action.DISABLE}:
            self.enabled = action is Action.ENABLE
            self.active, self.acknowledged, self.confirmed, self.latched, self.level = False, True, True, False, 0
            self.due = self.fade = self.again = self.unshelve = None
            self.shelving, self.last, self.aim = Shelving.UNSHELVED, None, math.nan
        self._say(*said, now)
        self._tell(CHANGES[action], now)
        if action is Action.RESET and self.shelving is Shelving.ONE_SHOT:
            self._unshelve(now)

    def _say(self, user: str, comment: str | None, now: int) -> None:
        self.actor = user
        if comment is not None:
            self.said = (comment, user, now)

    # --- records --------------------------------------------------------------------------------------------------------------------

    def _tell(self, change: Change, now: int, *, raised: bool = False) -> None:
        self.serial += 1
        self.since = now
        if raised:
            self.acknowledged, self.raised, self.actor, self.said = False, self.serial, "", ("", "", 0)
            self.confirmed = not self.rule.confirm
            self.again = now + self.rule.re_alarm_ns if self.rule.re_alarm_ns else None
        told, before = self.severities
        self.severities = self._shown_severity(), told if told and told != self._shown_severity() else before
        self.told.append((self.rule.condition, change, now, *self.state()))

    @property
    def _wide(self) -> bool:
        return self.active and self.rule.limit in {Limit.LEVEL, Limit.DEV, Limit.ROC}

    def _shown_severity(self) -> int:
        return self._severity(self.shown_level) if self._wide else self.rule.severity

    def state(self) -> tuple:
        """What a Condition says, as a tuple."""
        return (
            self.active, self.acknowledged, self.confirmed, self.latched, self.enabled, self.suppressed, self.out_of_service,
            self.shelving, self.unshelve or 0, NAMES[self.shown_level] if self._wide else None,
            self._shown_severity(), self.severities[1],
            self.serial, self.raised, self.since, self.begun, repr(self.value), self.status, self.actor, *self.said,
        )  # fmt: skip
