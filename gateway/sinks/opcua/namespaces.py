"""`Namespaces/<uri>`: what the server says of the gateway's own namespace (Part 5, 6.3.14). An Annex of the address space."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.model.tag import TagTable
from gateway.sinks.opcua.nodes import HAS_COMPONENT, HAS_PROPERTY, PROPERTY_TYPE
from gateway.wire.opcua.face import Builtin, Content, Key, Node, NodeClass, Reading, Reference, Target
from gateway.wire.opcua.methods import Method
from gateway.wire.opcua.terms import NAMESPACES

_NAMESPACE_METADATA_TYPE: Final = 11616
_SERVER_NAMESPACES: Final = Target(11715, NodeClass.OBJECT, "Namespaces", 11645, standard=True)
_ID_TYPE, _NUMERIC_RANGE, _ACCESS_RESTRICTION_TYPE, _ROLE_PERMISSION_TYPE = 256, 291, 95, 96  # DataTypes of namespace 0
_STRING_IDENTIFIERS: Final = 1  # IdType (Part 3, 8.2.3)

Value = tuple[str, int, Builtin, Content]
"""Name, DataType, built-in type, content."""


class NamespaceMetadata:
    """An Annex: one Object with its properties. tags: the present table; version: of the gateway."""

    def __init__(self, uri: str, version: str, tags: Callable[[], TagTable], now_ns: Callable[[], int]) -> None:
        self._uri, self._version, self._tags, self._now_ns = uri, version, tags, now_ns
        self._table, self._since_ns = tags(), now_ns()
        self.target = Target(f"{NAMESPACES}{uri}", NodeClass.OBJECT, uri, _NAMESPACE_METADATA_TYPE)

    def reference(self) -> Reference:
        """From Server.Namespaces."""
        return Reference(HAS_COMPONENT, True, self.target)

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None

    def references(self, node: Node) -> Sequence[Reference]:  # noqa: ARG002 an Annex: it hangs below an Object of the standard
        return ()

    def node(self, key: str) -> Node | None:
        if not key.startswith(NAMESPACES):
            return None
        values = self._values()
        if key == self.target.key:
            below = [Reference(HAS_PROPERTY, True, self._property(name)) for name, _, _, _ in values]
            return Node(self.target, [Reference(HAS_COMPONENT, False, _SERVER_NAMESPACES), *below])
        return next((self._node(value) for value in values if key == f"{self.target.key}/{value[0]}"), None)

    def _node(self, value: Value) -> Node:
        name, data_type, kind, content = value
        array = isinstance(content, tuple) or data_type == _ROLE_PERMISSION_TYPE
        above = Reference(HAS_PROPERTY, False, self.target)
        return Node(self._property(name), [above], "", data_type, array, lambda: Reading(content, kind))

    def _property(self, name: str) -> Target:
        return Target(f"{self.target.key}/{name}", NodeClass.VARIABLE, name, PROPERTY_TYPE, standard=True)

    def _values(self) -> Sequence[Value]:
        """Every identifier is a text that stays the same as long as the configuration names the thing. The default permissions are the
        session's own (permissions.namespace_default).
        """
        if self._tags() is not self._table:
            self._table, self._since_ns = self._tags(), self._now_ns()
        return (
            ("NamespaceUri", 12, Builtin.STRING, self._uri),
            ("NamespaceVersion", 12, Builtin.STRING, self._version),
            ("NamespacePublicationDate", 13, Builtin.DATE_TIME, self._since_ns),
            ("IsNamespaceSubset", 1, Builtin.BOOLEAN, False),
            ("StaticNodeIdTypes", _ID_TYPE, Builtin.INT32, (_STRING_IDENTIFIERS,)),
            ("StaticNumericNodeIdRange", _NUMERIC_RANGE, Builtin.STRING, ()),
            ("StaticStringNodeIdPattern", 12, Builtin.STRING, ".*"),
            ("DefaultRolePermissions", _ROLE_PERMISSION_TYPE, Builtin.EXTENSION_OBJECT, None),
            ("DefaultUserRolePermissions", _ROLE_PERMISSION_TYPE, Builtin.EXTENSION_OBJECT, None),
            ("DefaultAccessRestrictions", _ACCESS_RESTRICTION_TYPE, Builtin.UINT16, 0),
        )
