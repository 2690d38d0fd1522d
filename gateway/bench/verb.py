"""`edgetwin bench`: the project's own measurements, with the machine described, so that figures can be compared as ratios of one run."""

import gc
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.bench.rows import Row, table

_TABLES: Final = frozenset({"opcua", "road"})  # those with a table of targets, and a shorter form
_BENCHES: Final = ("engine", "history", "simulation", "line", "opcua", "mqtt", "web", "road")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str | None, typer.Argument(help=f"one of {', '.join(_BENCHES)}; all without it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="opcua and road: fewer and shorter rounds, under a minute each")] = False,
) -> None:
    """Measure this machine; benchmark alone: other work on it shows in the figures."""
    if name is not None and name not in _BENCHES:
        typer.echo(f"there is no bench {name!r}: {', '.join(_BENCHES)}", err=True)
        raise typer.Exit(2)
    results: dict[str, Any] = {"machine": machine()}
    for chosen in [name] if name else _BENCHES:
        gc.collect()
        began = time.monotonic()
        run = import_module(f"gateway.bench.{chosen}").run
        results[chosen] = run(quick=quick) if chosen in _TABLES else run()
        rows = results[chosen].pop("table", ())
        results[chosen]["bench_s"] = round(time.monotonic() - began, 1)
        if not as_json:
            _show(chosen, results[chosen], rows)
    if as_json:
        typer.echo(json.dumps(results, indent=2))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import numpy as np

    cpu = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "load_1min": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []


def _show(name: str, figures: dict[str, Any], rows: Sequence[Row]) -> None:
    typer.echo(name)
    for line in table(rows) if rows else ():
        typer.echo(f"  {line}")
    for key, value in figures.items():
        if key != "rows":
            typer.echo(f"  {key:<44} {value}")
