"""What becomes of a line from a given state on, in many replications: output over time, waits, buffers empty or full, bottlenecks.

All instants are seconds after the state's; infinite where something does not happen within the horizon.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.line import Line, LineState
from gateway.simulation.line.bottleneck import Period, common, momentary, periods, turning_point
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.station import BLOCKED, STARVED, STATES, WAITING
from gateway.simulation.line.topology import order

Array = NDArray[np.float64]
Told = Callable[[float], None]

NONE: Final = -1
"""No machine."""
TIE_S: Final = 1e-6
"""A wait that is shorter comes from rounding, or has no length at all."""
_IDLE: Final = frozenset(state for state, waits in zip(STATES, WAITING, strict=True) if waits)


@dataclass(frozen=True, slots=True)
class Ask:
    """horizon_s: how far; grid_s: instants at which outputs are counted, the last one the horizon; at_least_s: shorter waits, and shorter
    active periods, are passed over."""

    horizon_s: float
    grid_s: tuple[float, ...]
    at_least_s: float


@dataclass(frozen=True, slots=True)
class Courses:
    """good, total: finished units until each instant of the grid, (replications, grid); starved_s, blocked_s: until the next such wait,
    (replications, machines), 0 where it lasts already; empty_s, full_s: (replications, buffers).

    now, next_, turning: the momentary bottleneck, the one after it, and the turning point over the horizon, places of machines or NONE;
    shift_s: when the bottleneck shifts, (replications,).
    """

    good: Array
    total: Array
    starved_s: Array
    blocked_s: Array
    empty_s: Array
    full_s: Array
    now: NDArray[np.int64]
    next_: NDArray[np.int64]
    shift_s: Array
    turning: NDArray[np.int64]


def buffers(line: Line) -> list[tuple[str, str]]:
    """Those between machines that have places."""
    names = {machine.name for machine in line.machines}
    return [(edge.origin, edge.target) for edge in line.edges if {edge.origin, edge.target} <= names and edge.capacity != 0]


def joined(parts: Sequence[Courses]) -> Courses:
    """One after the other."""
    return Courses(*(np.concatenate([getattr(part, name) for part in parts]) for name in Courses.__slots__))


def by_events(line: Line, state: LineState, seed: int, replications: Sequence[int], ask: Ask, told: Told) -> Courses:
    """By discrete events, one replication after the other."""
    rows = list[Courses]()
    for done, replication in enumerate(replications, 1):
        rows.append(_course(line, state, seed, replication, ask))
        told(done / len(replications))
    return joined(rows)


def _course(line: Line, state: LineState, seed: int, replication: int, ask: Ask) -> Courses:
    begin_s = state.at_s
    layout = Layout(line, Chance(seed, replication), begin_s, state)
    first, log = list[int](), list[float]()
    layout.begin(log)
    first = [station.state for station in layout.stations]
    counts, books = list[tuple[int, int]](), layout.books
    for at_s in ask.grid_s:
        layout.advance(begin_s + at_s)
        counts.append((sum(books.good), sum(books.good) + sum(books.defective)))
    waits = _waits(layout, first, log, state, ask)
    layout.settle()
    places = layout.buffers
    edges = [places[edge] for edge in buffers(line)]
    found = bottlenecks(line, _active(layout, state, ask), *_idle(layout), ask)
    return Courses(
        np.array([[good for good, _ in counts]], float),
        np.array([[total for _, total in counts]], float),
        waits[:1],
        waits[1:],
        np.array([[buffer.empty_at - begin_s for buffer in edges]]),
        np.array([[buffer.full_at - begin_s for buffer in edges]]),
        *(np.array([value]) for value in found),
    )


def _waits(layout: Layout, first: Sequence[int], log: Sequence[float], state: LineState, ask: Ask) -> Array:
    """(2, machines): seconds until the next STARVED and the next BLOCKED of all places of each machine."""
    begin_s, count = state.at_s, len(layout.stations)
    elapsed = {start.name: start.elapsed_s for start in state.machines}
    at = np.array(log[0::3])
    number, now = np.array(log[1::3], np.intp), np.array(log[2::3], np.intp)
    found = np.full((2, len(layout.places)), np.inf)
    spells = list[dict[int, list[Period]]]()
    for place in range(count):
        own = number == place
        edges = np.array([begin_s, *at[own], begin_s + ask.horizon_s])
        states = np.array([first[place], *now[own]])
        passed = elapsed.get(layout.names[place], elapsed.get(layout.stations[place].name, 0.0))
        begins = edges[:-1].copy()
        begins[0] -= passed
        spells.append(
            {
                kind: list(zip(begins[states == kind].tolist(), edges[1:][states == kind].tolist(), strict=True))
                for kind in (STARVED, BLOCKED)
            }
        )
    for column, places in enumerate(layout.places.values()):
        for row, kind in enumerate((STARVED, BLOCKED)):
            for begin, end in common([spells[station.number][kind] for station in places]):
                if end - begin >= ask.at_least_s and end > begin_s:
                    found[row, column] = max(begin - begin_s, 0.0)
                    break
    return found


def _active(layout: Layout, state: LineState, ask: Ask) -> dict[str, list[Period]]:
    """The active periods of each machine after the state's instant, those of all its places together, with what had passed before."""
    since = active_since(state)
    active = dict[str, list[Period]]()
    for name, places in layout.places.items():
        own = common([periods(place.turns, state.at_s, state.at_s + ask.horizon_s, not place.passive) for place in places])
        active[name] = _unbroken([(begin - state.at_s, end - state.at_s) for begin, end in own])
        if active[name] and active[name][0][0] == 0.0:
            active[name][0] = (-since.get(name, 0.0), active[name][0][1])
    return active


def _unbroken(found: Sequence[Period]) -> list[Period]:
    """Without the waits of no length between two events at one instant."""
    kept = list[Period]()
    for begin, end in found:
        if kept and begin - kept[-1][1] < TIE_S:
            kept[-1] = (kept[-1][0], end)
        else:
            kept.append((begin, end))
    return kept


def active_since(state: LineState) -> dict[str, float]:
    """Seconds for which each machine has been active when it starts."""
    return {start.name: max(start.active_s, start.elapsed_s) for start in state.machines if start.state not in _IDLE}


def _idle(layout: Layout) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds starved and blocked of each machine, the mean over its places."""
    starved, blocked = (
        {name: sum(place.spent[kind] for place in places) / len(places) for name, places in layout.places.items()}
        for kind in (STARVED, BLOCKED)
    )
    return starved, blocked


def bottlenecks(
    line: Line, active: Mapping[str, Sequence[Period]], starved_s: Mapping[str, float], blocked_s: Mapping[str, float], ask: Ask
) -> tuple[int, int, float, int]:
    """(the momentary bottleneck now, the next one, when it shifts, the turning point) of one replication; places of machines, or NONE."""
    places = {machine.name: place for place, machine in enumerate(line.machines)}
    turn = turning_point(order(line), starved_s, blocked_s)
    long = {name: [one for one in own if one[1] - one[0] >= ask.at_least_s] for name, own in active.items()}
    here = [(end - begin, name, end) for name, own in long.items() for begin, end in own if begin <= 0.0 < end]
    if here:
        _, now, until = max(here)
    else:
        coming = momentary(long)
        if not coming:
            return NONE, NONE, np.inf, places[turn]
        now, _, until = coming[0]
    for name, begin, _ in momentary({name: [one for one in own if one[1] > until] for name, own in long.items()}):
        if name != now:
            return places[now], places[name], max(begin, until) if begin > until else until, places[turn]
        until = max(until, begin)
    return places[now], NONE, np.inf, places[turn]
