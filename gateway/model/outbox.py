"""Rows of the outbox: messages that must reach the other side at least once, in order per stream."""

from dataclasses import dataclass
from typing import Final

LIVE: Final = "live"
BACKLOG: Final = "backlog"
ALARMS: Final = "alarms"

LAST: Final = 2
"""OutboxRow.droppable of what gives way only when nothing else is left."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message. stream = `<sink>/<live|backlog|alarms>`; seq is gap-free per stream and given by the store at commit (0 before).

    payload is the JSON object's text without what is only known when it is sent (gateway, boot, stream, seq, historical):
    the sink splices those in. droppable rows may give way when the outbox is full: True (values, small events) the oldest first,
    LAST (warnings) after all of those, False (alarms, audit) never.
    """

    stream: str
    topic: str
    payload: bytes
    created_ns: int
    retain: bool = False
    droppable: int = True
    seq: int = 0
    samples: int = 0  # values inside, for the gap record and the counters


@dataclass(frozen=True, slots=True)
class OutboxFill:
    """How full the outbox of one stream is. outage_hours: room left at the present rate, None while nothing flows."""

    stream: str
    rows: int
    bytes: int
    oldest_ns: int | None
    quarantined: int
    dropped: int
    outage_hours: float | None
