"""Aggregates and values at given times out of the history on disk, page by page (Part 11, 6.5.4 and 6.5.5)."""

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.contracts import HistoryView, Series
from gateway.model.batch import Mask, Times
from gateway.model.quality import is_bad
from gateway.model.tag import TagType
from gateway.sinks.opcua.aggregates import AGGREGATES, Aggregate, Intervals, Results
from gateway.sinks.opcua.interpolation import BAD_NO_DATA, Known, interpolated, simple, stepped
from gateway.sinks.opcua.raw import joined
from gateway.wire.opcua.past import TICK_NS, AggregateConfiguration, HistoryRefused, ProcessedQuery, TimesQuery

SAMPLES: Final = 100_000  # read at once
AT_ONCE: Final = 10_000  # samples and intervals beyond which the work is done beside the event loop
SAMPLES_PER_INTERVAL: Final = 4_000_000
SAMPLES_PER_PAGE: Final = 2_000_000  # what one answer reads; it ends early and goes on from there
AROUND: Final = 1_000  # samples before and after the range in which a bound is sought
_AROUND_A_TIME: Final = 100
_LONGEST_NS: Final = 2**62  # 146 years
_FIRST: Final = -(2**63) + 1
_LAST: Final = 2**63 - 1
_DEFAULTS: Final = AggregateConfiguration()
_BAD_INVALID_ARGUMENT: Final = 0x80AB_0000
_BAD_INVALID_TIMESTAMP_ARGUMENT: Final = 0x80BD_0000
_BAD_AGGREGATE_NOT_SUPPORTED: Final = 0x80D5_0000
_BAD_AGGREGATE_CONFIGURATION_REJECTED: Final = 0x80DA_0000
_BAD_QUERY_TOO_COMPLEX: Final = 0x806E_0000


@dataclass(frozen=True, slots=True)
class Grid:
    """The intervals of a query (Part 13, 5.4.2.2, Table 12), numbered as time flows for the client.

    low_ns <= time < high_ns in all; backwards a range has its start and not its end, which is the same one tick later.
    """

    low_ns: int
    high_ns: int
    width_ns: int
    backward: bool

    @classmethod
    def of(cls, query: ProcessedQuery) -> "Grid":
        """Raises HistoryRefused."""
        start, end = query.start_ns, query.end_ns
        if start is None or end is None:
            raise HistoryRefused(_BAD_INVALID_TIMESTAMP_ARGUMENT)
        span = abs(end - start)
        if not 0 < span <= _LONGEST_NS or query.interval_ns < 0:
            raise HistoryRefused(_BAD_INVALID_ARGUMENT)
        width = min(query.interval_ns, span) or span
        return cls(end + TICK_NS, start + TICK_NS, width, True) if start > end else cls(start, end, width, False)

    @property
    def count(self) -> int:
        return -((self.low_ns - self.high_ns) // self.width_ns)

    def edges(self, first: int, count: int) -> Times:
        """Of some intervals, ascending: int64[count + 1]."""
        steps = np.arange(first, first + count + 1, dtype=np.int64) * self.width_ns
        if self.backward:
            return np.maximum(self.high_ns - steps, self.low_ns)[::-1]
        return np.minimum(self.low_ns + steps, self.high_ns)


def aggregate_for(kind: TagType, number: int) -> Aggregate:
    """Raises HistoryRefused where there is none of that number for such a tag."""
    found = AGGREGATES.get(number)
    text = kind is TagType.TEXT
    if found is None or (text and found.numbers) or (found.amounts and kind not in (TagType.FLOAT, TagType.INT)):
        raise HistoryRefused(_BAD_AGGREGATE_NOT_SUPPORTED)
    return found


def configuration_of(query: ProcessedQuery) -> AggregateConfiguration:
    """Part 13, 4.2.1.2. Raises HistoryRefused where the percentages cannot be."""
    asked = query.configuration or AggregateConfiguration()
    if max(asked.percent_good, asked.percent_bad) > 100 or asked.percent_good < 100 - asked.percent_bad:
        raise HistoryRefused(_BAD_AGGREGATE_CONFIGURATION_REJECTED)
    return asked


async def read_processed(
    view: HistoryView, tag_id: int, kind: TagType, query: ProcessedQuery, rest: int | None, most: int
) -> tuple[Results, int | None]:
    """The aggregates of the next intervals, and the number of the first one that is not among them."""
    aggregate, configuration, grid = aggregate_for(kind, query.aggregate), configuration_of(query), Grid.of(query)
    at, parts, read = rest or 0, [], 0
    until = min(grid.count, at + most)
    while at < until and read < SAMPLES_PER_PAGE:
        edges = grid.edges(at, min(until - at, SAMPLES))
        edges, inside = await _inside(view, tag_id, edges, backward=grid.backward)
        known = _known(await _with_bounds(view, tag_id, edges, inside), kind, configuration)
        stamps = edges[1:] - TICK_NS if grid.backward else edges[:-1]
        over = Intervals(known, edges, stamps, np.diff(edges) < grid.width_ns, configuration)
        small = known.source_ns.size + edges.size < AT_ONCE
        found = aggregate.compute(over) if small else await asyncio.to_thread(aggregate.compute, over)
        parts.append(_flipped(found) if grid.backward else found)
        at, read = at + edges.size - 1, read + inside.source_ns.size + 1
    columns = zip(*((part.source_ns, part.value, part.status) for part in parts), strict=True)
    source_ns, value, status = (np.concatenate(column) for column in columns)
    return Results(source_ns, value, status), None if at >= grid.count else at


async def _inside(view: HistoryView, tag_id: int, edges: Times, *, backward: bool) -> tuple[Times, Series]:
    """The samples of as many intervals as can be read at once, from where time begins to flow; at least of one."""
    low, high = int(edges[0]), int(edges[-1])
    limit = SAMPLES
    while True:
        found = await (view.read_before(tag_id, low, high, limit + 1) if backward else view.read(tag_id, low, high, limit + 1))
        if found.source_ns.size <= limit:
            return edges, found
        if backward:
            whole = edges[np.searchsorted(edges, found.source_ns[0], "right") :]
        else:
            whole = edges[: np.searchsorted(edges, found.source_ns[-1], "right")]
        if whole.size > 1:
            return whole, found
        if limit >= SAMPLES_PER_INTERVAL:
            raise HistoryRefused(_BAD_QUERY_TOO_COMPLEX)
        limit = SAMPLES_PER_INTERVAL


async def _with_bounds(view: HistoryView, tag_id: int, edges: Times, inside: Series) -> list[Series]:
    low, high = int(edges[0]), int(edges[-1])
    begin, end = np.searchsorted(inside.source_ns, (low, high))
    before = await view.read_before(tag_id, _FIRST, low, AROUND)
    after = await view.read(tag_id, high, _LAST, AROUND)
    return [before, _rows(inside, int(begin), int(end)), after]


def _rows(series: Series, begin: int, end: int) -> Series:
    text = {row - begin: words for row, words in series.text.items() if begin <= row < end} if series.text else {}
    return Series(series.source_ns[begin:end], series.value[begin:end], series.status[begin:end], text)


def _known(parts: list[Series], kind: TagType, configuration: AggregateConfiguration) -> Known:
    """Times to the tick, as clients see them. Measured numbers go in a line, everything else holds until the next sample."""
    source_ns, value, status = (
        np.concatenate(column) for column in zip(*((part.source_ns, part.value, part.status) for part in parts), strict=True)
    )
    there = (status & np.uint32(0xFFFF_0000)) != BAD_NO_DATA
    if not there.all():
        source_ns, value, status = source_ns[there], value[there], status[there]
    return Known(
        source_ns // TICK_NS * TICK_NS,
        np.where(is_bad(status), np.nan, value),
        status,
        stepped(kind),
        configuration.treat_uncertain_as_bad,
        configuration.sloped_extrapolation,
    )


def _flipped(found: Results) -> Results:
    return Results(found.source_ns[::-1], found.value[::-1], found.status[::-1])


# --- at given times ----------------------------------------------------------------------------------------------------------------------


async def read_at_times(
    view: HistoryView,
    tag_id: int,
    kind: TagType,
    query: TimesQuery,
    rest: int | None,
    most: int,
    configuration: AggregateConfiguration = _DEFAULTS,
) -> tuple[Series, int | None]:
    """One value for each time, in the order asked for: the sample that stands there, or what lies between its neighbours."""
    if not query.times_ns:
        raise HistoryRefused(_BAD_INVALID_ARGUMENT)
    done, read, answers = rest or 0, 0, []
    until = min(len(query.times_ns), done + most)
    while done < until and read < SAMPLES_PER_PAGE:
        times = np.array(query.times_ns[done:until], np.int64) // TICK_NS * TICK_NS
        count, parts = await _about(view, tag_id, times)
        answers.append(_at(_known(parts, kind, configuration), parts, kind, query, times[:count]))
        done, read = done + count, read + sum(part.source_ns.size for part in parts)
    return joined(answers), None if done >= len(query.times_ns) else done


async def _about(view: HistoryView, tag_id: int, times: Times) -> tuple[int, list[Series]]:
    """What must be known of the first times, and how many of them that is: all, as many as one read reaches, or one."""
    low, high = int(times.min()), int(times.max()) + TICK_NS
    found = await view.read(tag_id, low, high, SAMPLES + 1)
    if found.source_ns.size <= SAMPLES:
        return times.size, await _with_bounds(view, tag_id, np.array([low, high]), found)
    reached = _leading(times < found.source_ns[-1] // TICK_NS * TICK_NS)
    if reached:
        return reached, [await view.read_before(tag_id, _FIRST, low, AROUND), found]
    found = await view.read_before(tag_id, low, high, SAMPLES + 1)
    reached = _leading(times > found.source_ns[0])
    if reached:
        return reached, [found, await view.read(tag_id, high, _LAST, AROUND)]
    return 1, await _around(view, tag_id, int(times[0]))


def _leading(mask: Mask) -> int:
    """How many are true before the first that is not."""
    return mask.size if mask.all() else int(np.argmin(mask))


async def _around(view: HistoryView, tag_id: int, at_ns: int) -> list[Series]:
    before = await view.read_before(tag_id, _FIRST, at_ns + TICK_NS, _AROUND_A_TIME)
    return [before, await view.read(tag_id, at_ns + TICK_NS, _LAST, _AROUND_A_TIME)]


def _at(known: Known, parts: list[Series], kind: TagType, query: TimesQuery, times: Times) -> Series:
    found = (simple if query.simple_bounds else interpolated)(known, times)
    text: dict[int, str] = {}
    if kind is TagType.TEXT:
        words = _texts(parts)
        usable = np.flatnonzero(~is_bad(found.status)).tolist()
        text = {place: words[row] for place in usable if (row := int(found.row[place])) in words}
    return Series(times, found.value, found.status, text)


def _texts(parts: list[Series]) -> dict[int, str]:
    """By row of what _known makes of these parts."""
    words: dict[int, str] = {}
    offset = 0
    for part in parts:
        there = np.flatnonzero((part.status & np.uint32(0xFFFF_0000)) != BAD_NO_DATA).tolist()
        words.update((offset + place, part.text[row]) for place, row in enumerate(there) if row in part.text)
        offset += len(there)
    return words
