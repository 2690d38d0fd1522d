"""The ways on from a machine: which edges accept a part, and which of them it takes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.model.expression import Expression, parse
from gateway.model.line import CONDITIONS, Edge, Routing
from gateway.simulation.line.flow import Buffer, Part, Target

Send = Callable[[Part], bool]


@dataclass(frozen=True, slots=True)
class Way:
    """One edge: where it leads, and whom it accepts (nothing: every part that was not found defective)."""

    edge: Edge
    target: Target
    condition: Expression | None

    def accepts(self, facts: Sequence[float]) -> bool:
        """facts: what CONDITIONS name, in their order."""
        if self.condition is None:
            return not facts[0]
        return holds(self.condition, facts)


def condition_of(edge: Edge) -> Expression | None:
    """Raises ExpressionError."""
    return parse(edge.condition, CONDITIONS, stateful=False) if edge.condition.strip() else None


def holds(condition: Expression, facts: Sequence[float]) -> bool:
    """A condition without a value (a division by zero) does not hold."""
    by_name = dict(zip(CONDITIONS, facts, strict=True))
    value, _ = condition.evaluate([by_name[name] for name in condition.names], [0] * len(condition.names))
    return not math.isnan(value) and value != 0.0


class Routes:
    """Where the parts of one machine go. A part that no edge accepts is rejected.

    uniform: draws for weighted routing; share: units of one raw part, for `units` in conditions.
    """

    def __init__(self, ways: Sequence[Way], reject: Target, routing: Routing, uniform: Callable[[], float], share: int) -> None:
        self.ways = sorted(ways, key=lambda way: way.edge.priority)
        self.reject, self.routing, self.uniform, self.share = reject, routing, uniform, share
        self.turn = 0
        self._known: dict[tuple[float, ...], list[Way]] = {}
        self._promised: dict[Part, Target] = {}
        self.send: Send = self._send
        if len(self.ways) == 1 and self.ways[0].condition is None:
            self.send = self._single()

    def accepting(self, part: Part) -> list[Way]:
        """The ways open to it, by priority."""
        defects = part.units / self.share if part.found else 0.0
        facts = (float(part.found), float(part.reworks), defects, part.units / self.share, float(part.lot))
        found = self._known.get(facts)
        if found is None:
            found = self._known[facts] = [way for way in self.ways if way.accepts(facts)]
        return found

    def wanted(self, part: Part) -> list[Buffer]:
        """The full buffers that a part which could not be sent waits for."""
        promised = self._promised.get(part)
        targets = [promised] if promised else [way.target for way in self.accepting(part)]
        return [target for target in targets if isinstance(target, Buffer)]

    def _single(self) -> Send:
        only, reject = self.ways[0].target.offer, self.reject.offer
        return lambda part: reject(part) if part.found else only(part)

    def _send(self, part: Part) -> bool:
        ways = self.accepting(part)
        if not ways:
            return self.reject.offer(part)
        if len(ways) == 1:
            return ways[0].target.offer(part)
        if self.routing == Routing.WEIGHTED:
            return self._by_weight(ways, part)
        if self.routing == Routing.ROUND_ROBIN:
            return self._in_turn(ways, part)
        if self.routing == Routing.MOST_ROOM:
            ways = sorted(ways, key=lambda way: -way.target.room())
        return any(way.target.offer(part) for way in ways)

    def _by_weight(self, ways: list[Way], part: Part) -> bool:
        """The die is cast once for each part: a full buffer does not send it elsewhere."""
        target = self._promised.pop(part, None) or self._cast(ways)
        if target.offer(part):
            return True
        self._promised[part] = target
        return False

    def taken(self, part: Part) -> None:
        """It was taken from who stood with it."""
        self._promised.pop(part, None)

    def _cast(self, ways: list[Way]) -> Target:
        left = self.uniform() * sum(way.edge.weight for way in ways)
        for way in ways:
            left -= way.edge.weight
            if left < 0:
                return way.target
        return ways[-1].target

    def _in_turn(self, ways: list[Way], part: Part) -> bool:
        for step in range(len(ways)):
            place = (self.turn + step) % len(ways)
            if ways[place].target.offer(part):
                self.turn = place + 1
                return True
        return False
