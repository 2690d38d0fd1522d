"""Events that the server itself raises about its own queues and refreshes (Part 4, 7.22.3; Part 9, 5.11). Their source is the Server."""

import os
from typing import Final

from gateway.wire.opcua.face import Builtin, Reading
from gateway.wire.opcua.occurrences import Occurrence, Path

SERVER: Final = 2253
SYSTEM_EVENT_TYPE: Final = 2130
REFRESH_START_EVENT_TYPE: Final = 2787
REFRESH_END_EVENT_TYPE: Final = 2788
REFRESH_REQUIRED_EVENT_TYPE: Final = 2789
EVENT_QUEUE_OVERFLOW_EVENT_TYPE: Final = 3035
_TEXTS: Final = {
    REFRESH_START_EVENT_TYPE: ("Server", "The conditions follow", 100),
    REFRESH_END_EVENT_TYPE: ("Server", "These were the conditions", 100),
    REFRESH_REQUIRED_EVENT_TYPE: ("Server", "The conditions may have changed without notice: call ConditionRefresh", 100),
    EVENT_QUEUE_OVERFLOW_EVENT_TYPE: ("Internal/EventQueueOverflow", "Events were lost: the queue of the MonitoredItem was full", 500),
}


def server_event(event_type: int, now_ns: int) -> Occurrence:
    """One of the types above, now."""
    name, message, severity = _TEXTS[event_type]
    fields: dict[Path, Reading] = {
        ("EventId",): Reading(os.urandom(16), Builtin.BYTE_STRING),
        ("SourceName",): Reading(name, Builtin.STRING),
        ("ReceiveTime",): Reading(now_ns, Builtin.DATE_TIME),
        ("Message",): Reading(message, Builtin.LOCALIZED_TEXT),
        ("Severity",): Reading(severity, Builtin.UINT16),
    }
    return Occurrence(event_type, SERVER, now_ns, fields.get)
