"""One place where a machine works: its cycle of phases, its waits, what interrupts it, and its account of states.

A phase is a call without arguments; it returns the SimPy events to wait for, or None when it takes no time. Work is preempted and resumed:
a planned stop or a time-dependent failure halts what the place does, and what was left of it follows afterwards.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, cast

from simpy import Environment, Event, Resource, Timeout

from gateway.model.line import Clock, Machine, MachineState
from gateway.simulation.line.chance import Chance, Draw
from gateway.simulation.line.flow import Books, Buffer, Inlet, Part, Steps
from gateway.simulation.line.routes import Routes
from gateway.simulation.line.streams import Purpose

STATES: Final = tuple(MachineState)
STARVED, EXECUTE, DOWN, JAMMED, BLOCKED, CHANGEOVER, MAINTENANCE, BREAK, IDLE = range(len(STATES))
WAITING: Final = tuple(state in {STARVED, BLOCKED, BREAK, IDLE} for state in range(len(STATES)))
"""Of each state: whether the machine is inactive in the sense of the active period method (Roser, Nakano and Tanaka 2002)."""

NEVER: Final = float("inf")
Phase = Callable[[], Iterable[Event] | None]
Stop = tuple[float, float, MachineState]


class Station:
    """One place of a machine. parts: those it holds, before transform the parts taken, after it the parts made; cycle_s: of this cycle;
    began: when its state, or this execution, began, later by what halted it; before_s: what of its cycle was worked before that; served:
    since when the crew is at it, likewise; halts: what it was doing, and for how long, when something halted it; resting: by calendar.

    spent: seconds in each state; turns: instants at which it changed between active and inactive; log: (instant, number, state) flat.
    """

    def __init__(self, env: Environment, machine: Machine, number: int, chance: Chance, books: Books, skus: Sequence[str]) -> None:
        self.env, self.machine, self.number, self.chance, self.books, self.skus = env, machine, number, chance, books, skus
        self.name = machine.name
        self.inputs: list[Inlet] = []
        self.rotate = False
        self.routes: Routes = cast("Routes", None)  # the layout's, like inputs and phases
        self.phases: dict[str, Phase] = {}
        self.crew: Resource | None = None
        self.log: list[float] | None = None
        self.parts: list[Part] = []
        self.missing = 0
        self.lacking: dict[Any, int] = {}
        self.offered: Part | None = None
        self.standing: list[Buffer] = []
        self.signal: Event | None = None
        self.cycle_s = self.began = self.before_s = 0.0
        self.served: float | None = None
        self.halts: list[tuple[int, float]] = []
        self.resting = False
        self.next_cycle = self.times(Purpose.CYCLE, machine.cycle_time_sec, 1.0 / machine.performance.speed)
        self.life = self.whole = self.due = NEVER  # working time until the next failure, and from the one before; when maintenance is due
        self.product, self.lot = 0, 0  # set up for
        self.state, self.passive = STARVED, True
        self.interrupt_at = self.failure_at = NEVER
        self.held: MachineState | None = None
        self._stops: Iterator[Stop] = iter(())
        self._stop: Stop | None = None
        self._alarm: Event | None = None
        reliability = machine.reliability
        if reliability:
            self.next_life = self.times(Purpose.FAILURE, reliability.mtbf)
            self.next_repair = self.times(Purpose.REPAIR, reliability.mttr)
            self.whole = self.life = self.next_life()
        self.begin()

    def begin(self) -> None:
        """Count anew from now."""
        self.since = self.env.now
        self.spent = [0.0] * len(STATES)
        self.turns: list[float] = []
        self.cycles = self.made = self.created = self.detected = self.failures = self.jams = 0
        self.crew_s = 0.0

    # --- what phases use ---

    def times(self, purpose: Purpose, distribution: Any, scale: float = 1.0) -> Draw:
        """Draws from this machine's stream of that purpose."""
        return self.chance.times(self.machine.name, purpose, distribution, scale)

    def enter(self, state: int) -> None:
        """Another state from now on."""
        was = self.state
        if state == was:
            return
        now = self.env._now
        self.spent[was] += now - self.since
        self.since = self.began = now
        self.state = state
        if WAITING[state] is not self.passive:
            self.passive = not self.passive
            self.turns.append(now)
        if self.log is not None:
            self.log += (now, self.number, state)

    def work(self, seconds: float) -> Steps:
        """Time in the present state, halted by what interrupts the machine and resumed after it."""
        env, state, left = self.env, self.state, seconds
        while env._now + left > self.interrupt_at:
            done = self.interrupt_at - env._now
            if done > 0:
                yield Timeout(env, done)
                left -= done
            halted = env._now
            self.halts.append((state, self.before_s + seconds - left if state == EXECUTE else seconds - left))
            yield from self.interruption()
            self.halts.pop()
            self.enter(state)
            self.began = env._now - (seconds - left)
            if self.served is not None:
                self.served += env._now - halted
        yield Timeout(env, left)

    def repair(self, seconds: float | None = None) -> Steps:
        """Down for a repair, once the crew has time; as good as new is up to the caller."""
        self.enter(DOWN)
        self.failures += 1
        yield from self.attended(self.next_repair() if seconds is None else seconds)

    def renew(self) -> None:
        """As good as new: another life begins."""
        if self.machine.reliability is None:
            return
        if self.failure_at < NEVER:
            self.recovered()
        else:
            self.whole = self.life = self.next_life()

    def age(self) -> float:
        """Seconds on the clock of its failures since it was new."""
        reliability = self.machine.reliability
        if reliability is None or self.state == DOWN:
            return 0.0
        if self.failure_at < NEVER:
            return self.whole - (self.failure_at - self.env.now)
        working = 0.0
        if reliability.within_cycle and self.state == EXECUTE:
            working = self.env.now - self.began
        elif reliability.within_cycle and self.resting and self.halts and self.halts[-1][0] == EXECUTE:
            working = self.halts[-1][1] - self.before_s
        return self.whole - self.life + working

    def attended(self, seconds: float) -> Steps:
        """Work that needs somebody of the crew."""
        if self.crew is None:
            yield from self.work(seconds)
            return
        asked = self.env.now
        with self.crew.request() as request:
            yield request
            self.crew_s += self.env.now - asked
            self.served = self.env.now
            yield from self.work(seconds)
            self.served = None

    # --- taking parts ---

    def gather(self) -> bool:
        """Take what is there of what is missing; True when nothing is missing any more."""
        if self.lacking:
            for buffer in list(self.lacking):
                while buffer in self.lacking and (part := buffer.take()) is not None:
                    self._got(buffer, part)
            return not self.missing
        while self.missing and (part := self._pick()) is not None:
            self.parts.append(part)
            self.missing -= 1
        return not self.missing

    def _pick(self) -> Part | None:
        for place, buffer in enumerate(self.inputs):
            if (part := buffer.take()) is not None:
                if self.rotate:
                    self.inputs = self.inputs[place + 1 :] + self.inputs[: place + 1]
                return part
        return None

    def _got(self, buffer: Any, part: Part) -> None:
        self.parts.append(part)
        self.missing -= 1
        self.lacking[buffer] -= 1
        if not self.lacking[buffer]:
            del self.lacking[buffer]

    def starve(self) -> Steps:
        """Wait for what is missing."""
        env = self.env
        while True:
            if env._now >= self.interrupt_at:
                yield from self.interruption()
                if self.gather():
                    return
                continue
            self.enter(STARVED)
            for buffer in self.lacking or self.inputs:
                buffer.takers.append(self)
            self.signal = signal = Event(env)
            yield signal
            self.signal = None
            if not self.missing:
                return
            for buffer in self.lacking or self.inputs:
                buffer.takers.remove(self)

    def accept(self, buffer: Buffer, part: Part) -> None:
        """A part that was waited for."""
        if self.lacking:
            self._got(buffer, part)
            if buffer not in self.lacking:
                buffer.takers.remove(self)
        else:
            self.parts.append(part)
            self.missing -= 1
            if not self.missing:
                for other in self.inputs:
                    other.takers.remove(self)
        if not self.missing:
            self.rouse()

    # --- giving parts ---

    def stand(self, part: Part) -> Steps:
        """Blocked until somebody takes the part or there is room again."""
        env = self.env
        self.offered = part
        while True:
            if env._now >= self.interrupt_at:
                yield from self.interruption()
                if self.routes.send(part):
                    self.offered = None
                    return
                continue
            self.enter(BLOCKED)
            self.standing = self.routes.wanted(part)
            for buffer in self.standing:
                buffer.givers.append(self)
            self.signal = signal = Event(env)
            yield signal
            self.signal = None
            if self.offered is None:
                return
            self._step_back()

    def hand(self) -> Part:
        self._step_back()
        part = cast("Part", self.offered)
        self.offered = None
        self.routes.taken(part)
        self.rouse()
        return part

    def _step_back(self) -> None:
        for buffer in self.standing:
            buffer.givers.remove(self)
        self.standing = []

    def rouse(self) -> None:
        """Let it look again at what it waits for."""
        if self.signal is not None and not self.signal.triggered:
            self.signal.succeed()

    # --- what interrupts ---

    def interrupted_by(self, stops: Iterator[Stop]) -> None:
        """The planned stops ahead. On the time clock the life that was drawn ends at its instant."""
        self._stops = stops
        if self.machine.reliability and self.machine.reliability.clock == Clock.TIME:
            self.failure_at = self.env.now + self.life
        self._stop = next(stops, None)
        self._arm()

    def halted(self) -> None:
        """It begins with a repair after a failure on the time clock: the next failure is counted from its end."""
        self.failure_at = NEVER
        self._arm()

    def recovered(self) -> None:
        self.whole = self.next_life()
        self.failure_at = self.env.now + self.whole
        self._arm()

    def hold(self, state: MachineState | None) -> None:
        """Somebody outside the line stops it, in that state, from the next instant at which its work can be halted; None: it may go on."""
        if state == self.held:
            return
        self.held = state
        if state is None:
            self._arm()
        else:
            self.interrupt_at = self.env.now
        self.rouse()

    def _holding(self) -> Steps:
        while self.held is not None:
            self.enter(STATES.index(self.held))
            self.signal = signal = Event(self.env)
            yield signal
        self.signal = None

    def _arm(self) -> None:
        now = self.env.now
        self.interrupt_at = min(self.failure_at, self._stop[0] if self._stop else NEVER)
        if now < self.interrupt_at < NEVER:
            self._alarm = Timeout(self.env, self.interrupt_at - now)
            cast("list[Callable[[Event], None]]", self._alarm.callbacks).append(self._rung)

    def _rung(self, alarm: Event) -> None:
        if alarm is self._alarm:  # else what it was set for has been served
            self.interrupt_at = self.env.now
            self.rouse()

    def interruption(self) -> Steps:
        """What is due now: somebody's hold, a planned stop, or the repair of a time-dependent failure."""
        if self.held is not None:
            yield from self._holding()
            return
        self._alarm = None
        if self._stop and self._stop[0] <= self.failure_at:
            _, end, state = self._stop
            self.enter(STATES.index(state))
            self.resting = True
            if end > self.env.now:
                yield Timeout(self.env, end - self.env.now)
            self.resting = False
            self._stop = next(self._stops, None)
        else:
            self.halted()
            yield from self.repair()
            self.recovered()
            return
        self._arm()

    # --- the cycle ---

    def run(self, first: Steps | None = None) -> Steps:
        """Cycle after cycle; `first` completes a cycle that had begun."""
        if first is not None:
            yield from first
            yield from self.release()
        phases, next_cycle, send = tuple(self.phases.values()), self.next_cycle, self.routes.send
        while True:
            self.cycle_s = next_cycle()
            for phase in phases:
                steps = phase()
                if steps is not None:
                    yield from steps
            self.cycles += 1
            parts = self.parts
            while parts:
                part = parts.pop()
                if not send(part):
                    yield from self.stand(part)

    def release(self) -> Steps:
        """The parts made go on."""
        self.cycles += bool(self.parts)
        while self.parts:
            part = self.parts.pop()
            if not self.routes.send(part):
                yield from self.stand(part)

    def settle(self) -> None:
        """Put the time until now into the account."""
        now = self.env.now
        self.spent[self.state] += now - self.since
        self.since = now

    def inside(self) -> Iterator[Part]:
        """The parts it holds."""
        yield from self.parts
        if self.offered is not None:
            yield self.offered
