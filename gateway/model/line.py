"""A production line as it is simulated: machines, the edges between them, source, product, calendar. Values only, fully resolved.

Times are seconds, shares lie between 0 and 1, money is in one currency. `Line` and all below it are frozen; `gateway.model.line_document`
writes them as JSON or YAML values and reads them back. What makes no line is refused by `gateway.simulation.line.topology.checked`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from gateway.model.distribution import NO_TIME, PARAMETERS, Distribution, Kind, between, constant, exponential

__all__ = [
    "CONDITIONS",
    "NO_TIME",
    "PACKML",
    "PARAMETERS",
    "REJECT",
    "SINK",
    "SIX_PHASES",
    "SOURCE",
    "Calendar",
    "Changeover",
    "Clock",
    "Crew",
    "Distribution",
    "Edge",
    "Kind",
    "Line",
    "LineState",
    "Lot",
    "Machine",
    "MachineStart",
    "MachineState",
    "Maintenance",
    "Performance",
    "PhaseUse",
    "PlannedStop",
    "Product",
    "Quality",
    "Rates",
    "Reliability",
    "Routing",
    "Source",
    "between",
    "constant",
    "exponential",
    "serial",
]

SOURCE: Final = "_source"
SINK: Final = "_sink"
REJECT: Final = "_reject"


@dataclass(frozen=True, slots=True)
class Product:
    """material_cost and selling_price of one finished unit (a pallet, where the line packs)."""

    sku_name: str
    description: str = ""
    size_oz: float = 0.0
    units_per_case: int = 1
    cases_per_pallet: int = 1
    material_cost: float = 0.0
    selling_price: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Money per hour of scheduled and unscheduled time alike."""

    labor_per_hour: float = 0.0
    energy_per_hour: float = 0.0
    overhead_per_hour: float = 0.0

    @property
    def per_hour(self) -> float:
        return self.labor_per_hour + self.energy_per_hour + self.overhead_per_hour


class Clock(StrEnum):
    """What brings a failure nearer: time at work (operation-dependent, the default) or all time (time-dependent)."""

    OPERATION = "operation"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Reliability:
    """mtbf: the life until a failure, on `clock`; mttr: the repair, without waiting for the crew.

    With the operation clock a failure is found at the start of the cycle in which the life ends, at most one a cycle, and the next life
    begins with the cycle after that; with within_cycle it strikes at its instant and the cycle goes on after the repair. With the time
    clock it always strikes at its instant.
    """

    mtbf: Distribution
    mttr: Distribution
    clock: Clock = Clock.OPERATION
    within_cycle: bool = False


@dataclass(frozen=True, slots=True)
class Performance:
    """A cycle jams with jam_prob for jam_time_sec before it is executed; speed: the share of the ideal speed that the machine runs at."""

    jam_prob: float = 0.0
    jam_time_sec: Distribution = NO_TIME
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Quality:
    """A part made turns defective with defect_rate; inspection finds a defective one with detection_prob, whoever made it so."""

    defect_rate: float = 0.0
    detection_prob: float = 1.0


@dataclass(frozen=True, slots=True)
class Changeover:
    """Before the first part of another product or lot, as `on` says. pairs: (from SKU, to SKU, its own time)."""

    duration: Distribution
    on: Literal["product", "lot"] = "product"
    pairs: tuple[tuple[str, str, Distribution], ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Preventive: after `after_s` of work (policy age) or every `after_s` of all time (policy interval), at the next start of a cycle.

    The machine is as good as new afterwards.
    """

    policy: Literal["age", "interval"]
    after_s: float
    duration: Distribution


@dataclass(frozen=True, slots=True)
class PhaseUse:
    """One phase of a machine's cycle by its registered name, with its options (name, value) in their order."""

    name: str
    options: tuple[tuple[str, float | str | bool], ...] = ()


SIX_PHASES: Final = tuple(PhaseUse(name) for name in ("collect", "breakdown", "microstop", "execute", "transform", "inspect"))


class Routing(StrEnum):
    """Which of the edges that accept a part it takes.

    priority: the first with room by Edge.priority; weighted: by chance, in the ratio of Edge.weight; round_robin: in turn, passing over
    what is full; most_room: where most places are free.
    """

    PRIORITY = "priority"
    WEIGHTED = "weighted"
    ROUND_ROBIN = "round_robin"
    MOST_ROOM = "most_room"


@dataclass(frozen=True, slots=True)
class Machine:
    """cycle_time_sec: the ideal time of one cycle, which turns batch_in parts into batch_out of the form `output`.

    servers: equal places that work in parallel; assembly: batch_in parts from each incoming edge rather than from any; crew: who repairs
    and maintains, "" for somebody always at hand; rates: its own cost per hour.
    """

    name: str
    cycle_time_sec: Distribution
    batch_in: int = 1
    batch_out: int = 1
    output: str = "tube"
    servers: int = 1
    assembly: bool = False
    reliability: Reliability | None = None
    performance: Performance = Performance()
    quality: Quality = Quality()
    changeover: Changeover | None = None
    maintenance: Maintenance | None = None
    crew: str = ""
    routing: Routing = Routing.PRIORITY
    phases: tuple[PhaseUse, ...] = SIX_PHASES
    rates: Rates = Rates()


@dataclass(frozen=True, slots=True)
class Edge:
    """From one node to another, with a buffer of `capacity` parts between them (None: no limit; 0: handed from machine to machine).

    condition: an expression over CONDITIONS, "" where every part may pass that inspection did not find defective. priority: lower first.
    rework: the edge leads back; only such edges may close a cycle.
    """

    origin: str
    target: str
    capacity: int | None = None
    condition: str = ""
    priority: int = 0
    weight: float = 1.0
    rework: bool = False


CONDITIONS: Final = ("is_defective", "reworks", "defects", "units", "lot")
"""What an edge's condition may ask of a part: found defective by inspection (0, 1), how often it took a rework edge, how many of its units
are known to be defective, how many units are in it, the number of its lot."""


@dataclass(frozen=True, slots=True)
class Lot:
    """quantity parts of one product, by its SKU."""

    sku_name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Source:
    """Raw parts: always there without `arrivals` (the time between two), `quantity` of them in all (None: no end), in the order of `lots`,
    from the first again after the last; one product without lots. when_full: an arrival that finds no room waits, or is lost.
    """

    name: str = "infinite_raw"
    arrivals: Distribution | None = None
    quantity: int | None = None
    lots: tuple[Lot, ...] = ()
    when_full: Literal["wait", "lose"] = "wait"


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """Work rests on `machines` (all without) from start_s to end_s after the line's start: a break, no shift, planned maintenance."""

    start_s: float
    end_s: float
    reason: Literal["break", "idle", "maintenance"] = "break"
    machines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calendar:
    """Planned stops; repeat_s: the same again after so long (86 400 for a day), 0 for never. Stops of one machine do not overlap."""

    stops: tuple[PlannedStop, ...] = ()
    repeat_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Crew:
    """size repairs or maintenances at a time; who waits is served in the order of coming."""

    name: str
    size: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """duration_s is what the results cover; warm_up_s runs before it and is not reported. start: ISO 8601, the instant of second 0.

    rates: cost per hour of the line as such, beside that of its machines. products: the line's other products, for lots.
    """

    name: str
    machines: tuple[Machine, ...]
    edges: tuple[Edge, ...]
    product: Product
    source: Source = Source()
    duration_s: float = 28_800.0
    warm_up_s: float = 0.0
    telemetry_interval_s: float = 300.0
    seed: int = 0
    start: str = "2026-01-01T00:00:00Z"
    scenario: str = "baseline"
    rates: Rates = Rates()
    calendar: Calendar = Calendar()
    crews: tuple[Crew, ...] = ()
    products: tuple[Product, ...] = ()


def serial(machines: Iterable[str], capacities: Iterable[int | None]) -> tuple[Edge, ...]:
    """The edges of a linear line: source, machines in a row with these buffers between them (None: no limit), sink."""
    names = [SOURCE, *machines, SINK]
    rooms: list[int | None] = [None, *capacities, None]
    if len(rooms) != len(names) - 1:
        raise ValueError(f"{len(names) - 2} machines have {len(names) - 3} buffers between them, not {len(rooms) - 2}")
    return tuple(Edge(a, b, room) for a, b, room in zip(names, names[1:], rooms, strict=False))


class MachineState(StrEnum):
    """What a machine is doing. PACKML gives the state of ISA-TR88.00.02 (OPC 30050) that each one shows as."""

    STARVED = "STARVED"
    EXECUTE = "EXECUTE"
    DOWN = "DOWN"
    JAMMED = "JAMMED"
    BLOCKED = "BLOCKED"
    CHANGEOVER = "CHANGEOVER"
    MAINTENANCE = "MAINTENANCE"
    BREAK = "BREAK"
    IDLE = "IDLE"


PACKML: Final[dict[MachineState, tuple[int, str]]] = {
    MachineState.STARVED: (5, "Suspended"),  # waits for what comes from outside the machine
    MachineState.BLOCKED: (5, "Suspended"),
    MachineState.EXECUTE: (6, "Execute"),
    MachineState.DOWN: (9, "Aborted"),
    MachineState.JAMMED: (11, "Held"),  # a cause inside the machine, cleared by an operator
    MachineState.CHANGEOVER: (2, "Stopped"),
    MachineState.MAINTENANCE: (2, "Stopped"),
    MachineState.BREAK: (4, "Idle"),
    MachineState.IDLE: (4, "Idle"),
}


@dataclass(frozen=True, slots=True)
class MachineStart:
    """How a machine stands when a run begins. elapsed_s: since its state began; what is left follows from that (the conditional
    residual life). age_s: its clock towards the next failure; changed_to: the SKU that it is set up for, "" for the line's product;
    holding: whether a machine that is DOWN has parts in it, None: as its failures strike, at work or at any time. name: of a machine, or of
    one of its places (washer.2). A machine that rests by the calendar is given as it was when its rest began.

    parts: those in it, None for what its state says: STARVED none, BLOCKED all that a cycle makes, else all that a cycle takes. Fewer: the
    others are still to come, or have gone on. worked_s: of the cycle that a stop has halted, what was worked already; attended_s: since
    the crew has been at it, 0 while it waits for the crew, None: who has been down the longest is attended; maintained_s: on the clock of
    its preventive maintenance, since the last one; lot: the one that it is set up for; active_s: since it last waited or rested, at least
    elapsed_s.
    """

    name: str
    state: MachineState = MachineState.STARVED
    elapsed_s: float = 0.0
    age_s: float = 0.0
    changed_to: str = ""
    holding: bool | None = None
    parts: int | None = None
    worked_s: float = 0.0
    attended_s: float | None = None
    maintained_s: float = 0.0
    lot: int = 0
    active_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LineState:
    """The instant a run begins with: machines that are not named are STARVED and new; buffers (origin, target, parts) not named are empty.

    at_s: seconds since the line's start, for the calendar; supplied: raw parts that the source has given before, for its quantity and lots.
    """

    machines: tuple[MachineStart, ...] = ()
    buffers: tuple[tuple[str, str, int], ...] = ()
    at_s: float = 0.0
    supplied: int = 0
