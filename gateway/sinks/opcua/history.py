"""What was, for HistoryRead (wire's Past): tags' values out of the history, events out of the journal; only what is committed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.contracts import EventView, HistoryView, Series, TwinView
from gateway.model.event import Event
from gateway.sinks.opcua.aggregates import AGGREGATES
from gateway.sinks.opcua.event_history import read_events
from gateway.sinks.opcua.events import event_occurrence, is_state_change
from gateway.sinks.opcua.nodes import BUILTINS
from gateway.sinks.opcua.processed import read_at_times, read_processed
from gateway.sinks.opcua.raw import read_raw, without_bad
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.past import EventsQuery, HistoryRefused, Page, RawQuery, Rest, Samples, TimesQuery, ValueQuery

_BAD_RESOURCE_UNAVAILABLE: Final = 0x8004_0000
_BAD_HISTORY_OPERATION_UNSUPPORTED: Final = 0x8072_0000
_HELD_BYTES: Final = 250  # of a cursor, and of each sample or event that it names


class History:
    """wire's Past. unavailable: what history and journal raise while the disk is away."""

    def __init__(
        self,
        view: HistoryView,
        journal: EventView,
        twin: TwinView,
        unavailable: tuple[type[Exception], ...],
        foreseen: Callable[[str, ValueQuery, Rest | None, int], Awaitable[Page]] | None = None,
    ) -> None:
        """foreseen: a page of a forecast's history, by the key of its Variable."""
        self._view, self._journal, self._twin, self._unavailable = view, journal, twin, unavailable
        self._foreseen = foreseen

    @property
    def aggregates(self) -> Sequence[int]:
        return tuple(AGGREGATES)

    async def values(self, source: int | str, query: ValueQuery, rest: Rest | None, most: int) -> Page:
        try:
            if isinstance(source, int):
                return await self._values(source, query, None if rest is None else rest.place, most)
            if self._foreseen is None:
                raise HistoryRefused(_BAD_HISTORY_OPERATION_UNSUPPORTED)
            return await self._foreseen(source, query, rest, most)
        except self._unavailable as fault:
            raise HistoryRefused(_BAD_RESOURCE_UNAVAILABLE) from fault

    async def _values(self, tag_id: int, query: ValueQuery, place: Any, most: int) -> Page:
        kind = self._twin.tags[tag_id].type
        if isinstance(query, RawQuery):
            series, cursor = await read_raw(self._view, tag_id, query, place, most)
            rest = None if cursor is None else Rest(cursor, _HELD_BYTES * (1 + len(cursor.sent)))
            return Page(_samples(without_bad(series), BUILTINS[kind]), rest)
        if isinstance(query, TimesQuery):
            series, number = await read_at_times(self._view, tag_id, kind, query, place, most)
            return Page(_samples(series, BUILTINS[kind]), None if number is None else Rest(number))
        found, number = await read_processed(self._view, tag_id, kind, query, place, most)
        made = AGGREGATES[query.aggregate].type or BUILTINS[kind]
        samples = Samples(made, found.source_ns, found.value, found.status, {})
        return Page(samples, None if number is None else Rest(number))

    async def events(
        self, query: EventsQuery, rest: Rest | None, most: int, wanted: Callable[[Occurrence], bool]
    ) -> tuple[Sequence[Occurrence], Rest | None]:
        place = None if rest is None else rest.place
        try:
            found, cursor = await read_events(self._journal, self._occurrence, query, place, most, wanted)
        except self._unavailable as fault:
            raise HistoryRefused(_BAD_RESOURCE_UNAVAILABLE) from fault
        return found, None if cursor is None else Rest(cursor, _HELD_BYTES * (1 + len(cursor.sent)))

    def _occurrence(self, event: Event) -> Occurrence | None:
        return None if is_state_change(event) else event_occurrence(event, self._twin)


def _samples(series: Series, kind: Builtin) -> Samples:
    return Samples(kind, series.source_ns, series.value, series.status, series.text)
