"""A recording as chunks of columns, read lazily: CSV by the standard library, Parquet by pyarrow."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.model import instant, quality
from gateway.model.batch import Floats, TagIds, Times
from gateway.model.quality import Statuses
from gateway.model.reading import read
from gateway.model.tag import Tag

CHUNK_ROWS: Final = 8192
_TIME: Final = "timestamp"


@dataclass(slots=True)
class Chunk:
    """Rows in the order of the file; unknown = rows of tags that nobody reads, wrong = rows without a readable time."""

    tag_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    text: Mapping[int, str] = field(default_factory=dict)
    unknown: int = 0
    wrong: int = 0


class _Rows:
    """Collects one chunk."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.values: list[float] = []
        self.statuses: list[int] = []
        self.times: list[int] = []
        self.text: dict[int, str] = {}
        self.unknown = self.wrong = 0

    def add(self, tag: Tag, labels: Mapping[str, int], at_ns: int, raw: object, status: int) -> None:
        found = read(tag.type, raw, labels)
        if found.text is not None:
            self.text[len(self.ids)] = found.text
        self.ids.append(tag.tag_id)
        self.values.append(found.value)
        self.statuses.append(found.status or status)
        self.times.append(at_ns)

    def chunk(self) -> Chunk:
        return Chunk(
            np.array(self.ids, np.int32),
            np.array(self.values, np.float64),
            np.array(self.statuses, np.uint32),
            np.array(self.times, np.int64),
            self.text,
            self.unknown,
            self.wrong,
        )


def chunks(path: Path, tags: Sequence[Tag]) -> Iterator[Chunk]:
    """The whole file, about 8192 rows at a time. Raises OSError, and ValueError for a file of another form."""
    by_address = {tag.address: (tag, {label: number for number, label in tag.labels.items()}) for tag in tags}
    rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    header = next(rows)
    if _TIME not in header:
        raise ValueError(f"{path}: there is no column {_TIME!r}; it has {', '.join(header[:10])}")
    read_rows = _long if "tag" in header and "value" in header else _wide
    while block := list(islice(rows, CHUNK_ROWS)):
        collected = _Rows()
        read_rows(collected, header, block, by_address)
        yield collected.chunk()


_Index = Mapping[str, tuple[Tag, Mapping[str, int]]]


def _long(rows: _Rows, header: Sequence[str], block: Iterable[Sequence[Any]], tags: _Index) -> None:
    time, name, value = header.index(_TIME), header.index("tag"), header.index("value")
    state = header.index("status") if "status" in header else None
    for cells in block:
        at_ns = instant.parse(cells[time]) if len(cells) > max(time, name, value) else None
        if at_ns is None:
            rows.wrong += 1
            continue
        known = tags.get(cells[name])
        if known is None:
            rows.unknown += 1
            continue
        status = quality.GOOD if state is None or state >= len(cells) else _status(cells[state])
        rows.add(*known, at_ns, cells[value], status)


def _wide(rows: _Rows, header: Sequence[str], block: Iterable[Sequence[Any]], tags: _Index) -> None:
    time = header.index(_TIME)
    columns = [(place, tags[name]) for place, name in enumerate(header) if name in tags]
    for cells in block:
        at_ns = instant.parse(cells[time]) if len(cells) == len(header) else None
        if at_ns is None:
            rows.wrong += 1
            continue
        for place, known in columns:
            if cells[place] not in {"", None}:  # an empty cell is no sample
                rows.add(*known, at_ns, cells[place], quality.GOOD)


def _status(cell: object) -> int:
    if cell in {"", None, "Good", "good"}:
        return quality.GOOD
    text = str(cell)
    if text.isdigit():
        return int(text) & 0xFFFF_FFFF
    named = quality.code(text)
    return quality.BAD if named is None else named


def _csv(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        yield next(reader, [])
        yield from reader


def _parquet(path: Path) -> Iterator[Any]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ValueError(f"{path}: reading Parquet needs pyarrow: pip install 'edgetwin[parquet]'") from error
    file = pq.ParquetFile(path)
    names = [str(name) for name in file.schema_arrow.names]
    yield names
    for batch in file.iter_batches(CHUNK_ROWS):
        columns = [_plain(batch.column(place)) for place in range(len(names))]
        yield from zip(*columns, strict=True)


def _plain(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns")).cast(pa.int64())
    cells: list[Any] = column.to_pylist()
    return cells
