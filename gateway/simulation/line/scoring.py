"""How good forecasts of a shift's output are: simulated shifts as the truth, a forecast at some instant of each, and what came of it.

Coverage of whole numbers: where the band's edge falls on one number with some probability, only a part of that probability belongs to the
band, and an outcome on the edge counts with that part (the probability integral transform of counts: Czado, Gneiting and Held 2009). So
a forecast whose probabilities are right covers 90 %, however coarse the numbers are; the numbers from P05 to P95 hold more.
CRPS: of an ensemble, without its bias by size (Ferro 2014).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.line import Clock, Line, LineState, MachineStart, MachineState
from gateway.simulation.line.ahead import REPLICATIONS, Method, ahead, band
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.courses import Told
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.standing import standing
from gateway.simulation.line.station import DOWN, EXECUTE, Station
from gateway.simulation.line.topology import checked

Array = NDArray[np.float64]

LEVEL: Final = 0.9
COLUMNS: Final = ("shift", "share", "outcome", "mean", "low", "high", "covered", "inside", "crps")
"""Of one forecast: in which shift, at which share of it, units made after that, the forecast's mean, P05 and P95, how far the band covers
the outcome (0 to 1), whether it lies within P05 to P95, and its CRPS."""
_EARLIEST, _LATEST = 0.02, 0.95


@dataclass(frozen=True, slots=True)
class Scoring:
    """at: shares of the shift, none for one chosen by chance in each; seen: forecasts know no more than what a gateway sees in tags."""

    at: tuple[float, ...] = ()
    replications: int = REPLICATIONS
    seen: bool = False
    method: Method = "auto"


def scored(line: Line, seed: int, shifts: Sequence[int], scoring: Scoring, told: Told) -> tuple[Array, str, str]:
    """(rows of COLUMNS; the method; why not the recursion). Raises LineError."""
    checked(line)
    rows, method, why = list[list[float]](), "", ""
    for done, shift in enumerate(shifts, 1):
        chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(shift,))))
        shares = sorted(scoring.at) if scoring.at else [float(chance.uniform(_EARLIEST, _LATEST))]
        states, made, total = _truth(line, seed, shift, shares, seen=scoring.seen)
        for share, state, before in zip(shares, states, made, strict=True):
            own = int(chance.integers(2**63))
            found = ahead(line, state, own, replications=scoring.replications, method=scoring.method)
            method, why = found.method, found.why
            rows.append([shift, share, *row(found.courses.good[:, -1], total - before)])
        told(done / len(shifts))
    return np.array(rows), method, why


def _truth(line: Line, seed: int, shift: int, shares: Sequence[float], *, seen: bool) -> tuple[list[LineState], list[int], int]:
    """One shift: how it stood at these shares of it, what was made until then, and in all."""
    layout, log = Layout(line, Chance(seed, shift), -line.warm_up_s, None), list[float]()
    layout.advance(0.0)
    layout.begin(log)
    states, made = list[LineState](), list[int]()
    for share in shares:
        layout.advance(share * line.duration_s)
        states.append(as_seen(layout, log) if seen else standing(layout))
        made.append(sum(layout.books.good))
    layout.advance(line.duration_s)
    return states, made, sum(layout.books.good)


def as_seen(layout: Layout, log: Sequence[float]) -> LineState:
    """The state as tags tell it: whole seconds, ages since the last failure that was seen, and nothing of what goes on inside a machine:
    how far a halted cycle was, whom the crew attends, when it was maintained.
    """
    state = standing(layout)
    machines = [
        replace(
            start,
            elapsed_s=float(int(start.elapsed_s)),
            age_s=0.0 if start.state == MachineState.DOWN else _age(layout, station, start, log),
            worked_s=0.0,
            attended_s=None,
            maintained_s=0.0,
        )
        for start, station in zip(state.machines, layout.stations, strict=True)
    ]
    return replace(state, machines=tuple(machines))


def _age(layout: Layout, station: Station, start: MachineStart, log: Sequence[float]) -> float:
    """Seconds at work since the last failure, or on the time clock since it ended."""
    reliability = station.machine.reliability
    if reliability is None:
        return start.age_s
    rows = [(at, int(state)) for at, number, state in zip(log[0::3], log[1::3], log[2::3], strict=True) if number == station.number]
    last = max((place for place, (_, state) in enumerate(rows) if state == DOWN), default=-1)
    rows = rows[last + 1 :]
    if reliability.clock == Clock.TIME:
        return layout.env.now - (rows[0][0] if last >= 0 and rows else 0.0)
    return sum(end - at for (at, state), (end, _) in pairwise([*rows, (layout.env.now, DOWN)]) if state == EXECUTE)


def row(forecast: Array, outcome: float) -> list[float]:
    """From `outcome` on in COLUMNS, of forecast counts (replications,)."""
    low, _, high = band(forecast).tolist()
    inside = float(low <= outcome <= high)
    return [outcome, float(forecast.mean()), low, high, covered(forecast, outcome), inside, crps(forecast, outcome)]


def covered(forecast: Array, outcome: float, level: float = LEVEL) -> float:
    """The share of the outcome's probability that lies within the central band; its mean over calibrated forecasts is `level`."""
    n = len(forecast) + 1
    below, upto = np.sum(forecast < outcome) / n, (np.sum(forecast <= outcome) + 1) / n
    tail = (1 - level) / 2
    return float(max(min(upto, 1 - tail) - max(below, tail), 0.0) / (upto - below))


def crps(forecast: Array, outcome: float) -> float:
    """In units."""
    n = len(forecast)
    spread = float(np.sum((2 * np.arange(1, n + 1) - n - 1) * np.sort(forecast))) / (n * (n - 1)) if n > 1 else 0.0
    return float(np.mean(np.abs(forecast - outcome))) - spread


def report(rows: Array, bins: Sequence[float] = ()) -> dict[str, Any]:
    """Over all forecasts, and by the instant: at the shares given, or in fifths of the shift."""
    by_name = dict(zip(COLUMNS, rows.T, strict=True))
    share = by_name["share"]
    if bins:
        parts = [(f"{one:g}", share == one) for one in sorted(set(bins))]
    else:
        parts = [(f"{fifth / 5:g}-{(fifth + 1) / 5:g}", np.floor(share * 5) == fifth) for fifth in range(5)]
    return {"all": _scores(rows), "at": {name: _scores(rows[which]) for name, which in parts if which.any()}}


def _scores(rows: Array) -> dict[str, float | int]:
    by_name = dict(zip(COLUMNS, rows.T, strict=True))
    error = by_name["mean"] - by_name["outcome"]
    n = len(rows)
    return {
        "forecasts": n,
        "coverage": float(by_name["covered"].mean()),
        "coverage_error": float(by_name["covered"].std() / n**0.5),
        "inside": float(by_name["inside"].mean()),
        "width": float((by_name["high"] - by_name["low"]).mean()),
        "crps": float(by_name["crps"].mean()),
        "bias": float(error.mean()),
        "bias_error": float(error.std() / n**0.5),
        "mae": float(np.abs(error).mean()),
        "outcome": float(by_name["outcome"].mean()),
    }
