"""The figures of many replications as columns: from the recursion where the line is one for it, else from the discrete events.

Both give the same columns with the same meaning: those of a run's summary, by their dotted paths.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from gateway.model.line import Line
from gateway.simulation.line.chain import why_not
from gateway.simulation.line.ideal import pace
from gateway.simulation.line.lanes import Array, Counts
from gateway.simulation.line.lifetimes import mean
from gateway.simulation.line.money import exact, per_hour
from gateway.simulation.line.recursion import Recursion
from gateway.simulation.line.run import execute
from gateway.simulation.line.stage import Stage
from gateway.simulation.line.topology import checked, final_forms, first_forms

Method = Literal["auto", "recursion", "events"]
Told = Callable[[float], None]

LANES: Final = 512
"""Replications that the recursion works on at once."""
_PRODUCTION: Final = (
    "tubes_produced",
    "cases_produced",
    "pallets_produced",
    "good_pallets",
    "defective_pallets",
    "defects_created",
    "defects_detected",
    "good_per_hour",
)
_ECONOMICS: Final = ("material_cost", "conversion_cost", "revenue", "gross_margin")
_OEE: Final = ("availability", "performance", "quality", "oee")
_FLOW: Final = (
    "entered",
    "good",
    "scrapped",
    "lost_arrivals",
    "defects_escaped",
    "wip_mean",
    "lead_time_mean_s",
    "throughput_per_hour",
)
_MACHINE: Final = ("cycles", "defects_created", "defects_detected", "failures", "jams")
_STATES: Final = ("STARVED", "EXECUTE", "DOWN", "JAMMED", "BLOCKED")


class Cannot(Exception):
    """The method that was asked for cannot do this line; says why."""


@dataclass(frozen=True, slots=True)
class Figures:
    """values: (replications, names), NaN where there was nothing to divide by. method: which it was; why: why not the recursion."""

    names: tuple[str, ...]
    values: Array
    method: str
    why: str

    def column(self, name: str) -> Array:
        """(replications,). KeyError names the figures there are."""
        if name not in self.names:
            raise KeyError(f"there is no figure {name!r}: {', '.join(self.names)}")
        found: Array = self.values[:, self.names.index(name)]
        return found


def figure_names(line: Line) -> tuple[str, ...]:
    """The paths into a summary, in the order of the columns."""
    names = [f"production.{name}" for name in _PRODUCTION]
    names += [f"economics.{name}" for name in _ECONOMICS] + [f"oee.{name}" for name in _OEE] + [f"flow.{name}" for name in _FLOW]
    for machine in line.machines:
        own = [f"oee.{name}" for name in _OEE] + [f"time_in_state_s.{name}" for name in _STATES] + list(_MACHINE)
        names += [f"machines.{machine.name}.{name}" for name in own]
    return tuple(names)


def figures(line: Line, seed: int, replications: Sequence[int], method: Method = "auto", told: Told = lambda _share: None) -> Figures:
    """Of these replications under a seed. Raises LineError for what is no line, Cannot where the recursion is asked for in vain."""
    checked(line)
    why, names = why_not(line), figure_names(line)
    if method == "recursion" and why:
        raise Cannot(f"the recursion cannot express this line: {why}")
    rows = list[Array]()
    step = LANES if method != "events" and not why else 1
    for first in range(0, len(replications), step):
        some = replications[first : first + step]
        if step > 1:
            by_name = of_recursion(line, seed, some)
            rows += list(np.column_stack([by_name[name] for name in names]))
        else:
            found = execute(line, seed, replication=some[0], events=False).summary
            rows.append(np.array([_at(found, name) for name in names], float))
        told(min(1.0, (first + step) / len(replications)))
    values = np.array(rows).reshape(len(replications), len(names))
    return Figures(names, values, "recursion" if step > 1 else "events", why if method == "auto" else "")


def _at(summary: Mapping[str, Any], path: str) -> float:
    """A figure of a summary. Machines' names may hold dots."""
    found: Any = summary
    parts = path.split(".")
    if parts[0] == "machines":
        tail = 2 if parts[-2] in {"oee", "time_in_state_s"} else 1
        parts = ["machines", ".".join(parts[1:-tail]), *parts[-tail:]]
    for part in parts:
        found = found[part]
    return float("nan") if found is None else float(found)


def of_recursion(line: Line, seed: int, replications: Sequence[int]) -> dict[str, Array]:
    """The columns by name, (replications,) each. Raises Beyond."""
    if len(replications) == 1:  # NumPy adds up one column in another order than several
        return {name: column[:1] for name, column in of_recursion(line, seed, [replications[0]] * 2).items()}
    done = Recursion(line, seed, replications).run()
    books, stages, duration = done.books, done.stages, line.duration_s
    defective, scrapped = _rejected(line, done)
    created, detected = (sum(getattr(stage, name) for stage in stages) for name in ("created", "detected"))
    good_units = done.weights[-1] * books.good
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            **_produced(line, done, defective),
            "production.defects_created": created,
            "production.defects_detected": detected,
            **_money(line, done, defective, scrapped),
            "flow.entered": books.entered,
            "flow.good": good_units,
            "flow.scrapped": done.scrap_units,
            "flow.lost_arrivals": books.lost,
            "flow.defects_escaped": books.escaped,
            "flow.wip_mean": books.area / duration,
            "flow.lead_time_mean_s": books.lead / books.good,
            "flow.throughput_per_hour": good_units / duration * 3600.0,
        }
        for stage in stages:
            columns |= _machine(stage, duration)
        ideal = pace(line)
        own = next(stage for stage in stages if stage.link.machine.name in ideal.slowest)
        made = good_units + done.scrap_units
        columns |= _oee("", duration, duration - own.down, ideal.seconds, made, good_units)
    return {name: np.asarray(column, float) for name, column in columns.items()}


def _rejected(line: Line, done: Recursion) -> tuple[Array, Array]:
    """Finished units found defective, and raw parts scrapped before."""
    final, none = final_forms(line), np.zeros(done.lanes)
    defective, scrapped = none.copy(), none.copy()
    for stage, weight in zip(done.stages, done.weights, strict=True):
        if stage.link.form in final:
            defective += stage.rejected
        else:
            scrapped += weight * stage.rejected
    return defective, scrapped


def _produced(line: Line, done: Recursion, defective: Array) -> dict[str, Array]:
    made, before, nothing = dict[str, Array](), "", np.zeros(done.lanes)
    for stage in done.stages:
        if stage.link.form != before:
            made[stage.link.form] = made.get(stage.link.form, nothing) + stage.cycles
        before = stage.link.form
    good = done.books.good
    return {
        "production.tubes_produced": sum((count for form, count in made.items() if form in first_forms(line)), nothing),
        "production.cases_produced": made.get("case", nothing),
        "production.pallets_produced": good + defective,
        "production.good_pallets": good.astype(float),
        "production.defective_pallets": defective,
        "production.good_per_hour": good / (line.duration_s / 3600.0),
    }


def _money(line: Line, done: Recursion, defective: Array, scrapped: Array) -> dict[str, Array]:
    final = final_forms(line)
    each = max(weight for stage, weight in zip(done.stages, done.weights, strict=True) if stage.link.machine.output in final)
    steps = 2.0**20  # money's own
    material = np.round(line.product.material_cost * (done.books.good + defective + scrapped / each) * steps) / steps
    revenue = np.round(line.product.selling_price * done.books.good * steps) / steps
    conversion = np.full(done.lanes, exact(per_hour(line) * line.duration_s / 3600.0))
    return {
        "economics.material_cost": material,
        "economics.conversion_cost": conversion,
        "economics.revenue": revenue,
        "economics.gross_margin": revenue - material - conversion,
    }


def _machine(stage: Stage, duration: float) -> dict[str, Array]:
    machine, root = stage.link.machine, f"machines.{stage.link.machine.name}"
    work = duration - stage.starved - stage.down - stage.jammed - stage.blocked
    spent = (stage.starved, work, stage.down, stage.jammed, stage.blocked)
    ideal = mean(machine.cycle_time_sec) / machine.servers
    counts = (stage.cycles, stage.created, stage.detected, stage.failures, stage.jams)
    return {
        **_oee(f"{root}.", duration, duration - stage.down, ideal, stage.cycles, stage.cycles - stage.detected),
        **{f"{root}.time_in_state_s.{name}": seconds for name, seconds in zip(_STATES, spent, strict=True)},
        **{f"{root}.{name}": count.astype(float) for name, count in zip(_MACHINE, counts, strict=True)},
    }


def _oee(root: str, planned_s: float, production_s: Array, ideal_s: float, made: Array | Counts, good: Array | Counts) -> dict[str, Array]:
    """As gateway.simulation.line.oee, for columns."""
    return {
        f"{root}oee.availability": production_s / planned_s,
        f"{root}oee.performance": np.where(production_s > 0, ideal_s * made / production_s, np.nan),
        f"{root}oee.quality": np.where(made > 0, good / made, np.nan),
        f"{root}oee.oee": np.asarray(ideal_s * good / planned_s),
    }
