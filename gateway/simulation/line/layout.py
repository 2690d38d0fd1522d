"""A line as it runs: stations, buffers, source and outlets wired together, from empty or from a given instant."""

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
        for origin, target, count in state.buffers if state else ():
            self._fill(origin, target, count)
        for station in self.stations:
            start = starts.get(self.names[station.number]) or starts.get(station.machine.name)
            first = self._begun(station, start) if start else None
            station.interrupted_by(stops(self.line.calendar, station.machine.name, self.env.now))
            if start and start.state == MachineState.DOWN and station.failure_at < NEVER:
                station.halted()
            self.env.process(station.run(first))

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

    def _begun(self, station: Station, start: MachineStart) -> Steps | None:
        machine, state, passed = station.machine, start.state, start.elapsed_s
        owner = self.names[station.number]
        chance = self.chance.stream(f"{owner}/begun", Purpose.CYCLE)
        if start.changed_to:
            if start.changed_to not in self.skus:
                raise LineError(f"it is set up for {start.changed_to!r}, which is no product", ", ".join(self.skus), node=machine.name)
            station.product = self.skus.index(start.changed_to)
        reliability = machine.reliability
        if reliability:
            worn = start.age_s if state != MachineState.DOWN else 0.0
            station.life = residual(reliability.mtbf, worn, self.chance.stream(f"{owner}/begun", Purpose.FAILURE))
            station.whole = station.life + worn
        if state not in _HOLDING and state != MachineState.BLOCKED:
            return None
        station.state = STATES.index(state)
        station.passive = WAITING[station.state]
        left = self._left(machine, state, passed, chance)
        timed = bool(reliability and reliability.clock == Clock.TIME)
        if state == MachineState.DOWN and not (not timed if start.holding is None else start.holding):
            return self._down(station, left, timed)
        station.parts.extend(self._held(machine))
        return self._rest(station, state, left, timed)

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

    def _down(self, station: Station, left: float, timed: bool) -> Steps:
        yield from station.attended(left)
        if timed:
            station.recovered()

    def _rest(self, station: Station, state: MachineState, left: float, timed: bool) -> Steps:
        """The rest of a cycle: what is left of the present state, and the phases that follow it."""
        names = list(station.phases)
        place = names.index("execute") if "execute" in names else len(names)
        if state == MachineState.EXECUTE:
            station.cycle_s = left
        elif state == MachineState.BLOCKED:
            place += 1
        else:
            attended = state in {MachineState.DOWN, MachineState.MAINTENANCE}
            yield from station.attended(left) if attended else station.work(left)
            if state == MachineState.DOWN and timed:
                station.recovered()
            station.cycle_s = station.next_cycle()
        for name in names[place:]:
            steps = station.phases[name]()
            if steps is not None:
                yield from steps
        if state == MachineState.BLOCKED:
            station.cycles -= 1  # counted when it was done, before the run

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

    def state(self) -> LineState:
        """The instant as a run can begin with it: what is known of a machine is its state, for how long, and its age."""
        now = self.env.now
        machines = [
            MachineStart(name, STATES[station.state], now - station.began, station.age(), self.skus[station.product], bool(station.parts))
            for name, station in zip(self.names, self.stations, strict=True)
        ]
        return LineState(tuple(machines), tuple((a, b, len(buffer.items)) for (a, b), buffer in self.buffers.items()), now)

    def advance(self, until_s: float) -> None:
        """Run what happens before until_s."""
        if until_s > self.env.now:
            self.env.run(until=until_s)

    def settle(self) -> None:
        for station in self.stations:
            station.settle()
