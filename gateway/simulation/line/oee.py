"""OEE as this product defines it, for simulated and for measured machines alike (ISO 22400-2's factors; Nakajima's losses).

availability  = APT / PBT            APT: PBT less DOWN and CHANGEOVER
effectiveness = PRI x PQ / APT       speed losses, JAMMED, STARVED and BLOCKED (idling and minor stops)
quality ratio = GQ / PQ
OEE           = availability x effectiveness x quality ratio = PRI x GQ / PBT

PBT (planned busy time): all time less BREAK, IDLE and MAINTENANCE, which are planned. PRI: the ideal seconds of one item; PQ, GQ: items
produced, and those of them that were not rejected.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.line import Machine, MachineState
from gateway.simulation.line.ideal import Pace
from gateway.simulation.line.lifetimes import mean

PLANNED: Final = frozenset({MachineState.BREAK, MachineState.IDLE, MachineState.MAINTENANCE})
UNAVAILABLE: Final = frozenset({MachineState.DOWN, MachineState.CHANGEOVER})


@dataclass(frozen=True, slots=True)
class Oee:
    """Shares; NaN where there is nothing to divide by. Times in seconds, produced and good in items."""

    availability: float
    performance: float
    quality: float
    oee: float
    planned_busy_s: float
    production_s: float
    produced: float
    good: float


def oee(planned_busy_s: float, production_s: float, ideal_s: float, produced: float, good: float) -> Oee:
    """From PBT, APT, PRI, PQ and GQ."""
    availability = _share(production_s, planned_busy_s)
    performance = _share(ideal_s * produced, production_s)
    quality = _share(good, produced)
    return Oee(availability, performance, quality, _share(ideal_s * good, planned_busy_s), planned_busy_s, production_s, produced, good)


def busy_times(seconds: Mapping[MachineState, float]) -> tuple[float, float]:
    """(PBT, APT) of the seconds in each state."""
    busy = math.fsum(spent for state, spent in seconds.items() if state not in PLANNED)
    return busy, busy - math.fsum(seconds.get(state, 0.0) for state in UNAVAILABLE)


def of_machine(machine: Machine, seconds: Mapping[MachineState, float], made: float, rejected: float) -> Oee:
    """Of a machine, from the seconds in each state (the mean over its places) and the items it made, the rejected among them."""
    busy, production = busy_times(seconds)
    return oee(busy, production, mean(machine.cycle_time_sec) / (machine.servers * machine.batch_out), made, made - rejected)


def of_line(pace: Pace, machines: Mapping[str, Oee], good: float, scrapped: float) -> Oee:
    """Of the line, against its slowest machine: that one's planned time, availability and ideal speed; good, scrapped: in raw parts.

    Of machines that are the slowest beside each other: the means of their times by their shares of the flow, as of the places of one.
    """
    busy = math.fsum(share * machines[name].planned_busy_s for name, share in pace.slowest.items())
    production = math.fsum(share * machines[name].production_s for name, share in pace.slowest.items())
    return oee(busy, production, pace.seconds, good + scrapped, good)


LOSSES: Final = ("good", "rejects", "speed", "starved", "blocked", "jammed", "changeover", "down")


def losses(machine: Mapping[str, Any]) -> dict[str, float]:
    """Shares of planned busy time of a machine of the summary: good parts at ideal speed (its OEE), and each loss; they sum to 1."""
    figures, seconds = machine["oee"], machine["time_in_state_s"]
    planned = figures["planned_busy_s"]
    if not planned or figures["oee"] is None:
        return dict.fromkeys(LOSSES, 0.0)
    made = figures["oee"] / figures["quality"] if figures["quality"] else 0.0
    waits = {word: seconds.get(word.upper(), 0.0) / planned for word in ("starved", "blocked", "jammed", "changeover", "down")}
    speed = 1.0 - made - sum(waits.values())
    return {"good": figures["oee"], "rejects": made - figures["oee"], "speed": max(speed, 0.0), **waits}


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
