"""The sections `alarms` and `thresholds`: from nodes to alarm rules (IEC 62682 / ISA-18.2)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from gateway.model.alarm import HOUR_NS, AlarmRule, Level, Limit
from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.unit import Unit
from gateway.settings.faults import Faults, Place, quote
from gateway.settings.fields import Fields, elements
from gateway.settings.node import BROKEN, Node
from gateway.settings.tags import NUMBERS

LIMITS: Final = {"hihi": Limit.HIHI, "hi": Limit.HI, "lo": Limit.LO, "lolo": Limit.LOLO}
SHARED: Final = frozenset(
    {"hysteresis", "on_delay", "off_delay", "severity", "message", "cause", "consequence", "action"}
    | {"latch", "confirm", "re_alarm", "shelve_max"}
)
DISCREPANCY: Final = frozenset({"of", "tolerance", "within"}) | SHARED - {"hysteresis", "on_delay"}
KINDS: Final = frozenset({*LIMITS, "state", "bad_quality", "deviation", "rate", "discrepancy"})
ALARM_KEYS: Final = frozenset({"tag", "exclusive"}) | KINDS | SHARED
SEVERITY: Final = {Limit.HIHI: 800, Limit.LOLO: 800, Limit.BAD: 300}
USUAL: Final = 500  # of all others
_SLACK: Final = frozenset({*LIMITS.values(), Limit.LEVEL, Limit.DEV, Limit.ROC})
_UNKNOWN: Final = -1  # of a tag that there is not: its alarm is read for its other faults, and makes no rule
_SHORTEST_NS: Final = 1_000_000_000  # of a re-alarm
_ORDER: Final = (Limit.LOLO, Limit.LO, Limit.HI, Limit.HIHI)
_WORDS: Final = {
    Limit.HIHI: "far too high: above",
    Limit.HI: "too high: above",
    Limit.LO: "too low: below",
    Limit.LOLO: "far too low: below",
}


class Alarms:
    """Reads alarms one by one; rules are all that were good."""

    def __init__(
        self, tags: TagTable, declared: Mapping[str, object], units: Mapping[str, Unit], faults: Faults, severity: int | None = None
    ) -> None:
        """severity: of alarms that state none, in place of the limits' own."""
        self._severity = severity
        self.rules: list[AlarmRule] = []
        self._tags, self._declared, self._units, self._faults = tags, declared, units, faults
        self._at: dict[tuple[str, Limit], tuple[AlarmRule, Place, str]] = {}

    def read(self, section: Node) -> None:
        """Takes the section `alarms`."""
        for number, node in enumerate(elements(section, "alarms", self._faults)):
            fields = Fields(node, f"alarms[{number}]", self._faults)
            fields.allow(ALARM_KEYS)
            fields.require("tag")
            if not KINDS & fields.map.keys() and isinstance(node.value, dict):
                hint = "add hihi, hi, lo, lolo, state, bad_quality, deviation, rate or discrepancy"
                self._faults.add(node.place, fields.path, "names no limit", hint)
            tag = self._tag(fields.get("tag"), fields.key("tag"))
            self._entry(Tag(_UNKNOWN, fields.text("tag") or fields.path) if tag is None else tag, fields)

    def read_thresholds(self, section: Node) -> None:
        """Takes the short form `thresholds: {tag: [low, high]}`: a LO and a HI alarm."""
        fields = Fields(section, "thresholds", self._faults)
        for name, node in fields.map.items():
            tag = self._tag(Node(name, node.key, name), fields.key(name))
            if tag is None or node.value is BROKEN:
                continue
            if not isinstance(node.value, list) or len(node.value) != 2:
                fields.fault(name, "should be two numbers", "write [low, high]")
                continue
            for limit, end in zip((Limit.LO, Limit.HI), node.value, strict=True):
                self._rule(tag, limit, end, Fields(Node({}, node.place), fields.key(name), self._faults), fields.key(name))

    def check_order(self) -> None:
        """Lists limits of one tag that do not rise from LOLO to HIHI, and warns of those that the range can never reach."""
        tags = dict.fromkeys(tag for tag, _ in self._at)
        for tag in tags:
            limits = [self._at[tag, limit] for limit in _ORDER if (tag, limit) in self._at]
            for (below, _, _), (above, place, key) in pairwise(limits):
                if below.threshold >= above.threshold:
                    why = f"{above.limit} {above.threshold:g} is not above {below.limit} {below.threshold:g}"
                    self._faults.add(place, key, why, "lolo < lo < hi < hihi")
            for rule, place, key in limits:
                span = None if rule.tag_id == _UNKNOWN else self._tags[rule.tag_id].eu_range
                if span and not span[0] <= rule.threshold <= span[1]:
                    self._faults.warn(place, key, f"{rule.threshold:g} lies outside the range {span[0]:g} to {span[1]:g} of {tag}")

    def _tag(self, node: Node | None, key: str) -> Tag | None:
        if node is None:
            return None
        tag = self._tags.named(node.text) if node.text in self._declared else None
        if tag is None:
            self._faults.add(node.place, key, f"there is no tag {quote(node.text)}", self._faults.nearest(node.text, self._declared))
        return tag

    def _entry(self, tag: Tag, fields: Fields) -> None:
        shared = Fields(
            Node({key: node for key, node in fields.map.items() if key in SHARED}, fields.node.place), fields.path, self._faults
        )
        self._manner(shared)
        limits = {key: fields.get(key) for key in LIMITS}
        if any(limits.values()) or "deviation" in fields.map:
            self._hysteresis(Limit.HI, 0.0, shared)
        if fields.flag("exclusive"):
            self._exclusive(tag, {key: node for key, node in limits.items() if node is not None}, shared, fields)
        else:
            for key, node in limits.items():
                if node is not None:
                    self._rule(tag, LIMITS[key], node, shared, fields.key(key))
        kinds = {"state": self._state_rule, "bad_quality": self._quality, "deviation": self._deviation, "rate": self._rate}
        for key, read in (kinds | {"discrepancy": self._discrepancy}).items():
            node = fields.get(key)
            if node is not None:
                read(tag, node, shared, fields.key(key))

    def _rule(self, tag: Tag, limit: Limit, node: Node, shared: Fields, key: str) -> None:
        """One rule: the node is its limit, or a map that holds it beside keys of its own."""
        fields, place = shared, node.place
        if isinstance(node.value, dict):
            fields = self._own(node, shared, key, SHARED | {"limit"})
            if not self._limited(fields):
                return
            node, key, place = fields.map["limit"], fields.key("limit"), fields.place("limit")
        threshold = self._state(tag, node, key) if limit is Limit.STATE else self._number(tag, node, key)
        if threshold is not None and self._free(tag, limit, place, key):
            self._add(self._build(tag, limit, threshold, fields), place, key)

    def _state_rule(self, tag: Tag, node: Node, shared: Fields, key: str) -> None:
        self._rule(tag, Limit.STATE, node, shared, key)

    def _quality(self, tag: Tag, node: Node, shared: Fields, key: str) -> None:
        if node.value is False:
            return
        if node.value is not True and not isinstance(node.value, dict):
            self._faults.add(node.place, key, f"should be true or a map, not {quote(node.text)}")
        fields = self._own(node, shared, key, SHARED) if isinstance(node.value, dict) else shared
        if self._free(tag, Limit.BAD, node.place, key):
            self._add(self._build(tag, Limit.BAD, 0.0, fields), node.place, key)

    def _exclusive(self, tag: Tag, limits: Mapping[str, Node], shared: Fields, fields: Fields) -> None:
        """One condition of all limits (Part 9, 5.8.19): each is a number, or a map of limit and severity."""
        levels = []
        for key, given in limits.items():
            limit, name, node = LIMITS[key], fields.key(key), given
            severity = Fields(Node({}, given.place), name, self._faults) if "severity" not in shared.map else shared
            if isinstance(given.value, dict):
                own = Fields(given, name, self._faults)
                own.allow({"limit", "severity"})
                severity = own if "severity" in own.map else severity
                if not self._limited(own):
                    continue
                node, name = own.map["limit"], own.key("limit")
            threshold = self._number(tag, node, name)
            if threshold is not None and self._free(tag, limit, node.place, name):
                level = Level(limit, threshold, severity.integer("severity", 1, 1000, self._usual(limit)))
                levels.append(level)
                self._at[tag.name, limit] = AlarmRule(tag.tag_id, tag.name, limit, threshold), node.place, name
        place, key = fields.place("exclusive"), fields.key("exclusive")
        if not limits and KINDS & fields.map.keys():
            self._faults.add(place, key, "there is nothing to join", "it makes one condition of hihi, hi, lo and lolo")
        if levels and self._free(tag, Limit.LEVEL, place, key):
            levels.sort(key=lambda level: _ORDER.index(level.limit))
            rule = self._build(tag, Limit.LEVEL, 0.0, shared)
            severity_most = max(level.severity for level in levels)
            self._add(replace(rule, levels=tuple(levels), severity=severity_most), place, key)

    def _deviation(self, tag: Tag, node: Node, shared: Fields, key: str) -> None:
        """Too far from a setpoint (Part 9, 5.8.22)."""
        fields = self._own(node, shared, key, SHARED | {"limit", "of"})
        target, limited = self._target(tag, fields), self._limited(fields)
        limit = self._number(tag, fields.map["limit"], fields.key("limit")) if limited else None
        if target is not None and target.type not in NUMBERS:
            fields.fault("of", f"{target.name} is {target.type.name.lower()}, not a number", "a deviation is that of two numbers")
        elif (
            target is not None
            and limit is not None
            and self._positive(fields, "limit", limit)
            and self._free(tag, Limit.DEV, node.place, key)
        ):
            self._add(self._build(tag, Limit.DEV, limit, fields, target), node.place, key)

    def _rate(self, tag: Tag, node: Node, shared: Fields, key: str) -> None:
        """Too fast (Part 9, 5.8.23): a rate, or a map that holds it as its limit. The hysteresis is a rate too, and so its own."""
        own = node if isinstance(node.value, dict) else Node({"limit": node}, node.place)
        rest = {name: value for name, value in shared.map.items() if name != "hysteresis"}
        fields = self._own(own, Fields(Node(rest, shared.node.place), shared.path, self._faults), key, SHARED | {"limit"})
        if tag.type not in NUMBERS:
            self._faults.add(node.place, key, f"{tag.name} is {tag.type.name.lower()}, not a number", "only numbers have a rate")
        elif self._limited(fields):
            name = fields.key("limit") if own is node else key
            limit = fields.rate_of(fields.map["limit"], name)
            if limit is not None and self._free(tag, Limit.ROC, node.place, key):
                self._add(self._build(tag, Limit.ROC, limit, fields), node.place, key)

    def _discrepancy(self, tag: Tag, node: Node, shared: Fields, key: str) -> None:
        """A command that is not followed in time (Part 9, 5.8.25)."""
        rest = {name: value for name, value in shared.map.items() if name in DISCREPANCY}
        fields = self._own(node, Fields(Node(rest, shared.node.place), shared.path, self._faults), key, DISCREPANCY)
        target = self._target(tag, fields)
        fields.require("within", "the time that the command has to be followed in, for example 10s")
        within_ns, tolerance = fields.duration_ns("within", None), fields.number("tolerance") or 0.0
        if tolerance < 0:
            fields.fault("tolerance", f"{tolerance:g} is negative", "write 0 or more, in engineering units")
        kinds = {each.type for each in (tag, target) if each is not None and each.tag_id != _UNKNOWN}
        if TagType.TEXT in kinds or (len(kinds) > 1 and not kinds <= NUMBERS):
            words = " and ".join(sorted(kind.name.lower() for kind in kinds))
            fields.fault("of", f"a discrepancy of {words} cannot be told", "command and feedback are of one type, and no text")
        elif target is not None and within_ns is not None and self._free(tag, Limit.DISC, node.place, key):
            self._add(replace(self._build(tag, Limit.DISC, tolerance, fields, target), on_delay_ns=within_ns), node.place, key)

    # --- parts of rules -----------------------------------------------------------------------------------------------------------------

    def _own(self, node: Node, shared: Fields, key: str, known: Collection[str]) -> Fields:
        """The keys of one limit, with those that hold for all of its alarm."""
        if not isinstance(node.value, dict):
            return Fields(node, key, self._faults)  # which lists that it should be a map
        fields = Fields(Node({**shared.map, **node.map}, node.place), key, self._faults)
        fields.allow(known)
        self._manner(fields)
        return fields

    def _limited(self, fields: Fields) -> bool:
        fields.require("limit", "the value at which the alarm comes")
        return fields.get("limit") is not None

    def _target(self, tag: Tag, fields: Fields) -> Tag | None:
        fields.require("of", "the tag of the setpoint or command")
        target = self._tag(fields.get("of"), fields.key("of"))
        if target is not None and target.tag_id == tag.tag_id:
            fields.fault("of", f"{tag.name} is compared with itself", "name the tag of the setpoint or command")
            return None
        if target is not None and target.unit != tag.unit and target.unit and tag.unit:
            fields.warn("of", f"{target.name} is in {target.unit}, {tag.name} in {tag.unit}", "they are compared as they are")
        return target

    def _positive(self, fields: Fields, name: str, number: float) -> bool:
        if number <= 0:
            fields.fault(name, f"{number:g} is not above 0", "write the greatest distance that is no alarm")
        return number > 0

    def _free(self, tag: Tag, limit: Limit, place: Place, key: str) -> bool:
        known = self._at.get((tag.name, limit))
        if known is not None:
            self._faults.add(place, key, f"{tag.name} has this alarm already", f"first at {known[1]}")
        return known is None

    def _add(self, rule: AlarmRule, place: Place, key: str) -> None:
        self._at[rule.tag, rule.limit] = rule, place, key
        if rule.tag_id != _UNKNOWN:
            self.rules.append(rule)

    def _usual(self, limit: Limit) -> int:
        return self._severity or SEVERITY.get(limit, USUAL)

    def _build(self, tag: Tag, limit: Limit, threshold: float, fields: Fields, target: Tag | None = None) -> AlarmRule:
        return replace(
            self._manner(fields, limit),
            tag_id=tag.tag_id,
            tag=tag.name,
            threshold=threshold,
            hysteresis=self._hysteresis(limit, threshold, fields),
            message=fields.text("message") or self._message(tag, limit, threshold, target, fields),
            symbol=self._symbol(tag),
            labels=tuple(sorted(tag.labels.items())),
            target_id=-1 if target is None else target.tag_id,
            target="" if target is None else target.name,
        )

    def _manner(self, fields: Fields, limit: Limit = Limit.BAD) -> AlarmRule:
        """The keys that limits share, as a rule of no tag yet. Read of every alarm, so that a wrong limit hides none of their faults."""
        again_ns = fields.duration_ns("re_alarm", 0) or 0
        if 0 < again_ns < _SHORTEST_NS:
            fields.fault("re_alarm", "is less than a second", "write 15min, or leave it out")
        shelve_ns = fields.duration_ns("shelve_max", 8 * HOUR_NS)
        return AlarmRule(
            tag_id=_UNKNOWN,
            tag="",
            limit=limit,
            threshold=0.0,
            on_delay_ns=fields.duration_ns("on_delay", 0) or 0,
            off_delay_ns=fields.duration_ns("off_delay", 0) or 0,
            severity=fields.integer("severity", 1, 1000, self._usual(limit)),
            message=fields.text("message"),
            cause=fields.text("cause"),
            consequence=fields.text("consequence"),
            action=fields.text("action"),
            latch=fields.flag("latch"),
            confirm=fields.flag("confirm"),
            re_alarm_ns=again_ns,
            shelve_max_ns=8 * HOUR_NS if shelve_ns is None else shelve_ns,
        )

    def _hysteresis(self, limit: Limit, threshold: float, fields: Fields) -> float:
        node = fields.get("hysteresis")
        if node is None:
            return 0.0
        key = fields.key("hysteresis")
        slack = (fields.rate_of(node, key) if limit is Limit.ROC else fields.number_of(node, key)) or 0.0
        if slack < 0:
            fields.fault("hysteresis", f"{slack:g} is negative", "write 0 or more, in engineering units")
        elif limit in {Limit.DEV, Limit.ROC} and 0 < threshold <= slack:
            fields.fault("hysteresis", f"{quote(node.text)} is not below the limit", "the alarm would never return")
        return slack if limit in _SLACK else 0.0

    def _number(self, tag: Tag, node: Node, key: str) -> float | None:
        if tag.type not in NUMBERS:
            self._faults.add(node.place, key, f"{tag.name} is {tag.type.name.lower()}, not a number", "use state for bool and enum")
            return None
        return Fields(Node({}, node.place), key, self._faults).number_of(node, key)

    def _state(self, tag: Tag, node: Node, key: str) -> float | None:
        """The number of a state, from its label or its number."""
        if tag.tag_id == _UNKNOWN:
            return None
        if tag.type not in {TagType.ENUM, TagType.BOOL}:
            self._faults.add(node.place, key, f"{tag.name} is {tag.type.name.lower()} and has no states", "only bool and enum have states")
            return None
        labels = {label: number for number, label in tag.labels.items()}
        states = set(tag.labels) | ({0, 1} if tag.type is TagType.BOOL else set())
        number = labels.get(node.text, node.value)
        if isinstance(number, int) and int(number) in states:
            return float(number)
        if node.value is not BROKEN:
            self._faults.add(node.place, key, f"{quote(node.text)} is not a state of {tag.name}", self._faults.nearest(node.text, labels))
        return None

    def _symbol(self, tag: Tag) -> str:
        """Of the tag's unit; none of a bare number (UCUM 1)."""
        symbol = self._units[tag.unit].symbol if tag.unit in self._units else ""
        return "" if symbol == "1" else symbol

    def _message(self, tag: Tag, limit: Limit, threshold: float, target: Tag | None, fields: Fields) -> str:
        if limit is Limit.STATE:
            word = tag.labels.get(int(threshold), "true" if threshold else "false")
            return f"{tag.name} is {word}"
        if limit is Limit.ROC:
            return f"{tag.name} changes faster than {fields.map['limit'].text}"
        amount, of = f"{threshold:.5g} {self._symbol(tag)}".rstrip(), "" if target is None else target.name
        plain = {
            Limit.BAD: f"{tag.name} has no good value",
            Limit.LEVEL: f"{tag.name} is outside its limits",
            Limit.DEV: f"{tag.name} is more than {amount} away from {of}",
            Limit.DISC: f"{tag.name} does not follow {of}",
        }
        return plain.get(limit) or f"{tag.name} is {_WORDS[limit]} {amount}"
