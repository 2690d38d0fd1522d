"""The recursion from the state a line is in: what each machine has in hand is finished first, then what stands before it, from the last
machine to the first, and then the source goes on. Times count from the state's instant.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.distribution import Distribution
from gateway.model.line import Line, LineState, Machine, MachineStart, MachineState
from gateway.simulation.line.bottleneck import Period
from gateway.simulation.line.chain import Beyond
from gateway.simulation.line.courses import Ask, Courses, active_since, bottlenecks, buffers
from gateway.simulation.line.lanes import NOBODY, Array, Block, Counts, Places
from gateway.simulation.line.lifetimes import residual
from gateway.simulation.line.recursion import Recursion
from gateway.simulation.line.stage import Stage
from gateway.simulation.line.streams import Purpose, generators
from gateway.simulation.line.topology import final_forms
from gateway.simulation.line.watched import Watch
from gateway.simulation.line.work import Head

LANES: Final = 256
"""Replications at once: more need more memory, and gain little."""
_WAITS: Final = frozenset({MachineState.STARVED, MachineState.BREAK, MachineState.IDLE})
_WORKS: Final = frozenset({MachineState.EXECUTE, MachineState.DOWN, MachineState.JAMMED, MachineState.BLOCKED})


def by_recursion(line: Line, state: LineState, seed: int, replications: Sequence[int], ask: Ask) -> Courses:
    """All these replications at once. Raises Beyond where the line or its state is not for the recursion."""
    return Resumed(line, state, seed, replications, ask).courses()


class Resumed(Recursion):
    """The rest of a run."""

    def __init__(self, line: Line, state: LineState, seed: int, replications: Sequence[int], ask: Ask) -> None:
        quantity = line.source.quantity
        source = replace(line.source, quantity=None if quantity is None else max(quantity - state.supplied, 0))
        super().__init__(replace(line, duration_s=ask.horizon_s, warm_up_s=0.0, source=source), seed, replications)
        self._seed, self._replications, self._ask, self._state = seed, replications, ask, state
        starts = {start.name: start for start in state.machines}
        self._starts = [_checked(starts.get(stage.link.machine.name) or MachineStart(""), stage.link.machine) for stage in self.stages]
        self._levels = {(a, b): count for a, b, count in state.buffers}
        self._grid = np.array(ask.grid_s)
        self._good, self._bad = np.zeros((len(self._grid) + 1, self.lanes)), np.zeros((len(self._grid) + 1, self.lanes))
        self._final = final_forms(line)

    def courses(self) -> Courses:
        """Run, and what came of it."""
        self._begin()
        self.run()
        watches = [stage.watch for stage in self.stages if stage.watch is not None]
        for watch, stage in zip(watches, self.stages, strict=True):
            watch.close(stage.free)
        by_name = {watch.name: watch for watch in watches}
        good = self._good[:-1].cumsum(axis=0).T
        own = [by_name[machine.name] for machine in self.line.machines]
        behind = [by_name[target] for _, target in buffers(self.line)]
        columns = list(zip(*(self._bottlenecks(lane) for lane in range(self.lanes)), strict=True))
        return Courses(
            good,
            good + self._bad[:-1].cumsum(axis=0).T,
            np.column_stack([watch.starved_s for watch in own]),
            np.column_stack([watch.blocked_s for watch in own]),
            np.column_stack([watch.empty_s for watch in behind]) if behind else np.zeros((self.lanes, 0)),
            np.column_stack([watch.full_s for watch in behind]) if behind else np.zeros((self.lanes, 0)),
            *(np.array(column) for column in columns),
        )

    def _bottlenecks(self, lane: int) -> tuple[int, int, float, int]:
        active, starved, blocked = dict[str, list[Period]](), dict[str, float](), dict[str, float]()
        for stage in self.stages:
            name = stage.link.machine.name
            active[name] = stage.watch.periods[lane] if stage.watch else []
            starved[name], blocked[name] = float(stage.starved[lane]), float(stage.blocked[lane])
        return bottlenecks(self.line, active, starved, blocked, self._ask)

    # --- what is on the line ---

    def _begin(self) -> None:
        since = active_since(self._state)
        before = [edge.origin for stage in self.stages for edge in self.line.edges if edge.target == stage.link.machine.name]
        for place in reversed(range(len(self.stages))):
            stage, start = self.stages[place], self._starts[place]
            name, count = stage.link.machine.name, self._levels.get((before[place], stage.link.machine.name), 0)
            stage.watch = Watch(name, start, since.get(name, 0.0), count, stage.link.room, self.lanes, self._ask)
            self._wear(stage, start)
            if start.state in _WORKS:
                took = stage.finish(self._head(stage, start), self._behind(place))
                self._through(self._passed(place, took), place + 1)
            else:
                stage.taken[:] = start.parts or 0
            while count > 0:
                rows = min(count, self._rows)
                zeros = np.zeros((rows, self.lanes))
                self._through(Block(zeros, zeros.copy(), NOBODY, np.full(self.lanes, rows)), place)
                count -= rows

    def _wear(self, stage: Stage, start: MachineStart) -> None:
        reliability = stage.link.machine.reliability
        if reliability is not None and stage.link.fails:
            worn = 0.0 if start.state == MachineState.DOWN else start.age_s
            stage.wear(self._left(stage, Purpose.FAILURE, reliability.mtbf, worn)[0])

    def _head(self, stage: Stage, start: MachineStart) -> Head:
        """As the layout has it (Layout._left, Layout._rest), in all lanes."""
        machine, state, none = stage.link.machine, start.state, np.zeros(self.lanes)
        speed, cycle = machine.performance.speed, machine.cycle_time_sec
        if state == MachineState.BLOCKED:
            return Head(none, none, fails=False, jams=False)
        if state == MachineState.EXECUTE:
            left, _ = self._left(stage, Purpose.CYCLE, cycle, start.elapsed_s * speed)
            return Head(none, left / speed, fails=True, jams=False)
        down = state == MachineState.DOWN
        time = machine.reliability.mttr if down and machine.reliability else machine.performance.jam_time_sec
        passed = start.elapsed_s if not down or start.attended_s is None else start.attended_s
        held, streams = self._left(stage, Purpose.CYCLE, time, passed)
        rest = None
        if start.worked_s:
            rest = np.array([residual(cycle, start.worked_s * speed, one) / speed for one in streams])
        inside = bool(machine.reliability and machine.reliability.within_cycle)
        return Head(held, rest, fails=True, jams=down and not start.worked_s and not inside)

    def _left(self, stage: Stage, purpose: Purpose, time: Distribution, passed_s: float) -> tuple[Array, list[np.random.Generator]]:
        streams = list(generators(self._seed, self._replications, f"{stage.link.machine.name}/begun", purpose))
        return np.array([residual(time, passed_s, one) for one in streams]), streams

    # --- what leaves it ---

    def _leave(self, block: Block) -> None:
        super()._leave(block)
        rows, lanes = np.nonzero(block.here())
        self._count(self._good, block.at_s[rows, lanes], lanes)

    def _reject(self, block: Block, found: Places, place: int) -> Counts:
        if self.stages[place].link.form in self._final:
            self._count(self._bad, block.at_s.ravel()[found], found % self.lanes)
        return super()._reject(block, found, place)

    def _count(self, into: Array, at_s: Array, lanes: NDArray[np.intp]) -> None:
        """By the first instant of the grid that is later."""
        slots = np.searchsorted(self._grid, at_s, side="right")
        into += np.bincount(slots * self.lanes + lanes, minlength=into.size).reshape(into.shape)


def _checked(start: MachineStart, machine: Machine) -> MachineStart:
    """Raises Beyond for a state that only the discrete events take up."""
    if machine.servers > 1:
        raise Beyond(f"{machine.name} has {machine.servers} places, and is taken up as it stands")
    if start.state not in _WORKS | _WAITS:
        raise Beyond(f"{machine.name} is in {start.state}")
    if start.state in _WORKS and start.parts is not None and start.parts < (1 if start.state == MachineState.BLOCKED else machine.batch_in):
        raise Beyond(f"{machine.name} is {start.state} without all its parts")
    if start.state == MachineState.DOWN and start.holding is False:
        raise Beyond(f"{machine.name} is DOWN without parts")
    if start.state in _WAITS and (start.parts or 0) >= machine.batch_in:
        raise Beyond(f"{machine.name} waits with all its parts")
    return start
