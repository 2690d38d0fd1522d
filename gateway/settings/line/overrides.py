"""Overrides: values that a scenario or a command line puts at a path, over what the files say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.settings.document import parse
from gateway.settings.faults import Faults, Place, quote
from gateway.settings.line.constants import lacking
from gateway.settings.line.maps import element_name, machine_nodes, normal, over
from gateway.settings.node import Node

ROOTS: Final = ("run", "topology", "source", "behavior", "product")
"""Sections that a path may begin with, beside the names of machines."""
_INDEX: Final = re.compile(r"\[?(\d+)\]?")
_EVERY: Final = "*"


@dataclass(frozen=True, slots=True)
class Change:
    """A value at a path. key: what messages call it."""

    path: str
    value: Node
    key: str

    @property
    def first(self) -> str:
        return self.path.partition(".")[0]


class Overrides:
    """Changes in the order in which they are given: a later one wins."""

    def __init__(self, constants: Mapping[str, str], faults: Faults) -> None:
        self.changes: list[Change] = []
        self._constants, self.faults = constants, faults
        self._empty = Node({}, Place("", 1, 1))

    def add(self, given: Node | None) -> None:
        """Of a scenario: a map of nested keys, or of paths; or several of them."""
        for node in [] if given is None or given.value is None else (given.list or [given]):
            if not isinstance(node.value, dict):
                self.faults.add(node.place, "scenario.overrides", f"should be a map of paths, not {node.shape}", "write Filler.uph: 4500")
            self.changes += [Change(path, value, f"scenario.overrides.{path}") for path, value in node.map.items()]

    def add_sets(self, sets: Sequence[str]) -> None:
        """`path=value` of a command line."""
        for text in sets:
            path, equals, value = text.partition("=")
            place = Place(f"--set {path}", 1, 1)
            if not equals or not path:
                self.faults.add(place, "", "is no override", "write --set Filler.buffer_capacity=500")
                continue
            node = parse(value or "null", place.file, self._constants, self.faults, lacking(self._constants), typed=True)
            if node is not None:
                self.changes.append(Change(path, node, path))

    def apply(self, root: Node, section: str) -> Node:
        """The map with the changes of one section."""
        for change in self.changes:
            if change.first == section:
                root = self._put(root, change.path, change.value, change.key)
        return root

    def apply_rest(self, root: Node, done: Sequence[str]) -> Node:
        """The map with the changes of all other sections and of the machines."""
        for change in self.changes:
            if change.first not in done:
                root = self._put(root, change.path, change.value, change.key)
        return root

    def _put(self, root: Node, path: str, value: Node, key: str) -> Node:
        """The map with a value at a path: a machine's name, `*` for all machines, or a section comes first."""
        first, *rest = path.split(".")
        equipment = root.map.get("equipment", self._empty).map
        if first == "equipment" and rest:
            first, *rest = rest
        if first == _EVERY:
            ways = [["equipment", name, *rest] for name in equipment]
        elif machine := _machine(first, equipment):
            ways = [["equipment", machine, *rest]]
        elif first in ROOTS:
            ways = [[first, *rest]]
        else:
            machines = machine_nodes(root.map.get("topology", self._empty))
            if machines and first not in machines:  # else it is listed why there are none, or what is wrong with that one
                hint = self.faults.nearest(first, [*machines, *ROOTS])
                self.faults.add(value.key, key, f"there is no machine or section {quote(first)}", hint)
            return root
        for way in ways:
            root = self._patched(root, way, value, key)
        return root

    def _patched(self, root: Node, way: list[str], value: Node, key: str) -> Node:
        """The map with a value in one of its sections."""
        inside = 2 if way[0] == "equipment" else 1
        own, rest = root, way[inside:]
        for name in way[:inside]:
            own = own.map.get(name, self._empty)
        if not rest:
            patched = over(own, normal(way[0], value, self.faults), own.place)
        elif len(rest) == 1:
            patched = over(own, normal(way[0], Node({rest[0]: value}, value.place, key=own.key), self.faults), own.place)
        else:
            patched = self._into(own, rest, value, key)
        if inside == 1:
            return Node({**root.map, way[0]: patched}, root.place)
        machines = root.map["equipment"]
        return Node({**root.map, "equipment": Node({**machines.map, way[1]: patched}, machines.place)}, root.place)

    def _into(self, node: Node, way: list[str], value: Node, key: str) -> Node:
        """The node with a value at the end of the way; what is not there yet becomes a map."""
        if not way:
            return over(node, value)
        first, *rest = way
        if isinstance(node.value, dict) or node.value is None:
            below = node.map.get(first, Node(None, value.place, key=value.key))
            return Node({**node.map, first: self._into(below, rest, value, key)}, node.place, key=node.key)
        if not isinstance(node.value, list):
            self.faults.add(value.key, key, f"{quote(first)} is not a key here: this is {node.shape}", "check the path")
            return node
        names = [element_name(one) for one in node.list]
        match = _INDEX.fullmatch(first)
        at = names.index(first) if first in names else int(match[1]) if match else -1
        if not 0 <= at < len(names):
            hint = self.faults.nearest(first, [name for name in names if name]) if any(names) else f"0 to {len(names) - 1}"
            self.faults.add(value.key, key, f"there is no element {quote(first)}", hint)
            return node
        inner = self._into(node.list[at], rest, value, key)
        return Node([*node.list[:at], inner, *node.list[at + 1 :]], node.place, key=node.key)


def _machine(word: str, equipment: Mapping[str, Node]) -> str:
    """The machine of that name, or of that equipment; empty where there is none."""
    if word in equipment:
        return word
    named = [name for name, node in equipment.items() if (own := node.map.get("name")) is not None and own.text == word]
    return named[0] if len(named) == 1 else ""
