"""The sections `alarms` and `thresholds`: from nodes to alarm rules (IEC 62682 / ISA-18.2)."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from gateway.model.alarm import AlarmRule, Limit
from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.unit import Unit
from gateway.settings.faults import Faults, Place, quote
from gateway.settings.fields import LATER_ALARM, Fields, elements
from gateway.settings.node import BROKEN, Node
from gateway.settings.tags import NUMBERS

LIMITS: Final = {"hihi": Limit.HIHI, "hi": Limit.HI, "lo": Limit.LO, "lolo": Limit.LOLO}
SHARED: Final = frozenset({"hysteresis", "on_delay", "off_delay", "severity", "message", "cause", "consequence", "action"})
ALARM_KEYS: Final = frozenset({"tag", *LIMITS, "state", "bad_quality", *SHARED})
SEVERITY: Final = {Limit.HIHI: 800, Limit.LOLO: 800, Limit.HI: 500, Limit.LO: 500, Limit.STATE: 500, Limit.BAD: 300}
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
            fields.allow(ALARM_KEYS, LATER_ALARM)
            fields.require("tag")
            if not (ALARM_KEYS - SHARED - {"tag"} | LATER_ALARM) & fields.map.keys() and isinstance(node.value, dict):
                self._faults.add(node.place, fields.path, "names no limit", "add hihi, hi, lo, lolo, state or bad_quality")
            tag = self._tag(fields.get("tag"), fields.key("tag"))
            if tag is not None:
                self._entry(tag, fields)

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
                span = self._tags[rule.tag_id].eu_range
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
        for key, limit in (*LIMITS.items(), ("state", Limit.STATE)):
            node = fields.get(key)
            if node is not None:
                self._rule(tag, limit, node, shared, fields.key(key))
        node = fields.get("bad_quality")
        if node is not None and node.value is not False:
            if node.value is not True and not isinstance(node.value, dict):
                fields.fault("bad_quality", f"should be true or a map, not {quote(node.text)}")
            self._rule(tag, Limit.BAD, node, shared, fields.key("bad_quality"))

    def _rule(self, tag: Tag, limit: Limit, node: Node, shared: Fields, key: str) -> None:
        """One rule: the node is its limit, or a map that holds it beside keys of its own."""
        fields, place = shared, node.place
        if isinstance(node.value, dict):
            fields = Fields(Node({**shared.map, **node.map}, node.place), key, self._faults)
            fields.allow(SHARED | {"limit"} if limit is not Limit.BAD else SHARED, LATER_ALARM)
            if limit is not Limit.BAD:
                fields.require("limit", "the value at which the alarm comes")
                if fields.get("limit") is None:
                    return
                node, key, place = fields.map["limit"], fields.key("limit"), fields.place("limit")
        threshold = self._threshold(tag, limit, node, key)
        if threshold is None:
            return
        known = self._at.get((tag.name, limit))
        if known is not None:
            self._faults.add(place, key, f"{tag.name} has this alarm already", f"first at {known[1]}")
            return
        rule = self._build(tag, limit, threshold, fields)
        self._at[tag.name, limit] = rule, place, key
        self.rules.append(rule)

    def _build(self, tag: Tag, limit: Limit, threshold: float, fields: Fields) -> AlarmRule:
        hysteresis = fields.number("hysteresis") or 0.0
        if hysteresis < 0:
            fields.fault("hysteresis", f"{hysteresis:g} is negative", "write 0 or more, in engineering units")
        return AlarmRule(
            tag_id=tag.tag_id,
            tag=tag.name,
            limit=limit,
            threshold=threshold,
            hysteresis=hysteresis if limit in LIMITS.values() else 0.0,
            on_delay_ns=fields.duration_ns("on_delay", 0) or 0,
            off_delay_ns=fields.duration_ns("off_delay", 0) or 0,
            severity=fields.integer("severity", 1, 1000, self._severity or SEVERITY[limit]),
            message=fields.text("message") or self._message(tag, limit, threshold),
            cause=fields.text("cause"),
            consequence=fields.text("consequence"),
            action=fields.text("action"),
        )

    def _threshold(self, tag: Tag, limit: Limit, node: Node, key: str) -> float | None:
        if limit is Limit.BAD:
            return 0.0
        if limit is Limit.STATE:
            return self._state(tag, node, key)
        if tag.type not in NUMBERS:
            self._faults.add(node.place, key, f"{tag.name} is {tag.type.name.lower()}, not a number", "use state for bool and enum")
            return None
        return Fields(Node({}, node.place), key, self._faults).number_of(node, key)

    def _state(self, tag: Tag, node: Node, key: str) -> float | None:
        """The number of a state, from its label or its number."""
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

    def _message(self, tag: Tag, limit: Limit, threshold: float) -> str:
        if limit is Limit.BAD:
            return f"{tag.name} has no good value"
        if limit is Limit.STATE:
            word = tag.labels.get(int(threshold), "true" if threshold else "false")
            return f"{tag.name} is {word}"
        symbol = self._units[tag.unit].symbol if tag.unit in self._units else ""
        return f"{tag.name} is {_WORDS[limit]} {threshold:g} {symbol}".rstrip()
