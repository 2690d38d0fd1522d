"""The demo's machines: the simulator of the PV-module line, with hands on it that stop a machine, change its pace or starve it.

Left alone they do exactly what a run of that line does under the same seed.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from simpy import Event, Timeout

from gateway.demo.physics import LAMINATOR, MACHINES, STOPPED_BELOW, TESTED, Mask, Moment
from gateway.demo.physics import MachineState as Shown
from gateway.model.line import SOURCE, Line, LineState, MachineStart, MachineState
from gateway.settings.line import load_line, shipped
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.flow import Steps
from gateway.simulation.line.ideal import pace
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.lifetimes import mean
from gateway.simulation.line.station import EXECUTE, STATES, Phase, Station
from gateway.simulation.line.streams import Purpose

RUN: Final = "pv_baseline_8hr"
SCENARIO: Final = "pv_as_built"
_CODES: Final = {
    MachineState.EXECUTE: Shown.RUNNING,
    MachineState.DOWN: Shown.FAULT,
    MachineState.STARVED: Shown.STARVED,
    MachineState.BLOCKED: Shown.BLOCKED,
    MachineState.JAMMED: Shown.JAMMED,
    MachineState.IDLE: Shown.STOPPED,
}
_SHOWN: Final = tuple(int(_CODES.get(state, Shown.IDLE)) for state in STATES)
_BEGUN_S: Final = (1.0, 4.0, 3.0, 1.0, 1.0, 60.0)
_WAITING: Final = (10, 10, 0, 0, 15)
BEGUN: Final = LineState(
    tuple(MachineStart(name, MachineState.EXECUTE, at_s) for name, at_s in zip(MACHINES, _BEGUN_S, strict=True)),
    tuple((a, b, parts) for (a, b), parts in zip(pairwise(MACHINES), _WAITING, strict=True)),
)
"""All at work, as they stand after a while: modules wait before the laminator, which is the slowest, and none behind it."""


@lru_cache(maxsize=1)
def as_built() -> Line:
    """The line that the plant is."""
    return load_line(RUN, shipped(), scenario=SCENARIO)


class Hand:
    """On one machine: its pace, 1.0 for the line's own speed, which holds from now on also for the cycle that it is at.

    last, before: when its last two cycles were done.
    """

    def __init__(self, station: Station, begun_s: float, apart_s: float) -> None:
        """begun_s: how long it has been at its cycle; apart_s: between the two before."""
        self.station, self.pace, self.usual_s = station, 1.0, mean(station.machine.cycle_time_sec)
        self.last, self.before = -begun_s, -begun_s - apart_s
        self._left = self._cycle_s = self._since = self._running = 0.0
        station.phases["execute"] = self._work

    def set(self, pace: float, held: MachineState | None) -> None:
        """How it works from now on, or the state in which it stands still."""
        if pace != self.pace:
            self.pace = pace
            self.station.rouse()
        self.station.hold(held)

    def done(self) -> float:
        """Cycles done, and the share of the one at work."""
        if not self._cycle_s:
            return float(self.station.cycles)
        left = self._left - (self.station.env.now - self._since) * self._running
        return self.station.cycles + 1.0 - max(left, 0.0) / self._cycle_s

    def _settle(self) -> None:
        now = self.station.env.now
        self._left, self._since = self._left - (now - self._since) * self._running, now

    def _work(self) -> Steps:
        station, env = self.station, self.station.env
        self._left = station.cycle_s
        self._cycle_s = self._left if station.cycles else max(self._left, self.usual_s)  # the first one had begun before
        station.began = env.now
        while True:
            while env.now >= station.interrupt_at:
                yield from station.interruption()
            station.enter(EXECUTE)
            self._since, self._running = env.now, self.pace
            whole = Timeout(env, max(self._left, 0.0) / self.pace)  # never less than nothing, by rounding
            station.signal = Event(env)
            yield whole | station.signal
            station.signal = None
            self._settle()
            self._running = 0.0
            if whole.processed:
                break
        self._cycle_s = 0.0
        self.before, self.last = self.last, env.now


class Machines:
    """The running line; stations and hands in the order of MACHINES.

    share: of the laminator's modules that turn defective beyond what the line's own chance makes of them.
    """

    def __init__(self, seed: int) -> None:
        self.line, chance = as_built(), Chance(seed)
        self.layout = Layout(self.line, chance, BEGUN.at_s, BEGUN)
        self.layout.begin(None)
        self.stations = [self.layout.places[name][0] for name in MACHINES]
        apart_s = pace(self.line).seconds  # of modules, as the slowest machine makes them
        self.hands = [Hand(station, begun_s, apart_s) for station, begun_s in zip(self.stations, _BEGUN_S, strict=True)]
        self._buffers = [buffer for (origin, _), buffer in self.layout.buffers.items() if origin != SOURCE]
        self._draws = chance.stream("hall", Purpose.DEFECT)
        self.share = 0.0
        station = self.stations[LAMINATOR]
        station.phases = _behind(station.phases, "transform", "strain", self._strain)

    def act(self, speeds: np.ndarray, faulty: Mask, short: Mask) -> None:
        """What is done to the machines from now on. speeds: float64[6] in %; faulty: forced into a fault; short: without material."""
        for row, hand in enumerate(self.hands):
            speed = min(float(speeds[row]), 120.0)
            held = None
            if faulty[row]:
                held = MachineState.DOWN
            elif speed < STOPPED_BELOW:
                held = MachineState.IDLE
            elif short[row]:
                held = MachineState.STARVED
            hand.set(max(speed, STOPPED_BELOW) / 100.0, held)

    def advance(self, until_s: float) -> Moment:
        """What it comes to."""
        self.layout.advance(until_s)
        return self.moment()

    def moment(self) -> Moment:
        """As it stands."""
        stations, hands = self.stations, self.hands
        tested = hands[TESTED]
        apart_s = max(tested.last - tested.before, self.layout.env.now - tested.last)
        return Moment(
            np.array([_SHOWN[station.state] for station in stations], np.int64),
            np.array([station.made for station in stations], np.int64),
            np.array([station.detected for station in stations], np.int64),
            np.array([hand.done() for hand in hands]),
            np.array([hand.usual_s / hand.pace for hand in hands]),
            np.array([len(buffer.items) for buffer in self._buffers], np.int64),
            60.0 / apart_s,
        )

    def _strain(self) -> None:
        if self.share <= 0.0:
            return
        for part in self.stations[LAMINATOR].parts:
            if self._draws.random() < self.share:
                self.stations[LAMINATOR].created += not part.defective
                part.defective = True


def _behind(phases: dict[str, Phase], place: str, name: str, phase: Phase) -> dict[str, Phase]:
    found: dict[str, Phase] = {}
    for own, usual in phases.items():
        found[own] = usual
        if own == place:
            found[name] = phase
    return found
