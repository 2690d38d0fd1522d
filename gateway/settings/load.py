"""From files to a Site: every section read, every fault listed at once."""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from gateway.model.sync import Sync, SyncMode
from gateway.model.tag import TagTable
from gateway.settings.alarms import Alarms
from gateway.settings.assemble import Assembly
from gateway.settings.digest import digest
from gateway.settings.expressions import read_expressions
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import LATER, Fields, elements
from gateway.settings.forecasting import read_forecast
from gateway.settings.lining import read_line_section
from gateway.settings.models import Models
from gateway.settings.node import BROKEN, Node
from gateway.settings.plugin import Filler
from gateway.settings.sections import NAME, Events, Gateway, Kpi
from gateway.settings.site import Plugins, Site, Unit
from gateway.settings.tags import AddressCheck, Draft
from gateway.settings.units import read_units

OWN: Final = (
    "version", "gateway", "sources", "tags", "alarms", "thresholds", "derived", "upstream", "sync", "events", "kpi",
    "models", "scenarios", "forecast", "line",
)  # fmt: skip


def load(path: Path | str, plugins: Plugins, previous: TagTable | None = None, *, env: Mapping[str, str] | None = None) -> Site:
    """Reads a configuration. previous is the table of the running site, whose rows keep their place; env is the environment.

    Raises SettingsError with all faults, each with its file, line and column.
    """
    faults = Faults()
    environment = os.environ if env is None else env
    with _collector_paused():
        assembly = Assembly(environment, faults)
        root = assembly.read(Path(path))
        if not assembly.complete:
            faults.check()
        return _Loader(root, plugins, previous, Filler(environment, faults), faults).site(assembly)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A tree of a million nodes holds no cycle, and the collector would walk it again and again: half of the time of a large site."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Loader:
    def __init__(self, root: Node, plugins: Plugins, previous: TagTable | None, filler: Filler, faults: Faults) -> None:
        self.root, self.plugins, self.previous, self.filler, self.faults = root, plugins, previous, filler, faults
        self.fields = Fields(root, "", faults)
        self.models, self.optional = plugins.sections, plugins.optional

    def site(self, assembly: Assembly) -> Site:
        """The site; raises SettingsError once everything was looked at."""
        self.fields.allow((*OWN, *self.models, "include", "tags_from", "digital_twin"), LATER | {"opcua", "web", "store", "log"})
        self._version()
        gateway = self.filler.fill(Gateway, self._section("gateway"), "gateway")
        events = self.filler.fill(Events, self._section("events"), "events")
        kpi = self.filler.fill(Kpi, self._section("kpi"), "kpi")
        sections = {name: self._filled(name, model) for name, model in self.models.items() if self._wanted(name)}
        self._ports(sections)
        sources, checks = self._sources()
        doubts = {name: getattr(unit.config, "address_warning", None) for name, unit in sources.items()}
        upstream = self._upstream()
        draft = Draft(self.faults, read_units(), checks, self.previous, doubts)
        draft.read_tags(self._section("tags"))
        draft.read_derived(self._section("derived"))
        tags = draft.table()
        derived = read_expressions(draft)
        stated = events is not None and "default_alert_severity" in events.model_fields_set
        alarms = Alarms(tags, draft.declared, read_units(), self.faults, events.default_alert_severity.level if events and stated else None)
        alarms.read(self._section("alarms"))
        alarms.read_thresholds(self._section("thresholds"))
        alarms.check_order()
        models = Models(tags, draft.declared, self.faults)
        models.read(self._section("models"))
        models.read_scenarios(self._section("scenarios"), self._section("models"))
        forecast = read_forecast(self._section("forecast"), self.filler, tags, draft.declared)
        line = read_line_section(self._section("line"), self.filler, tags, draft.declared)
        sync = self._sync()
        self.faults.check()
        assert gateway is not None and events is not None and kpi is not None  # noqa: PT018  # what is None left a fault
        return Site(
            gateway=gateway,
            sources=sources,
            upstream=tuple(upstream),
            tags=tags,
            rules=tuple(alarms.rules),
            derived=derived,
            sync=sync,
            events=events,
            kpi=kpi,
            sections={name: model for name, model in sections.items() if model is not None},
            units=read_units(),
            digest=digest(self.root),
            faults=tuple(self.faults.listed()),
            files=tuple(assembly.files),
            models=tuple(models.models),
            scenarios=models.scenarios,
            upkeep=models.upkeep.calibrated,
            watches=models.upkeep.watched,
            forecast=forecast,
            line=line,
        )

    def _section(self, name: str) -> Node:
        return self.root.map.get(name) or Node(None, self.root.place)

    def _wanted(self, name: str) -> bool:
        return name not in self.optional or name in self.root.map

    def _version(self) -> None:
        node = self.root.map.get("version")
        if node is None:
            self.fields.fault("version", "is missing", "write version: 1")
        elif node.value is not BROKEN and (node.value != 1 or isinstance(node.value, bool | float)):
            self.fields.fault("version", f"{quote(node.text)} is not a version of this configuration", "write version: 1")

    def _filled(self, name: str, model: type[BaseModel]) -> BaseModel | None:
        """A section of a plugin; what it may say is its own model's affair."""
        return self.filler.fill(model, self._section(name), name)

    def _ports(self, sections: Mapping[str, BaseModel | None]) -> None:
        """Two servers cannot have one port; 0 takes any."""
        taken: dict[int, str] = {}
        for name, section in sections.items():
            port = getattr(section, "port", 0)
            stated = [one for one in (name, taken.get(port, name)) if "port" in self._section(one).map]
            if port in taken and stated:
                fields = Fields(self._section(stated[0]), stated[0], self.faults)
                fields.fault("port", f"{port} is the port of {taken[port]} and of {name}", "give each server a port of its own")
            if port:
                taken.setdefault(port, name)

    def _sources(self) -> tuple[dict[str, Unit], dict[str, AddressCheck | None]]:
        fields = Fields(self._section("sources"), "sources", self.faults)
        found, checks = dict[str, Unit](), dict[str, AddressCheck | None]()
        for name, node in fields.map.items():
            if not NAME.fullmatch(name):
                self.faults.add(node.key, fields.key(name), f"{quote(name)} is not a name", "1 to 64 letters, digits, _ or -")
            inner = Fields(node, fields.key(name), self.faults)
            checks[name] = None
            model = self._kind(inner, "driver", self.plugins.drivers)
            if model is None:
                continue
            checks[name] = getattr(model, "address_error", None)
            config = self.filler.fill(model, node, inner.path, frozenset({"driver"}))
            if config is not None:
                found[name] = Unit(name, inner.text("driver"), config)
        return found, checks

    def _upstream(self) -> list[Unit]:
        found, names = list[Unit](), dict[str, Node]()
        for number, node in enumerate(elements(self._section("upstream"), "upstream", self.faults)):
            fields = Fields(node, f"upstream[{number}]", self.faults)
            name = fields.text("name")
            fields.require("name")
            if name and not NAME.fullmatch(name):
                fields.fault("name", f"{quote(name)} is not a name", "1 to 64 letters, digits, _ or -")
            elif name in self.models:
                fields.fault("name", f"{name} is a section of the gateway's own", "choose another name")
            elif name in names:
                fields.fault("name", f"{name} stands twice", f"first at {names[name].place}")
            elif name:
                names[name] = fields.map["name"]
            model = self._kind(fields, "kind", self.plugins.upstream)
            config = None if model is None else self.filler.fill(model, node, fields.path, frozenset({"name", "kind"}))
            if config is not None:
                found.append(Unit(name, fields.text("kind"), config))
        return found

    def _kind(self, fields: Fields, key: str, known: Mapping[str, type[BaseModel]]) -> type[BaseModel] | None:
        """The model of a driver or sink."""
        fields.require(key, f"known: {', '.join(sorted(known)) or 'none'}")
        kind = fields.text(key)
        if kind and kind not in known:
            close, listed = self.faults.nearest(kind, known), f"known: {', '.join(sorted(known)) or 'none'}"
            fields.fault(key, f"there is no {key} {quote(kind)}", f"{close} {listed}" if close.startswith("did you") else listed)
        return known.get(kind)

    def _sync(self) -> Sync:
        fields = Fields(self._section("sync"), "sync", self.faults)
        fields.allow(("mode", "update_frequency", "history_length", "history_bytes"))
        frequency = fields.number("update_frequency")
        if frequency is not None and not 0.001 <= frequency <= 1000:
            fields.fault("update_frequency", f"{frequency:g} Hz is out of bounds", "0.001 to 1000, for example 1, 10 or 100")
            frequency = None
        default = Sync()
        return Sync(
            mode=SyncMode(fields.word("mode", tuple(SyncMode), default.mode)),
            update_frequency=default.update_frequency if frequency is None else frequency,
            history_length=fields.integer("history_length", 1, 10_000_000, default.history_length),
            history_bytes=fields.integer("history_bytes", 1, 2**40, default.history_bytes),
        )
