"""Which predicted limit stands for which limit: a prediction that came true ends with the alarm, and none begins while that is there."""

from collections.abc import Sequence

import numpy as np

from gateway.engine.limits import CODE, WIDE, Levels
from gateway.model.alarm import AlarmRule, Level, Limit
from gateway.model.batch import Rows


class Heralds:
    """of: row of an alarm -> (level from which on its limit is passed, row of the prediction); alarm: that the other way round."""

    def __init__(self, rules: Sequence[AlarmRule]) -> None:
        self.of: dict[int, list[tuple[int, int]]] = {}
        self.alarm: dict[int, tuple[int, int]] = {}
        ahead = {(rule.tag_id, rule.subject): row for row, rule in enumerate(rules) if rule.limit is Limit.PREDICTED}
        if not ahead:
            return
        for row, rule in enumerate(rules):
            for level in rule.levels or (Level(rule.limit, rule.threshold, rule.severity),):
                prediction = ahead.get((rule.tag_id, level.limit.value))
                if prediction is not None:
                    code = CODE[level.limit] if rule.limit in WIDE else 1
                    self.of.setdefault(row, []).append((code, prediction))
                    self.alarm[prediction] = (row, code)

    def come_true(self, rules: Rows, goal: Levels, level: Levels) -> Rows:
        """The predictions that stand, of limits that these rules (at these levels now) have passed."""
        if not self.of:
            return np.zeros(0, np.intp)
        moved = zip(rules.tolist(), goal.tolist(), strict=True)
        found = [row for rule, now in moved for code, row in self.of.get(rule, ()) if passed(now, code) and level[row]]
        return np.array(found, np.intp)

    def there(self, row: int, level: Levels) -> bool:
        """Whether the limit of that prediction is passed already."""
        alarm = self.alarm.get(row)
        return alarm is not None and passed(level.item(alarm[0]), alarm[1])


def passed(level: int, code: int) -> bool:
    """Whether a rule at that level is beyond the limit of that code."""
    return level >= code if code > 0 else level <= code
