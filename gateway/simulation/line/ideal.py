"""What a line comes to when nothing goes wrong: how much of its flow passes each machine, and how long each one needs for a part of it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.model.line import REJECT, SOURCE, Edge, Line, Machine, Routing
from gateway.simulation.line.lifetimes import mean
from gateway.simulation.line.topology import good_may_pass, order, units_per_part

Array = NDArray[np.float64]


def visits(line: Line) -> dict[str, float]:
    """The share of all units that passes each machine when all parts are good.

    A split by weight shares by weight. Any other split looks for room, and so shares as lets the line make the most.
    """
    open_ways = _open_ways(line)
    routing = {machine.name: machine.routing for machine in line.machines}
    if any(len(edges) > 1 and routing.get(name) != Routing.WEIGHTED for name, edges in open_ways.items()):
        return _best(line, [edge for edges in open_ways.values() for edge in edges])
    passing: dict[str, float] = defaultdict(float, {SOURCE: 1.0})
    for name, edges in open_ways.items():
        weights = [edge.weight if routing.get(name) == Routing.WEIGHTED else 1.0 for edge in edges]
        for edge, weight in zip(edges, weights, strict=True):
            passing[edge.target] += passing[name] * weight / (sum(weights) or 1.0)
    return {machine.name: passing[machine.name] for machine in line.machines}


@dataclass(frozen=True, slots=True)
class Pace:
    """seconds: what the line needs for each of its parts at ideal speed, as its slowest machine does. slowest: that machine, or those
    that are it beside each other, with their shares of the flow."""

    seconds: float
    slowest: Mapping[str, float]


def pace(line: Line) -> Pace:
    """Where machines in a row are equally slow, the slowest is the first of those that all parts pass."""
    passing, each = visits(line), _seconds(line)
    ideal = {name: seconds * passing[name] for name, seconds in each.items()}
    longest = max(ideal.values())
    slow = [name for name, seconds in ideal.items() if seconds >= longest * (1 - 1e-9)]
    alone = next((name for name in slow if passing[name] > 1 - 1e-9), None)
    if alone:
        return Pace(longest, {alone: 1.0})
    whole = sum(passing[name] for name in slow)
    return Pace(longest, {name: passing[name] / whole for name in slow})


def _seconds(line: Line) -> dict[str, float]:
    """Of each machine, for each raw part that passes it."""
    made = units_per_part(line)
    return {one.name: mean(one.cycle_time_sec) / (one.servers * one.batch_out * made[one.name]) for one in line.machines}


def _open_ways(line: Line) -> dict[str, list[Edge]]:
    """The forward edges that good parts may take, by origin along the line; to the reject bin only where there is no other."""
    made, ways = units_per_part(line), dict[str, list[Edge]]()
    for name in [SOURCE, *order(line)]:
        edges = [edge for edge in line.edges if edge.origin == name and not edge.rework and good_may_pass(edge, made.get(name, 1.0))]
        weighted = any(machine.name == name and machine.routing == Routing.WEIGHTED for machine in line.machines)
        onward = edges if weighted else [edge for edge in edges if edge.target != REJECT]
        ways[name] = onward or edges
    return ways


def _best(line: Line, edges: list[Edge]) -> dict[str, float]:
    """The flow whose busiest machine has the least to do (the maximum flow of the network, scaled), of these the one whose next busiest
    has the least to do, and so on: a linear program for each (lexicographic min-max; Ogryczak and Sliwinski 2006).

    Variables: the flow of each edge, of a whole of 1 from the source; the load of the busiest machine whose load is not settled.
    """
    from scipy.optimize import linprog

    columns, made, each = len(edges) + 1, units_per_part(line), _seconds(line)
    inward = {name: _row(columns, edges, target=name) for name in each}
    equal = [_row(columns, edges, origin=SOURCE)]
    for machine in line.machines:
        equal += [inward[machine.name] - _row(columns, edges, origin=machine.name), *_proportions(machine, columns, edges, made)]
    whole, load = np.eye(len(equal))[0], np.eye(columns)[-1]
    settled, flow = dict[str, float](), np.zeros(columns)
    while len(settled) < len(each):
        most = np.array([inward[name] * seconds - (name not in settled) * load for name, seconds in each.items()])
        limits = np.array([settled.get(name, 0.0) for name in each])
        found = linprog(load, A_ub=most, b_ub=limits * (1 + 1e-12), A_eq=np.array(equal), b_eq=whole, method="highs")
        if found.x is None:
            break  # assemblies that no flow serves in their proportions have none
        flow = found.x
        tight = [name for name, price in zip(each, found.ineqlin.marginals, strict=True) if price < -1e-9 and name not in settled]
        settled |= dict.fromkeys(tight or set(each) - set(settled), float(flow[-1]))
    return {name: float(row @ flow) for name, row in inward.items()}


def _row(columns: int, edges: list[Edge], *, origin: str = "", target: str = "") -> Array:
    """1 for the edges from there, or to there."""
    row = np.zeros(columns)
    row[[place for place, edge in enumerate(edges) if edge.origin == origin or edge.target == target]] = 1.0
    return row


def _proportions(machine: Machine, columns: int, edges: list[Edge], made: dict[str, float]) -> list[Array]:
    """What a split by weight, and an assembly of parts from each edge, leave no choice in."""
    tied = list[tuple[int, float]]()
    if machine.routing == Routing.WEIGHTED:
        tied = [(place, edge.weight) for place, edge in enumerate(edges) if edge.origin == machine.name]
    rows = _ratios(columns, tied)
    if machine.assembly:
        rows += _ratios(columns, [(place, made.get(edge.origin, 1.0)) for place, edge in enumerate(edges) if edge.target == machine.name])
    return rows


def _ratios(columns: int, tied: list[tuple[int, float]]) -> list[Array]:
    """Each of these flows by its part of their sum."""
    whole = sum(part for _, part in tied)
    rows = list[Array]()
    for place, part in tied[1:] if whole > 0 else ():
        row = np.zeros(columns)
        row[[other for other, _ in tied]] = -part / whole
        row[place] += 1.0
        rows.append(row)
    return rows
