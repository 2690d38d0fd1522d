"""What was, for HistoryRead (wire's Past): tags' values from the history on disk. Only what is committed is seen."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.contracts import HistoryView, Series
from gateway.model.tag import TagTable
from gateway.sinks.opcua.aggregates import AGGREGATES
from gateway.sinks.opcua.nodes import BUILTINS
from gateway.sinks.opcua.processed import read_at_times, read_processed
from gateway.sinks.opcua.raw import read_raw, without_bad
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.past import HistoryRefused, Page, RawQuery, Samples, TimesQuery, ValueQuery

_BAD_RESOURCE_UNAVAILABLE: Final = 0x8004_0000


class TagHistory:
    """wire's Past. unavailable: what the history raises while the disk is away."""

    def __init__(self, view: HistoryView, tags: Callable[[], TagTable], unavailable: tuple[type[Exception], ...]) -> None:
        self._view, self._tags, self._unavailable = view, tags, unavailable

    @property
    def aggregates(self) -> Sequence[int]:
        return tuple(AGGREGATES)

    async def values(self, tag_id: int, query: ValueQuery, rest: Any, most: int) -> Page:
        try:
            return await self._values(tag_id, query, rest, most)
        except self._unavailable as fault:
            raise HistoryRefused(_BAD_RESOURCE_UNAVAILABLE) from fault

    async def _values(self, tag_id: int, query: ValueQuery, rest: Any, most: int) -> Page:
        kind = self._tags()[tag_id].type
        if isinstance(query, RawQuery):
            series, rest = await read_raw(self._view, tag_id, query, rest, most)
            return Page(_samples(without_bad(series), BUILTINS[kind]), rest)
        if isinstance(query, TimesQuery):
            series, rest = await read_at_times(self._view, tag_id, kind, query, rest, most)
            return Page(_samples(series, BUILTINS[kind]), rest)
        found, rest = await read_processed(self._view, tag_id, kind, query, rest, most)
        made = AGGREGATES[query.aggregate].type or BUILTINS[kind]
        return Page(Samples(made, found.source_ns, found.value, found.status, {}), rest)


def _samples(series: Series, kind: Builtin) -> Samples:
    return Samples(kind, series.source_ns, series.value, series.status, series.text)
