"""The values of a line and of its machines: each within what it can be."""

import math
from collections import Counter
from itertools import pairwise

from gateway.model import instant
from gateway.model.line import REJECT, SINK, SOURCE, Calendar, Line, Machine, Product, Rates
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.lifetimes import mean

_INSTANT = {"collect", "changeover", "maintain", "breakdown", "microstop", "transform", "inspect"}
"""Phases that may take no time: a machine of these alone would work without end at one instant."""


def check_line(line: Line) -> None:
    """Raises LineError."""
    _positive(line.duration_s, "duration_s", "a run lasts longer than 0 seconds")
    _positive(line.telemetry_interval_s, "telemetry_interval_s", "an interval lasts longer than 0 seconds")
    if not (math.isfinite(line.warm_up_s) and line.warm_up_s >= 0):
        raise LineError(f"a warm-up of {line.warm_up_s:g} s is none", "0 or more", field="warm_up_s")
    if line.seed < 0:
        raise LineError(f"a seed of {line.seed} is none", "a whole number from 0 on", field="seed")
    if instant.parse(line.start) is None:
        raise LineError(f"{line.start!r} is no instant", "ISO 8601, as 2026-01-01T06:00:00Z", field="start")
    _check_rates(line.rates, "")
    _check_names(line)
    _check_source(line)
    _check_calendar(line.calendar, [machine.name for machine in line.machines])


def _check_names(line: Line) -> None:
    for product in (line.product, *line.products):
        _check_product(product)
    for sku, count in Counter(product.sku_name for product in (line.product, *line.products)).items():
        if count > 1:
            raise LineError(f"there are two products {sku}", field="products")
    for crew, count in Counter(crew.name for crew in line.crews).items():
        if count > 1:
            raise LineError(f"there are two crews {crew}", field="crews")
    for one in line.crews:
        if one.size < 1:
            raise LineError(f"the crew {one.name} has {one.size} people", "at least one", field="crews")


def _positive(value: float, field: str, why: str, node: str = "") -> None:
    if not (math.isfinite(value) and value > 0):
        raise LineError(f"{field} is {value:g}: {why}", node=node, field=field)


def _check_product(product: Product) -> None:
    for name in ("units_per_case", "cases_per_pallet"):
        if getattr(product, name) < 1:
            raise LineError(f"the product {product.sku_name} has {name} {getattr(product, name)}", "1 or more", field="product")
    for name in ("size_oz", "material_cost", "selling_price"):
        value = getattr(product, name)
        if not (math.isfinite(value) and value >= 0):
            raise LineError(f"the product {product.sku_name} has {name} {value:g}", "0 or more", field="product")


def _check_rates(rates: Rates, node: str) -> None:
    for name in ("labor_per_hour", "energy_per_hour", "overhead_per_hour"):
        value = getattr(rates, name)
        if not (math.isfinite(value) and value >= 0):
            raise LineError(f"{name} is {value:g}", "0 or more", node=node, field="rates")


def _check_source(line: Line) -> None:
    source = line.source
    if source.arrivals is not None and not mean(source.arrivals) > 0:
        raise LineError(
            "the time between arrivals is 0", "more than 0 seconds, or no arrivals for raw parts always there", field="arrivals"
        )
    if source.quantity is not None and source.quantity < 0:
        raise LineError(f"a source of {source.quantity} parts is none", "0 or more", field="quantity")
    known = [product.sku_name for product in (line.product, *line.products)]
    for lot in source.lots:
        if lot.sku_name not in known:
            raise LineError(f"there is no product {lot.sku_name!r}", f"one of {', '.join(known)}", field="lots")
        if lot.quantity < 1:
            raise LineError(f"a lot of {lot.quantity} parts is none", "1 or more", field="lots")


def _check_calendar(calendar: Calendar, machines: list[str]) -> None:
    if not (math.isfinite(calendar.repeat_s) and calendar.repeat_s >= 0):
        raise LineError(f"a calendar that repeats after {calendar.repeat_s:g} s is none", "0 for never", field="calendar")
    for stop in calendar.stops:
        if not (math.isfinite(stop.start_s) and math.isfinite(stop.end_s) and stop.start_s < stop.end_s):
            raise LineError(f"a stop from {stop.start_s:g} to {stop.end_s:g} s is none", "it ends after it starts", field="calendar")
        for name in stop.machines:
            if name not in machines:
                raise LineError(f"a stop is for {name!r}, which is no machine", f"one of {', '.join(machines)}", field="calendar")
    for name in machines:
        own = sorted((stop.start_s, stop.end_s) for stop in calendar.stops if not stop.machines or name in stop.machines)
        ends = [*own, (own[0][0] + calendar.repeat_s, 0.0)] if own and calendar.repeat_s else own
        for (_, end), (start, _) in pairwise(ends):
            if start < end:
                raise LineError(f"two stops of {name} overlap at {start:g} s", "one ends before the next starts", field="calendar")


def check_machine(machine: Machine, line: Line) -> None:
    """Raises LineError."""
    name = machine.name
    if not name or name in {SOURCE, SINK, REJECT}:
        raise LineError(f"a machine cannot be named {name!r}", f"{SOURCE}, {SINK} and {REJECT} are the line's own", node=name, field="name")
    if not mean(machine.cycle_time_sec) > 0:
        raise LineError("a cycle takes longer than 0 seconds", node=name, field="cycle_time_sec")
    for field in ("batch_in", "batch_out", "servers"):
        if getattr(machine, field) < 1:
            raise LineError(f"{field} is {getattr(machine, field)}", "1 or more", node=name, field=field)
    _share(machine.performance.jam_prob, "jam_prob", name)
    _share(machine.quality.defect_rate, "defect_rate", name)
    _share(machine.quality.detection_prob, "detection_prob", name)
    _positive(machine.performance.speed, "speed", "1 for the ideal speed", name)
    _check_rates(machine.rates, name)
    _check_upkeep(machine, line)
    phases = [use.name for use in machine.phases]
    if phases.count("collect") != 1:
        raise LineError(f"its phases have collect {phases.count('collect')} times", "once, to take its parts", node=name, field="phases")
    if set(phases) <= _INSTANT:
        raise LineError("none of its phases takes time in every cycle", "execute, after collect", node=name, field="phases")
    if len(set(phases)) != len(phases):
        raise LineError("one of its phases is listed twice", node=name, field="phases")


def _check_upkeep(machine: Machine, line: Line) -> None:
    name = machine.name
    if machine.crew and machine.crew not in {crew.name for crew in line.crews}:
        raise LineError(f"there is no crew {machine.crew!r}", ", ".join(crew.name for crew in line.crews), node=name, field="crew")
    if machine.reliability and not mean(machine.reliability.mtbf) > 0:
        raise LineError("its time between failures is 0", "more than 0 seconds", node=name, field="mtbf")
    if machine.maintenance:
        _positive(machine.maintenance.after_s, "after_s", "maintenance comes after more than 0 seconds", name)
    if machine.changeover:
        known = {product.sku_name for product in (line.product, *line.products)}
        for sku in {sku for before, after, _ in machine.changeover.pairs for sku in (before, after)} - known:
            raise LineError(f"a changeover is for {sku!r}, which is no product of the line", node=name, field="changeover")


def _share(value: float, field: str, node: str) -> None:
    if not 0 <= value <= 1:
        raise LineError(f"{field} is {value:g}", "a probability lies between 0 and 1", node=node, field=field)
