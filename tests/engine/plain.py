"""The plainest engine: one object per tag, one sample at a time. The columns must decide what it decides."""

import math
from dataclasses import dataclass, field

from gateway.model import quality
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.tag import Tag

PATIENCE = 10_000_000_000
YEAR = 365 * 86_400 * 1_000_000_000


@dataclass
class PlainCondition:
    rule: AlarmRule
    active: bool = False
    due: int | None = None


@dataclass
class PlainTag:
    tag: Tag
    conditions: list[PlainCondition]
    value: float = math.nan
    status: int = quality.BAD_WAITING_FOR_INITIAL_DATA
    source: int = 0
    newest: int | None = None
    made: bool = False
    reported: tuple[float, int] | None = None
    astray: tuple[int, int] | None = None  # since when late samples come, and the source time of the latest


@dataclass
class PlainEngine:
    tags: list[PlainTag]
    rows: list[tuple] = field(default_factory=list)
    late: list[tuple] = field(default_factory=list)
    turns: list[tuple] = field(default_factory=list)
    duplicates: int = 0
    skewed: int = 0
    reordered: int = 0

    def begin(self, now: int) -> None:
        self.rows, self.late, self.turns, self.duplicates, self.skewed, self.reordered = [], [], [], 0, 0, 0
        for tag in self.tags:
            for condition in tag.conditions:
                if condition.due is not None and condition.due <= now:
                    self._turn(tag, condition)

    def step(self, samples: list[tuple[int, float, int, int]], received: int, now: int) -> None:
        self.begin(now)
        timed = []
        missing: dict[int, int] = {}
        for place, (tag_id, value, status, source) in enumerate(samples):
            if source <= 0 or abs(source - received) > YEAR:
                self.skewed += 1
                timed.append((received + missing.get(tag_id, 0), place, tag_id, value, status))
                missing[tag_id] = missing.get(tag_id, 0) + 1
            else:
                timed.append((source, place, tag_id, value, status))
        for source, _, tag_id, value, status in sorted(timed):
            self._sample(self.tags[tag_id], value, status, source, now)

    def _sample(self, tag: PlainTag, value: float, status: int, source: int, now: int) -> None:
        if status < quality.BAD and not math.isfinite(value):
            status = quality.BAD_OUT_OF_RANGE
        low, high = tag.tag.eu_range or (-math.inf, math.inf)
        if status < quality.UNCERTAIN and not low <= value <= high:
            status = quality.UNCERTAIN_EU_EXCEEDED
        bad = status >= quality.BAD
        if tag.newest is not None and source <= tag.newest and not self._restarts(tag, source, now):
            if source == tag.newest and status == tag.status and (bad or value == tag.value):
                self.duplicates += 1
            else:
                self.late.append((tag.tag.tag_id, repr(math.nan if bad else value), status, source))
            return
        tag.newest, tag.made, tag.astray = source, False, None
        self._show(tag, tag.value if bad else value, status, source, now)

    def _restarts(self, tag: PlainTag, source: int, now: int) -> bool:
        """Late, but newer than the late one before, for ten seconds: the source's clock was set back."""
        if source == tag.newest:
            return False
        if tag.astray is None or source < tag.astray[1]:
            tag.astray = now, source
            return False
        since, last = tag.astray
        tag.astray = since, source
        if source == last or now - since < PATIENCE:
            return False
        self.reordered += 1
        return True

    def mark(self, marks: list[tuple[int, int]], now: int) -> None:
        self.begin(now)
        for tag_id, status in marks:
            tag = self.tags[tag_id]
            if tag.made and tag.status == status:
                self.duplicates += 1
                continue
            tag.newest, tag.made, tag.astray = None, True, None
            self._show(tag, tag.value, status, tag.source, now)

    def _show(self, tag: PlainTag, value: float, status: int, source: int, now: int) -> None:
        tag.value, tag.status, tag.source = value, status, source
        passes = tag.reported is None or tag.reported[1] != status or abs(value - tag.reported[0]) > tag.tag.deadband
        if passes:
            tag.reported = (value, status)
        self.rows.append((tag.tag.tag_id, repr(value), status, source, passes))
        for condition in tag.conditions:
            self._weigh(tag, condition, now)

    def _weigh(self, tag: PlainTag, condition: PlainCondition, now: int) -> None:
        rule, value, bad = condition.rule, tag.value, tag.status >= quality.BAD
        if rule.limit is Limit.BAD:
            wanted = bad
        elif bad:
            wanted = condition.active
        elif rule.limit is Limit.STATE:
            wanted = value == rule.threshold
        elif rule.limit in {Limit.HI, Limit.HIHI}:
            wanted = value > (rule.threshold - rule.hysteresis if condition.active else rule.threshold)
        else:
            wanted = value < (rule.threshold + rule.hysteresis if condition.active else rule.threshold)
        if wanted == condition.active:
            condition.due = None
            return
        delay = rule.off_delay_ns if condition.active else rule.on_delay_ns
        if not delay:
            self._turn(tag, condition)
        elif condition.due is None:
            condition.due = now + delay

    def _turn(self, tag: PlainTag, condition: PlainCondition) -> None:
        condition.active, condition.due = not condition.active, None
        self.turns.append((condition.rule.condition, condition.active, repr(tag.value), tag.status))
