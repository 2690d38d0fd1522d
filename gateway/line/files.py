"""The files of a run: telemetry.csv, events.csv and summary.json, as Parquet too, and pictures. All of them are written, or none."""

import csv
import json
from pathlib import Path
from typing import Any

from gateway.line.atomic import Write, text, write_all
from gateway.model.line_document import digest
from gateway.simulation.line.run import LineResult
from gateway.simulation.line.tables import Columns


def report(result: LineResult) -> dict[str, Any]:
    """What summary.json holds: the summary, and what the run was made of."""
    return {"run": result.line.name, "seed": result.seed, "line_digest": f"sha256:{digest(result.line)}", **result.summary}


def write(result: LineResult, folder: Path | str, *, tables: bool = True, parquet: bool = False, pictures: str = "") -> list[Path]:
    """The paths written. pictures: png or svg. Raises Unwritable where nothing was changed."""
    files = dict[str, Write]()
    if tables:
        files |= {
            "telemetry.csv": _csv(result.telemetry),
            "events.csv": _csv(result.events),
            "summary.json": text(json.dumps(report(result), indent=2, allow_nan=False) + "\n"),
        }
    if parquet:
        files |= {"telemetry.parquet": _parquet(result.telemetry), "events.parquet": _parquet(result.events)}
    if pictures:
        from gateway.line.plots import plots

        files |= {f"{name}.{pictures}": draw for name, draw in plots(result, pictures).items()}
    return write_all(Path(folder), files)


def _csv(columns: Columns) -> Write:
    """Numbers with all their digits: what is read back is what was simulated."""

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))

    return write


def _parquet(columns: Columns) -> Write:
    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), path, compression="zstd")

    return write
