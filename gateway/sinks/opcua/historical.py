"""`<tag>/HA Configuration`: how a tag's history is to be read (Part 11, 5.2; Part 13, 4.2.1.2). An Annex of the address space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.tag import TagTable
from gateway.sinks.opcua.forecasts import FORECAST, Forecasts, quantile_targets
from gateway.sinks.opcua.foreseen import CONFIGURATION
from gateway.sinks.opcua.interpolation import stepped
from gateway.sinks.opcua.nodes import HAS_COMPONENT, HAS_PROPERTY, PROPERTY_TYPE, tag_target
from gateway.wire.opcua.face import Builtin, Content, Key, Node, NodeClass, Reading, Reference, Target
from gateway.wire.opcua.methods import Method
from gateway.wire.opcua.past import AggregateConfiguration

HAS_HISTORICAL_CONFIGURATION: Final = 56
HISTORICAL_DATA_CONFIGURATION_TYPE: Final = 2318
AGGREGATE_CONFIGURATION_TYPE: Final = 11187
_CONFIGURATION: Final = "HA Configuration"
_AGGREGATES: Final = "AggregateConfiguration"

_DEFAULTS: Final = AggregateConfiguration()

Values = Sequence[tuple[str, Content, Builtin]]


def aggregate_values(configuration: AggregateConfiguration = _DEFAULTS) -> Values:
    """What an AggregateConfiguration says."""
    return (
        ("TreatUncertainAsBad", configuration.treat_uncertain_as_bad, Builtin.BOOLEAN),
        ("PercentDataBad", configuration.percent_bad, Builtin.BYTE),
        ("PercentDataGood", configuration.percent_good, Builtin.BYTE),
        ("UseSlopedExtrapolation", configuration.sloped_extrapolation, Builtin.BOOLEAN),
    )


@dataclass(frozen=True, slots=True)
class _Subject:
    """What has history: a tag, or its forecasts, which share one configuration. owner: key of what the configuration hangs below."""

    owner: str
    variables: Sequence[Target]
    stepped: bool
    configuration: AggregateConfiguration = _DEFAULTS

    @property
    def whole(self) -> Target:
        key = f"{self.owner}/{_CONFIGURATION}"
        return Target(key, NodeClass.OBJECT, _CONFIGURATION, HISTORICAL_DATA_CONFIGURATION_TYPE, standard=True)

    @property
    def part(self) -> Target:
        key = f"{self.owner}/{_CONFIGURATION}/{_AGGREGATES}"
        return Target(key, NodeClass.OBJECT, _AGGREGATES, AGGREGATE_CONFIGURATION_TYPE, standard=True)


class Historical:
    """An Annex: the configuration objects of all that has history, and the references that lead there."""

    def __init__(self, tags: Callable[[], TagTable], forecasts: Forecasts | None = None) -> None:
        self._tags, self._forecasts = tags, forecasts

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None

    def references(self, node: Node) -> Sequence[Reference]:
        if not node.historizing:
            return ()
        subject = self._subject(str(node.target.key))
        return () if subject is None else [Reference(HAS_HISTORICAL_CONFIGURATION, True, subject.whole)]

    def node(self, key: str) -> Node | None:
        owner, found, rest = key.partition(f"/{_CONFIGURATION}")
        subject = self._subject(owner) if found and (not rest or rest[0] == "/") else None
        if subject is None or subject.owner != owner:
            return None
        own: Values = (("Stepped", subject.stepped, Builtin.BOOLEAN), ("ServerTimestampSupported", False, Builtin.BOOLEAN))
        whole, part, aggregates = subject.whole, subject.part, aggregate_values(subject.configuration)
        if not rest:
            above = [Reference(HAS_HISTORICAL_CONFIGURATION, False, variable) for variable in subject.variables]
            return Node(whole, [*above, *_properties(whole, own), Reference(HAS_COMPONENT, True, part)])
        rest = rest[1:]
        if rest == _AGGREGATES:
            return Node(part, [Reference(HAS_COMPONENT, False, whole), *_properties(part, aggregates)])
        if rest.startswith(f"{_AGGREGATES}/"):
            return _property(part, aggregates, rest[len(_AGGREGATES) + 1 :])
        return _property(whole, own, rest)

    def _subject(self, key: str) -> _Subject | None:
        """Of a Variable that has history, or of what its configuration hangs below."""
        tag = self._tags().named(key)
        if tag is not None:
            return _Subject(tag.name, (tag_target(tag),), stepped(tag.type))
        name, _, below = key.partition("/")
        tag = None if self._forecasts is None else self._forecasts.tag(name)
        if tag is None or below.split("/")[0] != FORECAST:
            return None
        return _Subject(f"{tag.name}/{FORECAST}", quantile_targets(tag), stepped=False, configuration=CONFIGURATION)


def _target(owner: Target, name: str) -> Target:
    return Target(f"{owner.key}/{name}", NodeClass.VARIABLE, name, PROPERTY_TYPE, standard=True)


def _properties(owner: Target, values: Values) -> list[Reference]:
    return [Reference(HAS_PROPERTY, True, _target(owner, name)) for name, _, _ in values]


def _property(owner: Target, values: Values, name: str) -> Node | None:
    found = {one: Reading(content, kind) for one, content, kind in values}.get(name)
    if found is None:
        return None
    return Node(_target(owner, name), [Reference(HAS_PROPERTY, False, owner)], "", int(found.type), read=lambda: found)
