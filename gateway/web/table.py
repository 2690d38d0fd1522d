"""Tables for export: named columns of one tag, and how they become CSV and Parquet."""

import asyncio
import csv
import importlib.util
import io
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Buckets, Series
from gateway.model import quality
from gateway.model.instant import iso_column

ROWS: Final = 10_000  # of one table: what an export holds in memory and does at a stretch
_SPOOL_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 256 * 1024
_SAMPLES: Final = ("tag", "timestamp", "value", "text", "status")
_BUCKETS: Final = ("tag", "timestamp", "min", "max", "mean", "count", "status")

Column = NDArray[Any] | list[Any]
Table = dict[str, Column]


def of_samples(tag: str, samples: Series) -> Table:
    """Samples of one tag; text is empty for all but text tags."""
    rows = samples.source_ns.size
    return {
        "tag": [tag] * rows,
        "timestamp": samples.source_ns,
        "value": samples.value,
        "text": [samples.text.get(row) for row in range(rows)] if samples.text else [None] * rows,
        "status": samples.status,
    }


def of_buckets(tag: str, found: Buckets) -> Table:
    """Buckets of one tag; timestamp is their start, status the worst inside."""
    return {
        "tag": [tag] * found.start_ns.size,
        "timestamp": found.start_ns,
        "min": found.minimum,
        "max": found.maximum,
        "mean": found.mean,
        "count": found.count,
        "status": found.worst,
    }


def csv_head(*, buckets: bool) -> str:
    """The line of names."""
    return ",".join(_BUCKETS if buckets else _SAMPLES) + "\r\n"


def csv_lines(table: Table) -> str:
    """RFC 4180 lines: times in ISO 8601, numbers so that they read back exactly, nothing for NaN, status by name."""
    out = io.StringIO()
    csv.writer(out).writerows(zip(*(_cells(name, column) for name, column in table.items()), strict=True))
    return out.getvalue()


def _cells(name: str, column: Column) -> list[Any]:
    if isinstance(column, list):
        return column
    if name == "timestamp":
        return iso_column(column)
    if name == "status":
        known = {code: quality.name(code) for code in set(column.tolist())}
        return [known[code] for code in column.tolist()]
    if column.dtype == np.float64:
        return [number if number == number else None for number in column.tolist()]  # noqa: PLR0124 - not a number
    cells: list[Any] = column.tolist()
    return cells


def has_parquet() -> bool:
    """Whether pyarrow is installed; it is imported with the first export alone."""
    return importlib.util.find_spec("pyarrow") is not None


async def parquet(tables: AsyncIterator[Table], *, buckets: bool) -> IO[bytes]:
    """One Parquet file of all tables, on disk where it is large; positioned at its beginning."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"tag": pa.dictionary(pa.int32(), pa.string()), "timestamp": pa.timestamp("ns", "UTC"), "text": pa.string()}
    types |= {"status": pa.uint32(), "count": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in (_BUCKETS if buckets else _SAMPLES)])
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - chunks() closes it
    with pq.ParquetWriter(spool, schema, compression="zstd") as writer:
        async for table in tables:
            arrays = [pa.array(table[field.name], field.type) for field in schema]
            await asyncio.to_thread(writer.write_table, pa.Table.from_arrays(arrays, schema=schema))
    spool.seek(0)
    return spool


def chunks(spool: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces; closes it."""
    with spool:
        while piece := spool.read(_CHUNK_BYTES):
            yield piece
