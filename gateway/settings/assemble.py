"""All the files of a configuration as one tree: include, tags_from, and the older names of keys."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.settings.document import parse
from gateway.settings.faults import Faults, Place
from gateway.settings.files import CSV_BYTES, YAML_BYTES, read_text
from gateway.settings.node import BROKEN, Node
from gateway.settings.table import rows

FILES: Final = 200
"""How many files one configuration may include."""
_ALIASES: Final = {  # of the section `digital_twin` of earlier twins
    "name": ("gateway", "name"),
    "update_frequency": ("sync", "update_frequency"),
    "history_length": ("sync", "history_length"),
    "synchronization_mode": ("sync", "mode"),
    "log_level": ("log", "level"),
}


class Assembly:
    """Reads a file and all that it names. complete is False where a file could not be read: what follows from it is not worth listing."""

    def __init__(self, env: Mapping[str, str], faults: Faults) -> None:
        self.files: list[Path] = []
        self.complete = True
        self._env, self._faults = env, faults
        self._seen: dict[Path, Place] = {}

    def read(self, path: Path) -> Node:
        """The whole configuration, a map."""
        root = self._file(path, Place(str(path), 1, 1), "", ())
        return _renamed(root, self._faults)

    def _file(self, path: Path, place: Place, key: str, chain: tuple[Path, ...]) -> Node:
        """One YAML file with what it includes, merged: included files first, then its own keys, then its tables."""
        empty = Node({}, Place(str(path), 1, 1))
        real = _real(path)
        if not self._fresh(real, place, key, chain):
            return empty
        text = read_text(path, YAML_BYTES, place, key, self._faults)
        root = None if text is None else parse(text, str(path), self._env, self._faults)
        if root is None or not isinstance(root.value, dict):
            if root is not None:
                self._faults.add(root.place, "", f"should be a map of sections, not {root.shape}", "a configuration begins with version: 1")
            self.complete = False
            return empty
        self.files.append(path)
        own = dict(root.map)
        include, tables = own.pop("include", None), own.pop("tags_from", None)
        merged = Node({}, root.place)
        for name, where, entry in self._paths(include, "include", path):
            part = self._file(name, where, entry, (*chain, real))
            merged = merge(merged, part, "", self._faults)
        merged = merge(merged, Node(own, root.place), "", self._faults)
        return self._with_tables(merged, tables, path)

    def _fresh(self, real: Path, place: Place, key: str, chain: tuple[Path, ...]) -> bool:
        if real in chain:
            names = " -> ".join(one.name for one in (*chain[chain.index(real) :], real))
            self._faults.add(place, key, f"the files include each other: {names}", "remove one of these includes")
        elif real in self._seen:
            self._faults.add(place, key, f"{real.name} is included twice (first at {self._seen[real]})", "remove one of these includes")
        elif len(self._seen) >= FILES:
            self._faults.add(place, key, f"more than {FILES} files are included")
            self.complete = False
        else:
            self._seen[real] = place
            return True
        return False

    def _paths(self, node: Node | None, key: str, path: Path) -> list[tuple[Path, Place, str]]:
        """The files that a list names, relative to the file where it stands."""
        if node is None or node.value is None or node.value is BROKEN:
            return []
        found = []
        for number, entry in enumerate(node.list or [node]):
            if isinstance(entry.value, str) and entry.value:
                found.append((path.parent / entry.value, entry.place, f"{key}[{number}]"))
            elif entry.value is not BROKEN and entry.value != []:
                self._faults.add(entry.place, f"{key}[{number}]", f"should be the name of a file, not {entry.shape}")
        return found

    def _with_tables(self, root: Node, tables: Node | None, path: Path) -> Node:
        tags = list[Node]()
        for name, where, entry in self._paths(tables, "tags_from", path):
            text = read_text(name, CSV_BYTES, where, entry, self._faults)
            if text is None:
                self.complete = False
                continue
            self.files.append(name)
            tags += rows(text, str(name), self._env, self._faults)
        if not tags:
            return root
        return merge(root, Node({"tags": Node(tags, tags[0].place)}, root.place), "", self._faults)


def _real(path: Path) -> Path:
    """The file itself, whatever links lead to it."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path  # it cannot be opened either, and reading says why


def merge(first: Node, second: Node, path: str, faults: Faults) -> Node:
    """Maps merge, lists append; a value that both give is a fault, except the version."""
    merged = dict(first.map)
    for name, node in second.map.items():
        before = merged.get(name)
        key = f"{path}.{name}" if path else name
        if before is None or before.value is None:
            merged[name] = node
        elif isinstance(before.value, dict) and isinstance(node.value, dict):
            merged[name] = merge(before, node, key, faults)
        elif isinstance(before.value, list) and isinstance(node.value, list):
            merged[name] = Node(before.list + node.list, before.place, key=before.key)
        elif node.value is not None and (key != "version" or node.value != before.value):
            faults.add(node.key, key, f"stands also at {before.key}", "keep one of them")
    return Node(merged, first.place if first.value else second.place, key=first.key)


def _renamed(root: Node, faults: Faults) -> Node:
    """The tree with the older names of keys moved to where they belong."""
    entries = dict(root.map)
    old = entries.pop("digital_twin", None)
    moved = Node(entries, root.place)
    if old is not None:
        moved = _digital_twin(moved, old, faults)
    sync = moved.map.get("sync")
    length = sync.map.get("default_history_length") if sync else None
    if sync is None or length is None:
        return moved
    rest = Node({name: node for name, node in sync.map.items() if name != "default_history_length"}, sync.place, key=sync.key)
    other = Node({"history_length": length}, length.place)
    return Node({**moved.map, "sync": merge(rest, other, "sync", faults)}, moved.place)


def _digital_twin(root: Node, old: Node, faults: Faults) -> Node:
    if not isinstance(old.value, dict):
        faults.add(old.place, "digital_twin", f"should be a map of keys, not {old.shape}")
        return root
    for name, node in old.map.items():
        if name in _ALIASES:
            section, key = _ALIASES[name]
            given = Node(node.text.lower(), node.place, node.text.lower(), node.origin, node.key) if key == "level" else node
            inner = Node({key: given}, node.place, key=node.key)
            root = merge(root, Node({section: inner}, node.place), "", faults)
        elif name in {"simulation_steps", "data_sources"}:
            faults.add(node.key, f"digital_twin.{name}", "is not available in this version", "remove it")
        else:
            faults.add(node.key, f"digital_twin.{name}", "is not a known key", faults.nearest(name, _ALIASES))
    return root
