"""Aggregates written down from the definitions of Part 13, one interval at a time, for comparison. Slow on purpose."""

import itertools
from dataclasses import dataclass

NO_DATA = 0x809B_0000
SUB = 0x40A4_0000
BAD = 0x8000_0000
UNCERTAIN = 0x4000_0000
INFO, CALCULATED, INTERPOLATED, PARTIAL, MULTIPLE = 0x400, 1, 2, 4, 16
NOTHING = (None, NO_DATA)


@dataclass
class Sample:
    t: int
    v: float | None
    s: int


class Plain:
    """samples in order of time; edges of one interval are asked for at a time."""

    def __init__(self, samples, *, stepped, uncertain_as_bad, sloped, percent_bad, percent_good):
        self.samples = samples
        self.stepped, self.uncertain_as_bad, self.sloped = stepped, uncertain_as_bad, sloped
        self.percent_bad, self.percent_good = percent_bad, percent_good

    def bad(self, sample):
        return sample.s >= BAD or (self.uncertain_as_bad and sample.s >= UNCERTAIN)

    def doubtful(self, sample):
        return UNCERTAIN <= sample.s < BAD

    def good(self, sample):
        return sample.s < UNCERTAIN

    # --- bounds ---

    def line(self, one, other, t):
        return one.v + (other.v - one.v) * (t - one.t) / (other.t - one.t)

    def extrapolated(self, usable, t):
        if self.sloped and len(usable) > 1 and usable[-2].t != usable[-1].t:
            return self.line(usable[-2], usable[-1], t)
        return usable[-1].v

    def interpolated(self, t):
        """3.1.8: (value, status) at a time."""
        usable = [one for one in self.samples if not self.bad(one)]
        before = [one for one in usable if one.t <= t]
        after = [one for one in usable if one.t > t]
        if not before:
            return NOTHING
        last = before[-1]
        if last.t == t:
            return last.v, last.s
        place = self.samples.index(last)
        if self.stepped:
            skipped = [one for one in self.samples[place + 1 :] if one.t <= t]
            beyond = t > self.samples[-1].t
            return last.v, (SUB if skipped or self.doubtful(last) or beyond else 0) | INFO | INTERPOLATED
        if not after:
            return self.extrapolated(before, t), SUB | INFO | INTERPOLATED
        doubt = self.samples.index(after[0]) > place + 1 or self.doubtful(last) or self.doubtful(after[0])
        return self.line(last, after[0], t), (SUB if doubt else 0) | INFO | INTERPOLATED

    # --- regions ---

    def pieces(self, low, high):
        points = sorted({low, high, *(one.t for one in self.samples if low < one.t < high)})
        return list(itertools.pairwise(points))

    def piece(self, a, b, *, simple):
        """(mean or None, "good" | "bad" | "sub") between two times without a sample between them."""
        pool = self.samples if simple else [one for one in self.samples if not self.bad(one)]
        before = [one for one in pool if one.t <= a]
        after = [one for one in pool if one.t > a]
        if not before or self.bad(before[-1]):
            return None, "bad"
        last = before[-1]
        place = self.samples.index(last)
        if self.stepped:
            skipped = not simple and any(one.t <= a for one in self.samples[place + 1 :])
            doubt = skipped or self.doubtful(last) or a >= self.samples[-1].t
            return last.v, "sub" if doubt else "good"
        if not after:
            usable = [one for one in before[-2:] if not self.bad(one)]
            return (self.extrapolated(usable, a) + self.extrapolated(usable, b)) / 2, "sub"
        if self.bad(after[0]):
            return last.v, "sub"
        skipped = not simple and self.samples.index(after[0]) > place + 1
        mean = (self.line(last, after[0], a) + self.line(last, after[0], b)) / 2
        return mean, "sub" if skipped or self.doubtful(last) or self.doubtful(after[0]) else "good"

    def verdict(self, good, bad, whole):
        if good * 100 >= self.percent_good * whole:
            return 0
        return BAD if bad and bad * 100 >= self.percent_bad * whole else SUB

    # --- one interval ---

    def of(self, name, low, high, *, short):
        """(time, value, status)"""
        if name == "Interpolative":
            return low, *self.interpolated(low)
        inside = [one for one in self.samples if low <= one.t < high]
        outside = not self.samples or high <= self.samples[0].t or low > self.samples[-1].t
        if outside:
            return low, *NOTHING
        partial = short or low < self.samples[0].t or high > self.samples[-1].t
        value, status, at, marks = getattr(self, "_" + name)(inside, low, high)
        if status == NO_DATA:
            return low, *NOTHING
        marks |= PARTIAL if partial and name != "Average" else 0
        status |= marks | (INFO if marks else 0)
        return at, (None if status >= BAD and name not in ("Count", "NumberOfTransitions") else value), status

    def by_values(self, inside):
        return self.verdict(sum(self.good(one) for one in inside), sum(self.bad(one) for one in inside), len(inside))

    def _Average(self, inside, low, _high):  # noqa: N802 the standard's names
        usable = [one.v for one in inside if not self.bad(one)]
        if not usable:
            return None, NO_DATA, low, 0
        return sum(usable) / len(usable), self.by_values(inside), low, CALCULATED

    def _Count(self, inside, low, _high):  # noqa: N802
        return float(sum(not self.bad(one) for one in inside)), self.by_values(inside), low, CALCULATED

    def _NumberOfTransitions(self, inside, low, _high):  # noqa: N802
        usable = [one for one in self.samples if not self.bad(one)]
        changes = [one for k, one in enumerate(usable) if k == 0 or usable[k - 1].v != one.v]
        return float(sum(any(one is change for change in changes) for one in inside)), self.by_values(inside), low, CALCULATED

    def _Delta(self, inside, low, _high):  # noqa: N802
        usable = [one for one in inside if not self.bad(one)]
        if not usable:
            return None, NO_DATA, low, 0
        first, last = usable[0], usable[-1]
        doubt = first is not inside[0] or last is not inside[-1] or self.doubtful(first) or self.doubtful(last)
        return last.v - first.v, SUB if doubt else 0, low, CALCULATED

    def _Start(self, inside, low, _high):  # noqa: N802
        return (inside[0].v, inside[0].s, inside[0].t, 0) if inside else (None, NO_DATA, low, 0)

    def _End(self, inside, low, _high):  # noqa: N802
        return (inside[-1].v, inside[-1].s, inside[-1].t, 0) if inside else (None, NO_DATA, low, 0)

    def _extreme(self, inside, low, best, *, actual):
        good = [one for one in inside if self.good(one)]
        if not good:
            return None, NO_DATA, low, 0
        value = best(one.v for one in good)
        equal = [one for one in good if one.v == value]
        beaten = any(self.doubtful(one) and best(one.v, value) != value for one in inside)
        status = SUB if beaten or any(self.bad(one) for one in inside) else 0
        raw = status == 0 and (actual or equal[0].t == low)
        return value, status, equal[0].t if actual else low, (0 if raw else CALCULATED) | (MULTIPLE if len(equal) > 1 else 0)

    def _Minimum(self, inside, low, _high):  # noqa: N802
        return self._extreme(inside, low, min, actual=False)

    def _Maximum(self, inside, low, _high):  # noqa: N802
        return self._extreme(inside, low, max, actual=False)

    def _MinimumActualTime(self, inside, low, _high):  # noqa: N802
        return self._extreme(inside, low, min, actual=True)

    def _MaximumActualTime(self, inside, low, _high):  # noqa: N802
        return self._extreme(inside, low, max, actual=True)

    def _Range(self, inside, low, _high):  # noqa: N802
        least, most = self._extreme(inside, low, min, actual=False), self._extreme(inside, low, max, actual=False)
        if least[1] == NO_DATA:
            return least
        return most[0] - least[0], max(least[1], most[1]), low, CALCULATED

    def _averaged(self, low, high, *, simple):
        pieces = [(b - a, *self.piece(a, b, simple=simple)) for a, b in self.pieces(low, high)]
        known = [(ns, mean) for ns, mean, _ in pieces if mean is not None]
        if not known:
            return None, NO_DATA, low, 0
        good = sum(ns for ns, _, kind in pieces if kind == "good")
        bad = sum(ns for ns, _, kind in pieces if kind == "bad")
        value = sum(ns * mean for ns, mean in known) / sum(ns for ns, _ in known)
        return value, self.verdict(good, bad, high - low), low, CALCULATED

    def _TimeAverage(self, _inside, low, high):  # noqa: N802
        return self._averaged(low, high, simple=False)

    def _TimeAverage2(self, _inside, low, high):  # noqa: N802
        return self._averaged(low, high, simple=True)

    def _Total(self, _inside, low, high):  # noqa: N802
        value, *rest = self._averaged(low, high, simple=False)
        return None if value is None else value * (high - low) / 1e9, *rest

    def _held(self, low, high, which):
        total = 0
        for a, b in self.pieces(low, high):
            before = [one for one in self.samples if one.t <= a]
            bad = not before or self.bad(before[-1])
            good = not bad and self.good(before[-1])
            total += (b - a) * ({"good": good, "bad": bad}[which])
        return total

    def _DurationGood(self, _inside, low, high):  # noqa: N802
        return self._held(low, high, "good") / 1e6, 0, low, CALCULATED

    def _DurationBad(self, _inside, low, high):  # noqa: N802
        return self._held(low, high, "bad") / 1e6, 0, low, CALCULATED

    def _PercentGood(self, _inside, low, high):  # noqa: N802
        return self._held(low, high, "good") / (high - low) * 100, 0, low, CALCULATED

    def _PercentBad(self, _inside, low, high):  # noqa: N802
        return self._held(low, high, "bad") / (high - low) * 100, 0, low, CALCULATED
