"""`<tag>/HA Configuration`: how a tag's history is to be read (Part 11, 5.2; Part 13, 4.2.1.2). An Annex of the address space."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.model.tag import Tag, TagTable, TagType
from gateway.sinks.opcua.nodes import HAS_COMPONENT, HAS_PROPERTY, PROPERTY_TYPE, tag_target
from gateway.wire.opcua.face import Builtin, Content, Key, Node, NodeClass, Reading, Reference, Target
from gateway.wire.opcua.methods import Method
from gateway.wire.opcua.past import AggregateConfiguration

HAS_HISTORICAL_CONFIGURATION: Final = 56
HISTORICAL_DATA_CONFIGURATION_TYPE: Final = 2318
AGGREGATE_CONFIGURATION_TYPE: Final = 11187
_CONFIGURATION: Final = "HA Configuration"
_AGGREGATES: Final = "AggregateConfiguration"

Values = Sequence[tuple[str, Content, Builtin]]


def stepped(kind: TagType) -> bool:
    """Whether a value holds until the next one: all but measured numbers do."""
    return kind is not TagType.FLOAT


def aggregate_values() -> Values:
    """What an AggregateConfiguration says: the defaults."""
    defaults = AggregateConfiguration()
    return (
        ("TreatUncertainAsBad", defaults.treat_uncertain_as_bad, Builtin.BOOLEAN),
        ("PercentDataBad", defaults.percent_bad, Builtin.BYTE),
        ("PercentDataGood", defaults.percent_good, Builtin.BYTE),
        ("UseSlopedExtrapolation", defaults.sloped_extrapolation, Builtin.BOOLEAN),
    )


class Historical:
    """An Annex: the configuration objects of all tags, and the references that lead there."""

    def __init__(self, tags: Callable[[], TagTable]) -> None:
        self._tags = tags

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None

    def references(self, node: Node) -> Sequence[Reference]:
        tag = self._tags().named(str(node.target.key)) if node.historizing else None
        return () if tag is None else [Reference(HAS_HISTORICAL_CONFIGURATION, True, _configuration(tag))]

    def node(self, key: str) -> Node | None:
        name, _, below = key.partition("/")
        tag = self._tags().named(name)
        if tag is None or below.split("/", 1)[0] != _CONFIGURATION:
            return None
        own: Values = (("Stepped", stepped(tag.type), Builtin.BOOLEAN), ("ServerTimestampSupported", False, Builtin.BOOLEAN))
        rest = below[len(_CONFIGURATION) + 1 :]
        whole, part = _configuration(tag), _aggregates(tag)
        if not rest and below == _CONFIGURATION:
            above = Reference(HAS_HISTORICAL_CONFIGURATION, False, tag_target(tag))
            return Node(whole, [above, *_properties(whole, own), Reference(HAS_COMPONENT, True, part)])
        if rest == _AGGREGATES:
            return Node(part, [Reference(HAS_COMPONENT, False, whole), *_properties(part, aggregate_values())])
        if rest.startswith(f"{_AGGREGATES}/"):
            return _property(part, aggregate_values(), rest[len(_AGGREGATES) + 1 :])
        return _property(whole, own, rest)


def _configuration(tag: Tag) -> Target:
    key = f"{tag.name}/{_CONFIGURATION}"
    return Target(key, NodeClass.OBJECT, _CONFIGURATION, HISTORICAL_DATA_CONFIGURATION_TYPE, standard=True)


def _aggregates(tag: Tag) -> Target:
    key = f"{tag.name}/{_CONFIGURATION}/{_AGGREGATES}"
    return Target(key, NodeClass.OBJECT, _AGGREGATES, AGGREGATE_CONFIGURATION_TYPE, standard=True)


def _target(owner: Target, name: str) -> Target:
    return Target(f"{owner.key}/{name}", NodeClass.VARIABLE, name, PROPERTY_TYPE, standard=True)


def _properties(owner: Target, values: Values) -> list[Reference]:
    return [Reference(HAS_PROPERTY, True, _target(owner, name)) for name, _, _ in values]


def _property(owner: Target, values: Values, name: str) -> Node | None:
    found = {one: Reading(content, kind) for one, content, kind in values}.get(name)
    if found is None:
        return None
    return Node(_target(owner, name), [Reference(HAS_PROPERTY, False, owner)], "", int(found.type), read=lambda: found)
