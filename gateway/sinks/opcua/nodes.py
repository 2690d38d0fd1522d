"""The address space, made from the TagTable when somebody asks (Part 3, Part 5, Part 8): folders, variables, their properties. Nothing is
kept but the tree's edges.

`Objects/<gateway name>/` (key `/`) is the asset tree: the dots of the tag names are its levels. A tag's Variable has the tag's name as
identifier, a folder its
path, a property `<tag>/<property>`. No name is a level of another and none holds a slash, so identifiers never collide.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, overload

from gateway.contracts import Dated, Figure
from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.unit import Unit
from gateway.sinks.opcua.annex import Annex
from gateway.sinks.opcua.condition_fields import GATEWAY
from gateway.sinks.opcua.figures import KPI, SIMULATION, Property, is_kpi, own_figures
from gateway.wire.opcua.face import (
    Builtin,
    Columns,
    Content,
    EnumValue,
    EuInformation,
    Key,
    Node,
    NodeClass,
    Range,
    Reading,
    Reference,
    Target,
)
from gateway.wire.opcua.methods import Method

ROOT: Final = "/"
_FIXED: Final = ("Twin", "Gateway", SIMULATION)
_LISTED_MOST: Final = 20_000  # references in all

# ReferenceTypes, ObjectTypes, VariableTypes and DataTypes of namespace 0 (Part 3, Part 5, Part 8).
ORGANIZES: Final = 35
HAS_PROPERTY: Final = 46
HAS_COMPONENT: Final = 47
HAS_NOTIFIER: Final = 48
OBJECTS_FOLDER: Final = 85
BASE_OBJECT_TYPE: Final = 58
FOLDER_TYPE: Final = 61
BASE_DATA_VARIABLE_TYPE: Final = 63
PROPERTY_TYPE: Final = 68
ANALOG_ITEM_TYPE: Final = 2368
ANALOG_UNIT_TYPE: Final = 17497
ANALOG_UNIT_RANGE_TYPE: Final = 17570
TWO_STATE_DISCRETE_TYPE: Final = 2373
MULTI_STATE_DISCRETE_TYPE: Final = 2376
MULTI_STATE_VALUE_DISCRETE_TYPE: Final = 11238
_LOCALIZED_TEXT: Final = 21
_RANGE: Final = 884
_EU_INFORMATION: Final = 887
_ENUM_VALUE_TYPE: Final = 7594

BUILTINS: Final[Mapping[TagType, Builtin]] = {
    TagType.FLOAT: Builtin.DOUBLE,
    TagType.INT: Builtin.INT64,
    TagType.BOOL: Builtin.BOOLEAN,
    TagType.TEXT: Builtin.STRING,
    TagType.ENUM: Builtin.UINT32,
}

_NOTIFIER: Final = 1 | 4  # SubscribeToEvents and HistoryRead (Part 3, 8.59)
_OBJECTS: Final = Target(OBJECTS_FOLDER, NodeClass.OBJECT, "Objects", FOLDER_TYPE, standard=True)


class Later(Sequence[Reference]):
    """References that are worked out when somebody looks at them: most who ask for a node do not."""

    __slots__ = ("_found", "_make")

    def __init__(self, make: Callable[[], Sequence[Reference]]) -> None:
        self._make = make
        self._found: Sequence[Reference] | None = None

    def _all(self) -> Sequence[Reference]:
        if self._found is None:
            self._found = self._make()
        return self._found

    def __iter__(self) -> Iterator[Reference]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, at: int) -> Reference: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Reference]: ...
    def __getitem__(self, at: int | slice) -> Reference | Sequence[Reference]:
        return self._all()[at]


class AddressSpace:
    """The Space of the gateway's namespace over one TwinView."""

    def __init__(
        self,
        name: str,
        view: Columns,
        units: Mapping[str, Unit],
        now_ns: Callable[[], int],
        figures: Callable[[], Mapping[str, Mapping[str, Figure | Dated]]] = dict,
    ) -> None:
        """figures: the gateway's own, as SinkContext has them."""
        self._view, self._units, self._now_ns, self._own = view, units, now_ns, figures
        self._root = Target(ROOT, NodeClass.OBJECT, name, FOLDER_TYPE)
        self._objects = {
            "Twin": Target("Twin", NodeClass.OBJECT, "Twin", BASE_OBJECT_TYPE),
            "Gateway": Target("Gateway", NodeClass.OBJECT, "Gateway", BASE_OBJECT_TYPE),
            SIMULATION: Target(SIMULATION, NodeClass.OBJECT, SIMULATION, BASE_OBJECT_TYPE),
        }
        self._figures: dict[str, list[Property]] = {}
        self._kpis: frozenset[str] = frozenset()
        self._fit()
        self._table: TagTable | None = None
        self._listed: OrderedDict[str, list[Reference]] = OrderedDict()  # references of folders that were asked for, the newest
        self._listed_count = 0
        self._folders: dict[str, list[str | int]] = {}  # folder -> folders (by path) and tags (by tag_id) in it
        self.annexes: Sequence[Annex] = ()
        self.subtypes: Mapping[int, Sequence[Reference]] = {}  # of types of the standard
        self.described: Sequence[Reference] = ()  # what hangs below Server.Namespaces

    def _fit(self) -> None:
        """Objects and figures as they are now: `Gateway/<Object>` is an Object below it."""
        for key in self._kpis:
            del self._objects[key]
        self._figures = own_figures(self._view, self._own, self._now_ns)
        for key in sorted(self._figures.keys() - self._objects.keys()):
            self._objects[key] = Target(key, NodeClass.OBJECT, key.rpartition("/")[2], BASE_OBJECT_TYPE)
        self._kpis = frozenset(key for key in self._objects if is_kpi(key))

    def _follow(self) -> None:
        """KPIs are others after a reload of the line."""
        if self._kpis != {key for key in self._own() if is_kpi(key)}:
            self._fit()

    @property
    def root(self) -> Target:
        """The asset tree."""
        return self._root

    @property
    def objects(self) -> Mapping[str, Target]:
        """The fixed objects by key."""
        return self._objects

    def roots(self) -> Sequence[Reference]:
        """What hangs below Objects: the asset tree and the fixed objects."""
        self._follow()
        fixed = (*_FIXED, KPI) if KPI in self._objects else _FIXED
        return [Reference(ORGANIZES, True, target) for target in (self._root, *(self._objects[key] for key in fixed))]

    def notifiers(self, source: Key) -> Collection[Key]:
        """The Objects that report events of that source, itself among them: its folders up to the root, or the gateway's own."""
        if isinstance(source, int):
            return ()
        if source == ROOT:
            return (ROOT,)
        if source.partition("/")[0] == GATEWAY:
            return (source, GATEWAY)
        parts = source.split(".")
        return (*(".".join(parts[:length]) for length in range(len(parts), 0, -1)), ROOT)

    def below_server(self) -> Sequence[Reference]:
        """The Server object reports all events of the asset tree and of the gateway itself."""
        return [Reference(HAS_NOTIFIER, True, target) for target in (self._root, self._objects[GATEWAY])]

    def types(self) -> Mapping[int, Sequence[Reference]]:
        return self.subtypes

    def namespaces(self) -> Sequence[Reference]:
        return self.described

    def tag_id(self, key: str) -> int | None:
        return self._view.tags.index.get(key)

    def node(self, key: str) -> Node | None:
        node = self._made(key)
        if node is None:
            node = next((found for annex in self.annexes if (found := annex.node(key)) is not None), None)
            if node is None or not node.historizing:  # what leads from one annex to another
                return node
        return replace(
            node, references=Later(lambda: [*node.references, *(one for annex in self.annexes for one in annex.references(node))])
        )

    def _made(self, key: str) -> Node | None:
        tag = self._view.tags.named(key)
        if tag is not None:
            return self._variable(tag)
        if is_kpi(key):
            self._follow()
        if key in self._objects:
            return self._object(key)
        if "/" in key and key != ROOT:
            owner, _, name = key.rpartition("/")
            return self._below(owner, name)
        return self._folder(key)

    def method(self, owner: Key, method: Key) -> Method | None:
        """A Method of an Object by its own identifier there, or by that in the Object's type."""
        if isinstance(owner, int):
            return None
        return next((found for annex in self.annexes if (found := annex.method(owner, method)) is not None), None)

    def properties(self, tag: Tag) -> list[Property]:
        """The properties that a tag's VariableType asks for (Part 8, 5.3)."""
        found: list[Property] = []
        if tag.type in (TagType.FLOAT, TagType.INT):
            if tag.eu_range is not None:
                low, high = tag.eu_range
                found.append(("EURange", _RANGE, False, _constant(Range(low, high))))
            if tag.unit:
                found.append(("EngineeringUnits", _EU_INFORMATION, False, _constant(self._unit(tag.unit))))
        elif tag.type is TagType.BOOL and tag.labels:
            found.append(("FalseState", _LOCALIZED_TEXT, False, _constant(tag.labels.get(0, "false"), Builtin.LOCALIZED_TEXT)))
            found.append(("TrueState", _LOCALIZED_TEXT, False, _constant(tag.labels.get(1, "true"), Builtin.LOCALIZED_TEXT)))
        elif tag.type is TagType.ENUM:
            found += self._states(tag)
        return found

    def _states(self, tag: Tag) -> list[Property]:
        if type_definition(tag) == MULTI_STATE_DISCRETE_TYPE:
            names = tuple(tag.labels[number] for number in range(len(tag.labels)))
            return [("EnumStrings", _LOCALIZED_TEXT, True, _constant(names, Builtin.LOCALIZED_TEXT))]
        values = tuple(EnumValue(number, tag.labels[number]) for number in sorted(tag.labels))

        def as_text() -> Reading:
            now = self.read(tag.tag_id)
            content = tag.labels.get(int(now.content), str(now.content)) if isinstance(now.content, int) else None
            return Reading(content, Builtin.LOCALIZED_TEXT, now.status, now.source_ns, now.server_ns)

        return [
            ("EnumValues", _ENUM_VALUE_TYPE, True, _constant(values, Builtin.EXTENSION_OBJECT)),
            ("ValueAsText", _LOCALIZED_TEXT, False, as_text),
        ]

    def read(self, tag_id: int) -> Reading:
        """A tag's value as it stands in the columns. A Bad one keeps its last value; null is for what never had one."""
        view = self._view
        kind = TagType(int(view.tags.type[tag_id]))
        return Reading(
            _content(kind, float(view.value[tag_id]), view.text.get(tag_id)),
            BUILTINS[kind],
            int(view.status[tag_id]),
            int(view.source_ns[tag_id]),
            int(view.received_ns[tag_id]),
        )

    def _variable(self, tag: Tag) -> Node:
        return Node(
            tag_target(tag),
            Later(lambda: self._references(tag)),
            tag.description,
            int(BUILTINS[tag.type]),
            read=lambda: self.read(tag.tag_id),
            writable=tag.write_rule is not None,
            write_role=tag.write_rule.role if tag.write_rule is not None else "",
            sampling_ms=tag.sampling_interval_ns / 1e6,
            historizing=True,
        )

    def _references(self, tag: Tag) -> list[Reference]:
        parent = tag.name.rpartition(".")[0]
        return [
            Reference(HAS_COMPONENT, False, self._folder_target(parent)),
            *(
                Reference(HAS_PROPERTY, True, Target(f"{tag.name}/{name}", NodeClass.VARIABLE, name, PROPERTY_TYPE, standard=True))
                for name, _, _, _ in self.properties(tag)
            ),
        ]

    def _below(self, owner: str, name: str) -> Node | None:
        if owner in self._figures:
            figures, kind, reference, above = self._figures[owner], BASE_DATA_VARIABLE_TYPE, HAS_COMPONENT, self._objects[owner]
        else:
            tag = self._view.tags.named(owner)
            if tag is None:
                return None
            figures, kind, reference, above = self.properties(tag), PROPERTY_TYPE, HAS_PROPERTY, tag_target(tag)
        for found, data_type, array, read in figures:
            if found == name:
                target = Target(f"{owner}/{name}", NodeClass.VARIABLE, name, kind, standard=kind == PROPERTY_TYPE)
                return Node(target, [Reference(reference, False, above)], "", data_type, array, read)
        return None

    def _object(self, key: str) -> Node:
        figures = [
            Reference(HAS_COMPONENT, True, Target(f"{key}/{name}", NodeClass.VARIABLE, name, BASE_DATA_VARIABLE_TYPE))
            for name, _, _, _ in self._figures[key]
        ]
        parent = key.rpartition("/")[0]
        above = Reference(HAS_COMPONENT, False, self._objects[parent]) if parent else Reference(ORGANIZES, False, _OBJECTS)
        parts = [Reference(HAS_COMPONENT, True, part) for one, part in self._objects.items() if one.rpartition("/")[0] == key]
        return Node(self._objects[key], [above, *parts, *figures], event_notifier=_NOTIFIER if key == GATEWAY else 0)

    def _folder(self, path: str) -> Node | None:
        self._grow()
        children = self._folders.get(path)
        if children is None:
            return None
        tags = self._view.tags
        found = self._listed.get(path)
        if found is None:
            above = Reference(ORGANIZES, False, _OBJECTS if path == ROOT else self._folder_target(path.rpartition(".")[0]))
            below = [
                Reference(ORGANIZES, True, self._folder_target(child))
                if isinstance(child, str)
                else Reference(HAS_COMPONENT, True, tag_target(tags[child]))
                for child in children
            ]
            found = self._listed[path] = [above, *below]
            self._listed_count += len(found)
            while self._listed_count > _LISTED_MOST and len(self._listed) > 1:
                self._listed_count -= len(self._listed.popitem(last=False)[1])
        return Node(self._folder_target("" if path == ROOT else path), found, event_notifier=_NOTIFIER)

    def _folder_target(self, path: str) -> Target:
        return Target(path, NodeClass.OBJECT, path.rpartition(".")[2], FOLDER_TYPE) if path else self._root

    def _grow(self) -> None:
        """The tree's edges, anew whenever the table is another one."""
        tags = self._view.tags
        if tags is self._table:
            return
        folders: dict[str, list[str | int]] = {ROOT: []}
        for tag in tags:
            parent = tag.name.rpartition(".")[0] or ROOT
            if parent not in folders:
                _plant(folders, parent)
            folders[parent].append(tag.tag_id)
        self._folders, self._table = folders, tags
        self._listed.clear()
        self._listed_count = 0

    def _unit(self, code: str) -> EuInformation:
        unit = self._units.get(code)
        return EuInformation(-1, code, code) if unit is None else EuInformation(unit.unit_id, unit.symbol, unit.name)


def type_definition(tag: Tag) -> int:
    """The VariableType of a tag (Part 8, 5.3)."""
    if tag.type in (TagType.FLOAT, TagType.INT):
        if tag.eu_range is not None:
            return ANALOG_UNIT_RANGE_TYPE if tag.unit else ANALOG_ITEM_TYPE
        return ANALOG_UNIT_TYPE if tag.unit else BASE_DATA_VARIABLE_TYPE
    if tag.type is TagType.BOOL and tag.labels:
        return TWO_STATE_DISCRETE_TYPE
    if tag.type is TagType.ENUM:
        contiguous = bool(tag.labels) and sorted(tag.labels) == list(range(len(tag.labels)))
        return MULTI_STATE_DISCRETE_TYPE if contiguous else MULTI_STATE_VALUE_DISCRETE_TYPE
    return BASE_DATA_VARIABLE_TYPE


def tag_target(tag: Tag) -> Target:
    """A tag's Variable."""
    return Target(tag.name, NodeClass.VARIABLE, tag.name.rpartition(".")[2], type_definition(tag))


def _plant(folders: dict[str, list[str | int]], path: str) -> None:
    folders[path] = []
    parent = path.rpartition(".")[0] or ROOT
    if parent not in folders:
        _plant(folders, parent)
    folders[parent].append(path)


def _constant(content: Content, kind: Builtin = Builtin.STRING) -> Callable[[], Reading]:
    return lambda: Reading(content, kind)


def _content(kind: TagType, value: float, text: str | None) -> Content:
    if kind is TagType.TEXT:
        return text
    if value != value:  # noqa: PLR0124 NaN: no value yet
        return None
    if kind is TagType.FLOAT:
        return value
    return bool(value) if kind is TagType.BOOL else int(value)
