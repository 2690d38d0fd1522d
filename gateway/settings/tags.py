"""The sections `tags` and `derived`: from nodes to the TagTable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.model.tag import DERIVED, Tag, TagTable, TagType, WriteRule
from gateway.model.unit import Unit
from gateway.settings import names
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import Fields, elements
from gateway.settings.node import Node
from gateway.settings.units import unit_hint

TAG_KEYS: Final = frozenset({
    "name", "source", "address", "type", "unit", "range", "deadband", "sampling_interval", "stale_after",
    "labels", "description", "writable", "enabled", "was",
})  # fmt: skip
DERIVED_KEYS: Final = frozenset({"name", "expr", "unit", "type", "range", "deadband", "description", "enabled", "was"})
WRITE_KEYS: Final = frozenset({"min", "max", "max_rate", "role", "reason", "interlock"})
ROLES: Final = ("viewer", "operator", "engineer", "manager", "admin")
TYPES: Final = {word.name.lower(): word for word in TagType}
NUMBERS: Final = frozenset({TagType.FLOAT, TagType.INT})

AddressCheck = Callable[[str], str | None]


@dataclass(slots=True)
class Draft:
    """Tags as they are read. declared: of a name its node and key path; doubts: what a source warns of in an address."""

    faults: Faults
    units: Mapping[str, Unit]
    sources: Mapping[str, AddressCheck | None]
    previous: TagTable | None = None
    doubts: Mapping[str, AddressCheck | None] = field(default_factory=dict)
    tags: list[Tag] = field(default_factory=list)
    declared: dict[str, tuple[Node, str]] = field(default_factory=dict)
    expressions: list[tuple[Tag, Node, str]] = field(default_factory=list)
    interlocks: list[tuple[str, Node, str]] = field(default_factory=list)
    _was: dict[str, str] = field(default_factory=dict)
    _appended: int = 0

    def read_tags(self, section: Node) -> None:
        """Takes the section `tags`."""
        for number, node in enumerate(elements(section, "tags", self.faults)):
            self._tag(Fields(node, f"tags[{number}]", self.faults))

    def read_derived(self, section: Node) -> None:
        """Takes the section `derived`."""
        for number, node in enumerate(elements(section, "derived", self.faults)):
            self._derived(Fields(node, f"derived[{number}]", self.faults))

    def table(self) -> TagTable:
        """All of them: rows of `previous` at their place, disabled where their name went, new ones behind."""
        names.check_levels(self.declared, self.faults)
        self._check_was()
        rows = {tag.tag_id: tag for tag in self.tags}
        gone = () if self.previous is None else (tag for tag in self.previous if tag.tag_id not in rows)
        rows.update((tag.tag_id, replace(tag, enabled=False)) for tag in gone)
        return TagTable.of([rows[tag_id] for tag_id in sorted(rows)])

    def _tag(self, fields: Fields) -> None:
        fields.allow(TAG_KEYS)
        name = self._name(fields)
        kind = TYPES[fields.word("type", TYPES, "float")]
        source = self._source(fields)
        unit, eu_range, deadband = self._quantity(fields, kind)
        tag_id = self._take(name, fields)
        if tag_id is None:
            return
        sampling = fields.duration_ns("sampling_interval", None)
        self.tags.append(
            Tag(
                tag_id,
                name,
                source,
                fields.text("address"),
                kind,
                unit,
                eu_range,
                deadband,
                1_000_000_000 if sampling is None else sampling,
                fields.duration_ns("stale_after", None),
                self._labels(fields, kind),
                fields.text("description"),
                self._writable(fields, name, kind, eu_range) if "writable" in fields.map else None,
                fields.flag("enabled", True),
                self._renamed(fields, name) if "was" in fields.map else None,
            )
        )

    def _derived(self, fields: Fields) -> None:
        fields.allow(DERIVED_KEYS)
        name = self._name(fields)
        fields.require("expr", "write an expression over tags, for example line.power / max(good.count, 1)")
        fields.word("type", ("float",), "float")
        unit, eu_range, deadband = self._quantity(fields, TagType.FLOAT)
        tag_id = self._take(name, fields)
        if tag_id is None:
            return
        tag = Tag(
            tag_id, name, DERIVED, "", TagType.FLOAT, unit, eu_range, deadband,
            description=fields.text("description"), enabled=fields.flag("enabled", True), was=self._renamed(fields, name),
        )  # fmt: skip
        self.tags.append(tag)
        expression = fields.get("expr")
        if expression is not None:
            self.expressions.append((tag, expression, fields.key("expr")))

    def _name(self, fields: Fields) -> str:
        fields.require("name")
        return fields.text("name")

    def _take(self, name: str, fields: Fields) -> int | None:
        """The row of a good new name."""
        node = fields.get("name")
        if node is None:
            return None
        fault = names.wrong(name)
        if fault is not None:
            fields.fault("name", *fault)
            return None
        if name in self.declared:
            fields.fault("name", f"{name} is declared twice", f"first at {self.declared[name][0].place}")
            return None
        kept = None if self.previous is None else self.previous.index.get(name)
        before = 0 if self.previous is None else len(self.previous)
        tag_id = before + self._new() if kept is None else kept
        self.declared[name] = node, fields.key("name")
        return tag_id

    def _new(self) -> int:
        self._appended += 1
        return self._appended - 1

    def _source(self, fields: Fields) -> str:
        source, address = fields.text("source"), fields.text("address")
        if not source:
            if address:
                fields.fault("address", "an address needs a source", "name the source that it is an address of")
            return ""
        if source not in self.sources:
            fields.fault("source", f"there is no source {quote(source)}", self.faults.nearest(source, self.sources))
            return ""
        check = self.sources[source]
        if "address" not in fields.map or fields.map["address"].value is None:
            fields.require("address", f"where {source} finds it")
        elif check is not None and address and (why := check(address)):
            fields.fault("address", why)
        elif address and (doubt := self.doubts.get(source)) and (why := doubt(address)):
            fields.warn("address", why)
        return source

    def _quantity(self, fields: Fields, kind: TagType) -> tuple[str, tuple[float, float] | None, float]:
        unit, eu_range = fields.text("unit"), self._range(fields)
        if kind not in NUMBERS:
            for key in ("unit", "range", "deadband"):
                if fields.get(key) is not None:
                    fields.fault(key, f"a {kind.name.lower()} tag has none", "only float and int have unit, range and deadband")
            return "", None, 0.0
        if unit and unit not in self.units:
            fields.fault("unit", f"{quote(unit)} is not a known unit", unit_hint(unit, self.units) if self.faults.hinting else "")
        return unit, eu_range, self._deadband(fields, eu_range)

    def _range(self, fields: Fields) -> tuple[float, float] | None:
        node = fields.get("range")
        if node is None:
            return None
        if not isinstance(node.value, list) or len(node.value) != 2:
            fields.fault("range", "should be two numbers", "write [low, high]")
            return None
        low, high = (fields.number_of(end, fields.key("range")) for end in node.value)
        if low is None or high is None:
            return None
        if low >= high:
            fields.fault("range", f"low {low:g} is not below high {high:g}", "write [low, high]")
            return None
        return low, high

    def _deadband(self, fields: Fields, eu_range: tuple[float, float] | None) -> float:
        node = fields.get("deadband")
        if node is None:
            return 0.0
        text = node.text.strip()
        percent = text.endswith("%")
        number = _number(text[:-1]) if percent else fields.number("deadband")
        if percent and (number is None or not 0 <= number <= 100):
            fields.fault("deadband", f"{quote(text)} is not a share of the range", "write 0% to 100%, or a number in engineering units")
        elif percent and eu_range is None:
            if fields.get("range") is None:
                fields.fault("deadband", "a percentage needs a range", "add range: [low, high], or write a number in engineering units")
        elif number is not None and number < 0:
            fields.fault("deadband", f"{number:g} is negative", "write 0 or more")
        elif number is not None:
            return number / 100.0 * (eu_range[1] - eu_range[0]) if percent and eu_range else number
        return 0.0

    def _labels(self, fields: Fields, kind: TagType) -> Mapping[int, str]:
        node = fields.get("labels")
        if kind not in {TagType.BOOL, TagType.ENUM}:
            if node is not None:
                fields.fault("labels", f"a {kind.name.lower()} tag has none", "only bool and enum have labels")
            return {}
        if node is None:
            if kind is TagType.ENUM:
                fields.require("labels", "write labels: {0: stopped, 1: running}")
            return {}
        if not isinstance(node.value, dict):
            fields.fault("labels", f"should be a map from numbers to words, not {node.shape}", "write {0: stopped, 1: running}")
            return {}
        found = dict[int, str]()
        for text, label in node.value.items():
            number = _state(text, kind)
            if number is None:
                fields.faults.add(
                    label.key,
                    fields.key("labels"),
                    f"{quote(text)} is not a state",
                    "0 and 1" if kind is TagType.BOOL else "0 to 4294967295",
                )
            elif not label.text or label.text in found.values():
                why = f"{label.text} stands twice" if label.text else "a label is a word"
                fields.faults.add(label.place, fields.key(f"labels.{text}"), why, "each state needs a word of its own")
            else:
                found[number] = label.text
        return found

    def _writable(self, outer: Fields, name: str, kind: TagType, eu_range: tuple[float, float] | None) -> WriteRule | None:
        node = outer.get("writable")
        if node is None or node.value is False:
            return None
        rule = WriteRule(*eu_range) if eu_range else WriteRule()
        if node.value is True:
            return rule
        fields = Fields(node, outer.key("writable"), self.faults)
        fields.allow(WRITE_KEYS)
        low, high = fields.number("min"), fields.number("max")
        low, high = rule.low if low is None else low, rule.high if high is None else high
        if low > high:
            fields.fault("min", f"{low:g} is above max {high:g}", "min and max are the lowest and the highest setpoint")
        elif eu_range and (low < eu_range[0] or high > eu_range[1]):
            fields.warn("min" if low < eu_range[0] else "max", f"lies outside the range {eu_range[0]:g} to {eu_range[1]:g}")
        if kind not in NUMBERS:
            for key in {"min", "max", "max_rate"} & fields.map.keys():
                fields.fault(key, f"a {kind.name.lower()} tag has none", "only float and int have bounds and a rate")
        interlock = fields.get("interlock")
        if interlock is not None:
            self.interlocks.append((name, interlock, fields.key("interlock")))
        return WriteRule(
            low, high, self._rate(fields), fields.word("role", ROLES, "operator"), fields.flag("reason"),
            None if interlock is None else interlock.text,
        )  # fmt: skip

    def _rate(self, fields: Fields) -> float | None:
        node = fields.get("max_rate")
        return None if node is None else fields.rate_of(node, fields.key("max_rate"))

    def _renamed(self, fields: Fields, name: str) -> str | None:
        was = fields.text("was")
        if not was:
            return None
        fault = names.wrong(was)
        if fault is not None:
            fields.fault("was", *fault)
        elif was in self._was:
            fields.fault("was", f"{was} went over to {self._was[was]} already", "one tag alone can carry on the history of another")
        else:
            self._was[was] = name
        return was

    def _check_was(self) -> None:
        for was, name in self._was.items():
            if was in self.declared:
                node, key = self.declared[name]
                self.faults.add(node.place, key, f"{name} was {was}, but {was} is still declared", "remove was, or the older tag")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _state(text: str, kind: TagType) -> int | None:
    """The number of a state, from its key in `labels`."""
    words = {"false": 0, "true": 1} if kind is TagType.BOOL else {}
    if text.lower() in words:
        return words[text.lower()]
    highest = 1 if kind is TagType.BOOL else 2**32 - 1
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 11 and int(text) <= highest else None
