"""Reading the keys of one map: each getter gives the value or its default, and lists what is wrong."""

import math
from collections.abc import Collection
from typing import Final

from gateway.model.duration import seconds
from gateway.settings.faults import Faults, Place, quote
from gateway.settings.node import BROKEN, Node

LATER: Final = frozenset({"maintenance", "lca", "insight"})
"""Sections that the documentation names and this version does not have."""
_YEARS_10: Final = 10 * 365 * 86_400
_NONE: Final[frozenset[str]] = frozenset()


class Fields:
    """The entries of one map, by name. path is its key in messages."""

    __slots__ = ("faults", "map", "node", "path")

    def __init__(self, node: Node, path: str, faults: Faults) -> None:
        self.node, self.path, self.faults = node, path, faults
        self.map = node.map
        if not isinstance(node.value, dict) and node.value is not None and node.value is not BROKEN:
            faults.add(node.place, path, f"should be a map of keys, not {node.shape}")

    def allow(self, known: Collection[str], later: Collection[str] = _NONE) -> None:
        """Lists each key that is neither known nor a word of a later version."""
        for name, node in self.map.items():
            if name in known:
                continue
            if name in later:
                self.faults.add(node.key, self.key(name), "is not available in this version", "remove it")
            elif " " in name and node.value is None:
                self.faults.add(node.key, self.key(name), "is not a known key", "a text with a comma or a colon needs quotes")
            else:
                self.faults.add(node.key, self.key(name), "is not a known key", self.faults.nearest(name, known))

    def key(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def place(self, name: str) -> Place:
        """Where a key's value stands, or the map itself where it is missing."""
        node = self.map.get(name)
        return self.node.place if node is None else node.place

    def fault(self, name: str, why: str, hint: str = "") -> None:
        self.faults.add(self.place(name), self.key(name), why, hint)

    def warn(self, name: str, why: str, hint: str = "") -> None:
        self.faults.warn(self.place(name), self.key(name), why, hint)

    def get(self, name: str) -> Node | None:
        """The node of a key; None where it is missing, empty or already faulted."""
        node = self.map.get(name)
        return None if node is None or node.value is None or node.value is BROKEN else node

    def require(self, name: str, hint: str = "") -> None:
        """Lists a key that is missing."""
        node = self.map.get(name)
        if (self.node.value is None or self.map or self.node.value == {}) and (node is None or node.value is None):
            self.fault(name, "is missing", hint)

    def text(self, name: str, default: str = "", longest: int = 4096) -> str:
        node = self.get(name)
        if node is None:
            return default
        if isinstance(node.value, dict | list):
            self.fault(name, f"should be a text, not {node.shape}", "a text that begins with [ or { needs quotes")
            return default
        if len(node.text) > longest:
            self.fault(name, f"is longer than {longest} characters")
            return default
        return node.text

    def word(self, name: str, known: Collection[str], default: str) -> str:
        """One of a few known words."""
        text = self.text(name, default)
        if text not in known:
            self.fault(name, f"{quote(text)} is not one of its words", self.faults.nearest(text, known))
            return default
        return text

    def flag(self, name: str, default: bool = False) -> bool:
        node = self.get(name)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self.fault(name, f"should be true or false, not {quote(node.text) if node.text else node.shape}")
            return default
        return node.value

    def number(self, name: str) -> float | None:
        node = self.get(name)
        return None if node is None else self.number_of(node, self.key(name))

    def number_of(self, node: Node, key: str) -> float | None:
        """The finite number of a node."""
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if value is not BROKEN:
            self.faults.add(node.place, key, f"should be a number, not {quote(node.text) if node.text else node.shape}")
        return None

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        node = self.get(name)
        if node is None:
            return default
        value = node.value
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fault(name, f"should be a whole number from {low} to {high}, not {quote(node.text) if node.text else node.shape}")
            return default
        return value

    def duration_ns(self, name: str, default: int | None) -> int | None:
        """A duration in nanoseconds, at most ten years."""
        node = self.get(name)
        if node is None:
            return default
        try:
            length = seconds(node.value if isinstance(node.value, int | float) else node.text or node.value)
        except ValueError as error:
            self.fault(
                name, str(error) if node.text else f"should be a duration, not {node.shape}", "" if node.text else "write 500ms, 10s, 5min"
            )
            return default
        if length > _YEARS_10:
            self.fault(name, f"{quote(node.text)} is more than ten years")
            return default
        return round(length * 1e9)

    def rate_of(self, node: Node, key: str) -> float | None:
        """A rate above 0 per second, from `1/min`, `0.5/s` or a number per second."""
        change, slash, per = node.text.partition("/")
        try:
            number, period = float(change), seconds(f"1{per.strip()}") if slash else 1.0
        except ValueError:
            number, period = 0.0, 1.0
        if not 0 < number < math.inf or isinstance(node.value, dict | list | bool):
            self.faults.add(node.place, key, f"{quote(node.text)} is not a rate", "write 1/min, 0.5/s or a number per second")
            return None
        return number / period


def elements(section: Node, key: str, faults: Faults) -> list[Node]:
    """The elements of a section that is a list."""
    if not isinstance(section.value, list) and section.value is not None and section.value is not BROKEN:
        faults.add(section.place, key, f"should be a list, not {section.shape}", "each element begins with a dash")
    return section.list
