"""HistoryRead of forecasts (Part 11): ahead of now the newest trajectory, up to now what was forecast one lead earlier.

It is a HistoryView of one quantile, so raw reads, values at times and aggregates are those of measured history. A read that takes
several pages sees one trajectory from its first page to its last, whatever is issued meanwhile.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gateway.contracts import Buckets, Series
from gateway.model.batch import Floats, Times
from gateway.model.forecast import Foretold, Outlook
from gateway.model.forecast_record import instants
from gateway.model.quality import BAD_NO_DATA, UNCERTAIN_SIMULATED
from gateway.model.tag import TagType
from gateway.outlook import ForecastView
from gateway.sinks.opcua.nodes import BUILTINS
from gateway.sinks.opcua.processed import read_at_times, read_processed
from gateway.sinks.opcua.raw import joined, read_raw, without_bad
from gateway.wire.opcua.past import AggregateConfiguration, HistoryRefused, Page, ProcessedQuery, RawQuery, Rest, Samples, ValueQuery

CONFIGURATION: Final = AggregateConfiguration(treat_uncertain_as_bad=False)
"""All that is forecast is Uncertain: with the standard's default no aggregate of it would have a value (Part 13, 4.2.1.2)."""
_BAD_NODE_ID_UNKNOWN: Final = 0x8034_0000
_FIRST_REACH_NS: Final = 3_600_000_000_000
_HELD_BYTES: Final = 500
_EMPTY: Final = Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32), {})


@dataclass(frozen=True, slots=True)
class Ahead:
    """A tag's trajectory as it stood when a read began: what lies after now_ns. valid_ns int64[n], value float64[n]."""

    now_ns: int
    valid_ns: Times
    value: Floats

    @classmethod
    def of(cls, outlook: Outlook | None, tag_id: int, quantile: str, now_ns: int) -> "Ahead":
        """quantile: p05, p50 or p95. Nothing is ahead where nothing was issued for that tag yet."""
        if outlook is None or not (outlook.tag_id == tag_id).any():
            return cls(now_ns, _EMPTY.source_ns, _EMPTY.value)
        valid_ns = instants(outlook)
        later = valid_ns > now_ns
        return cls(now_ns, valid_ns[later], getattr(outlook, quantile)[outlook.row_of(tag_id)][later])

    @property
    def held_bytes(self) -> int:
        return self.valid_ns.nbytes + self.value.nbytes


class Foreseen:
    """HistoryView of one quantile of one tag's forecasts."""

    def __init__(self, forecasts: ForecastView, quantile: str, ahead: Ahead) -> None:
        self._forecasts, self._quantile, self._ahead = forecasts, quantile, ahead

    async def read(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None = None) -> Series:
        """As HistoryView.read, and of what lies ahead."""
        return _first(joined([await self._behind(tag_id, start_ns, end_ns, limit), self._later(start_ns, end_ns)]), limit)

    async def read_before(self, tag_id: int, start_ns: int, end_ns: int, limit: int) -> Series:
        """As HistoryView.read_before. What is behind is looked through backwards, ever further at a time."""
        parts = [self._later(start_ns, end_ns)]
        high, reach_ns = min(end_ns, self._ahead.now_ns + 1), _FIRST_REACH_NS
        while high > start_ns and sum(part.source_ns.size for part in parts) < limit:
            low = max(start_ns, high - reach_ns)
            parts.insert(0, await self._behind(tag_id, low, high, None))
            high, reach_ns = low, 2 * reach_ns
        found = joined(parts)
        return _rows(found, slice(max(0, found.source_ns.size - limit), None))

    async def read_at(self, tag_id: int, at_ns: int) -> Series:
        return await self.read_before(tag_id, -(2**63) + 1, at_ns + 1, 1)

    async def downsample(self, tag_id: int, start_ns: int, end_ns: int, bucket_ns: int) -> Buckets:
        """As HistoryView.downsample."""
        found = await self.read(tag_id, start_ns, end_ns)
        number, first = np.unique((found.source_ns - start_ns) // bucket_ns, return_index=True)
        counts = np.diff(np.append(first, found.source_ns.size))
        lows, highs, sums = (operation.reduceat(found.value, first) for operation in (np.minimum, np.maximum, np.add))
        return Buckets(start_ns + number * bucket_ns, lows, highs, sums / counts, counts, np.maximum.reduceat(found.status, first))

    async def _behind(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None) -> Series:
        end_ns = min(end_ns, self._ahead.now_ns + 1)
        if start_ns >= end_ns or limit == 0:
            return _EMPTY
        found: Foretold = await self._forecasts.past(tag_id, start_ns, end_ns, limit)
        return _series(found.valid_ns, getattr(found, self._quantile))

    def _later(self, start_ns: int, end_ns: int) -> Series:
        begin, end = np.searchsorted(self._ahead.valid_ns, (start_ns, end_ns))
        return _series(self._ahead.valid_ns[begin:end], self._ahead.value[begin:end])


async def read_foreseen(
    forecasts: ForecastView, tag_id: int, quantile: str, query: ValueQuery, rest: Rest | None, most: int, now_ns: int
) -> Page:
    """A page of a forecast's history. Raises HistoryRefused, or what the history raises while the disk is away."""
    ahead, place = rest.place if rest is not None else (Ahead.of(forecasts.newest(), tag_id, quantile, now_ns), None)
    view = Foreseen(forecasts, quantile, ahead)
    try:
        samples, place, held = await _page(view, tag_id, query, place, most)
    except KeyError:
        raise HistoryRefused(_BAD_NODE_ID_UNKNOWN) from None  # a reload has just taken it
    return Page(samples, None if place is None else Rest((ahead, place), _HELD_BYTES + held + ahead.held_bytes))


async def _page(view: Foreseen, tag_id: int, query: ValueQuery, place: Any, most: int) -> tuple[Samples, Any, int]:
    """The samples, where to go on, and about how many bytes that place keeps."""
    double = BUILTINS[TagType.FLOAT]
    if isinstance(query, RawQuery):
        series, cursor = await read_raw(view, tag_id, query, place, most)
        found = without_bad(series)
        return _samples(found), cursor, 0 if cursor is None else _HELD_BYTES * len(cursor.sent)
    if isinstance(query, ProcessedQuery):
        asked = replace(query, configuration=query.configuration or CONFIGURATION)
        made, number = await read_processed(view, tag_id, TagType.FLOAT, asked, place, most)
        return Samples(double, made.source_ns, made.value, made.status, {}), number, 0
    series, number = await read_at_times(view, tag_id, TagType.FLOAT, query, place, most, CONFIGURATION)
    return _samples(series), number, 0


def _samples(series: Series) -> Samples:
    return Samples(BUILTINS[TagType.FLOAT], series.source_ns, series.value, series.status, {})


def _series(valid_ns: Times, value: Floats) -> Series:
    return Series(valid_ns, value, np.where(np.isnan(value), BAD_NO_DATA, UNCERTAIN_SIMULATED).astype(np.uint32), {})


def _first(series: Series, limit: int | None) -> Series:
    return series if limit is None else _rows(series, slice(0, limit))


def _rows(series: Series, rows: slice) -> Series:
    return Series(series.source_ns[rows], series.value[rows], series.status[rows], {})
