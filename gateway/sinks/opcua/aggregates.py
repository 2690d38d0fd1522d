"""Aggregates of a tag's history (Part 13, 5.4.3): pure, on arrays, all intervals at once.

Where the standard leaves room: a region that is Uncertain for its neighbours' sake counts neither as Good nor as Bad, as in the examples
of Annex A; an interval is Good where PercentDataGood is reached, else Bad where PercentDataBad is, else Uncertain.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import BAD, Statuses, is_bad, is_good
from gateway.sinks.opcua.interpolation import (
    BAD_NO_DATA,
    CALCULATED,
    INFO,
    MULTIPLE,
    PARTIAL,
    UNCERTAIN_SUBNORMAL,
    Known,
    interpolated,
)
from gateway.sinks.opcua.regions import Course, Regions, between_all, between_usable, held, regions
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.past import AggregateConfiguration


@dataclass(frozen=True)
class Intervals:
    """k intervals that follow each other, oldest first: edges_ns[i] <= time < edges_ns[i + 1] of int64[k + 1].

    stamp_ns  int64[k]  the start of each as the client sees it: where time flows backwards, its later end
    short     bool[k]   not as long as the others
    """

    known: Known
    edges_ns: Times
    stamp_ns: Times
    short: Mask
    configuration: AggregateConfiguration

    def __post_init__(self) -> None:
        at = np.searchsorted(self.known.source_ns, self.edges_ns)
        object.__setattr__(self, "first", at[:-1])
        object.__setattr__(self, "last", at[1:])

    first: Rows = None  # type: ignore[assignment]  # rows first[i] to last[i] lie inside; set above
    last: Rows = None  # type: ignore[assignment]

    @property
    def low(self) -> Times:
        return self.edges_ns[:-1]

    @property
    def width_ns(self) -> Floats:
        return np.diff(self.edges_ns).astype(np.float64)

    @property
    def outside(self) -> Mask:
        """Before the start or after the end of the data."""
        times = self.known.source_ns
        if not times.size:
            return np.ones(self.stamp_ns.size, bool)
        found: Mask = (self.edges_ns[1:] <= times[0]) | (self.low > times[-1])
        return found

    @property
    def partial(self) -> Mask:
        """Part 13, 5.3.3.2: an interval that is cut short, or holds the start or the end of the data."""
        times = self.known.source_ns
        if not times.size:
            return self.short
        end = np.where(self.stamp_ns == self.low, self.edges_ns[1:], self.stamp_ns)  # backwards it is a part of the interval
        found: Mask = self.short | (self.low < times[0]) | (end > times[-1])
        return found

    def count(self, mask: Mask) -> Times:
        """How many samples of each interval are in a mask."""
        upto = np.concatenate(([0], np.cumsum(mask)))
        return upto[self.last] - upto[self.first]

    def of(self, rows: Rows) -> tuple[Rows, Rows]:
        """Where each interval's share of some rows (ascending) begins and ends in them."""
        return np.searchsorted(rows, self.first), np.searchsorted(rows, self.last)


@dataclass(frozen=True, slots=True)
class Results:
    """One row per interval: time, value (NaN = null), status with its aggregate bits."""

    source_ns: Times
    value: Floats
    status: Statuses


def compute(aggregate: int, over: Intervals) -> Results:
    """KeyError for an aggregate that is not in AGGREGATES."""
    return AGGREGATES[aggregate].compute(over)


# --- of raw values (Part 13: Use Bounds None) --------------------------------------------------------------------------------------------


def _average(over: Intervals) -> Results:
    begin, end = over.of(over.known.usable)
    total = _reduce(np.add, over.known.value[over.known.usable], begin, end)
    n = end - begin
    mean = np.divide(total, n, out=np.full(n.size, np.nan), where=n > 0)
    return _answer(over, mean, _by_values(over), CALCULATED, none=n == 0, partial=False)


def _count(over: Intervals) -> Results:
    begin, end = over.of(over.known.usable)
    return _answer(over, (end - begin).astype(np.float64), _by_values(over), CALCULATED, keep_bad=True)


def _transitions(over: Intervals) -> Results:
    """A first value ever is one too (Part 13, 5.4.3.24)."""
    rows = over.known.usable
    value = over.known.value[rows]
    changed = np.ones(value.size, bool)
    changed[1:] = value[1:] != value[:-1]
    begin, end = over.of(rows[changed])
    return _answer(over, (end - begin).astype(np.float64), _by_values(over), CALCULATED, keep_bad=True)


def _delta(over: Intervals) -> Results:
    known, rows = over.known, over.known.usable
    begin, end = over.of(rows)
    none = end == begin
    if not rows.size:
        return _no_data(over)
    first, last = rows[np.minimum(begin, rows.size - 1)], rows[np.maximum(end - 1, 0)]
    skipped = (first > over.first) | (last < over.last - 1) | known.uncertain[first] | known.uncertain[last]
    status = np.where(skipped, UNCERTAIN_SUBNORMAL, 0).astype(np.uint32)
    return _answer(over, known.value[last] - known.value[first], status, CALCULATED, none=none)


def _start(over: Intervals) -> Results:
    return _raw(over, over.first)


def _end(over: Intervals) -> Results:
    return _raw(over, over.last - 1)


def _raw(over: Intervals, rows: Rows) -> Results:
    """A sample as it is, at its own time."""
    known, none = over.known, over.last == over.first
    if not known.source_ns.size:
        return _no_data(over)
    rows = np.clip(rows, 0, known.source_ns.size - 1)
    found = _answer(over, known.value[rows], known.status[rows], 0, none=none)
    return Results(np.where(none, over.stamp_ns, known.source_ns[rows]), found.value, found.status)


@dataclass(frozen=True, slots=True)
class _Extreme:
    """Of the Good samples of each interval: the value, the oldest row that has it, how many have; none where there is no Good one."""

    value: Floats
    row: Rows
    many: Mask
    none: Mask
    status: Statuses


def _extreme(over: Intervals, reduce: "np.ufunc", worse: Callable[[Floats, Floats], Mask]) -> _Extreme:
    known = over.known
    rows = np.flatnonzero(is_good(known.status))
    begin, end = over.of(rows)
    value = _reduce(reduce, known.value[rows], begin, end)
    inside = rows[(rows >= over.first[0]) & (rows < over.last[-1])]
    where = np.searchsorted(over.last, inside, "right")
    equal = known.value[inside] == value[where]
    first = np.zeros(value.size, np.intp)
    first[where[equal][::-1]] = inside[equal][::-1]  # the oldest is written last
    many = np.bincount(where[equal], minlength=value.size) > 1
    doubt = np.flatnonzero(known.uncertain)
    doubt = doubt[(doubt >= over.first[0]) & (doubt < over.last[-1])]
    of_doubt = np.searchsorted(over.last, doubt, "right")
    beaten = np.zeros(value.size, bool)
    beaten[of_doubt[worse(known.value[doubt], value[of_doubt])]] = True
    status = np.where(beaten | (over.count(known.bad) > 0), UNCERTAIN_SUBNORMAL, 0).astype(np.uint32)
    return _Extreme(value, first, many, begin == end, status)


def _less(one: Floats, other: Floats) -> Mask:
    return one < other


def _more(one: Floats, other: Floats) -> Mask:
    return one > other


def _extremes(reduce: "np.ufunc", beats: Callable[[Floats, Floats], Mask], *, actual: bool) -> Callable[[Intervals], Results]:
    """Minimum, Maximum; actual: at the time where it is."""

    def compute(over: Intervals) -> Results:
        if not over.known.source_ns.size:
            return _no_data(over)
        found = _extreme(over, reduce, beats)
        at = over.known.source_ns[found.row]
        raw = is_good(found.status) & (actual | (at == over.stamp_ns))
        bits = np.where(raw, 0, CALCULATED) | np.where(found.many, MULTIPLE, 0)
        answer = _answer(over, found.value, found.status, bits, none=found.none)
        return Results(np.where(found.none, over.stamp_ns, at), answer.value, answer.status) if actual else answer

    return compute


def _range(over: Intervals) -> Results:
    if not over.known.source_ns.size:
        return _no_data(over)
    low, high = _extreme(over, np.minimum, _less), _extreme(over, np.maximum, _more)
    return _answer(over, high.value - low.value, np.maximum(low.status, high.status), CALCULATED, none=low.none)


# --- by time (Part 13: Use Bounds Interpolated or Simple) --------------------------------------------------------------------------------


def _interpolative(over: Intervals) -> Results:
    found = interpolated(over.known, over.stamp_ns)
    return Results(over.stamp_ns, found.value, found.status)


def _time_average(course: Callable[[Known, Regions], Course], *, total: bool = False) -> Callable[[Intervals], Results]:
    def compute(over: Intervals) -> Results:
        if not over.known.source_ns.size:
            return _no_data(over)
        found = regions(over.known, over.edges_ns)
        went = course(over.known, found)
        ns = np.where(np.isnan(went.mean), 0.0, found.ns)
        area, known_ns = found.sum(np.where(np.isnan(went.mean), 0.0, went.mean) * ns), found.sum(ns)
        none = known_ns == 0
        mean = np.divide(area, known_ns, out=np.full(none.size, np.nan), where=~none)
        value = mean * over.width_ns / 1e9 if total else mean
        return _answer(over, value, _by_time(over, found, went), CALCULATED, none=none)

    return compute


def _duration(*, good: bool, percent: bool) -> Callable[[Intervals], Results]:
    """In milliseconds, or as the share of the interval in percent. Always Good (Part 13, 5.4.3.31 to 34)."""

    def compute(over: Intervals) -> Results:
        if not over.known.source_ns.size:
            return _no_data(over)
        found = regions(over.known, over.edges_ns)
        went = held(over.known, found)
        ns = found.sum(np.where(went.good if good else went.bad, found.ns, 0.0))
        value = ns / over.width_ns * 100 if percent else ns / 1e6
        return _answer(over, value, np.zeros(value.size, np.uint32), CALCULATED)

    return compute


# --- StatusCodes (Part 13, 5.4.3.2) ------------------------------------------------------------------------------------------------------


def _by_values(over: Intervals) -> Statuses:
    known = over.known
    return _verdict(over, over.count(is_good(known.status)), over.count(known.bad), over.last - over.first)


def _by_time(over: Intervals, found: Regions, went: Course) -> Statuses:
    ns = found.ns
    return _verdict(over, found.sum(np.where(went.good, ns, 0.0)), found.sum(np.where(went.bad, ns, 0.0)), over.width_ns)


def _verdict(over: Intervals, good: NDArray[Any], bad: NDArray[Any], whole: NDArray[Any]) -> Statuses:
    limits = over.configuration
    is_bad_ = (bad * 100 >= limits.percent_bad * whole) & (bad > 0)
    status = np.where(is_bad_, BAD, UNCERTAIN_SUBNORMAL)
    return np.where(good * 100 >= limits.percent_good * whole, 0, status).astype(np.uint32)


def _answer(
    over: Intervals,
    value: Floats,
    status: Statuses,
    bits: int | NDArray[Any],
    *,
    none: Mask | None = None,
    partial: bool = True,
    keep_bad: bool = False,
) -> Results:
    """At the start of each interval; BadNoData outside the data and where there is nothing to tell."""
    marks = np.asarray(bits | np.where(over.partial & partial, PARTIAL, 0), np.uint32)
    full = status | marks | np.where(marks != 0, INFO, 0)
    nothing = over.outside if none is None else over.outside | none
    full = np.where(nothing, BAD_NO_DATA, full).astype(np.uint32)
    null = nothing if keep_bad else is_bad(full)
    return Results(over.stamp_ns, np.where(null, np.nan, value), full)


def _no_data(over: Intervals) -> Results:
    n = over.stamp_ns.size
    return Results(over.stamp_ns, np.full(n, np.nan), np.full(n, BAD_NO_DATA, np.uint32))


def _reduce(how: "np.ufunc", column: Floats, begin: Rows, end: Rows) -> Floats:
    """Of column[begin:end] for each pair; NaN where there is nothing. Pairs ascend and do not overlap."""
    out = np.full(begin.size, np.nan)
    some = end > begin
    if some.any():
        pairs = np.stack((begin[some], end[some]), axis=1).ravel()
        out[some] = how.reduceat(np.append(column, 0.0), pairs)[::2]
    return out


# --- the table ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aggregate:
    """name: of the AggregateFunction Object; type None: that of the source; numbers: not for texts; amounts: for measured numbers only."""

    name: str
    compute: Callable[[Intervals], Results]
    type: Builtin | None = None
    numbers: bool = True
    amounts: bool = False


_D, _I = Builtin.DOUBLE, Builtin.INT32
AGGREGATES: Final[Mapping[int, Aggregate]] = {  # by the number of the AggregateFunction Object (Part 6, A.1)
    2341: Aggregate("Interpolative", _interpolative),
    2342: Aggregate("Average", _average, _D),
    2343: Aggregate("TimeAverage", _time_average(between_usable), _D),
    11285: Aggregate("TimeAverage2", _time_average(between_all), _D),
    2344: Aggregate("Total", _time_average(between_usable, total=True), _D),
    2346: Aggregate("Minimum", _extremes(np.minimum, _less, actual=False)),
    2347: Aggregate("Maximum", _extremes(np.maximum, _more, actual=False)),
    2348: Aggregate("MinimumActualTime", _extremes(np.minimum, _less, actual=True)),
    2349: Aggregate("MaximumActualTime", _extremes(np.maximum, _more, actual=True)),
    2350: Aggregate("Range", _range, amounts=True),
    2352: Aggregate("Count", _count, _I, numbers=False),
    2355: Aggregate("NumberOfTransitions", _transitions, _I),
    2357: Aggregate("Start", _start),
    2358: Aggregate("End", _end),
    2359: Aggregate("Delta", _delta, amounts=True),
    2360: Aggregate("DurationGood", _duration(good=True, percent=False), _D, numbers=False),
    2361: Aggregate("DurationBad", _duration(good=False, percent=False), _D, numbers=False),
    2362: Aggregate("PercentGood", _duration(good=True, percent=True), _D, numbers=False),
    2363: Aggregate("PercentBad", _duration(good=False, percent=True), _D, numbers=False),
}
