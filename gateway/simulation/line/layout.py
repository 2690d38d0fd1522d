"""A line as it runs: stations, buffers, source and outlets wired together, from empty or from a given instant."""

import math
from collections.abc import Sequence

import numpy as np
from simpy import Environment, Resource

from gateway.model.line import REJECT, SINK, SOURCE, Clock, Edge, Line, LineState, Machine, MachineStart, MachineState
from gateway.simulation.line import phases
from gateway.simulation.line.calendar import stops
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.flow import Arrivals, Books, Buffer, Inlet, Order, Outlet, Part, ReworkBuffer, Steps, Supply, Target
from gateway.simulation.line.lifetimes import residual
from gateway.simulation.line.routes import Routes, Way, condition_of
from gateway.simulation.line.station import NEVER, STATES, WAITING, Station
from gateway.simulation.line.streams import Purpose
from gateway.simulation.line.topology import age_of, final_forms, shares, units_taken

_HOLDING = {MachineState.EXECUTE, MachineState.DOWN, MachineState.JAMMED, MachineState.CHANGEOVER, MachineState.MAINTENANCE}
_ATTENDED = {MachineState.DOWN, MachineState.MAINTENANCE}
_PHASE = {
    MachineState.CHANGEOVER: "changeover",
    MachineState.MAINTENANCE: "maintain",
    MachineState.DOWN: "breakdown",
    MachineState.JAMMED: "microstop",
}


class Layout:
    """The running parts of one line. stations by number; places: the numbers of each machine's stations."""

    def __init__(self, line: Line, chance: Chance, begin_s: float, state: LineState | None) -> None:
        self.line, self.chance = line, chance
        self.env = env = Environment(begin_s)
        self.share = shares(line)
        self.skus = [product.sku_name for product in (line.product, *line.products)]
        self.books = books = Books(env, len(self.skus), final_forms(line))
        self.buffers = {(edge.origin, edge.target): self._buffer(edge) for edge in line.edges if edge.target not in {SINK, REJECT}}
        lots = [(self.skus.index(lot.sku_name), lot.quantity) for lot in line.source.lots]
        self.order = Order(lots, line.source.quantity, self.share)
        self.reject = Outlet(books, good=False)
        self.sink = Outlet(books, good=True)
        self.supply = Supply(env, self.order, books)
        self.stations: list[Station] = []
        self.places: dict[str, list[Station]] = {machine.name: self._stations(machine) for machine in line.machines}
        self.names = [
            machine.name if machine.servers == 1 else f"{machine.name}.{place + 1}"
            for machine in line.machines
            for place in range(machine.servers)
        ]
        crews = {crew.name: Resource(env, crew.size) for crew in line.crews}
        for station in self.stations:
            station.crew = crews.get(station.machine.crew)
            station.phases = phases.build(station)
        self.arrivals = self._arrivals()
        self._start(state)

    def _buffer(self, edge: Edge) -> Buffer:
        return ReworkBuffer(self.env, edge, self.books) if edge.rework else Buffer(self.env, edge)

    def _stations(self, machine: Machine) -> list[Station]:
        routes = Routes(
            [Way(edge, self._target(edge), condition_of(edge)) for edge in self.line.edges if edge.origin == machine.name],
            self.reject,
            machine.routing,
            self.chance.uniforms(machine.name, Purpose.ROUTE),
            self.share,
        )
        incoming = sorted((edge for edge in self.line.edges if edge.target == machine.name), key=lambda edge: edge.priority)
        made = []
        for _ in range(machine.servers):
            station = Station(self.env, machine, len(self.stations), self.chance, self.books, self.skus)
            station.routes = routes
            station.inputs = [self._inlet(edge) for edge in incoming]
            station.rotate = len(incoming) > 1 and len({edge.priority for edge in incoming}) == 1
            self.stations.append(station)
            made.append(station)
        return made

    def _target(self, edge: Edge) -> Target:
        if edge.target == SINK:
            return self.sink
        return self.reject if edge.target == REJECT else self.buffers[edge.origin, edge.target]

    def _inlet(self, edge: Edge) -> Inlet:
        return self.supply if edge.origin == SOURCE and self.line.source.arrivals is None else self.buffers[edge.origin, edge.target]

    def _arrivals(self) -> Arrivals | None:
        source = self.line.source
        if source.arrivals is None:
            return None
        fed = [edge for edge in sorted(self.line.edges, key=lambda edge: edge.priority) if edge.origin == SOURCE]
        between = self.chance.times(source.name, Purpose.ARRIVAL, source.arrivals)
        lose = source.when_full == "lose"
        arrivals = Arrivals(self.env, self.order, self.books, [self.buffers[edge.origin, edge.target] for edge in fed], between, lose)
        self.env.process(arrivals.run())
        return arrivals

    # --- how a run begins ---

    def _start(self, state: LineState | None) -> None:
        starts = {start.name: start for start in state.machines} if state else {}
        if unknown := set(starts) - {*self.places, *self.names}:
            raise LineError(f"the state is of {min(unknown)!r}, which is no machine of the line", ", ".join(self.places))
        if state:
            self.order.skip(state.supplied)
        for origin, target, count in state.buffers if state else ():
            self._fill(origin, target, count)
        begun = [
            starts.get(name) or starts.get(station.machine.name) or MachineStart(station.machine.name)
            for name, station in zip(self.names, self.stations, strict=True)
        ]
        served, runs = self._served(begun), list[Steps]()
        for station, start, served_s in zip(self.stations, begun, served, strict=True):
            if state is not None:
                self._wear(station, start)
            first = self._begun(station, start, served_s or 0.0)
            station.interrupted_by(stops(self.line.calendar, station.machine.name, self.env.now))
            if start.state == MachineState.DOWN and station.failure_at < NEVER:
                station.halted()
            runs.append(station.run(first))
        for place in sorted(range(len(runs)), key=lambda place: -begun[place].elapsed_s if served[place] is None else -math.inf):
            self.env.process(runs[place])

    def _served(self, begun: Sequence[MachineStart]) -> list[float | None]:
        """Of each place that is down or maintained, how long it has been attended, None while it waits for its crew; 0 of the others."""
        served: list[float | None] = [start.elapsed_s if start.state in _ATTENDED else 0.0 for start in begun]
        for crew in self.line.crews:
            theirs = [
                place
                for place, (station, start) in enumerate(zip(self.stations, begun, strict=True))
                if station.machine.crew == crew.name and start.state in _ATTENDED
            ]
            free = crew.size
            for place in sorted(theirs, key=lambda place: (not begun[place].attended_s, -begun[place].elapsed_s)):
                known = begun[place].attended_s
                if known is None:
                    served[place] = begun[place].elapsed_s if free > 0 else None
                else:
                    served[place] = known or None
                free -= served[place] is not None
        return served

    def _fill(self, origin: str, target: str, count: int) -> None:
        if (origin, target) not in self.buffers:
            raise LineError("the state fills an edge that the line has not", edge=(origin, target))
        buffer = self.buffers[origin, target]
        if not 0 <= count <= buffer.capacity:
            raise LineError(f"{count} parts do not go into its {buffer.capacity:g} places", edge=(origin, target))
        machine = next((machine for machine in self.line.machines if machine.name == origin), None)
        units = dict(units_taken(self.line, self._machine(target))).get(origin, 1.0)
        buffer.items.extend(self._part(units, machine.output if machine else "") for _ in range(count))
        buffer.begin()

    def _machine(self, name: str) -> Machine:
        return next(machine for machine in self.line.machines if machine.name == name)

    def _part(self, units: float, form: str) -> Part:
        part = Part(self.env.now, round(units * self.share), 0, 0)
        part.form = form
        return part

    def _held(self, machine: Machine) -> list[Part]:
        """The parts that a machine in the middle of a cycle has taken."""
        outputs = {one.name: one.output for one in self.line.machines}
        taken = units_taken(self.line, machine)
        taken = taken if machine.assembly else taken[:1]
        return [self._part(units, outputs.get(origin, "")) for origin, units in taken for _ in range(machine.batch_in)]

    def _wear(self, station: Station, start: MachineStart) -> None:
        """What is left of the life of a machine that has worked before."""
        reliability = station.machine.reliability
        if reliability:
            worn = start.age_s if start.state != MachineState.DOWN else 0.0
            stream = self.chance.stream(f"{self.names[station.number]}/begun", Purpose.FAILURE)
            station.life = residual(reliability.mtbf, worn, stream)
            station.whole = station.life + worn

    def _begun(self, station: Station, start: MachineStart, served_s: float) -> Steps | None:
        machine, state = station.machine, start.state
        owner = self.names[station.number]
        chance = self.chance.stream(f"{owner}/begun", Purpose.CYCLE)
        if start.changed_to:
            if start.changed_to not in self.skus:
                raise LineError(f"it is set up for {start.changed_to!r}, which is no product", ", ".join(self.skus), node=machine.name)
            station.product = self.skus.index(start.changed_to)
        station.lot = start.lot
        if machine.maintenance:
            station.due -= start.maintained_s
        reliability = machine.reliability
        if state not in _HOLDING and state != MachineState.BLOCKED:
            return self._collecting(station, start.parts) if start.parts else None
        station.state = STATES.index(state)
        station.passive = WAITING[station.state]
        left = self._left(machine, state, served_s if state in _ATTENDED else start.elapsed_s, chance)
        timed = bool(reliability and reliability.clock == Clock.TIME)
        if state == MachineState.DOWN and not (not timed if start.holding is None else start.holding):
            return self._down(station, left, timed)
        if state == MachineState.DOWN and start.parts is not None and start.parts < len(self._held(machine)):
            return self._down(station, left, timed, start.parts)
        station.parts.extend(self._held(machine))
        return self._rest(station, start, left, timed, chance)

    def _left(self, machine: Machine, state: MachineState, passed: float, chance: np.random.Generator) -> float:
        """Seconds until the present state ends."""
        speed = machine.performance.speed
        if state == MachineState.EXECUTE:
            return residual(machine.cycle_time_sec, passed * speed, chance) / speed
        times = {
            MachineState.DOWN: machine.reliability and machine.reliability.mttr,
            MachineState.JAMMED: machine.performance.jam_time_sec,
            MachineState.CHANGEOVER: machine.changeover and machine.changeover.duration,
            MachineState.MAINTENANCE: machine.maintenance and machine.maintenance.duration,
        }
        time = times.get(state)
        return residual(time, passed, chance) if time else 0.0

    def _down(self, station: Station, left: float, timed: bool, parts: int = 0) -> Steps:
        yield from station.attended(left)
        if timed:
            station.recovered()
        if parts:
            yield from self._collecting(station, parts)

    def _collecting(self, station: Station, parts: int) -> Steps:
        """A cycle for which some of the parts have been taken."""
        held = self._held(station.machine)
        station.parts.extend(held[:parts])
        station.cycle_s = station.next_cycle()
        station.missing = max(len(held) - parts, 0)
        if station.machine.assembly:
            each, taken = station.machine.batch_in, min(parts, len(held))
            lacks = {inlet: each - min(max(taken - place * each, 0), each) for place, inlet in enumerate(station.inputs)}
            station.lacking = {inlet: count for inlet, count in lacks.items() if count}
        if not station.gather():
            yield from station.starve()
        yield from self._phases_after(station, "collect")

    def _rest(self, station: Station, start: MachineStart, left: float, timed: bool, chance: np.random.Generator) -> Steps:
        """The rest of a cycle: what is left of the present state, and the phases that follow it."""
        state, phase = start.state, _PHASE.get(start.state, "")
        if state == MachineState.EXECUTE:
            station.cycle_s, station.before_s = left, start.elapsed_s
            yield from self._phases_after(station, "execute", skipped=False)
        elif state == MachineState.BLOCKED:
            yield from self._phases_after(station, "execute")
            station.cycles -= 1  # counted when it was done, before the run
            if start.parts is not None:
                del station.parts[max(start.parts, 1) :]
        else:
            yield from station.attended(left) if state in _ATTENDED else station.work(left)
            if state == MachineState.DOWN and timed:
                station.recovered()
            if state == MachineState.MAINTENANCE:
                station.renew()
                if station.machine.maintenance:
                    by_age = station.machine.maintenance.policy == "age"
                    station.due = station.machine.maintenance.after_s + (0.0 if by_age else self.env.now)
            if start.worked_s:
                station.cycle_s, phase = self._left(station.machine, MachineState.EXECUTE, start.worked_s, chance), ""
            else:
                station.cycle_s = station.next_cycle()
            halted = bool(start.worked_s) or phase not in station.phases
            yield from self._phases_after(station, "execute" if halted else phase, skipped=not halted)
        station.before_s = 0.0

    def _phases_after(self, station: Station, name: str, *, skipped: bool = True) -> Steps:
        """Those behind a phase, and that itself where it is not skipped."""
        names = list(station.phases)
        place = names.index(name) + skipped if name in names else len(names)
        for phase in names[place:]:
            steps = station.phases[phase]()
            if steps is not None:
                yield from steps

    # --- the account ---

    def inside(self) -> list[Part]:
        """All parts on the line, with the arrival that waits for room."""
        waiting = [part for buffer in self.buffers.values() for part in buffer.items]
        if self.arrivals and self.arrivals.offered:
            waiting.append(self.arrivals.offered)
        return [*waiting, *(part for station in self.stations for part in station.inside())]

    def begin(self, log: list[float] | None) -> None:
        """Count and log from now on."""
        now = self.env.now
        inside = self.inside()
        self.books.begin(sum(part.units for part in inside), age_of(inside, now))
        for buffer in self.buffers.values():
            buffer.begin()
        for station in self.stations:
            station.begin()
            station.log = log

    def advance(self, until_s: float) -> None:
        """Run what happens before until_s."""
        if until_s > self.env.now:
            self.env.run(until=until_s)

    def settle(self) -> None:
        for station in self.stations:
            station.settle()
