"""The section `line`: a line of the configuration tree, its machines and buffers tied to tags, and its forecast."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from gateway.contracts import Duration
from gateway.model.kpi import Ahead, LineSite, TiedMachine
from gateway.model.line import SINK, SOURCE, Line, MachineState
from gateway.model.tag import Tag, TagTable, TagType
from gateway.settings.faults import Faults, Place, SettingsError, quote
from gateway.settings.line.load import load_line
from gateway.settings.line.tree import config_dir
from gateway.settings.node import BROKEN, Node
from gateway.settings.plugin import Filler
from gateway.settings.sections import Model

PERIODS: Final = frozenset({"PreviousShift", "Today", "Forecast"})
"""Names that stand beside the machines among the KPIs."""
_NUMBERS: Final = frozenset({TagType.FLOAT, TagType.INT})
_STATES: Final = frozenset({TagType.ENUM, TagType.INT, TagType.TEXT, TagType.BOOL})
_INPUTS: Final = ("produced", "rejected", "energy", "power")
_WORDS: Final = {state.value: state for state in MachineState}
_BESIDE: Final = "line"
"""The tree where none is named, if it is there: beside the file."""
_ARROW: Final = "->"


class TiedTags(Model):
    """The tags of one machine. states: what the state's values mean; a value that is named as a state of the line need not be listed."""

    state: str
    states: dict[str, str] = Field(default_factory=dict)
    produced: str | None = None
    rejected: str | None = None
    energy: str | None = None  # a counter in kW.h
    power: str | None = None  # in kW
    rollover: Annotated[int, Field(ge=2, le=2**53)] | None = None


class LineForecast(Model):
    """How the rest of a shift is foretold, and from which probability on it is told that a machine will wait for at_least."""

    every: Annotated[Duration, Field(ge=5, le=3600, validate_default=True)] = "60s"  # type: ignore[assignment]  # parsed by Duration
    replications: Annotated[int, Field(ge=20, le=10_000)] = 200
    at_least: Annotated[Duration, Field(gt=0, validate_default=True)] = "60s"  # type: ignore[assignment]  # parsed by Duration
    probability: Annotated[float, Field(gt=0, le=1)] = 0.7
    clear: Annotated[float, Field(ge=0, lt=1)] = 0.3
    issues: Annotated[int, Field(ge=1, le=1000)] = 2
    severity: Annotated[int, Field(ge=1, le=300)] = 200


class LineOwn(Model):
    """What the section says beside its machines. tree: the folder of runs, scenarios and so on, relative to the file."""

    tree: Path | None = None
    run: str
    scenario: str | None = None
    buffers: dict[str, str] = Field(default_factory=dict)
    forecast: LineForecast | None = None


class LineSection(LineOwn):
    """The whole section, for the schema."""

    machines: Annotated[dict[str, TiedTags], Field(min_length=1)]


def read_line_section(section: Node, filler: Filler, tags: TagTable, declared: Mapping[str, object]) -> LineSite | None:
    """The section `line`; None where there is none, or with its faults listed, each at its key."""
    if section.value is None:
        return None
    own = filler.fill(LineOwn, section, "line", frozenset({"machines"}))
    line = None if own is None else _line(own, section, filler.faults)
    reading = _Reading(filler, tags, declared, line)
    machines = reading.machines(section)
    buffers = {} if own is None else reading.buffers(section.map.get("buffers"))
    if own is None or line is None:
        return None
    if own.forecast is not None and own.forecast.clear >= own.forecast.probability:
        why = f"clear {own.forecast.clear:g} is not below probability {own.forecast.probability:g}"
        filler.faults.add(section.map["forecast"].place, "line.forecast", why, "change one of them")
    rule = own.forecast
    ahead = None
    if rule is not None:
        ahead = Ahead(rule.every, rule.replications, rule.at_least, rule.probability, rule.clear, rule.issues, rule.severity)
    return LineSite(line, tuple(machines), buffers, ahead)


def _line(own: LineOwn, section: Node, faults: Faults) -> Line | None:
    """The line of the run, with the faults of its tree, each in its own file."""
    if own.tree is not None and not own.tree.is_dir():
        faults.add(section.map["tree"].place, "line.tree", f"there is no folder {own.tree}", "it holds runs, scenarios, topologies, ...")
        return None
    beside = Path(section.map["run"].place.file).parent / _BESIDE
    folder = beside if own.tree is None and beside.is_dir() else config_dir(own.tree)
    try:
        return load_line(own.run, folder, scenario=own.scenario)
    except SettingsError as error:
        place = section.map["run"].place
        for fault in error.faults:
            if fault.warning:
                continue
            if fault.place.line == 0 or not Path(fault.place.file).is_file():  # what was asked for by name: the key here asks for it
                faults.add(place, "line.run", fault.why, fault.hint)
            else:
                faults.add(fault.place, fault.key, fault.why, fault.hint)
        return None


class _Reading:
    """Ties names to tags; each tag once. line: None where it has faults of its own: its names are not looked at then."""

    def __init__(self, filler: Filler, tags: TagTable, declared: Mapping[str, object], line: Line | None) -> None:
        self._filler, self._faults, self._tags, self._declared, self._line = filler, filler.faults, tags, declared, line
        self._seen: dict[str, Place] = {}

    def machines(self, section: Node) -> list[TiedMachine]:
        """In the order of the line."""
        node = section.map.get("machines")
        if node is None or node.value is None:
            self._faults.add(section.place, "line.machines", "is missing", "tie machines of the line to tags")
            return []
        if not node.map:
            if node.value is not BROKEN:
                self._faults.add(node.place, "line.machines", "should be a map of machines", "stringer: {state: machines.stringer.state}")
            return []
        found = {name: one for name, child in node.map.items() if (one := self._machine(name, child)) is not None}
        if self._line is None:
            return []
        for machine in self._line.machines:
            if machine.name not in node.map:
                why = f"the machine {machine.name} of the line is not tied to tags: nothing will be known of it"
                self._faults.warn(node.place, "line.machines", why, "name its tags")
        return [found[machine.name] for machine in self._line.machines if machine.name in found]

    def _machine(self, name: str, node: Node) -> TiedMachine | None:
        key = f"line.machines.{name}"
        known = None if self._line is None else [machine.name for machine in self._line.machines]
        if name in PERIODS or "/" in name:
            self._faults.add(
                node.key, key, f"a machine whose KPIs are served cannot be named {quote(name)}", "rename it in the line's tree"
            )
        elif known is not None and name not in known:
            self._faults.add(node.key, key, f"the line has no machine {quote(name)}", self._faults.nearest(name, known))
        tied = self._filler.fill(TiedTags, node, key)
        if tied is None:
            return None
        state = self._tag(node, key, "state", _STATES)
        others = {word: self._tag(node, key, word, _NUMBERS) for word in _INPUTS if getattr(tied, word) is not None}
        if self._line is not None and name in (known or ()) and self._places(name) > 1:
            why = f"{name} has {self._places(name)} places, and one tag cannot tell what each of them does"
            self._faults.add(node.place, key, why, "make each place a machine of its own in the line's tree")
        if tied.rejected is not None and tied.produced is None:
            self._faults.add(node.map["rejected"].place, f"{key}.rejected", "needs `produced` beside it", "rejected items are among those")
        if state is None:
            return None
        values, words = self._states(node, key, state)
        ids = {word: None if tag is None else tag.tag_id for word, tag in others.items()}
        return TiedMachine(name, state.tag_id, values, words, **ids, rollover=tied.rollover)

    def _places(self, name: str) -> int:
        assert self._line is not None
        return next(machine.servers for machine in self._line.machines if machine.name == name)

    def _states(self, node: Node, key: str, tag: Tag) -> tuple[dict[float, MachineState], dict[str, MachineState]]:
        """What the values of a state's tag mean: by number, or by word for a text."""
        given = node.map.get("states")
        labels = {text: float(number) for number, text in tag.labels.items()}
        if tag.type is TagType.BOOL:
            labels |= {"false": 0.0, "true": 1.0}
        values = {number: _WORDS[text.upper()] for text, number in labels.items() if text.upper() in _WORDS}
        words: dict[str, MachineState] = dict(_WORDS) if tag.type is TagType.TEXT else {}
        for text, child in ({} if given is None else given.map).items():
            where = f"{key}.states.{text}"
            if child.text.upper() not in _WORDS:
                if child.value is not BROKEN:
                    why = f"{quote(child.text) if child.text else child.shape} is no state of a machine"
                    self._faults.add(child.place, where, why, self._faults.nearest(child.text, _WORDS))
            elif tag.type is TagType.TEXT:
                words[text] = _WORDS[child.text.upper()]
            elif (number := _number(text, labels)) is not None:
                values[number] = _WORDS[child.text.upper()]
            else:
                self._faults.add(child.key, where, f"{tag.name} has no value {quote(text)}", self._faults.nearest(text, list(labels)))
        if not values and not words:
            self._faults.add(
                node.place, key, f"it is not said what the values of {tag.name} mean", "states: {running: EXECUTE, fault: DOWN}"
            )
        return values, words

    def _tag(self, node: Node, path: str, word: str, kinds: frozenset[TagType]) -> Tag | None:
        """The tag that a key names; None with the fault listed."""
        child = node.map[word]
        return None if isinstance(child.value, dict | list) else self._named(child, f"{path}.{word}", kinds)

    def _named(self, child: Node, key: str, kinds: frozenset[TagType]) -> Tag | None:
        name = child.text
        tag = self._tags.named(name) if name in self._declared else None
        if tag is None:
            self._faults.add(child.place, key, f"there is no tag {quote(name)}", self._faults.nearest(name, list(self._declared)))
        elif tag.type not in kinds:
            wanted = ", ".join(sorted(kind.name.lower() for kind in kinds))
            self._faults.add(child.place, key, f"{name} is {tag.type.name.lower()}", f"it takes a tag of type {wanted}")
        elif not tag.enabled:
            self._faults.add(child.place, key, f"{name} is disabled", "enable the tag, or remove it here")
        elif name in self._seen:
            self._faults.add(child.place, key, f"{name} stands twice", f"first at {self._seen[name]}")
        else:
            self._seen[name] = child.place
            return tag
        return None

    def buffers(self, node: Node | None) -> dict[tuple[str, str], int]:
        """The content's tag by the edge, `stringer->layup`."""
        found: dict[tuple[str, str], int] = {}
        for text, child in ({} if node is None else node.map).items():
            key = f"line.buffers.{text}"
            origin, arrow, target = (part.strip() for part in text.partition(_ARROW))
            edges = [] if self._line is None else [(edge.origin, edge.target) for edge in self._line.edges]
            own = [pair for pair in edges if pair[0] != SOURCE and pair[1] != SINK]
            if not arrow or (self._line is not None and (origin, target) not in own):
                hint = self._faults.nearest(text, [f"{a}{_ARROW}{b}" for a, b in own])
                self._faults.add(child.key, key, f"the line has no buffer {quote(text)}", hint)
            tag = self._named(child, key, _NUMBERS)
            if tag is not None:
                found[origin, target] = tag.tag_id
        return found


def _number(text: str, labels: Mapping[str, float]) -> float | None:
    if text in labels:
        return labels[text]
    try:
        return float(text)
    except ValueError:
        return None
