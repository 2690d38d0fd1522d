"""What goes wrong on the demo line, by the clock: two troubles in the first 20 s, one that comes slowly in the first three minutes, and
about two in ten minutes from then on (EEMUA 191 and IEC 62682, 16: an operator can handle one alarm in ten minutes, and two at most); and
the slow ones that are put on it as faults, over minutes, so that somebody who sees them come has time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.demo.faults import Fault
from gateway.demo.physics import MACHINES, Inputs


@dataclass(frozen=True, slots=True)
class Push:
    """By how much inputs are pushed, as in Inputs. machine: forced into a fault."""

    heat: float = 0.0
    draught: float = 0.0
    leak: float = 0.0
    plate: float = 0.0
    loss: float = 0.0
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """From begin_s to end_s of each every_s seconds one input is pushed; slowly: from nothing to all of it at the end."""

    begin_s: float
    end_s: float
    every_s: float
    push: Push
    slowly: bool = False

    def share(self, time_s: float) -> float:
        """How much of it there is at that time."""
        at_s = time_s % self.every_s
        if not self.begin_s <= at_s < self.end_s:
            return 0.0
        return (at_s - self.begin_s) / (self.end_s - self.begin_s) if self.slowly else 1.0


SCRIPT: Final = (
    Trouble(3.0, 7.5, 600.0, Push(heat=18.0)),  # hot air from the laminator hall: HI of production_line.temperature
    Trouble(9.0, 13.0, 2400.0, Push(machine="framer")),  # a frame stands askew: STATE of the framer
    Trouble(75.0, 225.0, 1200.0, Push(leak=3.0), slowly=True),  # a seal wears out: HI of the laminator's vacuum, seen a minute before
    Trouble(700.0, 715.0, 2400.0, Push(draught=22.0)),  # a gate stands open in winter: LO of environment.humidity
    Trouble(1350.0, 1354.0, 2400.0, Push(machine="stringer")),
)
SLOW: Final[Mapping[Fault, Push]] = {  # each passes its limit at about 0.6 of it
    Fault.WARM_HALL: Push(heat=7.5),  # HI of production_line.temperature
    Fault.WORN_SEAL: Push(leak=3.0),  # HI of machines.laminator.vacuum
    Fault.DRY_AIR: Push(draught=25.0),  # LO of environment.humidity
    Fault.HOT_PLATE: Push(plate=16.0),  # HI of machines.laminator.temperature
    Fault.NO_WAFERS: Push(loss=400.0),  # LO of materials.silicon_wafer.inventory
}


def disturbed(inputs: Inputs, time_s: float) -> Inputs:
    """The inputs with the script's troubles of that time (seconds since the plant began) on top."""
    return pushed(inputs, ((trouble.push, share) for trouble in SCRIPT if (share := trouble.share(time_s))))


def pushed(inputs: Inputs, pushes: Iterable[tuple[Push, float]]) -> Inputs:
    """The inputs with so much of each push on top."""
    now = list(pushes)
    if not now:
        return inputs
    return replace(
        inputs,
        heat=inputs.heat + sum(push.heat * share for push, share in now),
        draught=inputs.draught + sum(push.draught * share for push, share in now),
        leak=inputs.leak + sum(push.leak * share for push, share in now),
        plate=inputs.plate + sum(push.plate * share for push, share in now),
        loss=inputs.loss + sum(push.loss * share for push, share in now),
        faulty=inputs.faulty | np.array([any(push.machine == machine for push, _ in now) for machine in MACHINES]),
    )
