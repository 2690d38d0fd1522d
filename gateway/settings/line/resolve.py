"""One run of the tree as one map: its references followed, defaults below, overrides on top, every value with its own place."""

from collections.abc import Sequence
from typing import Final

from gateway.settings.faults import Place, quote
from gateway.settings.line.maps import machine_nodes, normal, over
from gateway.settings.line.overrides import Overrides
from gateway.settings.line.tree import KINDS, Tree
from gateway.settings.node import BROKEN, Node

BEHAVIOR: Final = "default_6phase"
"""Of a scenario that names none, where the tree has it."""


def resolve(tree: Tree, run: str, scenario: str | None = None, sets: Sequence[str] = ()) -> Node:
    """The map of a run: a section for each file, `products` of its lots, `equipment` by machine. The tree's faults list what is wrong.

    scenario: another one than the run names. sets: `path=value`, as overrides of a scenario, on top of them.
    """
    return _Resolution(tree).root(run, scenario, sets)


class _Resolution:
    def __init__(self, tree: Tree) -> None:
        self.tree, self.faults = tree, tree.faults
        self._start = Place(str(tree.folder / "runs"), 1, 1)
        self._empty = Node({}, self._start)

    def root(self, name: str, scenario: str | None, sets: Sequence[str]) -> Node:
        """All sections; a missing one is left out, with its fault listed. What a path changes in a run or a topology is followed too."""
        run = self._section("runs", name, self._start, "")
        if run is None:
            return self._empty
        if scenario is not None:
            run = over(run, Node({"scenario": Node(scenario, Place("--scenario", 1, 1), scenario)}, run.place))
        overrides = Overrides(self.tree.constants, self.faults)
        chosen = self._scenario(run)
        if chosen is not None:
            overrides.add(chosen.map.pop("overrides", None))
        overrides.add_sets(sets)
        root = overrides.apply(Node({"run": run}, run.place), "run")
        self._unchanged(run, root.map["run"])
        if chosen is not None:
            root = self._standing(Node({**root.map, "scenario": chosen}, root.place), overrides)
        root = self._with(root, "product", "products", root.map["run"].map.get("product"), run, "run.product", required=True)
        root = overrides.apply_rest(root, ("run", "topology"))
        others = self._others(root.map.get("source", self._empty), root.map.get("product", self._empty))
        return Node({**root.map, "products": others}, root.place)

    def _unchanged(self, run: Node, changed: Node) -> None:
        given = changed.map.get("scenario")
        if given is not None and given is not run.map.get("scenario"):
            self.faults.add(given.place, "run.scenario", "cannot be overridden", "--scenario NAME takes another one")

    def _standing(self, root: Node, overrides: Overrides) -> Node:
        """With what a scenario names: behavior, topology, its source, and the equipment of its machines."""
        scenario = root.map["scenario"]
        behavior = scenario.map.get("behavior")
        if behavior is None and BEHAVIOR in {entry.name for entry in self.tree.entries("behaviors")}:
            behavior = Node(BEHAVIOR, scenario.place, BEHAVIOR)
        root = self._with(root, "behavior", "behaviors", behavior, scenario, "scenario.behavior")
        root = self._with(root, "topology", "topologies", scenario.map.get("topology"), scenario, "scenario.topology", required=True)
        if "topology" not in root.map:
            return root
        root = overrides.apply(root, "topology")
        topology = root.map["topology"]
        source = scenario.map.get("source") or topology.map.get("source")
        root = self._with(root, "source", "sources", source, topology, "topology.source")
        return Node({**root.map, "equipment": self._equipment(scenario, topology)}, root.place)

    # --- references -------------------------------------------------------------------------------------------------------------------

    def _with(self, root: Node, section: str, kind: str, node: Node | None, where: Node, key: str, *, required: bool = False) -> Node:
        """The map with the section that a key names."""
        found = self._named(kind, node, where, key, required=required)
        return root if found is None else Node({**root.map, section: found}, root.place)

    def _named(self, kind: str, node: Node | None, where: Node, key: str, *, required: bool = False) -> Node | None:
        """What a key names, over the defaults of its kind."""
        found = self._plain(kind, node, where, key, required=required)
        return None if found is None else self._defaulted(kind, found)

    def _plain(self, kind: str, node: Node | None, where: Node, key: str, *, required: bool = False) -> Node | None:
        """What a key names: a file by its name, or a map that is written out there."""
        if node is None or node.value is None:
            if required:
                hint = self.faults.nearest("", [entry.name for entry in self.tree.entries(kind)])
                self.faults.add(where.place, key, "is missing", hint)
            return None
        if isinstance(node.value, dict):
            return node
        name = self._word(node, key)
        return None if name is None else self._file(kind, name, node.place, key)

    def _section(self, kind: str, name: str, place: Place, key: str) -> Node | None:
        """A file's map over the defaults of its kind."""
        found = self._file(kind, name, place, key)
        return None if found is None else self._defaulted(kind, found)

    def _file(self, kind: str, name: str, place: Place, key: str) -> Node | None:
        entry = self.tree.find(kind, name, place, key)
        if entry is None or entry.node is None:
            return None
        return Node({"name": Node(entry.name, entry.node.place, entry.name), **entry.node.map}, entry.node.place, key=entry.node.key)

    def _defaulted(self, kind: str, node: Node) -> Node:
        """A map over the defaults of its kind."""
        own = normal(KINDS[kind], node, self.faults)
        defaults = self.tree.defaults.get(KINDS[kind])
        return own if defaults is None else over(normal(KINDS[kind], defaults, self.faults), own)

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

    def _scenario(self, run: Node) -> Node | None:
        """The run's scenario over those that it is based on."""
        found = self._plain("scenarios", run.map.get("scenario"), run, "run.scenario", required=True)
        return None if found is None else self._defaulted("scenarios", self._based(found, ()))

    def _based(self, scenario: Node, way: tuple[str, ...]) -> Node:
        """A scenario over the one that it is based on; their overrides one after the other."""
        base, name = scenario.map.get("base"), scenario.map.get("name")
        own = Node({key: node for key, node in scenario.map.items() if key != "base"}, scenario.place, key=scenario.key)
        if base is None or base.value is None:
            return own
        way = (*way, "" if name is None else name.text)
        if base.text in way:
            path = " -> ".join((*way[way.index(base.text) :], base.text))
            self.faults.add(base.place, "scenario.base", f"the scenarios are based on each other: {path}", "remove one of these lines")
            return own
        below = self._plain("scenarios", base, base, "scenario.base")
        if below is None:
            return own
        below = self._based(below, way)
        both = [node for part in (below, own) for node in (part.map.get("overrides"),) if node is not None]
        merged = over(below, own)
        if both:
            merged.map["overrides"] = Node([one for node in both for one in (node.list or [node])], both[-1].place, key=both[-1].key)
        return merged

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
