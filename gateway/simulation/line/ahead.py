"""The rest of a shift, forecast from the state a line is in: what it will make, who will wait, which buffers run empty or full, and where
the bottleneck goes. Replications from the same state, each with chance of its own; quantiles over them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.model.line import Line, LineState
from gateway.simulation.line.chain import Beyond
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.courses import NONE, Ask, Courses, Told, buffers, by_events, joined
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.figures import Cannot
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.resumed import LANES, by_recursion
from gateway.simulation.line.topology import checked

Array = NDArray[np.float64]
Method = Literal["auto", "recursion", "events"]

REPLICATIONS: Final = 200
AT_LEAST_S: Final = 60.0
"""A wait that is shorter is part of the line's ordinary running."""
STEPS: Final = 48
"""Instants of the trajectory of the output."""
LEVELS: Final = (0.05, 0.5, 0.95)
MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ahead:
    """at_s, until_s: after the line's start; method: which it was, why: why not the recursion."""

    line: Line
    at_s: float
    until_s: float
    ask: Ask
    courses: Courses
    method: str
    why: str


def ahead(
    line: Line,
    state: LineState,
    seed: int,
    *,
    until_s: float | None = None,
    replications: int = REPLICATIONS,
    at_least_s: float = AT_LEAST_S,
    method: Method = "auto",
    told: Told = lambda _share: None,
) -> Ahead:
    """The line from the state until until_s, its duration without one. Raises LineError for what is no line, no state of it, or past, and
    Cannot where the recursion is asked for in vain.
    """
    checked(line)
    end_s = line.duration_s if until_s is None else until_s
    if not math.isfinite(end_s) or end_s <= state.at_s:
        raise LineError(f"the forecast ends at {end_s:g} s, which is not after {state.at_s:g} s, the instant of the state")
    if not 1 <= replications <= MOST:
        raise LineError(f"{replications} replications are none", f"1 to {MOST}")
    horizon_s = end_s - state.at_s
    ask = Ask(horizon_s, tuple(horizon_s * (step + 1) / STEPS for step in range(STEPS)), at_least_s)
    Layout(line, Chance(seed), state.at_s, state)  # refuses a state that is none of this line
    why = ""
    if method != "events":
        try:
            return Ahead(line, state.at_s, end_s, ask, _by_recursion(line, state, seed, replications, ask, told), "recursion", "")
        except Beyond as beyond:
            why = str(beyond)
    if method == "recursion":
        raise Cannot(f"the recursion cannot express this line as it stands: {why}")
    return Ahead(line, state.at_s, end_s, ask, by_events(line, state, seed, range(replications), ask, told), "events", why)


def _by_recursion(line: Line, state: LineState, seed: int, replications: int, ask: Ask, told: Told) -> Courses:
    parts = list[Courses]()
    for first in range(0, replications, LANES):
        some = range(first, min(first + LANES, replications))
        parts.append(by_recursion(line, state, seed, some, ask))
        told(some.stop / replications)
    return joined(parts)


def quantile(counts: Array, level: float) -> Array:
    """Of whole numbers, down the rows: the least one with at least that share at or below it (the inverse of the distribution)."""
    place = max(math.ceil(level * len(counts) - 1e-9) - 1, 0)
    found: Array = np.sort(counts, axis=0)[place]
    return found


def band(counts: Array) -> Array:
    """(3, ...): P05, P50, P95. Whole numbers; P05 is such that no more than 5 % lie below it, P95 such that no more than 5 % lie above:
    together they hold 90 % at least.
    """
    return np.stack([quantile(counts, level) for level in LEVELS])


def document(found: Ahead) -> dict[str, Any]:
    """JSON values: instants in seconds after the line's start, waits in minutes from now, None for what never happens."""
    line, courses = found.line, found.courses
    names = [machine.name for machine in line.machines]
    good, total = band(courses.good), band(courses.total)
    return {
        "line": line.name,
        "scenario": line.scenario,
        "at_s": found.at_s,
        "until_s": found.until_s,
        "replications": len(courses.good),
        "method": found.method,
        "why": found.why,
        "at_least_s": found.ask.at_least_s,
        "output": {"good": _spread(courses.good[:, -1]), "total": _spread(courses.total[:, -1])},
        "trajectory": {
            "at_s": [found.at_s + step for step in found.ask.grid_s],
            "good": _rows(good),
            "total": _rows(total),
        },
        "machines": {
            name: {"starved": _passage(courses.starved_s[:, place]), "blocked": _passage(courses.blocked_s[:, place])}
            for place, name in enumerate(names)
        },
        "buffers": {
            f"{a}->{b}": {"empty": _passage(courses.empty_s[:, place]), "full": _passage(courses.full_s[:, place])}
            for place, (a, b) in enumerate(buffers(line))
        },
        "bottleneck": {
            "now": _shares(courses.now, names),
            "next": _shares(courses.next_, names),
            "shift": _passage(courses.shift_s),
            "turning_point": _shares(courses.turning, names),
        },
    }


def _spread(counts: Array) -> dict[str, float]:
    low, middle, high = band(counts).tolist()
    return {"P05": low, "P50": middle, "P95": high, "mean": float(counts.mean()), "sd": float(counts.std())}


def _rows(quantiles: Array) -> dict[str, list[float]]:
    return dict(zip(("P05", "P50", "P95"), quantiles.tolist(), strict=True))


def _passage(at_s: Array) -> dict[str, float | None]:
    """probability: that it happens within the horizon; early, median, late: P05, P50 and P95 of the minutes until it, where it does."""
    happens = at_s[np.isfinite(at_s)]
    minutes = (band(happens) / 60).tolist() if happens.size else [None] * len(LEVELS)
    return {"probability": happens.size / at_s.size, **dict(zip(("early_min", "median_min", "late_min"), minutes, strict=True))}


def _shares(places: NDArray[np.int64], names: Sequence[str]) -> Mapping[str, float]:
    """Of the replications, by machine, the most first; those with none are left out."""
    count = np.bincount(places[places != NONE], minlength=len(names)) / places.size
    return {names[place]: float(count[place]) for place in np.argsort(-count, kind="stable") if count[place]}
