"""What a run comes to: production, OEE by machine and line, times in state, buffers, work in progress, economics, bottleneck, balances."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from gateway.model.line import Line, Machine, MachineState
from gateway.simulation.line.bottleneck import common, found, periods
from gateway.simulation.line.ideal import pace
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.money import economics
from gateway.simulation.line.oee import Oee, of_line, of_machine
from gateway.simulation.line.station import STATES
from gateway.simulation.line.tables import TELEMETRY, Snapshot, telemetry
from gateway.simulation.line.topology import finished_units, order, shares


def summary(line: Line, layout: Layout, snapshots: list[Snapshot]) -> dict[str, Any]:
    """JSON values; None where there is nothing to divide by."""
    begin, end = snapshots[0].at_s, snapshots[-1].at_s
    seconds = {machine.name: _seconds(layout, machine) for machine in line.machines}
    figures = {machine.name: _machine_oee(layout, machine, seconds[machine.name]) for machine in line.machines}
    return {
        "line": line.name,
        "scenario": line.scenario,
        "duration_s": end - begin,
        "warm_up_s": line.warm_up_s,
        "production": _production(line, snapshots),
        "economics": _economics(line, snapshots),
        "oee": _plain(asdict(_line_oee(line, layout, figures))),
        "machines": {
            machine.name: _machine(layout, machine, seconds[machine.name], figures[machine.name], end - begin) for machine in line.machines
        },
        "buffers": {f"{a}->{b}": _buffer(layout, (a, b), end - begin) for a, b in layout.buffers},
        "flow": _flow(layout, end - begin),
        "bottleneck": _bottleneck(line, layout, begin, end, seconds),
    }


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures.items()}


def _seconds(layout: Layout, machine: Machine) -> dict[MachineState, float]:
    """In each state, the mean over the machine's places."""
    places = layout.places[machine.name]
    return {state: math.fsum(place.spent[row] for place in places) / len(places) for row, state in enumerate(STATES)}


def _machine_oee(layout: Layout, machine: Machine, seconds: dict[MachineState, float]) -> Oee:
    places = layout.places[machine.name]
    return of_machine(machine, seconds, sum(place.made for place in places), sum(place.detected for place in places))


def _line_oee(line: Line, layout: Layout, figures: dict[str, Oee]) -> Oee:
    books, share = layout.books, layout.share
    return of_line(pace(line), figures, books.good_units / share, books.scrap_units / share)


def _machine(layout: Layout, machine: Machine, seconds: dict[MachineState, float], figures: Oee, duration: float) -> dict[str, Any]:
    places = layout.places[machine.name]
    return {
        "time_in_state_s": {state.value: spent for state, spent in seconds.items() if spent or state in _DOCUMENTED},
        "share_in_state": {state.value: spent / duration for state, spent in seconds.items() if spent or state in _DOCUMENTED},
        "oee": _plain(asdict(figures)),
        "cycles": sum(place.cycles for place in places),
        "made": sum(place.made for place in places),
        "defects_created": sum(place.created for place in places),
        "defects_detected": sum(place.detected for place in places),
        "failures": sum(place.failures for place in places),
        "jams": sum(place.jams for place in places),
        "waited_for_crew_s": math.fsum(place.crew_s for place in places),
        "conversion_cost": machine.rates.per_hour * duration / 3600.0,
    }


_DOCUMENTED = frozenset({MachineState.STARVED, MachineState.EXECUTE, MachineState.DOWN, MachineState.JAMMED, MachineState.BLOCKED})


def _production(line: Line, snapshots: list[Snapshot]) -> dict[str, Any]:
    last = snapshots[-1]
    columns = telemetry(line, [snapshots[0], last], [])
    names = TELEMETRY[TELEMETRY.index("tubes_produced") : TELEMETRY.index("material_cost")]
    hours = (last.at_s - snapshots[0].at_s) / 3600.0
    totals = {name: columns[name][0] for name in names}
    return {
        **totals,
        "made": dict(sorted(last.made.items())),
        "by_sku": {
            product.sku_name: {"good": good, "defective": wrong}
            for product, good, wrong in zip((line.product, *line.products), last.good, last.defective, strict=True)
        },
        "good_per_hour": totals["good_pallets"] / hours,
    }


def _economics(line: Line, snapshots: list[Snapshot]) -> dict[str, float]:
    last = snapshots[-1]
    each = shares(line) * finished_units(line)
    came = economics(line, last.good, last.defective, [units / each for units in last.scrapped], last.at_s - snapshots[0].at_s)
    return {**asdict(came), "gross_margin": came.gross_margin}


def _buffer(layout: Layout, place: tuple[str, str], duration: float) -> dict[str, Any]:
    buffer = layout.buffers[place]
    return {"capacity": buffer.edge.capacity, "mean": buffer.mean(duration), "max": buffer.most, "last": len(buffer.items)}


def _flow(layout: Layout, duration: float) -> dict[str, Any]:
    """Units are raw parts. Closed accounts: wip_mean x duration = residence_s (Little), and what entered is what left or is inside."""
    books, share, now = layout.books, layout.share, layout.env.now
    inside = layout.inside()
    residence = books.residence - books.carried + sum(part.units * (now - part.born) for part in inside)
    lead = np.array(books.lead)
    return {
        "started_with": books.at_start / share,
        "entered": books.entered / share,
        "good": books.good_units / share,
        "scrapped": books.scrap_units / share,
        "wip_last": sum(part.units for part in inside) / share,
        "lost_arrivals": books.lost,
        "reworked": books.reworked,
        "defects_escaped": books.escaped,
        "wip_mean": books.wip_area() / share / duration,
        "residence_s": residence / share,
        "lead_time_mean_s": float(lead.mean()) if lead.size else None,
        "lead_time_p95_s": float(np.quantile(lead, 0.95)) if lead.size else None,
        "throughput_per_hour": books.good_units / share / duration * 3600.0,
    }


def _bottleneck(line: Line, layout: Layout, begin: float, end: float, seconds: dict[str, dict[MachineState, float]]) -> dict[str, Any]:
    active = {
        name: common([periods(place.turns, begin, end, not place.passive) for place in places]) for name, places in layout.places.items()
    }
    along = order(line)
    starved = {name: seconds[name][MachineState.STARVED] for name in along}
    blocked = {name: seconds[name][MachineState.BLOCKED] for name in along}
    return asdict(found(along, active, starved, blocked))
