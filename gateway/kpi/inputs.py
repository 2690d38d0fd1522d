"""From the tags of tied machines to the books of their accounts; what was not known, and when, outlives a restart."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.batch import Mask
from gateway.model.kpi import TiedMachine
from gateway.model.series import Series
from gateway.model.tag import DERIVED, MANUAL
from gateway.model.update import Columns
from gateway.simulation.line.measured import STATES, UNKNOWN, Book, Input

NEAR_NS: Final = 60_000_000_000  # a change of quality that is older is one that was only now told
_NO_SOURCE: Final = frozenset({MANUAL, DERIVED})
GAPS: Final = 200  # of one machine that are kept; then the oldest become one
_NUMBERS: Final = {state: float(row) for row, state in enumerate(STATES)}
_INPUTS: Final = {"produced": Input.PRODUCED, "rejected": Input.REJECTED, "energy": Input.ENERGY, "power": Input.POWER}


class Tied:
    """One machine: its tags, its book, and when nothing was known of it: gaps (from, to), the last without end while that lasts."""

    def __init__(self, rule: TiedMachine) -> None:
        self.rule = rule
        self.tags = {rule.state: Input.STATE} | {
            tag_id: which for word, which in _INPUTS.items() if (tag_id := getattr(rule, word)) is not None
        }
        self.needed = np.array([tag_id for tag_id, which in self.tags.items() if which <= Input.REJECTED], np.intp)
        self.book = Book([which for which in self.tags.values() if which is not Input.STATE], rule.rollover)
        self.gaps: list[list[int | None]] = []

    @property
    def known(self) -> bool:
        """Whether all its inputs are Good now."""
        return not self.gaps or self.gaps[-1][1] is not None

    def value_of(self, which: Input, value: float, text: str | None) -> float:
        """As a book takes it."""
        if which is not Input.STATE:
            return value
        state = self.rule.words.get(text or "") if self.rule.words else self.rule.states.get(value)
        return float(UNKNOWN) if state is None else _NUMBERS[state]

    def sample(self, tag_id: int, at_ns: int, value: float, text: str | None) -> None:
        """A Good sample."""
        which = self.tags[tag_id]
        self.book.take(at_ns, which, self.value_of(which, value, text))

    def lose(self, at_ns: int) -> None:
        """From now on nothing is known."""
        if self.known:
            self.gaps.append([at_ns, None])
            self.book.take(at_ns, Input.LINK, math.nan)
            if len(self.gaps) > GAPS:
                self.gaps[:2] = [[self.gaps[0][0], self.gaps[1][1]]]

    def regain(self, at_ns: int) -> None:
        """All is known again."""
        if not self.known:
            self.gaps[-1][1] = max(at_ns, self.gaps[-1][0] or 0)
            self.book.take(max(at_ns, self.gaps[-1][0] or 0), Input.LINK, 1.0)

    def good(self, view: TwinView, since_ns: int) -> bool:
        """Whether all that is needed is Good in the twin, and was heard of since then where it has a source to be heard of."""
        heard = (view.received_ns[row] >= since_ns or view.tags[row].source in _NO_SOURCE for row in self.needed.tolist())
        return bool(quality.is_good(view.status[self.needed]).all()) and all(heard)

    def fill(self, past: Mapping[int, Series]) -> None:
        """What history has, with the gaps that are remembered."""
        for tag_id, series in past.items():
            good = quality.is_good(series.status)
            for row in np.flatnonzero(good).tolist():
                self.sample(tag_id, int(series.source_ns[row]), float(series.value[row]), series.text.get(row))
        for from_ns, to_ns in self.gaps:
            self.book.take(from_ns or 0, Input.LINK, math.nan)
            if to_ns is not None:
                self.book.take(to_ns, Input.LINK, 1.0)


class Inputs:
    """All tied machines. settle_ns: how long after its source time a sample may come at most, as far as was seen."""

    MOST_NS: Final = 30_000_000_000

    def __init__(self, machines: tuple[TiedMachine, ...], tags: int) -> None:
        self.machines = {rule.name: Tied(rule) for rule in machines}
        self._of = {tag_id: tied for tied in self.machines.values() for tag_id in tied.tags}
        self._wanted: Mask = np.zeros(tags, bool)
        self._wanted[list(self._of)] = True
        self.settle_ns = 1_000_000_000
        self.newest_ns = 0

    def take(self, rows: Columns, now_ns: int, *, late: bool = False) -> None:
        """What a step applied, or had for history only. O(rows), nothing more where none is tied."""
        inside = rows.tag_id < self._wanted.size
        for row in np.flatnonzero(self._wanted[np.where(inside, rows.tag_id, 0)] & inside).tolist():
            tag_id, at_ns = int(rows.tag_id[row]), int(rows.source_ns[row])
            tied = self._of[tag_id]
            near_ns = at_ns if abs(now_ns - at_ns) < NEAR_NS else now_ns
            if not quality.is_good(rows.status[row]):
                if not late and tied.tags[tag_id] <= Input.REJECTED:
                    tied.lose(near_ns)
                continue
            lag_ns = now_ns - at_ns
            if not late and self.settle_ns < lag_ns + 500_000_000 <= self.MOST_NS:
                self.settle_ns = lag_ns + 500_000_000
            self.newest_ns = max(self.newest_ns, min(at_ns, now_ns))
            tied.sample(tag_id, at_ns, float(rows.value[row]), rows.text.get(row))

    def look(self, view: TwinView, now_ns: int, since_ns: int) -> bool:
        """Machines of which all is known again; whether there was one."""
        found = False
        for tied in self.machines.values():
            if not tied.known and tied.good(view, since_ns):
                for tag_id in tied.tags:
                    if quality.is_good(view.status[tag_id]):
                        tied.sample(tag_id, max(now_ns, 1), float(view.value[tag_id]), view.text.get(tag_id))
                tied.regain(now_ns)
                found = True
            elif tied.known and not quality.is_good(view.status[tied.needed]).all():
                tied.lose(now_ns)
        return found

    def state(self, now_ns: int, keep_ns: int) -> dict[str, Any]:
        """JSON values for restore()."""
        for tied in self.machines.values():
            tied.gaps = [gap for gap in tied.gaps if gap[1] is None or gap[1] >= keep_ns]
        return {"alive": now_ns, "gaps": {name: tied.gaps for name, tied in self.machines.items() if tied.gaps}}

    def restore(self, kept: Mapping[str, Any], last_ns: int) -> None:
        """Nothing is known of what was between the last step before a restart and now; last_ns: the last sample, where no step is known."""
        for name, tied in self.machines.items():
            tied.gaps = [list(gap) for gap in kept.get("gaps", {}).get(name, [])]
            if tied.known:
                tied.gaps.append([int(kept.get("alive", last_ns)), None])
