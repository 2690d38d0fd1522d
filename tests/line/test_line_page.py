"""docs/line.md does as it says: its files and commands are tried in an empty folder, in their order; and it names every key."""

import glob
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.model.line import PARAMETERS, MachineState
from gateway.settings.line import KINDS, lines, machines
from gateway.simulation.line.phases import PHASES
from gateway.simulation.line.tables import EVENTS, TELEMETRY

PAGE = (Path(__file__).parents[2] / "docs" / "line.md").read_text()
BLOCK = re.compile(r"^```(yaml|console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def words(command):
    """Of a command line, with the names that a star stands for."""
    return [found for word in shlex.split(command) for found in (sorted(glob.glob(word)) if "*" in word else [word])]  # noqa: PTH207 - as a shell does


def told(block):
    """(command, the lines that follow it) of a console block."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown.rstrip("\n")


def test_what_the_page_says_is_what_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = 0
    for kind, block in BLOCK.findall(PAGE):
        if kind == "yaml":
            path = Path(block.split("\n", 1)[0].removeprefix("# "))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
        elif kind == "python":
            exec(compile(block, "docs/line.md", "exec"), {})
        for command, shown in told(block) if kind == "console" else ():
            program, *args = words(command)
            result = CliRunner().invoke(app, args)
            assert program == "edgetwin"
            assert result.exit_code == (2 if shown.startswith("edgetwin: ") else 0), (command, result.stderr)
            assert shown in {"", result.stdout.rstrip("\n"), result.stderr.rstrip("\n")}, command
            tried += 1
    assert tried >= 11
    assert {path.name for path in (tmp_path / "more_room").iterdir()} == {
        *("telemetry.csv", "events.csv", "summary.json", "gantt.png", "oee.png", "buffers.png")
    }
    assert {path.name for path in next((tmp_path / "scenarios").iterdir()).iterdir()} == {
        *("scenario.py", "config_snapshot.yaml", "metadata.json", "output")
    }
    assert (tmp_path / "again" / "gantt.svg").exists()


@pytest.mark.parametrize(
    "name",
    sorted({
        *machines.KEYS, *machines.RELIABILITY, *machines.PERFORMANCE, *machines.QUALITY, *machines.RATES, *machines.PLACE,
        *lines.RUN, *lines.SCENARIO, *lines.TOPOLOGY, *lines.EDGE, *lines.PRODUCT, *lines.SOURCE_KEYS,
        *KINDS.values(), *PARAMETERS, *(name for names in PARAMETERS.values() for name in names), *PHASES, *TELEMETRY, *EVENTS,
    }),
)  # fmt: skip
def test_the_page_names_every_key_and_column(name):
    assert re.search(rf"`[^`\n]*\b{re.escape(name)}\b[^`\n]*`", PAGE)


@pytest.mark.parametrize("state", [*MachineState])
def test_the_page_names_every_state(state):
    assert re.search(rf"^\| [A-Z, ]*\b{state.value}\b", PAGE, re.MULTILINE)
