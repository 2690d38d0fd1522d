"""The gateway's own types in the address space (Part 3, 5.8.1; Part 9, 4.3): predicted limits, and the class of such conditions.

    AlarmConditionType (i=2915)          -> s=PredictedLimitAlarmType, with a declaration of each property that it adds
    BaseConditionClassType (i=11163)     -> s=PredictedLimitConditionClassType

A predicted limit is an alert, no alarm (ISA-TR18.2.8): the class tells clients which conditions to leave out of what they count.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.wire.opcua.face import Builtin, Key, Node, NodeClass, Reading, Reference, Target
from gateway.wire.opcua.methods import Method

PREDICTED_LIMIT: Final = "PredictedLimitAlarmType"
PREDICTED_LIMIT_CLASS: Final = "PredictedLimitConditionClassType"
PREDICTED: Final[Mapping[str, tuple[Builtin, int, str]]] = {
    # BrowseName -> built-in type, DataType, description
    "PredictedLimit": (Builtin.STRING, 12, "Which limit of the source is expected to be passed: HIHI, HI, LO or LOLO."),
    "LimitValue": (Builtin.DOUBLE, 11, "The limit in the source's unit."),
    "Probability": (Builtin.DOUBLE, 11, "That it is passed before the forecast's horizon ends, 0 to 1."),
    "PredictedTime": (Builtin.DATE_TIME, 294, "When it is passed, by the median; null where that is not within the horizon."),
    "EarliestTime": (Builtin.DATE_TIME, 294, "By when it is passed with a probability of 0.05; null likewise."),
    "LatestTime": (Builtin.DATE_TIME, 294, "By when it is passed with a probability of 0.95; null likewise."),
    "LeadTime": (Builtin.DOUBLE, 290, "How long that is from now; null where there is no PredictedTime."),
    "Model": (Builtin.STRING, 12, "The forecaster that says so."),
}
_HAS_SUBTYPE: Final = 45
_HAS_PROPERTY: Final = 46
_PROPERTY_TYPE: Final = 68
_HAS_MODELLING_RULE: Final = 37
_MANDATORY: Final = Target(78, NodeClass.OBJECT, "Mandatory", 77, standard=True)
_ALARM_CONDITION: Final = Target(2915, NodeClass.OBJECT_TYPE, "AlarmConditionType", 0, standard=True)
_BASE_CLASS: Final = Target(11163, NodeClass.OBJECT_TYPE, "BaseConditionClassType", 0, standard=True)
_TYPES: Final = {
    PREDICTED_LIMIT: (_ALARM_CONDITION, "A limit that a forecast expects to be passed."),
    PREDICTED_LIMIT_CLASS: (_BASE_CLASS, "What is expected, and has not happened."),
}


def _target(key: str) -> Target:
    return Target(key, NodeClass.OBJECT_TYPE, key, 0)


def below_standard() -> Mapping[int, Sequence[Reference]]:
    """What hangs below types of the standard, by theirs."""
    return {int(above.key): [Reference(_HAS_SUBTYPE, True, _target(key))] for key, (above, _) in _TYPES.items()}


class OwnTypes:
    """The Annex."""

    def node(self, key: str) -> Node | None:
        owner, _, name = key.partition("/")
        if owner not in _TYPES:
            return None
        if name:
            return _declaration(owner, name) if owner == PREDICTED_LIMIT and name in PREDICTED else None
        above, description = _TYPES[owner]
        parts = PREDICTED if owner == PREDICTED_LIMIT else ()
        below = [Reference(_HAS_PROPERTY, True, _property(owner, part)) for part in parts]
        return Node(_target(owner), [Reference(_HAS_SUBTYPE, False, above), *below], description)

    def references(self, node: Node) -> Sequence[Reference]:  # noqa: ARG002 an Annex: they hang below types of the standard
        return ()

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None


def _property(owner: str, name: str) -> Target:
    return Target(f"{owner}/{name}", NodeClass.VARIABLE, name, _PROPERTY_TYPE)


def _declaration(owner: str, name: str) -> Node:
    """An InstanceDeclaration (Part 3, 4.6.3): without a value."""
    builtin, data_type, description = PREDICTED[name]
    references = [Reference(_HAS_PROPERTY, False, _target(owner)), Reference(_HAS_MODELLING_RULE, True, _MANDATORY)]
    return Node(_property(owner, name), references, description, data_type, read=lambda: Reading(None, builtin))
