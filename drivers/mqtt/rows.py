"""Rows on their way to a batch: singles as lists, many as arrays, in order."""

import numpy as np

from gateway.model.batch import Floats, SampleBatch, TagIds, Times
from gateway.model.quality import Statuses
from gateway.model.reading import Reading


class Rows:
    """Collects rows; batch() makes the columns once."""

    def __init__(self) -> None:
        self._chunks: list[tuple[TagIds, Floats, Statuses, Times]] = []
        self._ids: list[int] = []
        self._values: list[float] = []
        self._statuses: list[int] = []
        self._times: list[int] = []
        self._text: dict[int, str] = {}
        self._size = 0

    def add(self, tag_id: int, reading: Reading, source_ns: int) -> None:
        self._ids.append(tag_id)
        self._values.append(reading.value)
        self._statuses.append(reading.status)
        self._times.append(source_ns)
        if reading.text is not None:
            self._text[self._size] = reading.text
        self._size += 1

    def extend(self, tag_id: TagIds, value: Floats, source_ns: Times) -> None:
        """Good rows of numbers."""
        self._flush()
        self._chunks.append((tag_id, value, np.zeros(tag_id.size, np.uint32), source_ns))
        self._size += tag_id.size

    def batch(self, received_ns: int, receipt: object) -> SampleBatch:
        self._flush()
        if not self._chunks:
            return SampleBatch.of([], [], received_ns=received_ns, receipt=receipt)
        tag_id, value, status, source_ns = (np.concatenate(column) for column in zip(*self._chunks, strict=True))
        return SampleBatch.of(tag_id, value, status, source_ns, received_ns=received_ns, text=self._text, receipt=receipt)

    def _flush(self) -> None:
        if self._ids:
            self._chunks.append(
                (
                    np.array(self._ids, np.int32),
                    np.array(self._values, np.float64),
                    np.array(self._statuses, np.uint32),
                    np.array(self._times, np.int64),
                )
            )
            self._ids, self._values, self._statuses, self._times = [], [], [], []
