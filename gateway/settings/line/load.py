"""From a tree of files to a Line, and what a tree offers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.model.line import SIX_PHASES, Line
from gateway.settings.faults import Faults
from gateway.settings.line.lines import read_line
from gateway.settings.line.resolve import resolve
from gateway.settings.line.tree import KINDS, Tree

PHASES: Collection[str] = tuple(phase.name for phase in SIX_PHASES)


def load_line(run: str, folder: Path, *, scenario: str | None = None, sets: Sequence[str] = (), phases: Collection[str] = PHASES) -> Line:
    """The line of a run of the tree in folder. scenario: another one than the run names; sets: `path=value`; phases: all that there are.

    Raises SettingsError with every fault, each with its file, line and column.
    """
    faults = Faults()
    root = resolve(Tree(folder, faults), run, scenario, sets)
    line = read_line(root, phases, faults)
    faults.check()
    assert line is not None
    return line


@dataclass(frozen=True, slots=True)
class Listing:
    """One file of a tree. uses: what it refers to, by key."""

    kind: str
    name: str
    description: str
    uses: dict[str, str]
    path: Path


def listing(folder: Path, kinds: Sequence[str] = ("runs", "scenarios")) -> list[Listing]:
    """What the files of some folders are, by name; a file that cannot be read stands with what is wrong with it as its description."""
    tree, found = Tree(folder, Faults()), []
    for kind in kinds:
        for entry in sorted(tree.entries(kind), key=lambda entry: entry.name):
            entries = {} if entry.node is None else entry.node.map
            description = entries["description"].text if "description" in entries else ""
            if entry.faults.fatal:
                description = str(entry.faults.found[0])
            uses = {key: node.text for key, node in entries.items() if key in {*KINDS.values(), "base"} and node.text}
            found.append(Listing(KINDS[kind], entry.name, description, uses, entry.path))
    return found
