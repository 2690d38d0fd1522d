"""The graph of a line: what is no line is refused, and what follows from its shape alone (order, forms, shares)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from gateway.model.expression import ExpressionError
from gateway.model.line import REJECT, SINK, SOURCE, Edge, Line, Machine, Routing
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.flow import Part
from gateway.simulation.line.routes import condition_of, holds
from gateway.simulation.line.values import check_line, check_machine


def checked(line: Line) -> Line:
    """The line itself. Raises LineError that names the machine or edge and the value that is wrong."""
    check_line(line)
    if not line.machines:
        raise LineError("a line has at least one machine")
    for name, count in Counter(machine.name for machine in line.machines).items():
        if count > 1:
            raise LineError("there are two machines of this name", node=name, field="name")
    for machine in line.machines:
        check_machine(machine, line)
    names = {machine.name for machine in line.machines}
    seen = set[tuple[str, str]]()
    for edge in line.edges:
        _check_edge(edge, names, seen)
    _check_connected(line)
    _check_acyclic(line)
    for machine in line.machines:
        _check_ways(line, machine)
    return line


def _check_edge(edge: Edge, names: set[str], seen: set[tuple[str, str]]) -> None:
    place = (edge.origin, edge.target)
    if edge.origin not in {*names, SOURCE}:
        raise LineError(f"there is no machine {edge.origin!r} to come from", f"one of {_words(names, SOURCE)}", edge=place, field="origin")
    if edge.target not in {*names, SINK, REJECT}:
        raise LineError(
            f"there is no machine {edge.target!r} to lead to", f"one of {_words(names, SINK, REJECT)}", edge=place, field="target"
        )
    if edge.origin == SOURCE and edge.target not in names:
        raise LineError("the source feeds machines", edge=place, field="target")
    if place in seen:
        raise LineError("this edge is declared twice", "one edge may carry one condition with `or`", edge=place)
    seen.add(place)
    if edge.capacity is not None and edge.capacity < 0:
        raise LineError(
            f"a buffer of {edge.capacity} places is none", "0 or more, or no capacity for no limit", edge=place, field="capacity"
        )
    if not 0 <= edge.weight < float("inf"):
        raise LineError(f"a weight of {edge.weight:g} is none", "0 or more", edge=place, field="weight")
    if edge.origin == SOURCE and edge.condition:
        raise LineError("raw parts have no condition yet", edge=place, field="condition")
    try:
        condition_of(edge)
    except ExpressionError as error:
        raise LineError(f"its condition {edge.condition!r} is wrong at {error}", edge=place, field="condition") from error


def _words(names: Iterable[str], *more: str) -> str:
    return ", ".join([*sorted(names), *more])


def _check_connected(line: Line) -> None:
    forward, backward = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for edge in line.edges:
        forward[edge.origin].add(edge.target)
        backward[edge.target].add(edge.origin)
    if not forward[SOURCE]:
        raise LineError("no edge comes from the source", f"an edge from {SOURCE} to the first machine")
    if not backward[SINK]:
        raise LineError("no edge leads to the sink", f"an edge from the last machine to {SINK}")
    reached, leading = _reach(SOURCE, forward), _reach(SINK, backward)
    for machine in line.machines:
        if not forward[machine.name]:
            raise LineError("nothing leads on from it", f"an edge to another machine, {SINK} or {REJECT}", node=machine.name)
        if machine.name not in reached:
            raise LineError("no part ever reaches it from the source", "an edge that leads to it", node=machine.name)
        if machine.name not in leading and REJECT not in _reach(machine.name, forward):
            raise LineError("no way leads from it to the sink or to reject", node=machine.name)


def _reach(start: str, steps: Mapping[str, set[str]]) -> set[str]:
    reached, ahead = {start}, [start]
    while ahead:
        for node in steps.get(ahead.pop(), set()) - reached:
            reached.add(node)
            ahead.append(node)
    return reached


def order(line: Line) -> list[str]:
    """The machines so that each comes after those that feed it; rework edges left aside. Raises LineError for a cycle of other edges."""
    sorter = TopologicalSorter[str]({machine.name: () for machine in line.machines})
    for edge in line.edges:
        if not edge.rework and edge.origin != SOURCE and edge.target not in {SINK, REJECT}:
            sorter.add(edge.target, edge.origin)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle: list[str] = error.args[1]
        names = " -> ".join(circle)
        place = (circle[-2], circle[-1])
        hint = "mark the edge that leads back with rework: true"
        raise LineError(f"the edges go round in a circle: {names}", hint, edge=place, field="rework") from error


def _check_acyclic(line: Line) -> None:
    order(line)


def _check_ways(line: Line, machine: Machine) -> None:
    outgoing = [edge for edge in line.edges if edge.origin == machine.name]
    if not any(good_may_pass(edge) for edge in outgoing):
        raise LineError("a good part has no way on from it", "an edge without condition, or with `not is_defective`", node=machine.name)
    if machine.routing == Routing.WEIGHTED and not sum(edge.weight for edge in outgoing) > 0:
        raise LineError("its edges weigh nothing together", "a weight above 0", node=machine.name, field="weight")


def good_may_pass(edge: Edge, units: float = 1.0) -> bool:
    """Whether a good part of so many units may take this way."""
    condition = condition_of(edge)
    return condition is None or holds(condition, (0.0, 0.0, 0.0, units, 0.0))


# --- what follows from the shape ---


def shares(line: Line) -> int:
    """Into how many shares a raw part is counted, so that whatever is cut stays whole."""
    total = 1
    for machine in line.machines:
        total *= machine.batch_out
    return total


def units_per_part(line: Line) -> dict[str, float]:
    """Raw parts in one part that each machine makes, by the first way that leads to it."""
    machines = {machine.name: machine for machine in line.machines}
    made: dict[str, float] = {}
    for name in order(line):
        machine = machines[name]
        feeding = [edge for edge in line.edges if edge.target == name and not edge.rework]
        taken = [made.get(edge.origin, 1.0) for edge in feeding]
        inputs = sum(taken) if machine.assembly else taken[0]
        made[name] = inputs * machine.batch_in / machine.batch_out
    return made


def units_taken(line: Line, machine: Machine) -> list[tuple[str, float]]:
    """Of each incoming edge that is no rework: the node it comes from, and the raw parts in one part of it."""
    made = units_per_part(line)
    return [(edge.origin, made.get(edge.origin, 1.0)) for edge in line.edges if edge.target == machine.name and not edge.rework]


def final_forms(line: Line) -> frozenset[str]:
    """The forms in which parts reach the sink."""
    last = {edge.origin for edge in line.edges if edge.target == SINK}
    return frozenset(machine.output for machine in line.machines if machine.name in last)


def finished_units(line: Line) -> float:
    """Raw parts in one finished unit."""
    made, final = units_per_part(line), final_forms(line)
    return max(made[machine.name] for machine in line.machines if machine.output in final)


def first_forms(line: Line) -> frozenset[str]:
    """The forms that are made of raw parts."""
    first = {edge.target for edge in line.edges if edge.origin == SOURCE}
    return frozenset(machine.output for machine in line.machines if machine.name in first)


def age_of(parts: Iterable[Part], now: float) -> float:
    """Unit-seconds."""
    return sum(part.units * (now - part.born) for part in parts)
