"""The phases of a machine's cycle, by name. One more is a factory: `PHASES[name] = factory`, or an entry point of the group
`edgetwin.line_phases` whose name the configuration then gives under a behavior.

A factory takes the station and the options of the configuration, and returns the phase, or None where this machine has no use for it.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Final

from simpy import Event, Timeout

from gateway.model.line import Clock, PhaseUse
from gateway.simulation.line.chance import Draw
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.flow import Buffer, Part, Steps
from gateway.simulation.line.station import BLOCKED, CHANGEOVER, EXECUTE, JAMMED, MAINTENANCE, STARVED, Phase, Station
from gateway.simulation.line.streams import Purpose

GROUP: Final = "edgetwin.line_phases"
Factory = Callable[..., Phase | None]


def collect(station: Station) -> Phase:
    """batch_in parts, from any of the incoming edges or, for an assembly, from each: STARVED until they are there."""
    machine, parts = station.machine, station.parts
    if machine.assembly:
        return _collect_each(station)
    if machine.batch_in > 1 or len(station.inputs) > 1:

        def several() -> Steps | None:
            station.missing = machine.batch_in
            return None if station.gather() else station.starve()

        return several
    take = station.inputs[0].take

    def one() -> Steps | None:
        part = take()
        if part is None:
            station.missing = 1
            return station.starve()
        parts.append(part)
        return None

    return one


def _collect_each(station: Station) -> Phase:
    def each() -> Steps | None:
        station.lacking = dict.fromkeys(station.inputs, station.machine.batch_in)
        station.missing = station.machine.batch_in * len(station.inputs)
        return None if station.gather() else station.starve()

    return each


def changeover(station: Station) -> Phase | None:
    """Set up for another product or lot: CHANGEOVER."""
    change = station.machine.changeover
    if change is None:
        return None
    usual, times = station.times(Purpose.CHANGEOVER, change.duration), dict[tuple[int, int], Draw]()
    places = {sku: place for place, sku in enumerate(station.skus)}
    for before, after, duration in change.pairs:
        times[places[before], places[after]] = station.times(Purpose.CHANGEOVER, duration)

    def check() -> Steps | None:
        part = station.parts[0]
        if part.product == station.product and (change.on == "product" or part.lot == station.lot):
            return None
        draw = times.get((station.product, part.product), usual)
        station.product, station.lot = part.product, part.lot
        station.enter(CHANGEOVER)
        return station.work(draw())

    return check


def maintain(station: Station) -> Phase | None:
    """Preventive maintenance when it is due, with the crew: MAINTENANCE. The next failure is then that of a new machine."""
    policy = station.machine.maintenance
    if policy is None:
        return None
    draw = station.times(Purpose.MAINTENANCE, policy.duration)
    by_age = policy.policy == "age"
    station.due = policy.after_s if by_age else station.env.now + policy.after_s

    def check() -> Steps | None:
        if by_age:
            station.due -= station.cycle_s
            return None if station.due >= 0 else serve()
        return None if station.env.now < station.due else serve()

    def serve() -> Steps:
        station.enter(MAINTENANCE)
        yield from station.attended(draw())
        station.renew()
        station.due = policy.after_s if by_age else station.env.now + policy.after_s

    return check


def breakdown(station: Station) -> Phase | None:
    """Failures on the operation clock, found at the start of the cycle in which the life ends: DOWN, at most once a cycle.

    The cycle that is executed after the repair takes nothing of the new life, so that with an exponential life every cycle fails with
    1 - exp(-cycle / MTBF).
    """
    reliability = station.machine.reliability
    if reliability is None or reliability.clock == Clock.TIME or reliability.within_cycle:
        return None

    def check() -> Steps | None:
        if station.life > station.cycle_s:
            station.life -= station.cycle_s
            return None
        return fail()

    def fail() -> Steps:
        yield from station.repair()
        station.renew()

    return check


def microstop(station: Station, jam_prob: float | None = None) -> Phase | None:
    """Jams, at most one a cycle: JAMMED."""
    performance = station.machine.performance
    probability = performance.jam_prob if jam_prob is None else jam_prob
    if not probability > 0:
        return None
    draw = station.times(Purpose.JAM_TIME, performance.jam_time_sec)
    count = station.chance.counts(station.name, Purpose.JAM, probability)
    left = count()

    def check() -> Steps | None:
        nonlocal left
        left -= 1
        if left > 0:
            return None
        left = count()
        station.jams += 1
        station.enter(JAMMED)
        return station.work(draw())

    return check


def execute(station: Station) -> Phase:
    """The work: EXECUTE for the cycle's time, with failures at their instant where the machine is declared so."""
    env, enter = station.env, station.enter
    reliability = station.machine.reliability
    if reliability and reliability.clock == Clock.OPERATION and reliability.within_cycle:
        return lambda: _execute_failing(station)

    def work() -> Iterable[Event]:
        if station.state != EXECUTE:
            enter(EXECUTE)
        station.began = env._now
        seconds = station.cycle_s
        if env._now + seconds <= station.interrupt_at:
            return (Timeout(env, seconds),)
        return station.work(seconds)

    return work


def _execute_failing(station: Station) -> Steps:
    left = station.cycle_s
    station.began, before_s = station.env.now, station.before_s
    while station.life < left:
        station.enter(EXECUTE)
        yield from station.work(station.life)
        left -= station.life
        station.before_s = before_s + station.cycle_s - left
        station.halts.append((EXECUTE, station.before_s))
        yield from station.repair()
        station.halts.pop()
        station.renew()
    station.enter(EXECUTE)
    yield from station.work(left)
    station.life -= left
    station.before_s = 0.0


def slot(station: Station, probability: float = 1.0, slot_s: float = 1.0, offset_s: float = 0.0) -> Phase:
    """A Bernoulli machine, placed before collect and without execute: in each slot it makes a part with this probability, unless there is
    nothing to take or no room behind it (Li and Meerkov 2009). offset_s: within the slot, where machines further on come first.
    """
    env, draw = station.env, station.chance.uniforms(station.name, Purpose.CYCLE)
    inlet, ways = station.inputs[0], station.routes.ways

    begun = False

    def wait() -> Steps:
        nonlocal begun
        if not begun:
            begun = True
            yield Timeout(env, offset_s)
        while True:
            yield Timeout(env, slot_s)
            starved = isinstance(inlet, Buffer) and not inlet.items
            blocked = all(way.target.room() <= 0 for way in ways)
            station.enter(STARVED if starved else BLOCKED if blocked else EXECUTE)
            if draw() < probability and not (starved or blocked):
                return

    return wait


def transform(station: Station, output: str = "") -> Phase:
    """The parts taken become the parts made, some of them defective."""
    machine, books, parts = station.machine, station.books, station.parts
    form = output or machine.output
    single = machine.batch_out == 1 and machine.batch_in == 1 and not machine.assembly
    count = station.chance.counts(station.name, Purpose.DEFECT, machine.quality.defect_rate) if machine.quality.defect_rate > 0 else None
    left = count() if count else 0.0

    def make() -> None:
        nonlocal left
        if not single:
            parts[:] = _repacked(station, parts)
        if parts[0].form != form:
            books.made[form] = books.made.get(form, 0) + len(parts)
            for part in parts:
                part.form = form
        station.made += len(parts)
        if count is None:
            return
        for part in parts:
            left -= 1
            if left <= 0:
                left = count()
                station.created += not part.defective
                part.defective = True

    return make


def _repacked(station: Station, parts: list[Part]) -> list[Part]:
    """batch_out parts of what was taken. Defects that are packed in are out of inspection's reach; a cut part hands its defect on."""
    units, first, count = sum(part.units for part in parts), parts[0], station.machine.batch_out
    born = sum(part.born * part.units for part in parts) / units
    if len(parts) > 1:
        station.books.escaped += sum(part.defective for part in parts)
    made = []
    for place in range(count):
        share = units // count + (place < units % count)
        part = Part(born, share, first.product, first.lot)
        part.form, part.reworks = first.form, first.reworks
        part.defective = len(parts) == 1 and first.defective
        made.append(part)
    return made


def inspect(station: Station, detection_prob: float | None = None) -> Phase | None:
    """Judges the parts made: a defective one is found with detection_prob, a good one never."""
    probability = station.machine.quality.detection_prob if detection_prob is None else detection_prob
    if not probability > 0:
        return None
    draw = station.chance.uniforms(station.name, Purpose.DETECT) if probability < 1 else lambda: 0.0
    parts = station.parts

    def judge() -> None:
        for part in parts:
            if part.defective and draw() < probability:
                part.found = True
                station.detected += 1

    return judge


PHASES: Final[dict[str, Factory]] = {
    "collect": collect,
    "changeover": changeover,
    "maintain": maintain,
    "breakdown": breakdown,
    "microstop": microstop,
    "execute": execute,
    "slot": slot,
    "transform": transform,
    "inspect": inspect,
}


@lru_cache(maxsize=1)
def plugged() -> dict[str, Any]:
    """Entry points of installed packages by the name of their phase."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def phase_names() -> list[str]:
    """All phases that a behavior may list."""
    return [*PHASES, *(name for name in plugged() if name not in PHASES)]


def factory_of(name: str, machine: str) -> Factory:
    """Raises LineError for a phase that is not there or cannot be loaded."""
    if name in PHASES:
        return PHASES[name]
    if name not in plugged():
        raise LineError(f"there is no phase {name!r}", f"one of {', '.join(phase_names())}", node=machine, field="phases")
    try:
        found: Factory = plugged()[name].load()
    except (ImportError, AttributeError) as error:
        raise LineError(f"the phase {name} of {plugged()[name].value} cannot be loaded: {error}", node=machine, field="phases") from error
    return found


def listed(station: Station) -> list[PhaseUse]:
    """The machine's phases; changeover and maintenance, where it has them and its behavior does not place them, follow collect."""
    uses = list(station.machine.phases)
    names = [use.name for use in uses]
    after = names.index("collect") + 1
    needed = {"changeover": station.machine.changeover, "maintain": station.machine.maintenance}
    uses[after:after] = [PhaseUse(name) for name, wanted in needed.items() if wanted is not None and name not in names]
    return uses


def build(station: Station) -> dict[str, Phase]:
    """The phases of one cycle in their order, by name. Raises LineError for options that a phase does not take."""
    built: dict[str, Phase] = {}
    for use in listed(station):
        factory = factory_of(use.name, station.machine.name)
        try:
            phase = factory(station, **dict(use.options))
        except TypeError as error:
            why = f"the phase {use.name} does not take these options: {error}"
            raise LineError(why, node=station.machine.name, field="phases") from error
        if phase is not None:
            built[use.name] = phase
    return built
