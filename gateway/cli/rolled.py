"""The forecasters over a file: its samples by time, on a grid of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gateway.model import quality

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gateway.model.batch import SampleBatch
    from gateway.model.forecast import Scores
    from gateway.model.tag import Tag, TagTable
    from gateway.simulation.forecast.rolling import Rolling


@dataclass(frozen=True, slots=True)
class Rolled:
    """Scores of those tags of a file that had samples, one row each; fault: why a recording ended early."""

    tags: Sequence[Tag]
    scores: Scores
    samples: int
    first_ns: int
    last_ns: int
    horizon_s: float
    step_s: float
    every_s: float
    fault: str | None


@dataclass(frozen=True, slots=True)
class _Columns:
    """Samples by time: tag_id int32[n], value float64[n], NaN where Bad; source_ns int64[n]."""

    tag_id: np.ndarray[tuple[int], np.dtype[np.int32]]
    value: np.ndarray[tuple[int], np.dtype[np.float64]]
    source_ns: np.ndarray[tuple[int], np.dtype[np.int64]]


def run(path: Path, table: TagTable, chosen: Sequence[Tag], horizon_s: float, step_s: float, every_s: float) -> Rolled:
    """Every sample in its turn. Raises OSError, and ValueError where the file is none or has no sample of these tags."""
    from gateway.simulation.forecast.rolling import Rolling

    batches = _Batches(path, table)
    columns = _columns(batches, chosen)
    found = np.unique(columns.tag_id)
    if not found.size:
        raise ValueError(f"{path}: it has no sample of these tags")
    own = [tag for tag in chosen if tag.tag_id in found]
    row = np.full(len(table), -1, np.intp)
    row[[tag.tag_id for tag in own]] = np.arange(len(own))
    rolling = Rolling.of(len(own), horizon_s, step_s, every_s=every_s)
    _roll(rolling, row[columns.tag_id], columns, horizon_s, step_s)
    first_ns, last_ns = int(columns.source_ns[0]), int(columns.source_ns[-1])
    return Rolled(own, rolling.scores(), len(columns.tag_id), first_ns, last_ns, horizon_s, step_s, every_s, batches.fault)


class _Batches:
    """The batches of a file with this site's rows; `fault` once they are exhausted."""

    def __init__(self, path: Path, table: TagTable) -> None:
        self._path, self._table = path, table
        self.fault: str | None = None

    def __iter__(self) -> Iterator[SampleBatch]:
        if self._path.suffix == ".etrec":
            yield from self._recorded()
        else:
            from gateway.store.exchange import batches

            yield from (batch for _, batch in batches(self._path, self._table))

    def _recorded(self) -> Iterator[SampleBatch]:
        from dataclasses import replace

        from gateway.store.recording import read

        recording = read(self._path)
        own_id = np.array([self._table.index.get(name, -1) for name in recording.header["tags"]], np.int32)
        for entry in recording.entries:
            if entry.batch is not None:
                known = (entry.batch.tag_id >= 0) & (entry.batch.tag_id < own_id.size)
                ids = np.where(known, own_id[np.where(known, entry.batch.tag_id, 0)], -1).astype(np.int32)
                yield replace(entry.batch, tag_id=ids)
        self.fault = recording.fault


def _columns(batches: _Batches, chosen: Sequence[Tag]) -> _Columns:
    wanted = np.zeros(max((tag.tag_id for tag in chosen), default=0) + 2, bool)
    wanted[[tag.tag_id for tag in chosen]] = True
    ids, values, times = [np.zeros(0, np.int32)], [np.zeros(0)], [np.zeros(0, np.int64)]
    for batch in batches:
        inside = (batch.tag_id >= 0) & (batch.tag_id < wanted.size)
        rows = np.flatnonzero(inside & wanted[np.where(inside, batch.tag_id, 0)])
        if rows.size:
            ids.append(batch.tag_id[rows])
            values.append(np.where(quality.is_bad(batch.status[rows]), np.nan, batch.value[rows]))
            times.append(np.where(batch.source_ns[rows] > 0, batch.source_ns[rows], batch.received_ns))
    tag_id, value, source_ns = np.concatenate(ids), np.concatenate(values), np.concatenate(times)
    order = np.argsort(source_ns, kind="stable")
    return _Columns(tag_id[order], value[order], source_ns[order])


def _roll(rolling: Rolling, row: np.ndarray[tuple[int], np.dtype[np.intp]], columns: _Columns, horizon_s: float, step_s: float) -> None:
    """One step per cell of the grid; of a long silence only a horizon's worth of empty ones, and then time jumps."""
    cell = (columns.source_ns - columns.source_ns[0]) // round(step_s * 1e9)
    begins = np.flatnonzero(np.diff(cell, prepend=-1))
    ends = np.append(begins[1:], cell.size)
    y = np.full(int(row.max()) + 1, np.nan)
    silent, before = round(horizon_s / step_s), -1
    for begin, end in zip(begins.tolist(), _shown(ends.tolist()), strict=True):
        number = int(cell[begin])
        for empty in range(before + 1, min(number, before + 1 + silent)):
            rolling.step(empty * step_s, y, np.zeros(y.size, bool))
        y[:] = np.nan
        y[row[begin:end]] = columns.value[begin:end]
        rolling.step(number * step_s, y, ~np.isnan(y))
        before = number


def _shown(ends: list[int]) -> Iterator[int]:
    """With a bar on a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield from ends
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(ends, "forecasting", console=Console(stderr=True), transient=True)
