"""Conditions as virtual nodes (Part 9, 4.10): one Object per alarm rule, and below it every field of its type.

`s=<tag>/Alarms/<LIMIT>` is a condition, `s=<tag>/Alarms/<LIMIT>/<path>` one of its fields; a predicted limit is
`s=<tag>/Forecast/<LIMIT>`. A tag's Variable has HasCondition to its conditions; for those who only walk down the tree,
`s=<folder>/Alarms` holds a folder `s=<tag>/Alarms` for each tag with rules, and that the conditions. The gateway's own are below
`s=Gateway/Alarms`. Nothing is kept but the folders' lists of tags.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from gateway.contracts import TwinView
from gateway.model.alarm import FORECAST, SYSTEM_TAG, AlarmRule, Condition, Transition
from gateway.model.tag import TagTable
from gateway.sinks.opcua.condition_fields import GATEWAY, Shape, name_of, shape_of, source_of, type_of
from gateway.sinks.opcua.condition_methods import ConditionMethods
from gateway.sinks.opcua.condition_parts import PROPERTY, Certificate, Field, Live, at, now
from gateway.sinks.opcua.methods import below_method, method_node, method_reference
from gateway.sinks.opcua.nodes import FOLDER_TYPE, HAS_COMPONENT, HAS_PROPERTY, ORGANIZES, ROOT, tag_target
from gateway.wire.opcua.face import Builtin, Key, Node, NodeClass, Reading, Reference, Target
from gateway.wire.opcua.methods import Method
from gateway.wire.opcua.occurrences import Occurrence, Path

HAS_CONDITION: Final = 9006
HAS_TRUE_SUB_STATE: Final = 9004
_ALARMS: Final = "Alarms"
_SUB_STATES: Final = {  # 5.5.2, 5.7.2, 5.8.2, 5.8.19, 5.8.20
    "EnabledState": ("AckedState", "ConfirmedState", "ActiveState"),
    "ActiveState": (
        *("SuppressedState", "OutOfServiceState", "ShelvingState", "LatchedState", "LimitState"),
        *("HighHighState", "HighState", "LowState", "LowLowState"),
    ),
}


def occurrence(transition: Transition, tags: TagTable, now_ns: int) -> Occurrence:
    """What a transition is to clients: an event with every field of its type."""
    return _occurrence(at(transition, tags, now_ns))


def _occurrence(live: Live) -> Occurrence:
    rule, fields = live.rule, None

    def field(path: Path) -> Reading | None:
        nonlocal fields
        if not path:
            return Reading(rule.condition, Builtin.NODE_ID)
        if fields is None:
            fields = shape_of(rule).fields
        found = fields.get(path)
        return None if found is None or found.of is None else found.read(live)

    return Occurrence(type_of(rule), source_of(rule), live.time_ns, field)


class Conditions:
    """The Annex of the conditions."""

    def __init__(self, view: TwinView, methods: ConditionMethods, root: Target, gateway: Target, now_ns: Callable[[], int]) -> None:
        """root: of the asset tree; gateway: of the gateway's own object."""
        self._view, self._methods, self._root, self._gateway, self._now_ns = view, methods, root, gateway, now_ns
        self.certificate: Callable[[], Certificate | None] = lambda: None
        self._table: TagTable | None = None
        self._ruled: dict[str, list[int]] = {}  # folder -> the tags in it that have rules

    # --- events ---

    def occurrence(self, transition: Transition) -> Occurrence:
        """What a transition that happens now is to clients."""
        return _occurrence(self._with_own(at(transition, self._view.tags, self._now_ns())))

    def retained(self) -> Iterator[Occurrence]:
        """The present state of each condition of interest, as a refresh reports it: the event that led to it, once more (5.5.7)."""
        return (_occurrence(self._now(condition)) for condition in self._view.each_retained())

    def _now(self, condition: Condition) -> Live:
        return self._with_own(now(condition, self._view.tags, self._now_ns()))

    def _with_own(self, live: Live) -> Live:
        """With what is no part of the condition itself."""
        return replace(live, certificate=self.certificate()) if live.rule.tag_id == SYSTEM_TAG else live

    # --- Annex ---

    def node(self, key: str) -> Node | None:
        """An alarm folder, a condition, a field or Method of one, or an argument list."""
        owner, branch, rest = key.partition("/")
        if branch and rest == _ALARMS:
            return self._folder(owner)
        kind, _, rest = rest.partition("/")
        if kind not in {_ALARMS, FORECAST} or not rest:
            return None
        name, *path = rest.split("/")
        condition = self._condition(f"{owner}/{kind}/{name}")
        if condition is None:
            return None
        return self._part(condition, tuple(path)) if path else self._object(condition)

    def references(self, node: Node) -> Sequence[Reference]:
        """A tag leads to its conditions, a folder of the asset tree to its alarm folder."""
        key = str(node.target.key)
        tag = self._view.tags.named(key)
        if tag is not None or key == GATEWAY:
            rules = self._view.rules_of(SYSTEM_TAG if tag is None else tag.tag_id)
            found = [Reference(HAS_CONDITION, True, condition_target(rule)) for rule in rules]
            return [Reference(HAS_COMPONENT, True, self._alarms(GATEWAY)), *found] if found and tag is None else found
        if node.target.type_definition == FOLDER_TYPE and self._tags_in(key):
            return [Reference(ORGANIZES, True, self._alarms(key))]
        return ()

    def method(self, owner: str, method: Key) -> Method | None:
        """By the condition or its ShelvingState."""
        parts = owner.split("/")
        condition = self._condition("/".join(parts[:3])) if len(parts) >= 3 else None
        return None if condition is None else self._methods.find(condition.rule, tuple(parts[3:]), method)

    # --- nodes ---

    def _condition(self, name: str) -> Condition | None:
        try:
            return self._view.condition(name)
        except KeyError:
            return None

    def _folder(self, owner: str) -> Node | None:
        """`<owner>/Alarms`: owner is a tag, the gateway, or a folder of the asset tree ("" is its root)."""
        tag = self._view.tags.named(owner)
        if tag is None and owner != GATEWAY:
            tags = self._view.tags
            inside = self._tags_in(owner or ROOT)
            above = Reference(ORGANIZES, False, self._asset(owner))
            below = [Reference(ORGANIZES, True, self._alarms(tags[tag_id].name)) for tag_id in inside]
            return Node(self._alarms(owner or ROOT), [above, *below]) if inside else None
        rules = self._view.rules_of(SYSTEM_TAG if tag is None else tag.tag_id)
        if not rules:
            return None
        parent = owner.rpartition(".")[0]
        above = Reference(HAS_COMPONENT, False, self._gateway) if tag is None else Reference(ORGANIZES, False, self._alarms(parent or ROOT))
        return Node(self._alarms(owner), [above, *(Reference(HAS_COMPONENT, True, condition_target(rule)) for rule in rules)])

    def _alarms(self, owner: str) -> Target:
        """An alarm folder: that of a tag bears the tag's own name."""
        name = owner.rpartition(".")[2] if self._view.tags.named(owner) is not None else _ALARMS
        return Target(f"{owner.rstrip('/')}/{_ALARMS}", NodeClass.OBJECT, name, FOLDER_TYPE)

    def _asset(self, path: str) -> Target:
        return Target(path, NodeClass.OBJECT, path.rpartition(".")[2], FOLDER_TYPE) if path else self._root

    def _tags_in(self, folder: str) -> list[int]:
        tags = self._view.tags
        if tags is not self._table:
            ruled: dict[str, list[int]] = {}
            for tag_id in self._view.ruled():
                ruled.setdefault(tags[tag_id].name.rpartition(".")[0] or ROOT, []).append(tag_id)
            self._ruled, self._table = ruled, tags
        return self._ruled.get(folder, [])

    def _object(self, condition: Condition) -> Node:
        rule = condition.rule
        target = condition_target(rule)
        tag = self._view.tags[rule.tag_id] if rule.tag_id != SYSTEM_TAG else None
        source = self._gateway if tag is None else tag_target(tag)
        above = [Reference(HAS_COMPONENT, False, self._alarms(source_of(rule))), Reference(HAS_CONDITION, False, source)]
        return Node(target, [*above, *self._parts(rule, shape_of(rule), ())], rule.message)

    def _parts(self, rule: AlarmRule, shape: Shape, path: Path) -> list[Reference]:
        below = [
            Reference(HAS_PROPERTY if shape.fields[part].type_definition == PROPERTY else HAS_COMPONENT, True, _target(rule, shape, part))
            for part in shape.parts.get(path, ())
        ]
        states = _SUB_STATES.get(path[0], ()) if len(path) == 1 else ()
        below += [Reference(HAS_TRUE_SUB_STATE, True, _target(rule, shape, (state,))) for state in states if (state,) in shape.fields]
        names = self._methods.names(rule, path)
        owner = _target(rule, shape, path).key if names else ""
        return below + [method_reference(str(owner), name, standard=True) for name in names]

    def _part(self, condition: Condition, path: Path) -> Node | None:
        rule = condition.rule
        shape = shape_of(rule)
        own = path if path in shape.fields else (*path[:-1], f"2:{path[-1]}")
        field = shape.fields.get(own)
        if field is not None:
            return self._field(condition, shape, own, field)
        for depth in (1, 2)[: len(path)]:  # a Method, or an argument list of one
            method = self._methods.named(rule, path[:-depth], path[-depth])
            if method is not None:
                above = _target(rule, shape, path[:-depth])
                return method_node(above, method, standard=True) if depth == 1 else below_method(above, method, path[-1], standard=True)
        return None

    def _field(self, condition: Condition, shape: Shape, path: Path, field: Field) -> Node:
        rule = condition.rule
        reference = HAS_PROPERTY if field.type_definition == PROPERTY else HAS_COMPONENT
        target, above = _target(rule, shape, path), Reference(reference, False, _target(rule, shape, path[:-1]))
        references = [above, *self._parts(rule, shape, path)]
        if field.of is None:
            return Node(target, references)
        return Node(target, references, "", field.data_type, read=lambda: field.read(self._now(condition)))


def condition_target(rule: AlarmRule) -> Target:
    return Target(rule.condition, NodeClass.OBJECT, name_of(rule), type_of(rule))


def _target(rule: AlarmRule, shape: Shape, path: Path) -> Target:
    if not path:
        return condition_target(rule)
    field, name = shape.fields[path], shape.names[path]
    node_class = NodeClass.OBJECT if field.of is None else NodeClass.VARIABLE
    return Target(rule.condition + shape.suffixes[path], node_class, name, field.type_definition, standard=name == path[-1])
