"""A resolved run as a Line: machines, edges, source, calendar, product; every fault of it listed with its place."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal

from gateway.model.expression import ExpressionError, parse
from gateway.model.line import (
    CONDITIONS,
    REJECT,
    SINK,
    SOURCE,
    Calendar,
    Crew,
    Edge,
    Line,
    Lot,
    Machine,
    PlannedStop,
    Product,
    Source,
)
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import elements
from gateway.settings.line.machines import KEYS as MACHINE
from gateway.settings.line.machines import PLACE, capacity, read_machine, read_phases, read_rates
from gateway.settings.line.maps import machine_nodes
from gateway.settings.line.overrides import ROOTS
from gateway.settings.line.quantities import Quantities
from gateway.settings.node import Node

SEED: Final = 42
RUN: Final = ("name", "description", "scenario", "product", "duration", "warm_up", "seed", "telemetry_interval", "start_time", "calendar")
SCENARIO: Final = ("name", "description", "topology", "equipment", "behavior", "source")
TOPOLOGY: Final = ("name", "description", "source", "stations", "nodes", "edges", "crews", "calendar", "cost_rates")
EDGE: Final = ("source", "target", "capacity", "condition", "priority", "weight", "rework")
PRODUCT: Final = ("name", "description", "size_oz", "net_weight_g", "units_per_case", "cases_per_pallet", "material_cost", "selling_price")
SOURCE_KEYS: Final = ("name", "description", "arrivals", "quantity", "lots", "when_full")
MOST_MACHINES: Final = 500
MOST_INTERVALS: Final = 1_000_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FILE: Final = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_CLOCK: Final = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_MONDAY: Final = datetime(2025, 1, 6, 6, tzinfo=UTC)
_YEARS: Final = (1970, 2200)  # whose nanoseconds fit 64 bits, ten years of a run behind them
_DAY_S: Final = 86_400.0
_ENDS: Final = (SOURCE, SINK, REJECT)


def read_line(root: Node, phases: Collection[str], faults: Faults) -> Line | None:
    """The line of a resolved run; phases: the names of all phases there are. None where something is wrong, with all of it listed."""
    return _Reader(root, phases, faults).line()


class _Reader:
    def __init__(self, root: Node, phases: Collection[str], faults: Faults) -> None:
        self.root, self.phases, self.faults = root, phases, faults
        self.run, self.scenario, self.topology = (self._section(name) for name in ("run", "scenario", "topology"))
        self.start = self._start()
        self.nodes = machine_nodes(self.topology.node)
        self.crews = self._crews()

    def line(self) -> Line | None:
        """All sections, each looked at even where another one is wrong."""
        self.run.allow(RUN)
        self.scenario.allow(SCENARIO)
        self.topology.allow(TOPOLOGY)
        for fields in (self.run, self.scenario):
            if fields.has("name") and not _FILE.fullmatch(fields.text("name")):
                fields.fault("name", f"{quote(fields.text('name'))} is not a name", "1 to 64 letters, digits, _, - or dots between them")
        machines = self._machines()
        edges = self._edges(machines)
        product, products = self._product(self._section("product")), self._products()
        line = Line(
            name=self.run.text("name"),
            machines=tuple(machines),
            edges=tuple(edges),
            product=product,
            source=self._source([product, *products]),
            duration_s=self.run.longer("duration", 28_800.0),
            warm_up_s=self.run.time("warm_up", 0.0),
            telemetry_interval_s=self.run.longer("telemetry_interval", 300.0),
            seed=self.run.integer("seed", 0, 2**63 - 1, SEED),
            start=self.start.isoformat().replace("+00:00", "Z"),
            scenario=self.scenario.text("name"),
            rates=read_rates(self.topology.inner("cost_rates")),
            calendar=self._calendar([machine.name for machine in machines]),
            crews=self.crews,
            products=products,
        )
        if line.duration_s / line.telemetry_interval_s > MOST_INTERVALS:
            why = f"makes more than {MOST_INTERVALS} rows of the duration"
            self.run.fault("telemetry_interval", why, "make it longer")
        return None if self.faults.fatal else line

    def _section(self, name: str) -> Quantities:
        return Quantities(self.root.map.get(name) or Node(None, self.root.place), name, self.faults)

    def _start(self) -> datetime:
        text = self.run.text("start_time")
        try:
            start = datetime.fromisoformat(text) if text else _MONDAY
            start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
        except (ValueError, OverflowError):
            self.run.fault("start_time", f"{quote(text)} is not a time", "write 2025-01-06T06:00:00Z")
            return _MONDAY
        if not _YEARS[0] <= start.year < _YEARS[1]:
            self.run.fault("start_time", f"{quote(text)} is out of bounds", f"from {_YEARS[0]} until {_YEARS[1]}")
            return _MONDAY
        return start

    # --- machines and edges -----------------------------------------------------------------------------------------------------------

    def _machines(self) -> list[Machine]:
        listed = self._stations()
        self._names(listed)
        behavior = self._section("behavior")
        behavior.allow(("name", "description", "phases"))
        usual = read_phases(behavior.get("phases"), "behavior.phases", self.phases, self.faults)
        sections = self._section("equipment").map
        crews = [crew.name for crew in self.crews]
        return [read_machine(name, sections[name], usual, self.phases, crews, self.faults) for name in self.nodes if name in sections]

    def _stations(self) -> Node:
        """The list of machines."""
        graph, linear = self.topology.map.get("nodes"), self.topology.map.get("stations")
        if graph is not None and linear is not None:
            self.faults.add(
                linear.key, "topology.stations", "stands beside nodes", "a line is linear (stations) or a graph (nodes and edges)"
            )
        if linear is not None and graph is None and self.topology.has("edges"):
            self.topology.fault("edges", "stands beside stations", "a graph lists its machines under nodes")
        if graph is not None and not self.topology.has("edges"):
            self.topology.fault("edges", "is missing", "a graph lists its edges, from _source to _sink")
        listed = graph or linear
        if listed is None or not listed.list:
            if self.topology.map:
                self.topology.fault("stations", "names no machine", "list the machines in their order")
            return Node([], self.topology.node.place)
        if len(listed.list) > MOST_MACHINES:
            self.faults.add(listed.place, "topology", f"has more than {MOST_MACHINES} machines")
        return listed

    def _names(self, listed: Node) -> None:
        seen = dict[str, Node]()
        key = "topology.nodes" if "nodes" in self.topology.map else "topology.stations"
        for number, node in enumerate(listed.list):
            fields = Quantities(node if isinstance(node.value, dict) else Node({"name": node}, node.place), f"{key}[{number}]", self.faults)
            fields.require("name")
            fields.allow((*MACHINE, *PLACE))
            name = fields.text("name")
            if name in _ENDS:
                fields.fault("name", f"{name} is no machine", f"{', '.join(_ENDS)} stand in edges alone")
            elif name in (*ROOTS, "equipment"):
                fields.fault("name", f"{name} is a section of the configuration", "choose another name")
            elif name and not _NAME.fullmatch(name):
                fields.fault("name", f"{quote(name)} is not a name of a machine", "1 to 64 letters, digits, _ or -")
            elif name in seen:
                fields.fault("name", f"{name} stands twice", f"first at {seen[name].place}")
            elif name:
                seen[name] = node

    def _edges(self, machines: list[Machine]) -> list[Edge]:
        rooms = {machine.name: self._room(machine.name) for machine in machines}
        if "nodes" not in self.topology.map:
            names = [SOURCE, *self.nodes, SINK]
            return [Edge(a, b, None if b == SINK else rooms.get(a)) for a, b in pairwise(names)]
        found = dict[tuple[str, str], Edge]()
        for number, node in enumerate(
            elements(self.topology.map.get("edges") or Node(None, self.root.place), "topology.edges", self.faults)
        ):
            edge = self._edge(Quantities(node, f"topology.edges[{number}]", self.faults), rooms)
            if edge is not None and (edge.origin, edge.target) in found:
                self.faults.add(node.place, f"topology.edges[{number}]", f"{edge.origin} -> {edge.target} stands twice", "keep one of them")
            elif edge is not None:
                found[edge.origin, edge.target] = edge
        return list(found.values())

    def _room(self, name: str) -> int | None:
        node = self._section("equipment").map[name].map.get("buffer_capacity")
        return capacity(node, f"equipment.{name}.buffer_capacity", self.faults, 100)

    def _edge(self, fields: Quantities, rooms: Mapping[str, int | None]) -> Edge | None:
        fields.allow(EDGE)
        for name, ends in (("source", {SOURCE}), ("target", {SINK, REJECT})):
            fields.require(name)
            word = fields.text(name)
            if word and word not in self.nodes and word not in ends:
                known = [*self.nodes, *ends]
                why = (
                    f"nothing {'leaves' if name == 'source' else 'enters'} {word}"
                    if word in _ENDS
                    else f"there is no machine {quote(word)}"
                )
                fields.fault(name, why, self.faults.nearest(word, known))
        origin, target = fields.text("source"), fields.text("target")
        if not origin or not target:
            return None
        room = None if target in {SINK, REJECT} else rooms.get(origin)
        return Edge(
            origin,
            target,
            capacity(fields.get("capacity"), fields.key("capacity"), self.faults, room),
            self._condition(fields),
            fields.integer("priority", 0, 1_000_000, 0),
            fields.positive("weight", 1.0),
            fields.flag("rework"),
        )

    def _condition(self, fields: Quantities) -> str:
        node = fields.get("condition")
        if node is None:
            return ""
        text = re.sub(r"\bproduct\.", "", fields.text("condition"))
        try:
            parse(text, CONDITIONS, stateful=False)
        except ExpressionError as error:
            hint = error.hint or f"a condition asks for {', '.join(CONDITIONS)}, as in: not is_defective"
            fields.fault("condition", f"{quote(node.text)}, character {error.position + 1}: {error.why}", hint)
            return ""
        return text

    # --- what goes through it, when, and for how much ---------------------------------------------------------------------------------

    def _product(self, fields: Quantities) -> Product:
        fields.allow(PRODUCT)
        for name in ("size_oz", "net_weight_g"):
            fields.money(name)
        return Product(
            fields.text("name"),
            fields.text("description"),
            fields.money("size_oz"),
            fields.count("units_per_case", 1),
            fields.count("cases_per_pallet", 1),
            fields.money("material_cost"),
            fields.money("selling_price"),
        )

    def _products(self) -> tuple[Product, ...]:
        section = self._section("products")
        return tuple(self._product(Quantities(node, section.key(name), self.faults)) for name, node in section.map.items())

    def _source(self, products: list[Product]) -> Source:
        fields = self._section("source")
        fields.allow(SOURCE_KEYS)
        skus = [product.sku_name for product in products]
        lots = []
        for number, node in enumerate(elements(fields.get("lots") or Node(None, fields.place("lots")), "source.lots", self.faults)):
            lot = Quantities(node, f"source.lots[{number}]", self.faults)
            lot.allow(("product", "quantity"))
            lot.require("product")
            lot.require("quantity", "how many parts of it come before the next lot")
            if lot.text("product") in skus:
                lots.append(Lot(lot.text("product"), lot.count("quantity", 1)))
        when: Literal["wait", "lose"] = "lose" if fields.word("when_full", ("wait", "lose"), "wait") == "lose" else "wait"
        quantity = fields.count("quantity", 1) if fields.has("quantity") else None
        return Source(fields.text("name", Source().name), fields.distribution("arrivals"), quantity, tuple(lots), when)

    def _crews(self) -> tuple[Crew, ...]:
        found = dict[str, Crew]()
        for number, node in enumerate(elements(self.topology.get("crews") or Node(None, self.root.place), "topology.crews", self.faults)):
            fields = Quantities(node, f"topology.crews[{number}]", self.faults)
            fields.allow(("name", "size"))
            fields.require("name")
            name = fields.text("name")
            if name in found:
                fields.fault("name", f"{name} stands twice")
            found[name] = Crew(name, fields.count("size", 1))
        return tuple(found.values())

    def _calendar(self, machines: list[str]) -> Calendar:
        owner = self.run if self.run.has("calendar") else self.topology
        fields = owner.inner("calendar")
        fields.allow(("repeat", "stops"))
        stops = []
        for number, node in enumerate(elements(fields.get("stops") or Node(None, fields.place("stops")), fields.key("stops"), self.faults)):
            stop = self._stop(Quantities(node, f"{fields.key('stops')}[{number}]", self.faults), machines)
            if stop is not None:
                stops.append(stop)
        repeat = fields.longer("repeat", 0.0)
        if repeat and any(stop.end_s > repeat + stop.start_s or stop.start_s >= repeat for stop in stops):
            fields.fault("repeat", "is shorter than what it repeats", "a stop begins within it, and does not last longer")
        return Calendar(tuple(stops), repeat)

    def _stop(self, fields: Quantities, machines: list[str]) -> PlannedStop | None:
        fields.allow(("from", "to", "reason", "machines"))
        for name in ("from", "to"):
            fields.require(name, "a time since the start, or a time of day as 10:15")
        begin, end = self._moment(fields, "from"), self._moment(fields, "to")
        word = fields.word("reason", ("break", "idle", "maintenance"), "break")
        named = elements(fields.get("machines") or Node(None, fields.place("machines")), fields.key("machines"), self.faults)
        for node in named:
            if node.text not in machines and node.text not in self.nodes:
                self.faults.add(
                    node.place, fields.key("machines"), f"there is no machine {quote(node.text)}", self.faults.nearest(node.text, machines)
                )
        if begin is None or end is None:
            return None
        if end <= begin and _CLOCK.fullmatch(fields.text("to")):
            end += _DAY_S
        if end <= begin:
            fields.fault("to", "is not after from")
            return None
        reason: Literal["break", "idle", "maintenance"] = "idle" if word == "idle" else "maintenance" if word == "maintenance" else "break"
        return PlannedStop(begin, end, reason, tuple(node.text for node in named))

    def _moment(self, fields: Quantities, name: str) -> float | None:
        """Seconds after the start; a time of day is the first one from the start on (UTC, as start_time)."""
        node = fields.get(name)
        if node is None:
            return None
        if (match := _CLOCK.fullmatch(node.text)) is None:
            return fields.time_of(node, fields.key(name))
        began = self.start.hour * 3600 + self.start.minute * 60 + self.start.second + self.start.microsecond / 1e6
        return (int(match[1]) * 3600 + int(match[2]) * 60 - began) % _DAY_S
