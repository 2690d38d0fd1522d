"""An event as OPC UA clients see it, before anybody's filter is applied to it (Part 4, 7.22.3; Part 5, 6.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.wire.opcua.face import Reading

Path = tuple[str, ...]
"""BrowseNames below the event's type; those of the gateway's own namespace begin with `2:`. () is the condition's NodeId."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event of one EventType.

    type     EventType: a number of namespace 0, or a string identifier of the gateway's namespace
    source   key of the node at which it arose (SourceNode); the notifiers above it report it too, the Server object always
    time_ns  UTC ns, the field Time
    field    one field, None where the event has no such field. A Reading whose status is not Good stands for its StatusCode (Part 4,
             7.22.3). EventType, SourceNode and Time are answered here and need no answer of it
    permission  who may hear it, for example `audit:read`; "" = everybody who may listen
    """

    type: int | str
    source: int | str
    time_ns: int
    field: Callable[[Path], "Reading | None"]
    permission: str = ""


@dataclass(frozen=True, slots=True)
class EventType:
    """An EventType of the gateway's own namespace: its identifier, what it is a kind of, and the fields that it adds. Of a standard type
    (an int), what the gateway's events of it have besides.
    """

    key: int | str
    supertype: int | str
    fields: tuple[Path, ...] = ()
