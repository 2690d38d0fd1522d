"""Maps of the line's tree: one over another, the names of their keys, the machines of a topology."""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.settings.faults import Faults, Place
from gateway.settings.node import Node


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


def element_name(node: Node) -> str:
    """Of an element of a list: its key `name`, else the element itself."""
    name = node.map.get("name")
    return node.text if name is None else name.text


def machine_nodes(topology: Node) -> dict[str, Node]:
    """The machines of a topology by name, in its order: of `nodes` (a graph), else of `stations`. Its reader says what is wrong there."""
    listed = topology.map.get("nodes") or topology.map.get("stations")
    found = dict[str, Node]()
    for node in listed.list if listed is not None else []:
        name = element_name(node)
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
