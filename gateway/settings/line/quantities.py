"""Times, shares, money and distributions of one map: each getter gives the value or its default, and lists what is wrong."""

import math
from contextlib import suppress
from typing import Final

from gateway.model.duration import seconds
from gateway.model.line import PARAMETERS, Distribution, Kind, constant, exponential
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import Fields
from gateway.settings.node import BROKEN, Node

LONGEST_S: Final = 10 * 365 * 86_400.0
MOST: Final = 1_000_000_000
_TIMES: Final = frozenset({"value", "mean", "min", "max", "mode", "median", "scale", "step", "sd"})
"""Numbers of a distribution that are times; of the others shape, sigma, stages and probability have no unit."""


class Quantities(Fields):
    """The entries of one map of the line's tree."""

    __slots__ = ()

    def inner(self, name: str) -> "Quantities":
        """A map in this one; empty where it is missing."""
        return Quantities(self.get(name) or Node(None, self.place(name)), self.key(name), self.faults)

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def count(self, name: str, default: int, low: int = 1) -> int:
        return self.integer(name, low, MOST, default)

    def share(self, name: str, default: float) -> float:
        """A probability."""
        return self._bounded(name, default, 0.0, 1.0, "a share lies between 0 and 1")

    def money(self, name: str) -> float:
        """Not negative."""
        return self._bounded(name, 0.0, 0.0, math.inf, "is not negative")

    def positive(self, name: str, default: float) -> float:
        """A number greater than 0."""
        found = self._bounded(name, default, 0.0, math.inf, "must be greater than 0")
        if found == 0.0:
            self.fault(name, f"{quote(self.map[name].text)} is out of bounds: must be greater than 0")
            return default
        return found

    def _bounded(self, name: str, default: float, low: float, high: float, rule: str) -> float:
        found = self.number(name)
        if found is None:
            return default
        if not low <= found <= high:
            self.fault(name, f"{quote(self.map[name].text)} is out of bounds: {rule}")
            return default
        return found

    def time(self, name: str, default: float) -> float:
        """Seconds, from a number of them or 500ms, 10s, 5min, 8h."""
        node = self.get(name)
        found = None if node is None else self.time_of(node, self.key(name))
        return default if found is None else found

    def longer(self, name: str, default: float) -> float:
        """A time that is longer than nothing."""
        found = self.time(name, default)
        if found == 0.0 and self.has(name):
            self.fault(name, "must be longer than nothing", "write 5min, 8h")
            return default
        return found

    def time_of(self, node: Node, key: str) -> float | None:
        """Seconds of a node; None with the fault listed."""
        value, shown = node.value, quote(node.text) if node.text else node.shape
        if value is BROKEN:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        found = -1.0
        if number and not math.isfinite(value):  # type: ignore[arg-type]  # a number
            why, hint = f"{shown} is not finite", ""
        elif node.text.strip().startswith("-") and (number or isinstance(value, str)):
            why, hint = f"{shown} is out of bounds: a time is not negative", ""
        else:
            why, hint = f"{shown} is not a time", "a number of seconds, or 500ms, 10s, 5min, 8h"
            with suppress(ValueError):
                found = seconds(value)
            if found > LONGEST_S:
                why, hint = f"{shown} is longer than ten years", ""
        if 0 <= found <= LONGEST_S:
            return found
        self.faults.add(node.place, key, why, hint)
        return None

    def distribution(self, name: str, *, mean: bool = False) -> Distribution | None:
        """Of a time: `{kind: weibull, shape: 2, scale: 900}`, `{weibull: {shape: 2, scale: 900}}`, or a plain time.

        A plain time is always that long; with mean it is the mean of an exponential distribution. None where it is missing or wrong.
        """
        node = self.get(name)
        if node is None:
            return None
        if isinstance(node.value, dict):
            return _spread(node, self.key(name), self.faults)
        found = self.time_of(node, self.key(name))
        if found is None:
            return None
        if mean and found == 0.0:
            self.fault(name, "must be longer than nothing")
            return None
        return exponential(found) if mean else constant(found)


def _spread(node: Node, key: str, faults: Faults) -> Distribution | None:
    """A distribution that is written out."""
    entries = dict(node.map)
    kind_node = entries.pop("kind", None)
    if kind_node is None and len(entries) == 1 and next(iter(entries)) in PARAMETERS:
        (kind, inner), *_ = entries.items()
        listed = kind == "empirical" and isinstance(inner.value, list)
        place, fields = inner.key, Quantities(Node({"values": inner}, inner.place) if listed else inner, f"{key}.{kind}", faults)
    else:
        kind = "" if kind_node is None else kind_node.text
        place, fields = node.place if kind_node is None else kind_node.place, Quantities(Node(entries, node.place), key, faults)
    if kind not in PARAMETERS:
        why = "names no distribution" if kind_node is None else f"there is no distribution {quote(kind)}"
        faults.add(place, key, why, faults.nearest(kind, PARAMETERS) or f"known: {', '.join(PARAMETERS)}")
        return None
    return _made(kind, fields, node, key)  # type: ignore[arg-type]  # one of PARAMETERS


def _made(kind: Kind, fields: Quantities, node: Node, key: str) -> Distribution | None:
    names = PARAMETERS[kind] if kind != "empirical" else ("values", "weights")
    before = len(fields.faults.found)
    fields.allow(names)
    for name in names:
        if name != "weights":
            fields.require(name, f"{kind} has {', '.join(names)}")
    if kind == "empirical":
        values, weights = _numbers(fields, "values", times=True), _numbers(fields, "weights", times=False)
        parameters = dict[str, float]()
    else:
        found = {name: fields.time(name, math.nan) if name in _TIMES else fields.number(name) for name in names}
        parameters = {name: math.nan if one is None else one for name, one in found.items()}
    if len(fields.faults.found) > before or any(math.isnan(one) for one in parameters.values()):
        return None
    try:
        return Distribution(kind, values=values, weights=weights) if kind == "empirical" else Distribution.of(kind, **parameters)
    except ValueError as error:
        fields.faults.add(node.place, key, str(error))
        return None


def _numbers(fields: Quantities, name: str, *, times: bool) -> tuple[float, ...]:
    node = fields.get(name)
    if node is None:
        return ()
    if not isinstance(node.value, list):
        fields.fault(name, f"should be a list of numbers, not {node.shape}")
        return ()
    read = fields.time_of if times else fields.number_of
    found = [read(one, f"{fields.key(name)}[{n}]") for n, one in enumerate(node.list)]
    return tuple(one for one in found if one is not None)
