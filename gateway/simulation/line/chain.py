"""Which lines the recursion can express: machines in a row, each part after the other, and nothing that looks at the clock or at a crew.

Everything else is for the discrete events. What is said here holds for both: the recursion reads its machines from here alone.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateway.model.expression import ExpressionError
from gateway.model.line import REJECT, SINK, SIX_PHASES, SOURCE, Clock, Edge, Line, Machine
from gateway.simulation.line.routes import condition_of, holds

_ORDER: Final = [use.name for use in SIX_PHASES]
_NEEDED: Final = ("collect", "execute", "transform")


class Beyond(Exception):
    """This line is not one for the recursion; says why in words."""


@dataclass(frozen=True, slots=True)
class Link:
    """One machine of the row. room: places of the buffer before it (None: no limit).

    form: what it makes; jam_prob and detection_prob as its phases have them (0 for a phase that is not there).
    """

    machine: Machine
    room: int | None
    form: str
    fails: bool
    jam_prob: float
    detection_prob: float


def chain(line: Line) -> tuple[Link, ...]:
    """The machines in their order. Raises Beyond."""
    _plain(line)
    edges = [edge for edge in line.edges if edge.target != REJECT]
    by_name, row, links = {machine.name: machine for machine in line.machines}, SOURCE, list[Link]()
    while True:
        onward = [edge for edge in edges if edge.origin == row]
        if len(onward) != 1:
            raise Beyond(f"{row} has {len(onward)} ways on")
        edge = onward[0]
        if links:
            _check_ways(line, links[-1].machine, edge)
        elif edge.condition:
            raise Beyond("the source's edge has a condition")
        if edge.target == SINK:
            break
        if edge.rework or len([other for other in edges if other.target == edge.target]) != 1:
            raise Beyond(f"several edges lead to {edge.target}")
        links.append(_link(by_name[edge.target], edge))
        row = edge.target
    if len(links) != len(line.machines):
        raise Beyond("its machines are not all in one row")
    _servers(links)
    return tuple(links)


def why_not(line: Line) -> str:
    """Why the recursion cannot express it; nothing where it can."""
    try:
        chain(line)
    except Beyond as why:
        return str(why)
    return ""


def _plain(line: Line) -> None:
    if line.source.lots:
        raise Beyond("its source makes lots of several products")
    if line.calendar.stops:
        raise Beyond("it has planned stops")
    sharing: dict[str, int] = {}
    for machine in line.machines:
        sharing[machine.crew] = sharing.get(machine.crew, 0) + machine.servers
    for crew in line.crews:
        if sharing.get(crew.name, 0) > crew.size:
            raise Beyond(f"machines may wait for the crew {crew.name}")


def _link(machine: Machine, edge: Edge) -> Link:
    reliability, options = machine.reliability, _options(machine)
    if machine.maintenance is not None:
        raise Beyond(f"{machine.name} has planned maintenance")
    if machine.assembly:
        raise Beyond(f"{machine.name} assembles parts from several edges")
    if reliability is not None and reliability.clock is Clock.TIME:
        raise Beyond(f"{machine.name} fails by the clock, also while it waits")
    fails = reliability is not None and (reliability.within_cycle or "breakdown" in options)
    jam_prob = options.get("microstop", {"jam_prob": 0.0}).get("jam_prob", machine.performance.jam_prob)
    detection_prob = options.get("inspect", {"detection_prob": 0.0}).get("detection_prob", machine.quality.detection_prob)
    form = options["transform"].get("output") or machine.output
    if machine.batch_out > 1:
        raise Beyond(f"{machine.name} makes {machine.batch_out} parts at a time")
    return Link(machine, edge.capacity, form, fails, jam_prob, detection_prob)


def _options(machine: Machine) -> dict[str, dict[str, Any]]:
    """The options of each phase. The phases are the six, perhaps without those that a machine can do without."""
    names = [use.name for use in machine.phases]
    if [name for name in names if name != "changeover"] != [name for name in _ORDER if name in names]:
        raise Beyond(f"the phases of {machine.name} are not the usual six in their order")
    if missing := [name for name in _NEEDED if name not in names]:
        raise Beyond(f"{machine.name} has no phase {missing[0]}")
    return {use.name: dict(use.options) for use in machine.phases}


def _check_ways(line: Line, machine: Machine, onward: Edge) -> None:
    """Good parts go on, those that inspection finds defective leave the line."""
    edges = [edge for edge in line.edges if edge.origin == machine.name]
    if _accepting(edges, found=False) != [onward]:
        raise Beyond(f"which way parts go on from {machine.name} depends on more than their inspection")
    if any(edge.target != REJECT for edge in _accepting(edges, found=True)):
        raise Beyond(f"defective parts go on from {machine.name}")


def _accepting(edges: list[Edge], *, found: bool) -> list[Edge]:
    """Those that accept a part; conditions may ask of nothing but whether it was found defective."""
    accepting = []
    for edge in edges:
        try:
            condition = condition_of(edge)
        except ExpressionError as error:
            raise Beyond(str(error)) from None
        if condition is None:
            if not found:
                accepting.append(edge)
        elif set(condition.names) - {"is_defective"}:
            raise Beyond(f"the edge {edge.origin} -> {edge.target} asks for more than is_defective")
        elif holds(condition, (float(found), 0.0, 0.0, 0.0, 0.0)):
            accepting.append(edge)
    return accepting


def _servers(links: list[Link]) -> None:
    for place, link in enumerate(links):
        machine = link.machine
        if machine.servers == 1:
            continue
        if place < len(links) - 1:
            raise Beyond(f"parts may overtake each other at {machine.name}, which has {machine.servers} places")
        eventful = link.fails or link.jam_prob > 0 or machine.quality.defect_rate > 0
        if eventful or machine.batch_in > 1 or len(links) > 1:
            raise Beyond(f"{machine.name} has {machine.servers} places that fail, jam, spoil or pack on their own")
