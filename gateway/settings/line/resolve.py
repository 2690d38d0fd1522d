"""One run of the tree as one map: its references followed, defaults below, overrides on top, every value with its own place.

The map is what config_snapshot.yaml holds, so that a bundle is read as the tree is.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.settings.document import parse
from gateway.settings.faults import Faults, Place, quote
from gateway.settings.line.constants import lacking
from gateway.settings.line.tree import KINDS, Tree
from gateway.settings.node import BROKEN, Node

BEHAVIOR: Final = "default_6phase"
"""Of a scenario that names none, where the tree has it."""
_INDEX: Final = re.compile(r"\[?(\d+)\]?")
_EVERY: Final = "*"
_ROOTS: Final = ("run", "topology", "source", "behavior", "product", "products")
"""Sections that a path may begin with, beside the names of machines."""


def resolve(tree: Tree, run: str, scenario: str | None = None, sets: Sequence[str] = ()) -> Node:
    """The map of a run: a section for each file, `products` of its lots, `equipment` by machine. The tree's faults list what is wrong.

    scenario: another one than the run names. sets: `path=value`, as overrides of a scenario, on top of them.
    """
    return _Resolution(tree).root(run, scenario, sets)


def over(base: Node, top: Node, place: Place | None = None) -> Node:
    """Maps merge, anything else of top wins; null takes a key away. place: where the merged map stands, top's without."""
    if not isinstance(base.value, dict) or not isinstance(top.value, dict):
        return top
    merged = dict(base.map)
    for name, node in top.map.items():
        if node.value is None and name in merged:
            del merged[name]
        else:
            merged[name] = over(merged[name], node) if name in merged else node
    return Node(merged, place or top.place, key=top.key)


class _Resolution:
    def __init__(self, tree: Tree) -> None:
        self.tree, self.faults = tree, tree.faults
        self._start = Place(str(tree.folder / "runs"), 1, 1)
        self._empty = Node({}, self._start)

    def root(self, name: str, scenario: str | None, sets: Sequence[str]) -> Node:
        """All sections; a missing one is left out, with its fault listed."""
        run = self._section("runs", name, self._start, "")
        if run is None:
            return self._empty
        sections = {"run": normal("run", run, self.faults)}
        given = run.map.get("scenario")
        if scenario is not None:
            given = Node(scenario, Place("--scenario", 1, 1), scenario)
            sections["run"] = over(sections["run"], Node({"scenario": given}, run.place))
        chosen = self._named("scenarios", given, run, "run.scenario", required=True)
        if chosen is not None:
            self._scenario(self._based(chosen, ()), sections)
        product = self._named("products", sections["run"].map.get("product"), run, "run.product", required=True)
        if product is not None:
            sections["product"] = product
        sections["products"] = self._others(sections.get("source", self._empty), product or self._empty)
        root = Node(sections, run.place)
        overrides = None if chosen is None else sections["scenario"].map.pop("overrides", None)
        root = self._overridden(root, overrides)
        for text in sets:
            root = self._set(root, text)
        return root

    # --- references -------------------------------------------------------------------------------------------------------------------

    def _section(self, kind: str, name: str, place: Place, key: str) -> Node | None:
        """A file's map over the defaults of its kind."""
        entry = self.tree.find(kind, name, place, key)
        if entry is None or entry.node is None:
            return None
        node = entry.node
        return self._defaulted(kind, Node({"name": Node(entry.name, node.place, entry.name), **node.map}, node.place, key=node.key))

    def _defaulted(self, kind: str, node: Node) -> Node:
        """A map over the defaults of its kind."""
        own = normal(KINDS[kind], node, self.faults)
        defaults = self.tree.defaults.get(KINDS[kind])
        return own if defaults is None else over(normal(KINDS[kind], defaults, self.faults), own)

    def _named(self, kind: str, node: Node | None, where: Node, key: str, *, required: bool = False) -> Node | None:
        """The section that a key names."""
        if node is None or node.value is None:
            if required:
                hint = self.faults.nearest("", [entry.name for entry in self.tree.entries(kind)])
                self.faults.add(where.place, key, "is missing", hint)
            return None
        if isinstance(node.value, dict):
            return self._defaulted(kind, node)  # written out where it is used
        name = self._word(node, key)
        return None if name is None else self._section(kind, name, node.place, key)

    def _others(self, source: Node, product: Node) -> Node:
        """The products of the source's lots, without the run's own."""
        found = dict[str, Node]()
        lots = source.map.get("lots", self._empty).list
        for number, node in enumerate(one.map["product"] for one in lots if "product" in one.map):
            own = product.map.get("name")
            if own is not None and own.text == node.text:
                continue
            other = self._named("products", node, node, f"source.lots[{number}].product")
            if other is not None:
                found[node.text] = other
        return Node(found, source.place)

    def _word(self, node: Node, key: str) -> str | None:
        if node.value is BROKEN:
            return None
        if isinstance(node.value, dict | list | bool) or not node.text:
            self.faults.add(node.place, key, f"should be a name, not {quote(node.text) if node.text else node.shape}")
            return None
        return node.text

    def _based(self, scenario: Node, way: tuple[str, ...]) -> Node:
        """A scenario over the one that it is based on."""
        base = scenario.map.get("base")
        own = Node({key: node for key, node in scenario.map.items() if key != "base"}, scenario.place, key=scenario.key)
        if base is None or base.value is None:
            return own
        name = self._word(base, "scenario.base")
        way = (*way, scenario.map["name"].text)
        if name in way:
            path = " -> ".join((*way[way.index(name) :], name))
            self.faults.add(base.place, "scenario.base", f"the scenarios are based on each other: {path}", "remove one of these lines")
            return own
        below = None if name is None else self._section("scenarios", name, base.place, "scenario.base")
        if below is None:
            return own
        below = self._based(below, way)
        both = [node for part in (below, own) for node in (part.map.get("overrides"),) if node is not None]
        merged = over(below, own)
        if both:
            listed = Node([one for node in both for one in (node.list or [node])], both[-1].place, key=both[-1].key)
            merged.map["overrides"] = listed
        return merged

    def _scenario(self, scenario: Node, sections: dict[str, Node]) -> None:
        """The scenario with what it names."""
        sections["scenario"] = scenario
        topology = self._named("topologies", scenario.map.get("topology"), scenario, "scenario.topology", required=True)
        behavior = scenario.map.get("behavior")
        if behavior is None and BEHAVIOR in {entry.name for entry in self.tree.entries("behaviors")}:
            behavior = Node(BEHAVIOR, scenario.place, BEHAVIOR)
        found = self._named("behaviors", behavior, scenario, "scenario.behavior")
        if found is not None:
            sections["behavior"] = found
        if topology is None:
            return
        sections["topology"] = topology
        source = self._named("sources", scenario.map.get("source") or topology.map.get("source"), topology, "topology.source")
        if source is not None:
            sections["source"] = source
        sections["equipment"] = self._equipment(scenario, topology)

    # --- equipment --------------------------------------------------------------------------------------------------------------------

    def _equipment(self, scenario: Node, topology: Node) -> Node:
        """The equipment of each machine: as the scenario says, else as the topology does, else that of the machine's own name."""
        machines = machine_nodes(topology)
        chosen = self._chosen(scenario.map.get("equipment"), list(machines))
        found = {}
        for name, machine in machines.items():
            section = self._machine(name, machine, chosen.get(name))
            if section is not None:
                found[name] = section
        return Node(found, topology.place)

    def _machine(self, name: str, machine: Node, chosen: Node | None) -> Node | None:
        """The equipment with the keys of the machine's own place in the topology over it, which may be all that there is of it."""
        given = chosen or machine.map.get("equipment_ref") or machine.map.get("equipment")
        own = {key: node for key, node in machine.map.items() if key not in {"name", "equipment", "equipment_ref"}}
        whole = given is None and not {"uph", "cycle_time_sec"}.isdisjoint(own)
        if whole and name not in {entry.name for entry in self.tree.entries("equipment")}:
            section = self._defaulted("equipment", Node({"name": Node(name, machine.place, name)}, machine.place))
        else:
            found = self._named("equipment", given or machine.map.get("name") or machine, machine, f"equipment.{name}")
            if found is None:
                return None
            section = found
        return over(section, Node(own, machine.place, key=machine.key), section.place) if own else section

    def _chosen(self, given: Node | None, machines: list[str]) -> dict[str, Node]:
        """What a scenario's `equipment` says: a map machine -> equipment, or a list, those of a machine's own name first, then in order."""
        if given is None or given.value is None or given.value is BROKEN:
            return {}
        if isinstance(given.value, dict):
            for name, node in given.map.items():
                if name not in machines:
                    why = f"the topology has no machine {quote(name)}"
                    self.faults.add(node.key, f"scenario.equipment.{name}", why, self.faults.nearest(name, machines))
            return {name: node for name, node in given.map.items() if name in machines}
        if not isinstance(given.value, list):
            self.faults.add(given.place, "scenario.equipment", f"should be a list or a map, not {given.shape}")
            return {}
        chosen = {node.text: node for node in given.list if node.text in machines}
        free = [name for name in machines if name not in chosen]
        for number, node in enumerate(given.list):
            if chosen.get(node.text) is node:
                continue
            key = f"scenario.equipment[{number}]"
            if node.text in chosen:
                self.faults.add(node.place, key, f"{quote(node.text)} stands twice", "remove one of them")
            elif len(given.list) == len(machines) and free:
                chosen[free.pop(0)] = node
            else:
                hint = self.faults.nearest(node.text, machines)
                self.faults.add(node.place, key, f"the topology has no machine {quote(node.text)}", hint)
        return chosen

    # --- overrides --------------------------------------------------------------------------------------------------------------------

    def _overridden(self, root: Node, given: Node | None) -> Node:
        """The map with a scenario's overrides: nested maps, or paths with dots."""
        for node in [] if given is None or given.value is None else (given.list or [given]):
            if not isinstance(node.value, dict):
                self.faults.add(node.place, "scenario.overrides", f"should be a map of paths, not {node.shape}", "write Filler.uph: 4500")
            for path, value in node.map.items():
                root = self._put(root, path, value, f"scenario.overrides.{path}")
        return root

    def _set(self, root: Node, text: str) -> Node:
        """The map with one `path=value` of a command line."""
        path, equals, value = text.partition("=")
        place = Place(f"--set {path}", 1, 1)
        if not equals or not path:
            self.faults.add(place, "", "is no override", "write --set Filler.buffer_capacity=500")
            return root
        node = parse(value or "null", place.file, self.tree.constants, self.faults, lacking(self.tree.constants), typed=True)
        return root if node is None else self._put(root, path, node, path)

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
        elif first in _ROOTS:
            ways = [[first, *rest]]
        else:
            machines = machine_nodes(root.map.get("topology", self._empty))
            if machines and first not in machines:  # else it is listed why there are none, or what is wrong with that one
                hint = self.faults.nearest(first, [*machines, *_ROOTS])
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
        names = [_element_name(one) for one in node.list]
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


def _element_name(node: Node) -> str:
    name = node.map.get("name")
    return node.text if name is None else name.text


def machine_nodes(topology: Node) -> dict[str, Node]:
    """The machines of a topology by name, in its order: of `nodes` (a graph), else of `stations`. Its reader says what is wrong there."""
    listed = topology.map.get("nodes") or topology.map.get("stations")
    found = dict[str, Node]()
    for node in listed.list if listed is not None else []:
        name = _element_name(node)
        if name and not name.startswith("_") and not isinstance(node.value, list):
            found.setdefault(name, node)
    return found


# --- older and shorter names of keys --------------------------------------------------------------------------------------------------


def _hours(node: Node) -> object:
    return node.value * 3600.0 if isinstance(node.value, int | float) and not isinstance(node.value, bool) else node.value


def _same(node: Node) -> object:
    return node.value


_ALIASES: Final[Mapping[str, Mapping[str, tuple[str, Callable[[Node], object]]]]] = {
    "run": {
        "duration_hours": ("duration", _hours),
        "random_seed": ("seed", _same),
        "telemetry_interval_sec": ("telemetry_interval", _same),
    },
    "topology": {"machines": ("stations", _same)},
    "source": {"initial_inventory": ("quantity", _same)},
}
"""Section -> other name of a key -> its name, and its value by that name."""


def normal(section: str, node: Node, faults: Faults) -> Node:
    """The section with each key by its own name; one that stands by two names is a fault."""
    aliases = _ALIASES.get(section)
    if not aliases or not isinstance(node.value, dict):
        return node
    entries = dict[str, Node]()
    for name, one in node.map.items():
        own, convert = aliases.get(name, (name, _same))
        if own in entries:
            faults.add(
                one.key, f"{section}.{name}", f"says the same as {own}", f"keep one of them (the other stands at {entries[own].key})"
            )
        entries[own] = one if own == name else Node(convert(one), one.place, one.text, one.origin, one.key)
    return Node(entries, node.place, key=node.key)
