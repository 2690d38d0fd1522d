"""What became of predicted limits: hits, false alarms, missed ones and lead times, and the Brier score against climatology.

An alert claims that its limit becomes active within the forecast's horizon (and the alarm's own delay). It is a hit when that happens, with
the time between as its lead; a false alarm when that time is over. An alert that stands on claims anew then. A limit that became active
with no claim open was missed. A class (one limit) whose last alerts came true too seldom is muted, scored on silently, and unmuted when
its last ones are good enough again. Brier 1950: mean (p - o)^2 over what was issued; climatology: the same for always saying the share that
came true, so that the skill 1 - B/B_c is above 0 where the probabilities say more than that (Murphy 1973). The reliability slope is that of
the line through the reliability diagram, outcomes regressed on probabilities: 1 where they mean what they say, below 1 where they say too
much (Wilks 2011, 8.4).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.forecaster import Array, Mask

SLOTS: Final = 64  # forecasts of one horizon whose probabilities are scored: neighbours tell the same again
LEADS: Final = 100  # of one limit, for their median
SUMS: Final = ("scored", "outcomes", "chances", "squares", "both")
Times = npt.NDArray[np.int64]
_S: Final = 1e9
_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0


@dataclass(slots=True)
class Tally:
    """Of one limit. claims_ns: when the open ones were made, oldest first; recent: whether the last alerts came true."""

    hits: int = 0
    false: int = 0
    foreseen: int = 0
    missed: int = 0
    muted: bool = False
    claims_ns: list[int] = field(default_factory=list)
    recent: list[bool] = field(default_factory=list)
    leads_s: list[float] = field(default_factory=list)

    @property
    def judged(self) -> bool:
        """Something was alerted or missed."""
        return bool(self.hits or self.false or self.foreseen or self.missed)


@dataclass(slots=True)
class _Issued:
    at_ns: int
    probability: Array  # NaN: not to be scored
    came: Mask


class Verification:
    """n limits, one row each; within_ns (n,): how long after an alert the limit may take. Times are UTC ns, of one clock, never falling.

    scored, outcomes (n,): how many probabilities were scored and how many came true; chances, squares, both (n,): sums of p, of p^2, and of
    p where it came true.
    floor: the share of alerts that must come true, of the last `count`; 0 mutes nothing.
    """

    def __init__(self, within_ns: Times, began_ns: int, *, floor: float = 0.5, count: int = 10) -> None:
        self.within_ns, self.began_ns, self.floor, self.count = within_ns, began_ns, floor, count
        self.tallies: dict[int, Tally] = {}  # of the rows of which there is something to say
        self.muted: Mask = np.zeros(within_ns.size, bool)
        self.scored, self.outcomes, self.chances, self.squares, self.both = (np.zeros(within_ns.size) for _ in SUMS)
        self._open: set[int] = set()
        self._issued: deque[_Issued] = deque()
        self._spacing_ns = int(within_ns.max(initial=0)) // SLOTS

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def issue(self, now_ns: int, probability: Array, stands: Mask, begins: Mask) -> list[int]:
        """A forecast: probabilities (n,), NaN where the limit is passed already or nothing is known; which alerts stand, and which begin.

        The rows that are muted or unmuted by what was judged on the way.
        """
        turned = self.elapse(now_ns, stands & ~begins)
        for row in np.flatnonzero(begins).tolist():
            self._tally(row).claims_ns.append(now_ns)
            self._open.add(row)
        if not self._issued or now_ns - self._issued[-1].at_ns >= self._spacing_ns:
            self._issued.append(_Issued(now_ns, probability.copy(), np.zeros(probability.size, bool)))
        return turned

    def elapse(self, now_ns: int, stands: Mask) -> list[int]:
        """Time alone: claims that are over without their limit were false. The rows that are muted or unmuted by it."""
        turned = []
        for row in sorted(self._open):
            tally, within_ns = self.tallies[row], self.within_ns.item(row)
            while tally.claims_ns and now_ns - tally.claims_ns[0] > within_ns:
                tally.claims_ns.pop(0)
                if not tally.claims_ns and stands[row]:
                    tally.claims_ns.append(now_ns)  # it stands: it says so again
                turned += self._judge(row, hit=False)
            if not tally.claims_ns:
                self._open.discard(row)
        longest_ns = int(self.within_ns.max(initial=0))
        while self._issued and now_ns - self._issued[0].at_ns > longest_ns:
            self._score(self._issued.popleft())
        return turned

    def passed(self, row: int, at_ns: int, stands: Mask) -> list[int]:
        """The limit of that row became active. The rows that are muted or unmuted by what is judged with it."""
        turned = self.elapse(at_ns, stands)
        for issued in self._issued:
            issued.came[row] |= at_ns - issued.at_ns <= self.within_ns[row]
        tally = self._tally(row)
        claims, tally.claims_ns = tally.claims_ns, []
        self._open.discard(row)
        if not claims:
            tally.missed += 1
            return turned
        tally.foreseen += 1
        tally.leads_s = [*tally.leads_s[1 - LEADS :], (at_ns - claims[0]) / _S]
        return turned + [one for _ in claims for one in self._judge(row, hit=True)]

    def void(self, rows: Mask) -> None:
        """Nothing can be said of these (n,): their tags are Bad, or their alarms disabled. What is open of them counts for nothing."""
        if not rows.any():
            return
        for row in [row for row in self._open if rows[row]]:
            self.tallies[row].claims_ns.clear()
            self._open.discard(row)
        for issued in self._issued:
            issued.probability[rows] = np.nan

    def shift(self, delta_ns: int) -> None:
        """The clock was set."""
        self.began_ns += delta_ns
        for tally in self.tallies.values():
            tally.claims_ns = [at_ns + delta_ns for at_ns in tally.claims_ns]
        for issued in self._issued:
            issued.at_ns += delta_ns

    def _tally(self, row: int) -> Tally:
        return self.tallies.setdefault(row, Tally())

    def _judge(self, row: int, *, hit: bool) -> list[int]:
        tally = self.tallies[row]
        tally.hits, tally.false = tally.hits + hit, tally.false + (not hit)
        tally.recent = [*tally.recent, hit][-self.count :]
        if len(tally.recent) < self.count:
            return []
        poor = sum(tally.recent) < self.floor * self.count
        if poor == tally.muted:
            return []
        tally.muted = self.muted[row] = poor
        tally.recent = []
        return [row]

    def _score(self, issued: _Issued) -> None:
        known = ~np.isnan(issued.probability)
        chance, came = np.where(known, issued.probability, 0.0), known & issued.came
        self.scored += known
        self.outcomes += came
        self.chances += chance
        self.squares += chance * chance
        self.both += chance * came

    # --- what comes of it ------------------------------------------------------------------------------------------------------------

    def row(self, row: int, now_ns: int) -> dict[str, Any]:
        """One limit's figures as JSON values; None where there is nothing to say yet."""
        own = [self.tallies[row]] if row in self.tallies else []
        return self._figures(own, slice(row, row + 1), now_ns) | {"muted": bool(self.muted[row])}

    def total(self, now_ns: int) -> dict[str, Any]:
        """Of all limits; climatology is each limit's own. muted: how many."""
        return self._figures(list(self.tallies.values()), slice(None), now_ns) | {"muted": int(np.count_nonzero(self.muted))}

    def told(self) -> list[int]:
        """The rows of which there is something to say: an alert, a limit that was passed."""
        return sorted(row for row, tally in self.tallies.items() if tally.judged or tally.claims_ns)

    def _figures(self, tallies: Sequence[Tally], rows: slice, now_ns: int) -> dict[str, Any]:
        hits, false = sum(one.hits for one in tallies), sum(one.false for one in tallies)
        foreseen, missed = sum(one.foreseen for one in tallies), sum(one.missed for one in tallies)
        leads = [lead for one in tallies for lead in one.leads_s]
        n, came, chance, square, both = (float(getattr(self, name)[rows].sum()) for name in SUMS)
        brier = square - 2 * both + came  # (p - o)^2 = p^2 - 2 p o + o, for o is 0 or 1
        climatology = float((self.outcomes[rows] * (1 - self.outcomes[rows] / np.maximum(self.scored[rows], 1))).sum())
        spread = n * square - chance * chance
        return {
            "alerts": hits + false,
            "hits": hits,
            "false": false,
            "foreseen": foreseen,
            "missed": missed,
            "precision": _share(hits, hits + false),
            "recall": _share(foreseen, foreseen + missed),
            "false_per_day": false / self._days(now_ns),
            "lead_s": float(np.median(leads)) if leads else None,
            "brier": _share(brier, n),
            "brier_climatology": _share(climatology, n),
            "brier_skill": 1 - brier / climatology if climatology > 0 else None,
            "reliability_slope": (n * both - chance * came) / spread if spread > 1e-9 * n * n and came else None,
            "scored": int(n),
        }

    def _days(self, now_ns: int) -> float:
        return max((now_ns - self.began_ns) / _S, _HOUR_S) / _DAY_S  # less than an hour tells no rate by the day

    # --- restarts --------------------------------------------------------------------------------------------------------------------

    def state(self, names: Sequence[str]) -> dict[str, Any]:
        """Verdicts as JSON values by the rows' names, for a restart. Few, where few limits were alerted or missed."""
        limits = {names[row]: [getattr(self.tallies[row], key) for key in _KEPT] for row in self.told()}
        return {"began_ns": self.began_ns, "limits": limits}

    def sums(self) -> Array:
        """(SUMS, n) of the scores, for a restart; probabilities that wait for their outcome are left out."""
        return np.stack([getattr(self, name) for name in SUMS])

    def restore(self, state: Mapping[str, Any], names: Sequence[str]) -> None:
        """Take over a state(); names that are not among these are left out. Raises ValueError, TypeError, KeyError for a damaged one."""
        limits = state["limits"]
        for row, name in enumerate(names):
            if name in limits:
                self.tallies[row] = tally = Tally(**dict(zip(_KEPT, limits[name], strict=True)))
                self.muted[row] = tally.muted
                if tally.claims_ns:
                    self._open.add(row)
        self.began_ns = int(state["began_ns"])

    def add(self, sums: Array) -> None:
        """Take over sums() (SUMS, n) of these rows. Raises ValueError for another shape."""
        for name, column in zip(SUMS, sums, strict=True):
            setattr(self, name, getattr(self, name) + column)


_KEPT: Final = ("hits", "false", "foreseen", "missed", "muted", "claims_ns", "recent", "leads_s")


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
