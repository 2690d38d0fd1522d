"""One machine: its equipment's keys, those of its place in the topology over them."""

from collections.abc import Collection, Mapping
from typing import Final, Literal

from gateway.model.line import (
    SIX_PHASES,
    Changeover,
    Clock,
    Distribution,
    Machine,
    Maintenance,
    Performance,
    PhaseUse,
    Quality,
    Rates,
    Reliability,
    Routing,
    between,
    constant,
    exponential,
)
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import elements
from gateway.settings.line.quantities import Quantities
from gateway.settings.node import BROKEN, Node

KEYS: Final = (
    "name", "description", "uph", "cycle_time_sec", "buffer_capacity", "batch_in", "batch_out", "output_type", "servers", "assembly",
    "reliability", "performance", "quality", "cost_rates", "changeover", "maintenance", "crew", "routing", "phases",
)  # fmt: skip
RELIABILITY: Final = ("mtbf", "mtbf_min", "mtbf_max", "mttr", "mttr_min", "mttr_max", "clock", "within_cycle")
PERFORMANCE: Final = ("jam_prob", "jam_time_sec", "speed")
QUALITY: Final = ("defect_rate", "detection_prob")
RATES: Final = ("labor_per_hour", "energy_per_hour", "overhead_per_hour")
PLACE: Final = ("name", "equipment", "equipment_ref")
"""Keys of a place in the topology that are none of the equipment."""
UNLIMITED: Final = "unlimited"
HOUR_S: Final = 3600.0
ROOM: Final = 100
"""Places behind a machine that says nothing."""
BATCH: Final = 100_000
SERVERS: Final = 1000
FASTEST_S: Final = 1e-3
"""The shortest mean cycle: below it a line is no line of parts."""


def read_machine(
    name: str, node: Node, phases: tuple[PhaseUse, ...], known: Collection[str], crews: Collection[str], faults: Faults
) -> Machine:
    """The machine of a section `equipment.<name>`. phases: of the scenario's behavior; known: all phases; crews: the line's."""
    fields = Quantities(node, f"equipment.{name}", faults)
    fields.allow(KEYS)
    crew = fields.text("crew")
    if crew and crew not in crews:
        fields.fault("crew", f"there is no crew {quote(crew)}", faults.nearest(crew, crews) if crews else "declare it in topology.crews")
    return Machine(
        name=name,
        cycle_time_sec=_cycle(fields),
        batch_in=fields.integer("batch_in", 1, BATCH, 1),
        batch_out=fields.integer("batch_out", 1, BATCH, 1),
        output=fields.text("output_type", "tube").lower(),
        servers=fields.integer("servers", 1, SERVERS, 1),
        assembly=fields.flag("assembly"),
        reliability=_reliability(fields.inner("reliability")),
        performance=_performance(fields.inner("performance")),
        quality=_quality(fields.inner("quality")),
        changeover=_changeover(fields),
        maintenance=_maintenance(fields),
        crew=crew,
        routing=Routing(fields.word("routing", tuple(Routing), Routing.PRIORITY)),
        phases=read_phases(fields.get("phases"), fields.key("phases"), known, faults) if fields.has("phases") else phases,
        rates=read_rates(fields.inner("cost_rates")),
    )


def capacity(node: Node | None, key: str, faults: Faults, default: int | None) -> int | None:
    """Places of a buffer: a whole number from 0 on, or `unlimited`."""
    if node is None or node.value is None or node.value is BROKEN:
        return default
    if node.value == UNLIMITED:
        return None
    fields = Quantities(Node({"capacity": node}, node.place), key.rpartition(".")[0], faults)
    if not isinstance(node.value, int) or isinstance(node.value, bool) or not 0 <= node.value <= 1_000_000_000:
        shown = quote(node.text) if node.text else node.shape
        fields.faults.add(node.place, key, f"should be a whole number from 0 on, or {UNLIMITED}, not {shown}")
        return default
    return node.value


def _cycle(fields: Quantities) -> Distribution:
    """Of one cycle: uph cycles in an hour, or cycle_time_sec."""
    if fields.has("uph") and fields.has("cycle_time_sec"):
        fields.fault("cycle_time_sec", "stands beside uph", "keep one of them: cycle_time_sec = 3600 / uph")
    if fields.has("uph"):
        found = constant(HOUR_S / fields.positive("uph", HOUR_S))
    else:
        if "cycle_time_sec" not in fields.map:
            fields.fault("uph", "is missing", "cycles per hour; or cycle_time_sec")
        found = fields.distribution("cycle_time_sec") or constant(1.0)
    if found.kind == "deterministic" and found.a < FASTEST_S:
        key = "uph" if fields.has("uph") else "cycle_time_sec"
        fields.fault(key, f"makes a cycle of {found.a:g} s: shorter than {FASTEST_S:g} s is not possible")
        return constant(1.0)
    return found


def _reliability(fields: Quantities) -> Reliability | None:
    fields.allow(RELIABILITY)
    clock = Clock(fields.word("clock", tuple(Clock), Clock.OPERATION))
    life, repair = _span(fields, "mtbf"), _span(fields, "mttr")
    if not fields.has("mtbf") and not fields.has("mtbf_min"):
        for name in ("mtbf_max", "mttr", "mttr_min", "mttr_max"):
            if fields.has(name):
                fields.fault(name, "has no effect without mtbf or mtbf_min", "a machine that fails has mtbf_min and mttr_min")
                break
        return None
    if repair is None and not (fields.has("mttr") or fields.has("mttr_min")):
        fields.fault("mttr_min", "is missing", "a machine that fails is repaired: mttr_min: 5min")
    if life is None or repair is None:
        return None
    return Reliability(life, repair, clock, fields.flag("within_cycle"))


def _span(fields: Quantities, name: str) -> Distribution | None:
    """`mtbf` as a distribution or a mean; or mtbf_min and mtbf_max: uniform between them. mtbf_min alone is a mean; so is an mtbf_min that
    equals mtbf_max, while an mttr_min that equals mttr_max is exactly that time."""
    low, high = f"{name}_min", f"{name}_max"
    if fields.has(name):
        for other in (low, high):
            if fields.has(other):
                fields.fault(other, f"stands beside {name}", "keep one of them")
        return fields.distribution(name, mean=True)
    if not fields.has(low):
        if fields.has(high) and (name == "mttr" or fields.has("mttr_min")):
            fields.fault(low, "is missing", f"{high} needs {low}")
        return None
    shortest, longest = fields.time(low, -1.0), fields.time(high, -1.0)
    if shortest < 0 or (longest < 0 and fields.has(high)):
        return None
    if fields.has(high) and shortest > longest:
        fields.fault(low, f"{fields.map[low].text} is greater than {high} {fields.map[high].text}", "exchange them")
        return None
    mean = not fields.has(high) or (name == "mtbf" and shortest == longest)
    if shortest == 0.0 and (name == "mtbf" or mean):
        fields.fault(low, "must be longer than nothing")
        return None
    return exponential(shortest) if mean else between(shortest, longest)


def _performance(fields: Quantities) -> Performance:
    fields.allow(PERFORMANCE)
    probability = fields.share("jam_prob", 0.0)
    if probability > 0 and not fields.has("jam_time_sec"):
        fields.fault("jam_time_sec", "is missing", "how long a jam lasts: jam_time_sec: 30")
    speed = fields.positive("speed", 1.0)
    if speed > 1.0:
        fields.fault("speed", f"{speed:g} is out of bounds: a share of the ideal speed", "raise uph where the machine is faster")
    return Performance(probability, fields.distribution("jam_time_sec") or constant(0.0), min(speed, 1.0))


def _quality(fields: Quantities) -> Quality:
    fields.allow(QUALITY)
    return Quality(fields.share("defect_rate", 0.0), fields.share("detection_prob", 0.0))


def read_rates(fields: Quantities) -> Rates:
    """Money per hour."""
    fields.allow(RATES)
    return Rates(fields.money("labor_per_hour"), fields.money("energy_per_hour"), fields.money("overhead_per_hour"))


def _changeover(machine: Quantities) -> Changeover | None:
    if not machine.has("changeover"):
        return None
    fields = machine.inner("changeover")
    fields.allow(("duration", "on", "pairs"))
    fields.require("duration", "how long it takes: duration: 20min")
    on: Literal["product", "lot"] = "lot" if fields.word("on", ("product", "lot"), "product") == "lot" else "product"
    pairs = []
    for number, node in enumerate(elements(fields.get("pairs") or Node(None, fields.place("pairs")), fields.key("pairs"), fields.faults)):
        pair = Quantities(node, f"{fields.key('pairs')}[{number}]", fields.faults)
        pair.allow(("from", "to", "duration"))
        for name in ("from", "to", "duration"):
            pair.require(name)
        taken = pair.distribution("duration")
        if taken is not None:
            pairs.append((pair.text("from"), pair.text("to"), taken))
    duration = fields.distribution("duration")
    return None if duration is None else Changeover(duration, on, tuple(pairs))


def _maintenance(machine: Quantities) -> Maintenance | None:
    if not machine.has("maintenance"):
        return None
    fields = machine.inner("maintenance")
    fields.allow(("policy", "after", "duration"))
    for name in ("after", "duration"):
        fields.require(name)
    policy: Literal["age", "interval"] = "interval" if fields.word("policy", ("age", "interval"), "age") == "interval" else "age"
    after, duration = fields.longer("after", 0.0), fields.distribution("duration")
    return None if duration is None or not after else Maintenance(policy, after, duration)


# --- phases ---------------------------------------------------------------------------------------------------------------------------


def read_phases(section: Node | None, key: str, known: Collection[str], faults: Faults) -> tuple[PhaseUse, ...]:
    """The phases of a cycle: names, or maps of a name and its options. The six usual ones without a section."""
    if section is None or section.value is None or section.value is BROKEN:
        return SIX_PHASES
    if section.value == []:
        faults.add(section.place, key, "is empty", f"the usual phases are {', '.join(phase.name for phase in SIX_PHASES)}")
    found = []
    for number, node in enumerate(elements(section, key, faults)):
        inner = f"{key}[{number}]"
        entries: Mapping[str, Node] = node.map if isinstance(node.value, dict) else {"name": node}
        word = Quantities(Node(dict(entries), node.place), inner, faults)
        word.require("name", "the name of a phase")
        name = word.text("name")
        if name and name not in known:
            word.fault("name", f"there is no phase {quote(name)}", faults.nearest(name, known))
        found.append(PhaseUse(name, _options(entries, inner, faults)))
    return tuple(found) or SIX_PHASES


def _options(entries: Mapping[str, Node], key: str, faults: Faults) -> tuple[tuple[str, float | str | bool], ...]:
    found: list[tuple[str, float | str | bool]] = []
    for name, node in entries.items():
        if name == "name" or node.value is BROKEN:
            continue
        if isinstance(node.value, bool | str):
            found.append((name, node.value))
        else:
            number = Quantities(node if isinstance(node.value, dict) else Node(None, node.place), key, faults).number_of(
                node, f"{key}.{name}"
            )
            if number is not None:
                found.append((name, number))
    return tuple(found)
