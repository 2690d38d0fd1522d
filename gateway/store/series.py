"""Samples of one tag as arrays: put in order, without duplicates, and downsampled. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from gateway.contracts import Buckets, Series
from gateway.model.batch import Floats, Mask, Times
from gateway.model.quality import Statuses, is_bad

EMPTY: Final = Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32), {})


def merge(parts: Sequence[Series]) -> Series:
    """All samples in order of source time; of identical ones (time, value, status, text) the first stays. Equal times keep their order."""
    parts = [part for part in parts if part.source_ns.size]
    if not parts:
        return EMPTY
    joined = parts[0] if len(parts) == 1 else join(parts)
    if joined.source_ns.size < 2 or bool((joined.source_ns[1:] > joined.source_ns[:-1]).all()):
        return joined
    return _distinct(joined)


def take(series: Series, rows: Times | slice) -> Series:
    """Some rows of a series, in the order given."""
    if not series.text:
        return Series(series.source_ns[rows], series.value[rows], series.status[rows], {})
    places = np.arange(series.source_ns.size)[rows].tolist()
    text = {k: series.text[place] for k, place in enumerate(places) if place in series.text}
    return Series(series.source_ns[rows], series.value[rows], series.status[rows], text)


def between(series: Series, start_ns: int, end_ns: int) -> Series:
    """start <= time < end of a series in order."""
    low, high = np.searchsorted(series.source_ns, (start_ns, end_ns))
    return series if low == 0 and high == series.source_ns.size else take(series, slice(int(low), int(high)))


def join(parts: Sequence[Series]) -> Series:
    """All rows of one or more series, one after the other."""
    text: dict[int, str] = {}
    offset = 0
    for part in parts:
        text.update((offset + row, words) for row, words in part.text.items())
        offset += part.source_ns.size
    return Series(
        np.concatenate([part.source_ns for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.status for part in parts]),
        text,
    )


def _distinct(series: Series) -> Series:
    time, bits = series.source_ns, series.value.view(np.int64)
    words = np.zeros(time.size, np.int64)
    if series.text:
        codes = {text: code for code, text in enumerate(dict.fromkeys(series.text.values()), 1)}
        for row, text in series.text.items():
            words[row] = codes[text]
    order = np.lexsort((words, series.status, bits, time))  # stable: of identical samples the first committed comes first
    same = np.zeros(time.size, bool)
    ahead, behind = order[:-1], order[1:]
    same[behind] = (
        (time[ahead] == time[behind])
        & (bits[ahead] == bits[behind])
        & (series.status[ahead] == series.status[behind])
        & (words[ahead] == words[behind])
    )
    in_time = np.argsort(time, kind="stable")
    return take(series, in_time[~same[in_time]])


def downsample(parts: Iterable[Series], start_ns: int, bucket_ns: int) -> Buckets:
    """One row per bucket that holds a sample; parts follow each other in time. Bad samples count in `count` and `worst` only.

    A bucket without a sample that is not Bad has NaN as minimum, maximum and mean.
    """
    partial = [_partial(part, start_ns, bucket_ns) for part in parts if part.source_ns.size]
    if not partial:
        none = np.empty(0)
        return Buckets(np.empty(0, np.int64), none, none, none, np.empty(0, np.int64), np.empty(0, np.uint32))
    bucket, low, high, total, usable, count, worst = (np.concatenate(column) for column in zip(*partial, strict=True))
    first = np.flatnonzero(_changes(bucket))
    usable = np.add.reduceat(usable, first)
    some = usable > 0
    mean = np.full(first.size, np.nan)
    np.divide(np.add.reduceat(total, first), usable, out=mean, where=some)
    return Buckets(
        start_ns=start_ns + bucket[first] * bucket_ns,
        minimum=np.where(some, np.minimum.reduceat(low, first), np.nan),
        maximum=np.where(some, np.maximum.reduceat(high, first), np.nan),
        mean=mean,
        count=np.add.reduceat(count, first),
        worst=np.maximum.reduceat(worst, first),
    )


def _partial(series: Series, start_ns: int, bucket_ns: int) -> tuple[Times, Floats, Floats, Floats, Times, Times, Statuses]:
    bucket = (series.source_ns - start_ns) // bucket_ns
    first = np.flatnonzero(_changes(bucket))
    usable = ~is_bad(series.status) & ~np.isnan(series.value)
    every = bool(usable.all())
    value = series.value
    return (
        bucket[first],
        np.minimum.reduceat(value if every else np.where(usable, value, np.inf), first),
        np.maximum.reduceat(value if every else np.where(usable, value, -np.inf), first),
        np.add.reduceat(value if every else np.where(usable, value, 0.0), first),
        np.add.reduceat(usable.astype(np.int64), first),
        np.diff(first, append=bucket.size),
        np.maximum.reduceat(series.status, first),
    )


def _changes(column: Times) -> Mask:
    changed = np.ones(column.size, bool)
    changed[1:] = column[1:] != column[:-1]
    return changed
