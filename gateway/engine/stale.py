"""Silence: which tags have not been heard of for longer than their stale_after. Age runs on receipt."""

import numpy as np

from gateway.engine.where import NEVER, least
from gateway.model.batch import Mask, Rows, Times
from gateway.model.quality import BAD, Statuses
from gateway.model.tag import DERIVED, TagTable


class Staleness:
    """rows: the tags with a stale_after, after_ns: theirs. due_min is never later than the first tag that falls silent."""

    def __init__(self, tags: TagTable) -> None:
        watched = [tag for tag in tags if tag.stale_after_ns and tag.enabled and tag.source != DERIVED]
        self.rows: Rows = np.array([tag.tag_id for tag in watched], np.intp)
        self.after_ns: Times = np.array([tag.stale_after_ns for tag in watched], np.int64)
        self.shortest_ns = least(self.after_ns)
        self.due_min = NEVER

    def heard(self, received_ns: int) -> None:
        """Some tags were heard of at that time: O(1), as a lower bound for due_min."""
        if self.rows.size:
            self.due_min = min(self.due_min, received_ns + self.shortest_ns)

    def silent(self, now_ns: int, received_ns: Times, status: Statuses, exempt: Mask) -> Rows:
        """The rows that fall silent now: heard of once, not Bad, not exempt (overridden, or already marked by the gateway)."""
        if now_ns < self.due_min:
            return self.rows[:0]
        heard = received_ns[self.rows]
        due = heard + self.after_ns
        armed = (heard != 0) & (status[self.rows] < np.uint32(BAD)) & ~exempt[self.rows]
        over = armed & (due <= now_ns)
        self.due_min = least(due[armed & ~over])
        silent: Rows = self.rows[over]
        return silent
