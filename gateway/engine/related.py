"""Alarm rules that look at more than the tag's own newest value: at a setpoint or command (Part 9, 5.8.22, 5.8.25), at a rate (5.8.23).

A rate is (value - value before) / (source time - source time before) in units per second. Who reports by exception says nothing while the
value stands still: without another sample the mean rate since the last one falls as time passes, and the alarm returns when it is back.
A sample that is not newer than the one before has no rate; after a Bad one the last value that was not counts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from gateway.engine.where import NEVER, least, some
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import BAD, BAD_OUT_OF_SERVICE, BAD_WAITING_FOR_INITIAL_DATA

if TYPE_CHECKING:
    from gateway.engine.alarms import Alarms, Live

SILENT: Final = (BAD_WAITING_FOR_INITIAL_DATA, BAD_OUT_OF_SERVICE)
"""Of tags that are not judged: no data yet, or out of service."""
_BAD: Final = np.uint32(BAD)
_LONGEST: Final = 4e18  # ns; what would take longer never ends
_AIMED: Final = frozenset({Limit.DEV, Limit.DISC})


class Related:
    """target: tag_id of the setpoint or command, -1 without; aimed_at: bool per tag; followers: by such a tag, the tags that look at it."""

    def __init__(self, rules: Sequence[AlarmRule], tags: int) -> None:
        """Raises ValueError where a setpoint or command is not in the table."""
        self.is_aimed: Mask = np.array([rule.limit in _AIMED for rule in rules], bool)
        self.is_disc: Mask = np.array([rule.limit is Limit.DISC for rule in rules], bool)
        self.is_rate: Mask = np.array([rule.limit is Limit.ROC for rule in rules], bool)
        self.target: Rows = np.array([rule.target_id if rule.limit in _AIMED else -1 for rule in rules], np.intp)
        if any(not 0 <= rule.target_id < tags for rule in rules if rule.limit in _AIMED):
            raise ValueError("an alarm rule names a target_id outside the table")
        self.edge: Floats = np.array([rule.threshold for rule in rules], np.float64)
        self.back: Floats = self.edge - np.array([rule.hysteresis for rule in rules], np.float64)
        self.any = some(self.is_aimed | self.is_rate)
        self.any_aimed = some(self.is_aimed)
        self.any_rate = some(self.is_rate)
        self.rate_row: Rows = np.full(tags, -1, np.intp)
        self.rate_row[[rule.tag_id for rule in rules if rule.limit is Limit.ROC]] = np.flatnonzero(self.is_rate)
        self.aimed_at: Mask = np.zeros(tags, bool)
        self.followers: dict[int, list[int]] = {}
        for rule in rules:
            if rule.limit in _AIMED:
                self.aimed_at[rule.target_id] = True
                followers = self.followers.setdefault(rule.target_id, [])
                if rule.tag_id not in followers:
                    followers.append(rule.tag_id)

    def followed(self, tags: Rows, live: "Live") -> Rows:
        """These tags, and after them those whose rules look at one of them, once they have data; each once."""
        if not self.any_aimed or not some(self.aimed_at[tags]):
            return tags
        looking = (follower for tag in tags[self.aimed_at[tags]].tolist() for follower in self.followers[tag])
        more = [follower for follower in looking if live.status.item(follower) not in SILENT]
        return np.array(list(dict.fromkeys(tags.tolist() + more)), np.intp)

    def steady(self, alarms: "Alarms", rows: Rows, calm: Mask, live: "Live") -> Mask:
        """Which of the calm samples of these tags have a rate that changes nothing either; the rate's memory of those goes on."""
        at = np.flatnonzero(calm & (self.rate_row[rows] >= 0))
        if not at.size:
            return calm
        tags = rows[at]
        rules = self.rate_row[tags]
        judged = (live.status[tags] < _BAD) & alarms.enabled[rules]
        at, tags, rules = at[judged], tags[judged], rules[judged]
        value, at_ns, last, last_ns = live.value[tags], live.source_ns[tags], alarms.last[rules], alarms.last_ns[rules]
        quiet = (alarms.level[rules] == 0) & (alarms.due_ns[rules] == NEVER) & (alarms.fade_ns[rules] == NEVER)
        quiet &= (at_ns > last_ns) & (last_ns > 0)
        elapsed_ns = np.where(quiet, at_ns - last_ns, 1).astype(np.float64)
        with np.errstate(all="ignore"):
            quiet &= np.abs((value - last) / (elapsed_ns / 1e9)) <= self.edge[rules]
        alarms.last[rules[quiet]], alarms.last_ns[rules[quiet]] = value[quiet], at_ns[quiet]
        found = calm.copy()
        found[at] = quiet
        return found

    def look(self, alarms: "Alarms", rules: Rows, x: Floats, bad: Mask, now_ns: int, live: "Live") -> tuple[Floats, Mask, Mask]:
        """What these rules look at in place of the values x; which of them hold their state, and which have nothing new to look at.

        What a disabled rule remembers stays as it is.
        """
        x, hold, idle = x.copy(), bad.copy(), np.zeros(rules.size, bool)
        at = np.flatnonzero(self.is_aimed[rules] & alarms.enabled[rules])
        if at.size:
            rows = rules[at]
            aim, blind = live.value[self.target[rows]], live.status[self.target[rows]] >= _BAD
            hold[at] |= blind
            with np.errstate(all="ignore"):
                gap = x[at] - aim
            x[at] = np.where(self.is_disc[rows], np.abs(gap), gap)
            anew = rows[self.is_disc[rows] & ~blind & (aim != alarms.last[rows])]  # another command has the whole time
            alarms.due_ns[anew], alarms.last[anew] = NEVER, live.value[self.target[anew]]
        at = np.flatnonzero(self.is_rate[rules] & alarms.enabled[rules])
        if at.size:
            x[at], idle[at] = self._rates(alarms, rules[at], bad[at], now_ns, live)
        return x, hold, idle

    def _rates(self, alarms: "Alarms", rows: Rows, bad: Mask, now_ns: int, live: "Live") -> tuple[Floats, Mask]:
        """The rate of each rule, and which have none now; what they remember goes on."""
        tags = alarms.tag[rows]
        value, at_ns, last, last_ns = live.value[tags], live.source_ns[tags], alarms.last[rows], alarms.last_ns[rows]
        known = ~np.isnan(last) & (last_ns > 0)
        fresh = ~bad & known & (at_ns > last_ns)
        waits = (alarms.fade_ns[rows] != NEVER) | (alarms.due_ns[rows] != NEVER)
        still = ~bad & known & (at_ns == last_ns) & (value == last) & ~waits
        elapsed_ns = np.where(fresh, at_ns - last_ns, 1).astype(np.float64)
        with np.errstate(all="ignore"):
            rate = np.where(fresh, (value - last) / (elapsed_ns / 1e9), 0.0)
            size, back = np.abs(rate), self.back[rows]
            beyond = fresh & (size > np.where(alarms.level[rows] != 0, back, self.edge[rows])) & (back > 0)
            lasts = np.where(beyond, np.minimum(elapsed_ns * (size / back - 1.0), _LONGEST), 0.0)
        fade = np.where(beyond & (lasts < _LONGEST), now_ns + lasts.astype(np.int64), NEVER)
        ends = bad | fresh
        alarms.fade_ns[rows[ends]] = fade[ends]
        alarms.due_min = min(alarms.due_min, least(fade))
        taken = ~bad & ~((at_ns == np.abs(last_ns)) & (value == last))
        alarms.last[rows[taken]], alarms.last_ns[rows[taken]] = value[taken], at_ns[taken]
        return rate, ~bad & ~fresh & ~still

    def narrow(self, alarms: "Alarms", rules: Rows, value: Floats, low: Floats, top: Floats, live: "Live") -> None:
        """Bands low to top of a difference become bands of the tag's value, a hair narrower so that rounding is safe.

        A rate has none: `steady` looks at it.
        """
        at = np.flatnonzero(self.is_aimed[rules])
        if at.size:
            self._around(alarms, rules, at, value, low, top, live)
        rates = self.is_rate[rules]
        low[rates], top[rates] = -np.inf, np.inf

    def _around(self, alarms: "Alarms", rules: Rows, at: Rows, value: Floats, low: Floats, top: Floats, live: "Live") -> None:
        rows = rules[at]
        aim, disc = live.value[self.target[rows]], self.is_disc[rows]
        with np.errstate(all="ignore"):
            gap = value[at] - aim
            under, over = alarms.limits.band(rows, np.where(disc, np.abs(gap), gap), alarms.level[rows])
            mirror = disc & (under == -np.inf)  # within the tolerance on both sides of the command
            under = np.where(mirror, -over, np.where(disc, np.inf, under))
            exact = mirror & (over == 0.0)
            low[at] = np.where(exact, aim, np.nextafter(under + aim, np.inf))
            top[at] = np.where(exact, aim, np.where(disc & ~mirror, -np.inf, np.nextafter(over + aim, -np.inf)))
        blind = live.status[self.target[rows]] >= _BAD
        low[at[blind]], top[at[blind]] = -np.inf, np.inf  # it holds, whatever the value does

    def newest(self, rules: Rows, source_ns: Times, live: "Live") -> Times:
        """The source times of these rules' tags, or of what they look at where that is newer."""
        if not self.any_aimed or not some(aimed := self.is_aimed[rules]):
            return source_ns
        found = source_ns.copy()
        found[aimed] = np.maximum(found[aimed], live.source_ns[self.target[rules[aimed]]])
        return found
