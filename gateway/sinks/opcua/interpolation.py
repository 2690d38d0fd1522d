"""Values between samples: interpolated and simple bounding values (Part 13, 3.1.8 and 3.1.9). Pure, on arrays, for many times at once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.quality import Statuses, is_bad, is_good
from gateway.model.tag import TagType

BAD_NO_DATA: Final = 0x809B_0000
UNCERTAIN_SUBNORMAL: Final = 0x40A4_0000

# Aggregate bits of a StatusCode (Part 4, 7.39.1; Part 13, 5.3.3); they hold where InfoType says DataValue.
INFO: Final = 0x0400
CALCULATED: Final = 0x01
INTERPOLATED: Final = 0x02
PARTIAL: Final = 0x04
EXTRA_DATA: Final = 0x08
MULTIPLE: Final = 0x10


def stepped(kind: TagType) -> bool:
    """Whether a value holds until the next one: all but measured numbers do."""
    return kind is not TagType.FLOAT


@dataclass(frozen=True)
class Known:
    """What is known of a tag around the times asked for, in order of time: one sample more at each end where there is one.

    source_ns, status  of every sample; one with BadNoData is none and must be left out
    value              NaN where the status is Bad
    stepped            whether a value holds until the next one (Part 11, 5.2.2), or goes there in a line
    uncertain_as_bad   TreatUncertainAsBad; sloped_extrapolation: UseSlopedExtrapolation
    """

    source_ns: Times
    value: Floats
    status: Statuses
    stepped: bool
    uncertain_as_bad: bool = True
    sloped_extrapolation: bool = False

    @cached_property
    def bad(self) -> Mask:
        """Samples that are Bad, or count as it."""
        return ~is_good(self.status) if self.uncertain_as_bad else is_bad(self.status)

    @cached_property
    def usable(self) -> Rows:
        """The rows of the others."""
        return np.flatnonzero(~self.bad)

    @cached_property
    def uncertain(self) -> Mask:
        return ~is_good(self.status) & ~is_bad(self.status)


@dataclass(frozen=True, slots=True)
class Values:
    """n values at times; status with its aggregate bits. value is NaN where the status is Bad; row: the sample at or before."""

    value: Floats
    status: Statuses
    row: Rows


def line(known: Known, before: Rows, after: Rows, at_ns: Times) -> Floats:
    """Where the line through two samples is at a time; the sample's own value where both are the same row."""
    x0, y0 = known.source_ns[before], known.value[before]
    span = (known.source_ns[after] - x0).astype(np.float64)
    rise = known.value[after] - y0
    share = np.divide((at_ns - x0).astype(np.float64), span, out=np.zeros(at_ns.size), where=span != 0)
    held: Floats = y0 + rise * share
    return held


def interpolated(known: Known, at_ns: Times) -> Values:
    """Interpolated bounding values: by the nearest samples that are not Bad."""
    rows, all_times = known.usable, known.source_ns
    times = all_times[rows]
    place = np.searchsorted(times, at_ns, "right") - 1  # of the last usable one at or before
    if not rows.size:
        return _nothing(at_ns.size)
    none = place < 0
    held = np.maximum(place, 0)
    before, after = rows[held], rows[np.minimum(held + 1, rows.size - 1)]
    exact = ~none & (times[held] == at_ns)
    beyond = held + 1 >= rows.size
    newest = np.searchsorted(all_times, at_ns, "right") - 1
    if known.stepped:
        value = known.value[before]
        doubtful = (newest > before) | known.uncertain[before] | (at_ns > all_times[-1])
    else:
        value = np.where(beyond, _extrapolated(known, rows, held, at_ns), line(known, before, after, at_ns))
        doubtful = beyond | (after - before > 1) | known.uncertain[before] | known.uncertain[after]
    return _values(known, before, value, exact=exact, none=none, doubtful=doubtful)


def simple(known: Known, at_ns: Times) -> Values:
    """Simple bounding values: by the samples right before and after, Bad ones too."""
    size = known.source_ns.size
    if not size:
        return _nothing(at_ns.size)
    place = np.searchsorted(known.source_ns, at_ns, "right") - 1
    before = np.maximum(place, 0)
    after = np.minimum(before + 1, size - 1)
    exact = (place >= 0) & (known.source_ns[before] == at_ns)
    none = (place < 0) | (known.bad[before] & ~exact)
    beyond = before + 1 >= size
    if known.stepped:
        value, doubtful = known.value[before], known.uncertain[before] | (at_ns > known.source_ns[-1])
    else:
        flat = known.bad[after]
        value = np.where(flat, known.value[before], line(known, before, after, at_ns))
        value = np.where(beyond, _extrapolated(known, np.arange(size), before, at_ns), value)
        doubtful = beyond | flat | known.uncertain[before] | known.uncertain[after]
    return _values(known, before, value, exact=exact, none=none, doubtful=doubtful)


def _extrapolated(known: Known, rows: Rows, place: Rows, at_ns: Times) -> Floats:
    """Beyond the last of these rows: as it is, or along the line of the last two that are not Bad (SlopedExtrapolation)."""
    before = rows[place]
    earlier = rows[np.maximum(place - 1, 0)]
    if not known.sloped_extrapolation:
        return known.value[before]
    along = line(known, earlier, before, at_ns)
    return np.where(known.bad[earlier] | np.isnan(along), known.value[before], along)


def _values(known: Known, before: Rows, value: Floats, *, exact: Mask, none: Mask, doubtful: Mask) -> Values:
    made = np.where(doubtful, UNCERTAIN_SUBNORMAL, 0) | INFO | INTERPOLATED
    status = np.where(exact, known.status[before], np.where(none, BAD_NO_DATA, made)).astype(np.uint32)
    value = np.where(exact, known.value[before], value)
    return Values(np.where(is_bad(status), np.nan, value), status, before)


def _nothing(n: int) -> Values:
    return Values(np.full(n, np.nan), np.full(n, BAD_NO_DATA, np.uint32), np.zeros(n, np.intp))
