"""An event as OPC UA clients see it, before anybody's filter is applied to it (Part 4, 7.22.3; Part 5, 6.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]
"""BrowseNames below the event's type; those of the gateway's own namespace begin with `2:`. () is the condition's NodeId."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event of one EventType.

    type     EventType: a number of namespace 0, or a string identifier of the gateway's namespace
    source   key of the node at which it arose (SourceNode); the notifiers above it report it too, the Server object always
    time_ns  UTC ns, the field Time
    field    the value of one field as face.Reading has it, None where the event has no such field
    """

    type: int | str
    source: int | str
    time_ns: int
    field: Callable[[Path], Any]
