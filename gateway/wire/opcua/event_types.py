"""The tree of EventTypes and the fields of each (Part 3, 4.7 and 5.5.2; Part 5, 6.4): the standard's, and those of the gateway."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from asyncua import ua

from gateway.wire.opcua.contents import OURS
from gateway.wire.opcua.face import Key, NodeClass
from gateway.wire.opcua.occurrences import EventType, Path
from gateway.wire.opcua.standard import StandardNodes

BASE_EVENT_TYPE: Final = 2041
CONDITION_TYPE: Final = 2782
_HAS_SUBTYPE: Final = 45
_AGGREGATES: Final = frozenset((46, 47, 49))  # HasProperty, HasComponent, HasOrderedComponent
_DEEPEST: Final = 50


class EventTypes:
    """Answers come from the nodes themselves and are kept, since a server has about a hundred EventTypes."""

    def __init__(self, standard: StandardNodes, own: Sequence[EventType] = ()) -> None:
        self._standard = standard
        self._own = {event_type.key: event_type for event_type in own}
        self._above: dict[Key, tuple[Key, ...]] = {}
        self._owners: dict[str, list[Key]] | None = None  # first BrowseName of a field -> the EventTypes that add it

    def ancestry(self, key: Key) -> tuple[Key, ...]:
        """The EventType and its supertypes up to BaseEventType; nothing where it is no EventType."""
        known = self._above.get(key)
        if known is None:
            found = tuple(self._climb(key))
            known = found if found and found[-1] == BASE_EVENT_TYPE else ()
            if known:
                self._above[key] = known
        return known

    def is_a(self, key: Key, ancestor: Key) -> bool:
        """Whether events of that type are of the other one too."""
        return ancestor in self.ancestry(key)

    def field(self, key: Key, path: Path) -> NodeClass | None:
        """What stands at that path in events of that type: a Variable or an Object; None for nothing.

        Of BaseEventType every path of every EventType (Part 4, 7.7.4.5).
        """
        if not path or len(path) > _DEEPEST:
            return None
        for owner in self._adding(path[0]) if key == BASE_EVENT_TYPE else self.ancestry(key):
            found = self._at(owner, path)
            if found is not None:
                return found
        return None

    def _climb(self, key: Key) -> Iterator[Key]:
        here: Key | None = key
        for _ in range(_DEEPEST):
            if here is None:
                return
            yield here
            if here == BASE_EVENT_TYPE:
                return
            own = self._own.get(here) if isinstance(here, str) else None
            here = own.supertype if own is not None else self._supertype(here)

    def _supertype(self, key: Key) -> Key | None:
        for reference in self._references(key):
            if reference.ReferenceTypeId.Identifier == _HAS_SUBTYPE and not reference.IsForward:
                return _key(reference)
        return None

    def _references(self, key: Key) -> Sequence[ua.ReferenceDescription]:
        node = self._standard.get(key) if isinstance(key, int) else None
        return () if node is None else node.references

    def _at(self, key: Key, path: Path) -> NodeClass | None:
        """Below one type alone, not its supertypes."""
        own = self._own.get(key)
        if own is not None and path in own.fields:
            return NodeClass.VARIABLE
        steps, here = list(path), key
        for name in steps:
            found = self._child(here, name)
            if found is None:
                return None
            here, kind = _key(found), int(found.NodeClass)
        return NodeClass(kind) if kind in (NodeClass.OBJECT, NodeClass.VARIABLE) else None

    def _child(self, key: Key, name: str) -> ua.ReferenceDescription | None:
        """In an instance declaration, else in its type (Part 3, 6.2)."""
        of_type: Key | None = None
        for reference in self._references(key):
            if reference.IsForward and reference.ReferenceTypeId.Identifier in _AGGREGATES and _name(reference) == name:
                return reference
            if reference.IsForward and reference.ReferenceTypeId.Identifier == _HAS_TYPE_DEFINITION:
                of_type = _key(reference)
        for _ in range(_DEEPEST):
            if of_type is None:
                return None
            for reference in self._references(of_type):
                if reference.IsForward and reference.ReferenceTypeId.Identifier in _AGGREGATES and _name(reference) == name:
                    return reference
            of_type = self._supertype(of_type)
        return None

    def _adding(self, name: str) -> list[Key]:
        if self._owners is None:
            owners: dict[str, list[Key]] = defaultdict(list)
            waiting: list[Key] = [BASE_EVENT_TYPE]
            while waiting:
                key = waiting.pop()
                for reference in self._references(key):
                    kind = reference.ReferenceTypeId.Identifier
                    if reference.IsForward and kind in _AGGREGATES:
                        owners[_name(reference)].append(key)
                    elif reference.IsForward and kind == _HAS_SUBTYPE:
                        waiting.append(_key(reference))
            for own in self._own.values():
                for path in own.fields:
                    owners[path[0]].append(own.key)
            self._owners = dict(owners)
        return self._owners.get(name, [])


_HAS_TYPE_DEFINITION: Final = 40


def path_of(names: Sequence[ua.QualifiedName]) -> Path:
    """A BrowsePath as events have it; a name of another namespace matches none of theirs."""
    return tuple(_qualified(name) for name in names)


def _qualified(name: ua.QualifiedName) -> str:
    if name is None or name.Name is None:
        return ""
    return name.Name if not name.NamespaceIndex else f"{name.NamespaceIndex}:{name.Name}"


def _name(reference: ua.ReferenceDescription) -> str:
    return _qualified(reference.BrowseName)


def _key(reference: ua.ReferenceDescription) -> Key:
    nodeid: Any = reference.NodeId
    assert nodeid.NamespaceIndex in (0, OURS)
    key: Key = nodeid.Identifier
    return key
