"""What stands in the address space beside tags and folders: each kind is an Annex of its own."""

from collections.abc import Sequence
from typing import Protocol

from gateway.wire.opcua.face import Key, Node, Reference
from gateway.wire.opcua.methods import Method


class Annex(Protocol):
    """Nodes of one kind, made when asked for."""

    def node(self, key: str) -> Node | None:
        """The node, or None where it is none of this kind."""

    def references(self, node: Node) -> Sequence[Reference]:
        """What a node of another kind has in addition: how these nodes are reached."""

    def method(self, owner: str, method: Key) -> Method | None:
        """A Method of an Object by its own identifier there, or by that in the Object's type."""
