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
from typing import Final

from gateway.model.line import MachineState

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


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
