"""Samples from and to files that other programs read: CSV, Parquet and JSON.

Long form: columns timestamp, tag, value and, where there is one, status; text stands in `value` when read, and in `text` when written.
Wide form (reading only): timestamp and one column per tag; an empty cell is no sample. Times are ISO 8601 or numbers since 1970.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np

from gateway.contracts import Series
from gateway.model import instant, quality
from gateway.model.batch import SampleBatch
from gateway.model.reading import read
from gateway.model.tag import Tag, TagTable

_TIME: Final = "timestamp"
_COLUMNS: Final = ("tag", "timestamp", "value", "text", "status")
_Known = Mapping[str, tuple[Tag, Mapping[str, int]]]
_Sample = tuple[int, int, float, int, str | None]  # time, tag_id, value, status, text


def batches(path: Path, tags: TagTable) -> Iterator[tuple[int, SampleBatch]]:
    """(time, batch) for each distinct timestamp of a file, in order of time; columns and tags that `tags` does not have are left out.

    The whole file is held in memory. Raises OSError, and ValueError that names the line of an unreadable time.
    """
    header, rows = _rows(path)
    if _TIME not in header:
        raise ValueError(f"{path}: there is no column {_TIME!r}; it has {', '.join(header[:10])}")
    known = {tag.name: (tag, {label: number for number, label in tag.labels.items()}) for tag in tags}
    samples = list(_long(path, header, rows, known) if {"tag", "value"} <= set(header) else _wide(path, header, rows, known))
    samples.sort(key=itemgetter(0))  # stable: rows of one time keep their order
    for at_ns, found in groupby(samples, key=itemgetter(0)):
        yield at_ns, _batch(at_ns, list(found))


def _batch(at_ns: int, samples: Sequence[_Sample]) -> SampleBatch:
    return SampleBatch.of(
        [sample[1] for sample in samples],
        [sample[2] for sample in samples],
        np.array([sample[3] for sample in samples], np.uint32),
        at_ns,
        received_ns=at_ns,
        text={row: sample[4] for row, sample in enumerate(samples) if sample[4] is not None},
    )


def _long(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], known: _Known) -> Iterator[_Sample]:
    time, name, value = header.index(_TIME), header.index("tag"), header.index("value")
    text, state = (header.index(column) if column in header else None for column in ("text", "status"))
    for line, cells in enumerate(rows, 2):
        found = known.get(cells[name]) if len(cells) == len(header) else None
        if found is not None:
            raw = cells[value] if text is None or cells[value] not in {"", None} else cells[text]
            yield _sample(path, line, cells[time], raw, quality.GOOD if state is None else _status(cells[state]), found)


def _wide(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], known: _Known) -> Iterator[_Sample]:
    time = header.index(_TIME)
    columns = [(place, known[name]) for place, name in enumerate(header) if name in known]
    for line, cells in enumerate(rows, 2):
        if len(cells) == len(header):
            yield from (
                _sample(path, line, cells[time], cells[place], quality.GOOD, tag)
                for place, tag in columns
                if cells[place] not in {"", None}
            )


def _sample(path: Path, line: int, time: object, raw: object, status: int, known: tuple[Tag, Mapping[str, int]]) -> _Sample:
    at_ns = instant.parse(time)
    if at_ns is None:
        raise ValueError(f"{path}:{line}: {time!r} is no time: write 2026-01-31T12:00:00.000Z or a number since 1970")
    tag, labels = known
    if raw in {"", None} and quality.is_bad(np.array([status], np.uint32))[0]:
        return at_ns, tag.tag_id, np.nan, status, None
    found = read(tag.type, raw, labels)
    return at_ns, tag.tag_id, found.value, found.status or status, found.text


def _status(cell: object) -> int:
    if cell in {"", None}:
        return quality.GOOD
    text = str(cell)
    if text.isdigit():
        return int(text) & 0xFFFF_FFFF
    named = quality.code(text)
    return quality.BAD if named is None else named


def _rows(path: Path) -> tuple[list[str], Iterator[Sequence[Any]]]:
    if path.suffix == ".parquet":
        return _parquet(path)
    lines = _csv(path)
    return list(next(lines, [])), lines


def _csv(path: Path) -> Iterator[Sequence[Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.reader(file)


def _parquet(path: Path) -> tuple[list[str], Iterator[Sequence[Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = []
    for column in table.columns:
        whole = column.cast(pa.timestamp("ns")).cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        columns.append(whole.to_pylist())
    return list(table.column_names), zip(*columns, strict=True)


class Writer:
    """Writes samples in the long form; the name's ending chooses csv, parquet or json. Use it as a context; add tags piece by piece."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for another ending, OSError where the file cannot be written."""
        self._write = {".csv": self._csv, ".parquet": self._parquet, ".json": self._json}.get(path.suffix)
        if self._write is None:
            raise ValueError(f"{path}: end the name in .csv, .parquet or .json")
        self._path = path
        self._file: IO[str] | None = None
        self._parquet_file: Any = None
        self._rows = 0

    def __enter__(self) -> Self:
        if self._path.suffix != ".parquet":
            self._file = self._path.open("w", encoding="utf-8", newline="", errors="backslashreplace")
            self._file.write(",".join(_COLUMNS) + "\r\n" if self._path.suffix == ".csv" else "[")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.write("]\n" if self._path.suffix == ".json" else "")
            self._file.close()
        if self._parquet_file is not None:
            self._parquet_file.close()

    def add(self, tag: str, samples: Series) -> None:
        """One piece of one tag."""
        if self._write is not None and samples.source_ns.size:
            self._write(tag, samples)
            self._rows += samples.source_ns.size

    def _csv(self, tag: str, samples: Series) -> None:
        assert self._file is not None
        csv.writer(self._file).writerows(_plain(tag, samples))

    def _json(self, tag: str, samples: Series) -> None:
        assert self._file is not None
        lines = (json.dumps(dict(zip(_COLUMNS, row, strict=True))) for row in _plain(tag, samples))
        self._file.write((",\n" if self._rows else "\n") + ",\n".join(lines))

    def _parquet(self, tag: str, samples: Series) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = (pa.string(), pa.timestamp("ns", "UTC"), pa.float64(), pa.string(), pa.uint32())
        schema = pa.schema(list(zip(_COLUMNS, types, strict=True)))
        n = samples.source_ns.size
        value = pa.array(samples.value, mask=np.isnan(samples.value))
        text = [samples.text.get(row, "").encode("utf-8", "replace").decode() if row in samples.text else None for row in range(n)]
        columns = ([tag] * n, samples.source_ns, value, text, samples.status)
        if self._parquet_file is None:
            self._parquet_file = pq.ParquetWriter(self._path, schema, compression="zstd")
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        self._parquet_file.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _plain(tag: str, samples: Series) -> Iterator[tuple[str, str, float | None, str | None, str]]:
    """Rows as text and numbers: nothing for NaN, so that every reader of CSV and JSON takes them."""
    names = {code: quality.name(code) for code in np.unique(samples.status).tolist()}
    columns = (instant.iso_column(samples.source_ns), samples.value.tolist(), samples.status.tolist())
    for row, (time, value, status) in enumerate(zip(*columns, strict=True)):
        yield tag, time, value if np.isfinite(value) else None, samples.text.get(row), names[status]
