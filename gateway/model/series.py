"""What history gives: samples of one tag, and buckets of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model.batch import Floats, Times
from gateway.model.quality import Statuses


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one tag in order of source time, without duplicates. text by row for text tags."""

    source_ns: Times
    value: Floats
    status: Statuses
    text: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Downsampled samples of one tag: one row per bucket that holds a sample. Bad samples count in `count` and `worst` only."""

    start_ns: Times
    minimum: Floats
    maximum: Floats
    mean: Floats
    count: Times
    worst: Statuses
