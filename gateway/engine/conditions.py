"""The state of every condition as columns, one row per rule, and the records that are made of it (OPC UA Part 9, 5.5 to 5.8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gateway.engine.limits import NAME, Levels, Limits
from gateway.engine.places import Places
from gateway.engine.where import NEVER, least
from gateway.model.alarm import AlarmRule, Change, Condition, Limit, Shelving, Transition
from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.forecast import Prediction
from gateway.model.quality import Statuses

COLUMNS: Final[dict[str, tuple[type[Any], Any]]] = {  # the state of a condition: type, and value before anything happened
    "active": (np.bool_, False),
    "acknowledged": (np.bool_, True),
    "confirmed": (np.bool_, True),
    "latched": (np.bool_, False),
    "enabled": (np.bool_, True),
    "suppressed": (np.bool_, False),
    "out_of_service": (np.bool_, False),
    "level": (np.int32, 0),  # where the process stands, see limits
    "want": (np.int32, 0),  # the level that a running delay leads to
    "shown_level": (np.int32, 0),  # the last one that was not normal
    "shelving": (np.int32, 0),
    "due_ns": (np.int64, NEVER),  # the delay that is running ends
    "fade_ns": (np.int64, NEVER),  # a rate of change is over, unless a sample comes
    "unshelve_ns": (np.int64, NEVER),
    "again_ns": (np.int64, NEVER),  # the re-alarm
    "since_ns": (np.int64, 0),
    "active_ns": (np.int64, 0),
    "serial": (np.int64, 0),
    "raised_serial": (np.int64, 0),
    "shown": (np.float64, np.nan),  # value and status of the tag at the last change of active or level
    "shown_status": (np.uint32, 0),
    "last": (np.float64, np.nan),  # the value that a rate is taken from; a command's value; what was said of a system alarm
    "last_ns": (np.int64, 0),  # when that was; negative of a clock that has been set since: no rate is taken from it
    "told": (np.int32, -1),  # the last transition, by its place in Change
    "told_severity": (np.int32, 0),
    "last_severity": (np.int32, 0),
}
TIMES: Final = ("due_ns", "fade_ns", "unshelve_ns", "again_ns")
_SHOWN: Final = (
    "active", "acknowledged", "since_ns", "shown", "shown_status", "enabled", "confirmed", "latched", "shelving", "unshelve_ns",
    "suppressed", "out_of_service", "shown_level", "active_ns", "serial", "raised_serial", "told", "last_severity",
)  # fmt: skip
_SHELVING: Final = tuple(Shelving)
_TOLD: Final = (*Change, None)  # -1 is the last
_CODES: Final = {change: code for code, change in enumerate(Change)}


@dataclass(frozen=True, slots=True)
class Note:
    """Who acted last; what was said last, by whom and when (Part 9, 5.5.2: Comment, ClientUserId)."""

    user: str = ""
    comment: str = ""
    comment_user: str = ""
    comment_ns: int = 0

    def by(self, user: str, comment: str | None, now_ns: int) -> "Note":
        """After one more action. An action without a comment (None) leaves what was said; an empty one takes it back."""
        return replace(self, user=user) if comment is None else Note(user, comment, user, now_ns)


_NOBODY: Final = Note()
_ORDER: Final = {Limit.SYSTEM: 1, Limit.PREDICTED: 2}


class Conditions:
    """Rules in order of tags, then those of the gateway itself, then those of predicted limits; and what is known of each.

    place: row by condition's name; again_after_ns, confirming: of the rules; the columns of COLUMNS
    notes, said: by row, what a person said last, and what the gateway said of a system alarm
    foretold: by row, what a predicted limit rests on; foreseen: the first row of these
    retired: by name, the serials of conditions that are no more: no EventId is given twice, should one come back
    due_min: never later than the first thing that time alone brings
    """

    active: Mask
    acknowledged: Mask
    confirmed: Mask
    latched: Mask
    enabled: Mask
    suppressed: Mask
    out_of_service: Mask
    level: Levels
    want: Levels
    shown_level: Levels
    shelving: Levels
    due_ns: Times
    fade_ns: Times
    unshelve_ns: Times
    again_ns: Times
    since_ns: Times
    active_ns: Times
    serial: Times
    raised_serial: Times
    shown: Floats
    shown_status: Statuses
    last: Floats
    last_ns: Times
    told: Levels
    told_severity: Levels
    last_severity: Levels

    def __init__(self, rules: Sequence[AlarmRule]) -> None:
        """Raises ValueError where a condition's name stands twice."""
        self.rules = tuple(sorted(rules, key=lambda rule: (_ORDER.get(rule.limit, 0), rule.tag_id)))
        self.foreseen = sum(rule.limit is not Limit.PREDICTED for rule in self.rules)
        self.place = Places(self.rules)
        if len({rule.condition for rule in self.rules}) != len(self.rules):
            raise ValueError("two alarm rules make the same condition; a tag has one of each limit")
        self.limits = Limits(self.rules)
        self.again_after_ns: Times = np.array([rule.re_alarm_ns for rule in self.rules], np.int64)
        self.confirming: Mask = np.array([rule.confirm for rule in self.rules], bool)
        self.severity: Levels = np.array([rule.severity for rule in self.rules], np.int32)
        for name, (kind, initial) in COLUMNS.items():
            setattr(self, name, np.full(len(self.rules), initial, kind))
        self.notes: dict[int, Note] = {}
        self.said: dict[int, str] = {}
        self.foretold: dict[int, Prediction] = {}
        self.retired: dict[str, int] = {}
        self.due_min = NEVER

    def tell(
        self, rules: Rows, changes: Sequence[Change], now_ns: int, source_ns: Times | None = None, raised: Rows | None = None
    ) -> list[Transition]:
        """One transition for each rule (each once), whose state is as it is to be; raised: those that ask for an acknowledgement."""
        self.serial[rules] += 1
        self.since_ns[rules] = now_ns
        self.told[rules] = [_CODES[change] for change in changes]
        self._told_severity(rules)
        if raised is not None and raised.size:
            self.acknowledged[raised] = False
            self.confirmed[raised[self.confirming[raised]]] = False
            self.raised_serial[raised] = self.serial[raised]
            after = self.again_after_ns[raised]
            self.again_ns[raised] = np.where(after > 0, np.minimum(after, NEVER - now_ns) + now_ns, NEVER)
            self.due_min = min(self.due_min, least(self.again_ns[raised]))
            self._forget(raised)
        times = [0] * rules.size if source_ns is None else source_ns.tolist()
        columns = zip(self.states(rules), changes, times, strict=True)
        return [Transition(condition, change, now_ns, source) for condition, change, source in columns]

    def _told_severity(self, rules: Rows) -> None:
        """Part 9, 5.5.2 (LastSeverity)."""
        now, before = self.severity[rules], self.told_severity[rules]
        if self.limits.any_wide:
            shown = self.limits.rank(rules, self.shown_level[rules])
            now = np.where(self.limits.wide[rules] & self.active[rules], shown, now)
        changed = (now != before) & (before != 0)
        self.last_severity[rules[changed]] = before[changed]
        self.told_severity[rules] = now

    def _forget(self, rules: Rows) -> None:
        """What was said before is of another time."""
        if self.notes:
            for row in rules.tolist():
                self.notes.pop(row, None)

    def note(self, row: int, user: str, comment: str | None, now_ns: int) -> None:
        """Somebody acts on the condition of that row; user "": time does."""
        self.notes[row] = self.notes.get(row, _NOBODY).by(user, comment, now_ns)

    def states(self, rules: Rows) -> list[Condition]:
        """The conditions of these rows as they stand."""
        if rules.size == 1:
            row = rules.item()
            columns = [[getattr(self, name).item(row)] for name in _SHOWN]
        else:
            columns = [getattr(self, name)[rules].tolist() for name in _SHOWN]
        found = []
        for row, state in zip(rules.tolist(), zip(*columns, strict=True), strict=True):
            (
                active, acked, since, shown, status, enabled, confirmed, latched, shelved, until, suppressed, out, level, begun, serial,
                raised, told, last_severity,
            ) = state  # fmt: skip
            rule, note = self.rules[row], self.notes.get(row, _NOBODY)
            severity, limit = rule.severity, None
            if active and self.limits.wide[row]:
                severity, limit = self.limits.severity(row, level), NAME[level]
            found.append(
                Condition(
                    rule, active, acked, since, shown, note.user, note.comment, status, enabled, confirmed, latched, _SHELVING[shelved],
                    0 if until == NEVER else until, suppressed, out, limit, severity, begun, serial, raised, self.said.get(row, ""),
                    note.comment_user, note.comment_ns, _TOLD[told], last_severity, self.foretold.get(row),
                )
            )  # fmt: skip
        return found

    def condition(self, name: str) -> Condition:
        """One condition. Raises KeyError."""
        return self.states(np.array([self.place[name]], np.intp))[0]

    def conditions(self) -> list[Condition]:
        """Each rule's condition, in their order."""
        return self.states(np.arange(len(self.rules)))

    def standing(self) -> Rows:
        """The rows whose condition is of interest (Part 9, 5.5.2, Retain)."""
        found: Rows = np.flatnonzero(self.enabled & (self.active | ~self.acknowledged | ~self.confirmed))
        return found

    def silenced(self, rules: Rows) -> Mask:
        """Part 9, 5.8.2 (SuppressedOrShelved)."""
        found: Mask = self.suppressed[rules] | self.out_of_service[rules] | (self.shelving[rules] != 0)
        return found

    def set_aside(self) -> Rows:
        """The rows whose condition is silenced or disabled."""
        found: Rows = np.flatnonzero(self.suppressed | self.out_of_service | (self.shelving != 0) | ~self.enabled)
        return found

    def adapt(self) -> Rows:
        """The state came from elsewhere, perhaps of rules that were configured otherwise: what they no longer ask for is over.

        Returns the rows that waited for nothing else.
        """
        settled: Rows = np.flatnonzero(~self.confirmed & ~self.confirming & self.acknowledged & ~self.active)
        self.confirmed |= ~self.confirming
        again = self.active & ~self.latched & (self.again_after_ns > 0)
        begun = np.minimum(self.again_after_ns, NEVER - self.active_ns) + self.active_ns
        self.again_ns[:] = np.where(again, np.where(self.again_ns == NEVER, begun, self.again_ns), NEVER)
        self.due_min = self.deadline()
        return settled

    def go_on(self, serials: Mapping[str, int]) -> None:
        """Serials by name, of conditions whose state is not carried over: those that are known here go on from there."""
        for name, serial in serials.items():
            row = self.place.get(name)
            if row is None:
                self.retired[name] = serial
            else:
                self.serial[row] = max(serial, self.serial.item(row))

    def touched(self) -> Mask:
        """The rows whose state is not that of the beginning."""
        found: Mask = (self.serial > 0) | (self.due_ns != NEVER) | ~np.isnan(self.last)
        return found

    def deadline(self) -> int:
        """The earliest of all that waits."""
        return min(least(getattr(self, name)) for name in TIMES)
