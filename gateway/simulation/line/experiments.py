"""What an experiment says: figures with intervals, scenarios against a base, parameter sets in a row, which machine is worth improving.

Pure: replications come in as columns; who makes them, and where, is another's business.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from gateway.model.line import Line, Machine
from gateway.simulation.line.figures import Figures
from gateway.simulation.line.intervals import CONFIDENCE, Interval, interval, needed, paired

SHOWN: Final = (
    "production.good_pallets",
    "production.good_per_hour",
    "oee.oee",
    "oee.availability",
    "oee.performance",
    "oee.quality",
    "flow.wip_mean",
    "flow.lead_time_mean_s",
    "economics.gross_margin",
)
"""The figures that a table shows where nobody asks for others."""
FIRST: Final = 10
"""Replications before a target is looked at."""
FASTER: Final = 0.05
"""How much shorter each machine's cycle is made to find the bottleneck."""


def document(found: Interval) -> dict[str, Any]:
    """JSON values; None for what is not finite."""
    return {name: _finite(value) for name, value in (asdict(found) | {"low": found.low, "high": found.high}).items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def described(figures: Figures, confidence: float = CONFIDENCE) -> dict[str, Any]:
    """Every figure with its interval, over the replications in which it has a value."""
    found = {}
    for place, name in enumerate(figures.names):
        values = figures.values[:, place]
        values = values[np.isfinite(values)]
        found[name] = document(interval(values, confidence)) if values.size else None
    return found


def more(figures: Figures, figure: str, half_width: float, relative: bool, most: int, confidence: float = CONFIDENCE) -> int:
    """How many replications more a target asks for; 0 when it is met or `most` is reached. At most as many again as there are.

    half_width: of the interval, relative: as a share of the mean. The estimate comes from the replications so far, so that the rounds
    depend on the seed alone (Law 2015, 9.4.1). Raises ValueError for a target that is none.
    """
    if not (math.isfinite(half_width) and half_width > 0):
        raise ValueError(f"a half-width of {half_width:g} is no target: it is greater than 0")
    found = interval(figures.column(figure), confidence)
    wanted = half_width * abs(found.mean) if relative else half_width
    if found.half_width <= wanted or found.n >= most:
        return 0
    ask = 2 * found.n if wanted == 0 or not math.isfinite(found.half_width) else needed(found, wanted)
    return min(max(ask, found.n + 1), 2 * found.n, most) - found.n


def compared(named: Mapping[str, Figures], chosen: Sequence[str], confidence: float = CONFIDENCE) -> dict[str, Any]:
    """Each scenario against the first, replication by replication under the same chance.

    Intervals by Bonferroni and significance by Holm, over the scenarios of one figure; figures are not corrected for each other.
    """
    base, *others = named
    rows = []
    for figure in chosen:
        columns = [named[other].column(figure) for other in others]
        against = named[base].column(figure)
        usable = np.isfinite(against) & np.all([np.isfinite(column) for column in columns], axis=0) if columns else np.isfinite(against)
        if not usable.any():
            continue
        found = paired(against[usable], [column[usable] for column in columns], confidence)
        rows += [
            {
                "figure": figure,
                "scenario": other,
                "base_mean": float(against[usable].mean()),
                "mean": float(column[usable].mean()),
                "difference": document(one.interval),
                "p": one.p_value,
                "p_holm": one.adjusted,
                "significant": one.significant,
            }
            for other, column, one in zip(others, columns, found, strict=True)
        ]
    return {"base": base, "confidence": confidence, "intervals": "Bonferroni", "significance": "Holm", "differences": rows}


def quicker(line: Line, name: str, share: float = FASTER) -> Line:
    """The line with one machine that much faster."""
    machines = tuple(_quicker(machine, share) if machine.name == name else machine for machine in line.machines)
    return replace(line, machines=machines)


def _quicker(machine: Machine, share: float) -> Machine:
    performance = machine.performance
    return replace(machine, performance=replace(performance, speed=performance.speed / (1 - share)))


def sensitivity(base: Figures, by_machine: Mapping[str, Figures], share: float = FASTER, confidence: float = CONFIDENCE) -> dict[str, Any]:
    """What a machine that is `share` quicker brings in throughput, under the same chance; the bottleneck brings most.

    elasticity: relative gain of throughput by relative gain of speed, 1 for a machine that alone decides. bottleneck: None where no gain is
    more than chance.
    """
    figure = "flow.throughput_per_hour"
    against = base.column(figure)
    found = paired(against, [one.column(figure) for one in by_machine.values()], confidence)
    mean, speed = float(against.mean()), 1 / (1 - share) - 1
    rows = [
        {
            "machine": name,
            "gain_per_hour": document(one.interval),
            "elasticity": one.interval.mean / mean / speed if mean else None,
            "p_holm": one.adjusted,
            "significant": one.significant,
        }
        for name, one in zip(by_machine, found, strict=True)
    ]
    sure = [(one.interval.mean, name) for name, one in zip(by_machine, found, strict=True) if one.significant and one.interval.mean > 0]
    return {"faster_by": share, "machines": rows, "bottleneck": max(sure)[1] if sure else None}
