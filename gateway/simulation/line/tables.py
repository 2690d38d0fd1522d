"""The tables of a run: telemetry in deltas per interval with snapshots, and the log of events, as columns."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from gateway.model import instant
from gateway.model.line import Line
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.money import economics
from gateway.simulation.line.station import EXECUTE, STATES
from gateway.simulation.line.topology import finished_units, first_forms, shares

Columns = dict[str, list[Any]]

TELEMETRY: Final = (
    "time",
    "datetime",
    "sku_name",
    "sku_description",
    "size_oz",
    "units_per_case",
    "cases_per_pallet",
    "tubes_produced",
    "cases_produced",
    "pallets_produced",
    "good_pallets",
    "defective_pallets",
    "defects_created",
    "defects_detected",
    "material_cost",
    "conversion_cost",
    "revenue",
    "gross_margin",
)
"""Then the snapshots: buffer_<origin>_<target>, state_<machine>. Pallets stand for finished units, tubes for what is made of raw parts."""
EVENTS: Final = ("datetime", "timestamp", "machine", "state", "event_type", "duration")
START, CHANGE, END = "start", "state_change", "end"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts since the run's begin, and what stands where, at one instant."""

    at_s: float
    made: dict[str, int]
    good: list[int]
    defective: list[int]
    scrapped: list[int]
    created: int
    detected: int
    product: int
    levels: list[int]
    states: list[str]


def snapshot(layout: Layout) -> Snapshot:
    books, stations = layout.books, layout.stations
    return Snapshot(
        layout.env.now,
        dict(books.made),
        list(books.good),
        list(books.defective),
        list(books.scrapped),
        sum(station.created for station in stations),
        sum(station.detected for station in stations),
        books.last_product,
        [len(buffer.items) for buffer in layout.buffers.values()],
        [_state(layout, machine.name) for machine in layout.line.machines],
    )


def _state(layout: Layout, machine: str) -> str:
    """Of a machine with several places: EXECUTE where one of them works, else what the first does."""
    states = [station.state for station in layout.places[machine]]
    return STATES[EXECUTE if EXECUTE in states else states[0]].value


def datetimes(line: Line, seconds: list[float]) -> list[str]:
    """ISO 8601 of seconds after the line's start."""
    start = instant.parse(line.start) or 0
    return instant.iso_column(start + np.round(np.asarray(seconds, float) * 1e6).astype(np.int64) * 1000)


def telemetry(line: Line, snapshots: list[Snapshot], buffers: list[tuple[str, str]]) -> Columns:
    """One row for each snapshot but the first."""
    rows = snapshots[1:]
    products = [(line.product, *line.products)[row.product] for row in rows]
    times = [row.at_s for row in rows]
    columns: Columns = {
        "time": times,
        "datetime": datetimes(line, times),
        "sku_name": [product.sku_name for product in products],
        "sku_description": [product.description for product in products],
        "size_oz": [product.size_oz for product in products],
        "units_per_case": [product.units_per_case for product in products],
        "cases_per_pallet": [product.cases_per_pallet for product in products],
    }
    columns |= _produced(line, snapshots) | _money(line, snapshots)
    for place, (origin, target) in enumerate(buffers):
        columns[f"buffer_{origin}_{target}"] = [row.levels[place] for row in rows]
    for place, machine in enumerate(line.machines):
        columns[f"state_{machine.name}"] = [row.states[place] for row in rows]
    return columns


def _deltas(totals: list[Any]) -> list[Any]:
    return [after - before for before, after in pairwise(totals)]


def _produced(line: Line, snapshots: list[Snapshot]) -> Columns:
    first = first_forms(line)
    totals = {
        "tubes_produced": [sum(count for form, count in row.made.items() if form in first) for row in snapshots],
        "cases_produced": [row.made.get("case", 0) for row in snapshots],
        "pallets_produced": [sum(row.good) + sum(row.defective) for row in snapshots],
        "good_pallets": [sum(row.good) for row in snapshots],
        "defective_pallets": [sum(row.defective) for row in snapshots],
        "defects_created": [row.created for row in snapshots],
        "defects_detected": [row.detected for row in snapshots],
    }
    return {name: _deltas(counts) for name, counts in totals.items()}


def _money(line: Line, snapshots: list[Snapshot]) -> Columns:
    each, begin = shares(line) * finished_units(line), snapshots[0].at_s
    totals = [economics(line, row.good, row.defective, [units / each for units in row.scrapped], row.at_s - begin) for row in snapshots]
    names = ("material_cost", "conversion_cost", "revenue", "gross_margin")
    return {name: _deltas([getattr(total, name) for total in totals]) for name in names}


def events(line: Line, layout: Layout, first: list[int], log: list[float], begin_s: float) -> Columns:
    """Every machine from its state at the begin to the flush of its last open state; duration is that of the state before the row's,
    and of the last one in the row of its end, so that the durations of a machine sum to the run."""
    count = len(layout.stations)
    now = layout.env.now
    at = np.array([*[begin_s] * count, *log[0::3], *[now] * count])
    number = np.array([*range(count), *log[1::3], *range(count)], np.intp)
    state = np.array([*first, *log[2::3], *(station.state for station in layout.stations)], np.intp)
    duration = np.zeros(len(at))
    for place in range(count):
        rows = np.flatnonzero(number == place)
        duration[rows[1:]] = np.diff(at[rows])
    names = np.array([value.value for value in STATES], object)
    kinds = [START] * count + [CHANGE] * (len(at) - 2 * count) + [END] * count
    return {
        "datetime": datetimes(line, at.tolist()),
        "timestamp": at.tolist(),
        "machine": np.array(layout.names, object)[number].tolist(),
        "state": names[state].tolist(),
        "event_type": kinds,
        "duration": duration.tolist(),
    }
