"""From a tree of files to a Line, and what a tree offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.model.line import Line
from gateway.settings.faults import Faults, Place
from gateway.settings.line.lines import read_line
from gateway.settings.line.maps import machine_nodes
from gateway.settings.line.resolve import resolve
from gateway.settings.line.tree import KINDS, Tree
from gateway.settings.node import Node

if TYPE_CHECKING:
    from gateway.simulation.line.faults import LineError


def load_line(run: str, folder: Path, *, scenario: str | None = None, sets: Sequence[str] = ()) -> Line:
    """The line of a run of the tree in folder. scenario: another one than the run names; sets: `path=value`.

    Raises SettingsError with every fault, each with its file, line and column.
    """
    return load_lines(run, folder, [Variant(scenario, tuple(sets))])[0]


@dataclass(frozen=True, slots=True)
class Variant:
    """Of a run: another scenario than it names, and overrides `path=value` on top."""

    scenario: str | None = None
    sets: tuple[str, ...] = ()


def load_lines(run: str, folder: Path, variants: Sequence[Variant]) -> list[Line]:
    """The lines of several variants of one run, in their order; the files are read once. Raises SettingsError with the faults of all."""
    from gateway.simulation.line.faults import LineError
    from gateway.simulation.line.phases import phase_names
    from gateway.simulation.line.topology import checked

    faults, known = Faults(), phase_names()
    tree, found = Tree(folder, faults), list[Line]()
    for variant in variants:
        root = resolve(tree, run, variant.scenario, variant.sets)
        line = read_line(root, known, faults)
        if line is None:
            continue
        try:
            found.append(checked(line))
        except LineError as error:
            faults.add(*_where(error, root), error.why, error.hint)
    faults.check()
    return found


_FIELDS: Final = {"origin": "source", "rates": "cost_rates", "duration_s": "duration", "warm_up_s": "warm_up", "start": "start_time"}
"""Of a Line -> of a file."""


def _where(error: "LineError", root: Node) -> tuple[Place, str]:
    """The place and the key of what a line is refused for."""
    topology, equipment = root.map["topology"], root.map["equipment"].map
    field = _FIELDS.get(error.field, error.field)
    if error.edge is not None and "edges" in topology.map:
        for number, edge in enumerate(topology.map["edges"].list):
            if (edge.map["source"].text, edge.map["target"].text) == error.edge:
                return edge.map.get(field, edge).place, f"topology.edges[{number}]"
    if error.node in equipment:
        owner, key = equipment[error.node], f"equipment.{error.node}"
        if field not in owner.map:
            return machine_nodes(topology)[error.node].place, key
        return owner.map[field].place, f"{key}.{field}"
    for section in ("source", "topology", "run"):
        owner = root.map.get(section, topology)
        if field in owner.map:
            return owner.map[field].place, f"{section}.{field}"
    return topology.place, "topology"


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
