"""What alarm rules want of a number x, as columns: one row per rule (IEC 62682, 5.4; OPC UA Part 9, 5.8.18 to 5.8.25).

A rule stands at a level: 0 normal, 1 active; a rule of several limits at -2 LOLO, -1 LO, 0, 1 HI, 2 HIHI. A rule of one limit looks at x or
-x, so that every limit is a high one: it raises at x > edge, and returns at x <= back = edge - hysteresis. One of several limits holds the
outermost that x is beyond; its own and those within it are left at their back.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.engine.where import some
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import Floats, Mask, Rows

Levels = NDArray[np.int32]
CODE: Final = {Limit.LOLO: -2, Limit.LO: -1, Limit.HI: 1, Limit.HIHI: 2}
NAME: Final = {code: limit for limit, code in CODE.items()}
WIDE: Final = frozenset({Limit.LEVEL, Limit.DEV, Limit.ROC})
_PLACE: Final = (Limit.LOLO, Limit.LO, Limit.HI, Limit.HIHI)
_LOW: Final = frozenset({Limit.LO, Limit.LOLO})
_UNJUDGED: Final = frozenset({Limit.STATE, Limit.DISC})  # without a hysteresis


def rises(before: Levels, after: Levels) -> Mask:
    """From one level to another: away from normal, or to the other side. Such a move has the on_delay, any other the off_delay."""
    found: Mask = (after != 0) & ((np.sign(before) != np.sign(after)) | (np.abs(after) > np.abs(before)))
    return found


class Limits:
    """The rules' configuration.

    sign, edge, back  float64[n]  of rules with one limit
    wide              bool[n]     rules of several limits; line: their line in edges, backs and ranks
    edges, backs      float64[w,4]  from LOLO to HIHI; infinite where there is none
    ranks             int32[w,5]  severity by level + 2
    """

    def __init__(self, rules: Sequence[AlarmRule]) -> None:
        low = np.array([rule.limit in _LOW for rule in rules], bool)
        self.is_state: Mask = np.array([rule.limit is Limit.STATE for rule in rules], bool)
        self.is_bad: Mask = np.array([rule.limit is Limit.BAD for rule in rules], bool)
        self.wide: Mask = np.array([rule.limit in WIDE for rule in rules], bool)
        self.any_wide = some(self.wide)
        self.sign: Floats = np.where(low, -1.0, 1.0)
        self.edge: Floats = self.sign * np.array([rule.threshold for rule in rules], np.float64)
        self.back: Floats = self.edge - np.array([0.0 if rule.limit in _UNJUDGED else rule.hysteresis for rule in rules], np.float64)
        self.line: NDArray[np.intp] = np.cumsum(self.wide) - 1
        several = [rule for rule in rules if rule.limit in WIDE]
        self.edges: Floats = np.array([_edges(rule) for rule in several], np.float64).reshape(-1, 4)
        self.ranks: NDArray[np.int32] = np.array([_ranks(rule) for rule in several], np.int32).reshape(-1, 5)
        slack = np.array([rule.hysteresis for rule in several], np.float64).reshape(-1, 1) * np.array([-1.0, -1.0, 1.0, 1.0])
        backs = self.edges - slack
        inner_low, inner_high = self.edges[:, :2].max(axis=1, initial=-np.inf), self.edges[:, 2:].min(axis=1, initial=np.inf)
        backs[:, 2:] = np.maximum(backs[:, 2:], inner_low[:, None])  # a hysteresis never reaches the other side
        backs[:, :2] = np.minimum(backs[:, :2], inner_high[:, None])
        self.backs: Floats = backs

    def wanted(self, rows: Rows, x: Floats, level: Levels) -> Levels:
        """The level that k rules want, each of its number. Quality rules are for the caller."""
        over = self.sign[rows] * x > np.where(level != 0, self.back[rows], self.edge[rows])
        found: Levels = np.where(self.is_state[rows], x == self.edge[rows], over).astype(np.int32)
        if self.any_wide and some(several := self.wide[rows]):
            found[several] = _outermost(x[several], self._turning(rows[several], level[several]))
        return found

    def band(self, rows: Rows, x: Floats, level: Levels) -> tuple[Floats, Floats]:
        """The closed interval around x in which `wanted` stays what it is."""
        edge = np.where(level != 0, self.back[rows], self.edge[rows]) * self.sign[rows]  # in units of x again
        state, high = self.is_state[rows], self.sign[rows] > 0
        above = np.where(state | high, x > edge, x >= edge)  # a high limit holds at its edge, a low one leaves there
        low = np.where(above, np.where(state | high, np.nextafter(edge, np.inf), edge), -np.inf)
        top = np.where(above, np.inf, np.where(high & ~state, edge, np.nextafter(edge, -np.inf)))
        hit = state & (x == edge)
        low, top = np.where(hit, edge, low), np.where(hit, edge, top)
        if self.any_wide and some(several := self.wide[rows]):
            low[several], top[several] = _bands(x[several], self._turning(rows[several], level[several]))
        return low, top

    def rank(self, rows: Rows, level: Levels) -> NDArray[np.int32]:
        """The severity of k levels, of rules with several limits; 0 for the others, whose severity never changes."""
        several = self.wide[rows]
        found = np.zeros(rows.size, np.int32)
        found[several] = self.ranks[self.line[rows[several]], level[several] + 2]
        return found

    def severity(self, row: int, level: int) -> int:
        """Of a rule with several limits at that level."""
        return int(self.ranks[self.line[row], level + 2])

    def _turning(self, rows: Rows, level: Levels) -> Floats:
        """[k,4]: beyond which number each limit holds, from where the rule stands now."""
        line = self.line[rows]
        held = np.stack([level <= -2, level <= -1, level >= 1, level >= 2], axis=1)
        return np.where(held, self.backs[line], self.edges[line])


def _outermost(x: Floats, at: Floats) -> Any:
    lolo, lo, hi, hihi = at.T
    return np.where(x > hihi, 2, np.where(x > hi, 1, np.where(x < lolo, -2, np.where(x < lo, -1, 0))))


def _bands(x: Floats, at: Floats) -> tuple[Floats, Floats]:
    lolo, lo, hi, hihi = at.T
    code, up, down = _outermost(x, at) + 2, np.full(x.size, np.inf), np.full(x.size, -np.inf)
    low = np.choose(code, [down, lolo, np.maximum(lo, lolo), np.nextafter(hi, np.inf), np.nextafter(hihi, np.inf)])
    top = np.choose(code, [np.nextafter(lolo, -np.inf), np.nextafter(lo, -np.inf), np.minimum(hi, hihi), hihi, up])
    return low, top


def _edges(rule: AlarmRule) -> list[float]:
    if rule.limit is not Limit.LEVEL:  # too far to either side
        return [-np.inf, -rule.threshold, rule.threshold, np.inf]
    known = {level.limit: level.threshold for level in rule.levels}
    return [known.get(limit, -np.inf if limit in _LOW else np.inf) for limit in _PLACE]


def _ranks(rule: AlarmRule) -> list[int]:
    known = {CODE[level.limit]: level.severity for level in rule.levels}
    return [known.get(code, rule.severity) for code in range(-2, 3)]
