"""What goes wrong on the demo line, by the clock: two troubles in the first 20 s, and about two in ten minutes from then on
(EEMUA 191 and IEC 62682, 16: an operator can handle one alarm in ten minutes, and two at most).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.demo.physics import MACHINES, Inputs


@dataclass(frozen=True, slots=True)
class Trouble:
    """From begin_s to end_s of each every_s seconds one input is pushed. machine: for a jam."""

    begin_s: float
    end_s: float
    every_s: float
    heat: float = 0.0
    draught: float = 0.0
    leak: float = 0.0
    machine: str = ""


SCRIPT: Final = (
    Trouble(3.0, 7.5, 600.0, heat=18.0),  # hot air from the laminator hall: HI of production_line.temperature
    Trouble(9.0, 13.0, 2400.0, machine="framer"),  # a jam: STATE of the framer
    Trouble(300.0, 315.0, 1200.0, draught=22.0),  # a gate stands open in winter: LO of environment.humidity
    Trouble(1350.0, 1354.0, 2400.0, machine="stringer"),
    Trouble(900.0, 912.0, 1200.0, leak=2.5),  # a worn seal: HI of the laminator's vacuum
)


def disturbed(inputs: Inputs, time_s: float) -> Inputs:
    """The inputs with the script's troubles of that time (seconds since the plant began) on top."""
    now = [trouble for trouble in SCRIPT if trouble.begin_s <= time_s % trouble.every_s < trouble.end_s]
    if not now:
        return inputs
    return replace(
        inputs,
        heat=inputs.heat + sum(trouble.heat for trouble in now),
        draught=inputs.draught + sum(trouble.draught for trouble in now),
        leak=inputs.leak + sum(trouble.leak for trouble in now),
        jammed=inputs.jammed | np.array([any(trouble.machine == machine for trouble in now) for machine in MACHINES]),
    )
