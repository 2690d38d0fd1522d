"""What goes wrong on the demo line, by the clock: each trouble begins and ends within 20 s and comes back every minute."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.demo.physics import MACHINES, Inputs

PERIOD_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Between begin_s and end_s of every minute one input is pushed. machine: for a jam."""

    begin_s: float
    end_s: float
    heat: float = 0.0
    draught: float = 0.0
    leak: float = 0.0
    machine: str = ""


SCRIPT: Final = (
    Trouble(3.0, 7.5, heat=18.0),  # hot air from the laminator hall: HI of production_line.temperature
    Trouble(4.0, 8.0, draught=22.0),  # a gate stands open in winter: LO of environment.humidity
    Trouble(6.0, 10.0, leak=2.5),  # a worn seal: HI of the laminator's vacuum
    Trouble(9.0, 13.0, machine="framer"),  # a jam: STATE of the framer
    Trouble(33.0, 37.0, draught=22.0),
    Trouble(40.0, 44.0, machine="stringer"),
    Trouble(48.0, 51.0, heat=16.0),
)


def disturbed(inputs: Inputs, time_s: float) -> Inputs:
    """The inputs with the script's troubles of that time (seconds since the plant began) on top."""
    at = time_s % PERIOD_S
    now = [trouble for trouble in SCRIPT if trouble.begin_s <= at < trouble.end_s]
    if not now:
        return inputs
    return replace(
        inputs,
        heat=inputs.heat + sum(trouble.heat for trouble in now),
        draught=inputs.draught + sum(trouble.draught for trouble in now),
        leak=inputs.leak + sum(trouble.leak for trouble in now),
        jammed=inputs.jammed | np.array([any(trouble.machine == machine for trouble in now) for machine in MACHINES]),
    )
