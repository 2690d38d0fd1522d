"""Intervals cut into regions between samples (Part 13, 5.4.3.2): what the time-weighted aggregates and the durations are made of. Pure."""

from dataclasses import dataclass

import numpy as np

from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.sinks.opcua.interpolation import Known, line


@dataclass(frozen=True, slots=True)
class Regions:
    """Pieces of time without a sample inside, in order; those of interval i are begin[i] to begin[i + 1].

    begin  intp[k + 1];  start_ns, end_ns  int64[n]
    """

    begin: Rows
    start_ns: Times
    end_ns: Times

    @property
    def ns(self) -> Floats:
        return (self.end_ns - self.start_ns).astype(np.float64)

    def sum(self, column: Floats) -> Floats:
        """Of a column by region, for each interval."""
        return np.add.reduceat(column, self.begin[:-1])


@dataclass(frozen=True, slots=True)
class Course:
    """How the value goes through each region: mean NaN where it is Bad; good and bad as the StatusCode calculation counts them."""

    mean: Floats
    good: Mask
    bad: Mask


def regions(known: Known, edges_ns: Times) -> Regions:
    """edges_ns: int64[k + 1], ascending; interval i is edges_ns[i] <= time < edges_ns[i + 1]."""
    low, high = np.searchsorted(known.source_ns, (edges_ns[0], edges_ns[-1]))
    points = np.sort(np.concatenate((edges_ns, known.source_ns[low:high])), kind="stable")  # two runs in order: a merge
    points = points[np.concatenate(([True], points[1:] != points[:-1]))]
    return Regions(np.searchsorted(points, edges_ns), points[:-1], points[1:])


def held(known: Known, found: Regions) -> Course:
    """Each sample's status until the next sample, as the durations of Good and Bad have it."""
    before = np.searchsorted(known.source_ns, found.start_ns, "right") - 1
    none, row = before < 0, np.maximum(before, 0)
    bad = none | known.bad[row]
    return Course(np.where(bad, np.nan, known.value[row]), ~bad & ~known.uncertain[row], bad)


def between_usable(known: Known, found: Regions) -> Course:
    """With Interpolated Bounding Values: Bad samples are passed over, and what lies beside them is Uncertain."""
    rows = known.usable
    n = found.start_ns.size
    if not rows.size:
        return Course(np.full(n, np.nan), np.zeros(n, bool), np.ones(n, bool))
    place = np.searchsorted(known.source_ns[rows], found.start_ns, "right") - 1
    none, at = place < 0, np.maximum(place, 0)
    before, after = rows[at], rows[np.minimum(at + 1, rows.size - 1)]
    beyond = at + 1 >= rows.size
    newest = np.searchsorted(known.source_ns, found.start_ns, "right") - 1
    if known.stepped:
        doubtful = (newest > before) | (found.start_ns >= known.source_ns[-1])
        mean = known.value[before]
    else:
        doubtful = beyond | (after - before > 1) | known.uncertain[after]
        mean = np.where(beyond, _beyond(known, rows, at, found), _middle(known, before, after, found))
    return Course(np.where(none, np.nan, mean), ~none & ~doubtful & ~known.uncertain[before], none)


def between_all(known: Known, found: Regions) -> Course:
    """With Simple Bounding Values: after a Bad sample there is nothing, before one the value stays as it is, and is Uncertain."""
    size = known.source_ns.size
    place = np.searchsorted(known.source_ns, found.start_ns, "right") - 1
    before = np.maximum(place, 0)
    after = np.minimum(before + 1, size - 1)
    bad, beyond = (place < 0) | known.bad[before], before + 1 >= size
    if known.stepped:
        doubtful = found.start_ns >= known.source_ns[-1]
        mean = known.value[before]
    else:
        flat = known.bad[after]
        doubtful = beyond | flat | known.uncertain[after]
        mean = np.where(flat, known.value[before], _middle(known, before, after, found))
        mean = np.where(beyond, _beyond(known, np.arange(size), before, found), mean)
    return Course(np.where(bad, np.nan, mean), ~bad & ~doubtful & ~known.uncertain[before], bad)


def _middle(known: Known, before: Rows, after: Rows, found: Regions) -> Floats:
    """The mean of a line is its value in the middle."""
    return (line(known, before, after, found.start_ns) + line(known, before, after, found.end_ns)) / 2


def _beyond(known: Known, rows: Rows, place: Rows, found: Regions) -> Floats:
    last = rows[place]
    earlier = rows[np.maximum(place - 1, 0)]
    if not known.sloped_extrapolation:
        return known.value[last]
    along = _middle(known, earlier, last, found)
    return np.where(known.bad[earlier] | np.isnan(along), known.value[last], along)
