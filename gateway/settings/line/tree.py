"""The configuration tree of the line simulator: seven folders of YAML files, defaults.yaml and constants.yaml."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from gateway.settings.document import parse
from gateway.settings.faults import Faults, Place, quote
from gateway.settings.files import YAML_BYTES, read_text
from gateway.settings.line.constants import lacking, read_constants
from gateway.settings.node import BROKEN, Node

KINDS: Final[Mapping[str, str]] = {
    "runs": "run",
    "scenarios": "scenario",
    "topologies": "topology",
    "equipment": "equipment",
    "products": "product",
    "behaviors": "behavior",
    "sources": "source",
}
"""Folder -> what one file of it is."""
DEFAULTS: Final = "defaults.yaml"
FILES: Final = 2000
"""How many files one folder may hold."""
_ENDINGS: Final = frozenset({".yaml", ".yml"})


def config_dir(given: Path | None = None) -> Path:
    """Where the tree lies: as given, else ./config/line, else the examples of this program. SettingsError where it is no folder."""
    if given is not None:
        if not given.is_dir():
            faults = Faults()
            faults.add(Place(str(given), 1, 1), "", "there is no such folder", "--config names the folder that holds runs, scenarios, ...")
            faults.check()
        return given
    here = Path("config") / "line"
    return here if here.is_dir() else shipped()


def shipped() -> Path:
    """The examples: inside the wheel, else in the checkout."""
    packed = Path(str(resources.files("gateway") / "_config" / "line"))
    return packed if packed.is_dir() else Path(__file__).parents[3] / "config" / "line"


class Entry:
    """One file: its name (its key `name`, else that of the file), its map, and what is wrong with it: listed once somebody needs it."""

    __slots__ = ("faults", "name", "node", "path")

    def __init__(self, path: Path, node: Node | None, faults: Faults) -> None:
        self.path, self.node, self.faults = path, node, faults
        given = None if node is None else node.map.get("name")
        plain = given is not None and isinstance(given.value, str | int | float) and not isinstance(given.value, bool)
        self.name = given.text if given is not None and plain and given.text else path.stem


class Tree:
    """The files of a folder, read when they are asked for. Every fault of what was asked for goes into faults."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self.folder, self.faults = folder, faults
        self.constants = read_constants(folder, faults)
        self._kinds: dict[str, list[Entry]] = {}
        self.defaults = self._defaults()

    def entries(self, kind: str) -> list[Entry]:
        """All files of a folder, by name of the file."""
        if kind not in self._kinds:
            folder = self.folder / kind
            try:
                paths = sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS) if folder.is_dir() else []
            except OSError as error:
                self.faults.add(Place(str(folder), 1, 1), "", f"cannot be read: {error.strerror}")
                paths = []
            if len(paths) > FILES:
                self.faults.add(Place(str(folder), 1, 1), "", f"holds more than {FILES} files", "remove those that are not needed")
            self._kinds[kind] = [self._read(path) for path in paths[:FILES]]
        return self._kinds[kind]

    def find(self, kind: str, name: str, place: Place, key: str) -> Entry | None:
        """The file of that name: its key `name`, else the name of the file. None with the fault listed at place."""
        entries = self.entries(kind)
        found = (
            [entry for entry in entries if entry.name == name]
            or [entry for entry in entries if entry.path.stem == name]
            or [entry for entry in entries if entry.node is None and entry.path.stem.lower() == name.lower()]  # its fault hides its name
        )
        if len(found) > 1:
            files = " and ".join(entry.path.name for entry in found)
            self.faults.add(place, key, f"{quote(name)} is the name of {files}", f"give each {KINDS[kind]} a name of its own")
        elif not found:
            folder = self.folder / kind
            hint = self.faults.nearest(name, [entry.name for entry in entries]) if entries else f"{folder} holds no file"
            self.faults.add(place, key, f"there is no {KINDS[kind]} {quote(name)} in {folder}", hint)
        if len(found) != 1:
            return None
        self._take(found[0].faults)
        return found[0]

    def _take(self, own: Faults) -> None:
        for fault in own.found:
            self.faults.add(fault.place, fault.key, fault.why, fault.hint)

    def _read(self, path: Path) -> Entry:
        own = Faults()
        text = read_text(path, YAML_BYTES, Place(str(path), 1, 1), "", own)
        if text is not None and not text.strip():
            own.add(Place(str(path), 1, 1), "", "is empty")
            text = None
        node = None if text is None else parse(text, str(path), self.constants, own, lacking(self.constants), typed=True)
        if node is not None and not isinstance(node.value, dict):
            if node.value is not BROKEN:
                own.add(node.place, "", f"should be a map of keys, not {node.shape}")
            node = None
        return Entry(path, node, own)

    def _defaults(self) -> Mapping[str, Node]:
        path = self.folder / DEFAULTS
        if not path.is_file():
            return {}
        entry = self._read(path)
        self._take(entry.faults)
        found = {} if entry.node is None else entry.node.map
        for name, node in found.items():
            if name not in KINDS.values():
                self.faults.add(node.key, name, "is not a known key", self.faults.nearest(name, KINDS.values()))
        return found
