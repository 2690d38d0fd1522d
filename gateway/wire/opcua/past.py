"""History as the server's owner tells it (Part 11, Part 13): plain values, so that no other room needs the protocol library."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.occurrences import Occurrence

TICK_NS = 100
"""What a client sees of a time (Part 6, 5.2.2.5): two samples within one tick have the same time to it."""


class HistoryRefused(Exception):
    """A node's history is not read, and status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Samples:
    """n values to answer with, in the order of the answer.

    type       of each value that is not null
    source_ns  int64[n]    UTC ns
    value      float64[n]  NaN = null; a text stands in `text` by row
    status     uint32[n]
    """

    type: Builtin
    source_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    status: NDArray[np.uint32]
    text: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Rest:
    """Where to go on. Nobody but its maker looks into place; held_bytes is about what it keeps in memory."""

    place: Any
    held_bytes: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the answer; rest is None at the end."""

    samples: Samples
    rest: Rest | None = None


@dataclass(frozen=True, slots=True)
class RawQuery:
    """ReadRawModifiedDetails (Part 11, 6.5.3). None = not specified; most 0 = all."""

    start_ns: int | None
    end_ns: int | None
    most: int
    bounds: bool


@dataclass(frozen=True, slots=True)
class TimesQuery:
    """ReadAtTimeDetails (Part 11, 6.5.5)."""

    times_ns: tuple[int, ...]
    simple_bounds: bool


@dataclass(frozen=True, slots=True)
class AggregateConfiguration:
    """Part 13, 4.2.1.2, with its defaults."""

    treat_uncertain_as_bad: bool = True
    percent_bad: int = 100
    percent_good: int = 100
    sloped_extrapolation: bool = False


@dataclass(frozen=True, slots=True)
class ProcessedQuery:
    """ReadProcessedDetails of one node (Part 11, 6.5.4). aggregate: its number in namespace 0; configuration None: the server's own."""

    start_ns: int | None
    end_ns: int | None
    interval_ns: int
    aggregate: int
    configuration: AggregateConfiguration | None


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """ReadEventDetails (Part 11, 6.5.2), without its filter."""

    start_ns: int | None
    end_ns: int | None
    most: int


ValueQuery = RawQuery | TimesQuery | ProcessedQuery


class Past(Protocol):
    """What was, and what is foreseen. Reading raises HistoryRefused; most > 0 is how many the answer holds at the most."""

    @property
    def aggregates(self) -> Sequence[int]:
        """The AggregateFunctions that there are, by their numbers in namespace 0."""

    async def values(self, source: int | str, query: ValueQuery, rest: Rest | None, most: int) -> Page:
        """From the beginning (rest None) or from where a page ended. source: a tag, or the key of another Variable that has history."""

    async def events(
        self, query: EventsQuery, rest: Rest | None, most: int, wanted: Callable[[Occurrence], bool]
    ) -> tuple[Sequence[Occurrence], Rest | None]:
        """Those that are wanted, in the order asked for, and where to go on."""
