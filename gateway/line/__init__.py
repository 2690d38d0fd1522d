"""A production line offline: from a configuration tree or a bundle to tables, OEE, money and pictures.

from gateway.line import execute, load_line, write

result = execute(load_line("baseline_8hr"))
result.summary["oee"]["oee"], result.telemetry["good_pallets"]
write(result, Path("output"))
"""

from collections.abc import Sequence
from pathlib import Path

from gateway.line.atomic import Unwritable
from gateway.line.bundle import Bundle, BundleError
from gateway.line.bundle import read as read_bundle
from gateway.line.files import report, write
from gateway.model.line import Line
from gateway.settings.line import config_dir
from gateway.settings.line import load_line as _load_line
from gateway.simulation.line.run import LineResult, execute

__all__ = [
    "Bundle",
    "BundleError",
    "Line",
    "LineResult",
    "Unwritable",
    "execute",
    "execute_scenario",
    "load_line",
    "read_bundle",
    "report",
    "write",
]


def load_line(run: str, config: Path | str | None = None, *, scenario: str | None = None, sets: Sequence[str] = ()) -> Line:
    """The line of a run of the tree in config, else in ./config/line, else of the examples. sets: overrides, `Filler.uph=4500`.

    Raises gateway.settings.SettingsError with every fault, each with its file, line and column.
    """
    return _load_line(run, config_dir(None if config is None else Path(config)), scenario=scenario, sets=sets)


def execute_scenario(bundle: Path | str) -> LineResult:
    """Runs a bundle from its snapshot alone and writes its output/. The same bundle gives the same bytes.

    Raises BundleError where it was changed, Unwritable where its output cannot be written.
    """
    found = read_bundle(Path(bundle))
    result = execute(found.line)
    write(result, found.output)
    return result
