"""The gateway's own events as OPC UA clients see them (Part 5, 6.4): live, and out of the journal.

What a condition did is an event of the condition's type, live by the sink and here from its record; everything else is a plain event at
the Server object, or at the tag that it is about.
"""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.alarm import Change, Condition, Limit, Shelving, Transition
from gateway.model.event import Category, Event, Severity
from gateway.model.forecast import Prediction
from gateway.model.instant import parse
from gateway.model.tag import TagTable
from gateway.sinks.opcua.conditions import occurrence
from gateway.sinks.opcua.nodes import type_definition
from gateway.sinks.opcua.types import PREDICTED, PREDICTED_LIMIT
from gateway.wire.opcua.face import Builtin, ModelChange, Reading
from gateway.wire.opcua.occurrences import EventType, Occurrence, Path
from gateway.wire.opcua.server_events import REFRESH_REQUIRED_EVENT_TYPE, SERVER, server_event

BASE_EVENT_TYPE: Final = 2041
AUDIT_EVENT_TYPE: Final = 2052
SYSTEM_EVENT_TYPE: Final = 2130
BASE_MODEL_CHANGE_EVENT_TYPE: Final = 2132
GENERAL_MODEL_CHANGE_EVENT_TYPE: Final = 2133
_TYPES: Final[Mapping[Category, int]] = {
    Category.SYSTEM: SYSTEM_EVENT_TYPE,
    Category.ERROR: SYSTEM_EVENT_TYPE,
    Category.USER: AUDIT_EVENT_TYPE,
}
EVENT_TYPES: Final = (
    EventType(2915, 2881, (("2:Cause",), ("2:Consequence",), ("2:Action",))),  # AlarmConditionType
    EventType(PREDICTED_LIMIT, 2915, tuple((f"2:{name}",) for name in PREDICTED)),
)
_AUDIT_READ: Final = "audit:read"
_TWIN: Final = "twin"
_ADDED, _TYPE_CHANGED = 1, 16  # Part 5, 12.16 (ModelChangeStructureVerbMask)
MODEL_CHANGES: Final = 1000
"""More than so many in one event are told as `something changed`."""


def is_state_change(event: Event) -> bool:
    """A commit of the twin: clients have `Twin/StateVersion` for that."""
    return event.category is Category.SYSTEM and event.source == _TWIN


def is_transition(event: Event) -> bool:
    """What a condition did."""
    return "condition" in event.details and "change" in event.details


def event_occurrence(event: Event, view: TwinView) -> Occurrence:
    """A record of the journal. Of a condition that still has its rule: the event with every field that it had; the rest, a plain event."""
    transition = _transition(event, view) if is_transition(event) else None
    if transition is None:
        return plain(event, view)
    known = occurrence(transition, view.tags, event.timestamp_ns)
    message = Reading(event.message, Builtin.LOCALIZED_TEXT)  # as it was said then
    return replace(known, field=lambda path: message if path == ("Message",) else known.field(path))


def plain(event: Event, view: TwinView) -> Occurrence:
    """An event without a condition. Who did what is for those who may read the audit."""
    audit = event.category is Category.USER
    fields: dict[Path, Reading] = {
        ("EventId",): Reading(uuid.UUID(event.event_id).bytes, Builtin.BYTE_STRING),
        ("SourceName",): Reading(event.source, Builtin.STRING),
        ("ReceiveTime",): Reading(event.timestamp_ns, Builtin.DATE_TIME),
        ("Message",): Reading(event.message, Builtin.LOCALIZED_TEXT),
        ("Severity",): Reading(event.level, Builtin.UINT16),
    }
    if audit:
        fields |= _audit(event)
    source = event.source if view.tags.named(event.source) is not None else SERVER
    event_type = _TYPES.get(event.category, BASE_EVENT_TYPE)
    return Occurrence(event_type, source, event.timestamp_ns, fields.get, _AUDIT_READ if audit else "")


def _audit(event: Event) -> dict[Path, Reading]:
    """Part 5, 6.4.3 (AuditEventType)."""
    details = event.details
    return {
        ("ActionTimeStamp",): Reading(event.timestamp_ns, Builtin.DATE_TIME),
        ("Status",): Reading(event.severity is Severity.INFO, Builtin.BOOLEAN),  # whether it was done
        ("ServerId",): Reading(event.source, Builtin.STRING),
        ("ClientAuditEntryId",): Reading(str(details.get("origin", "")), Builtin.STRING),
        ("ClientUserId",): Reading(str(details.get("user", "")), Builtin.STRING),
    }


# --- the address space itself ---


class ModelWatch:
    """Tells when the tag table is another one. more: what else came and went since it was asked last."""

    def __init__(self, view: TwinView, more: Callable[[], tuple[ModelChange, ...]] = tuple) -> None:
        self._view, self._more = view, more
        self._tags = view.tags

    def changes(self, now_ns: int) -> Sequence[Occurrence]:
        """What clients should know since the last call: which nodes came and went, and that conditions may have."""
        before, after, more = self._tags, self._view.tags, self._more()
        if after is before:
            return (model_change(more, now_ns),) if more else ()
        self._tags = after
        return model_change((*_changes(before, after), *more), now_ns), server_event(REFRESH_REQUIRED_EVENT_TYPE, now_ns)


def _changes(before: TagTable, after: TagTable) -> tuple[ModelChange, ...]:
    """Tags that came, or are of another type. One that goes keeps its node, out of service."""
    found = [ModelChange(tag.name, type_definition(tag), _ADDED) for tag in after if before.named(tag.name) is None]
    for tag in after:
        old = before.named(tag.name)
        if old is not None and old.type is not tag.type:
            found.append(ModelChange(tag.name, type_definition(tag), _TYPE_CHANGED))
    return tuple(found)


def model_change(changes: tuple[ModelChange, ...], now_ns: int) -> Occurrence:
    """Part 3, 9.32.7: nodes came or went. Too many to name, or none that is known, are a BaseModelChangeEvent (9.32.4)."""
    named = 0 < len(changes) <= MODEL_CHANGES
    fields: dict[Path, Reading] = {
        ("EventId",): Reading(os.urandom(16), Builtin.BYTE_STRING),
        ("SourceName",): Reading("Server", Builtin.STRING),
        ("ReceiveTime",): Reading(now_ns, Builtin.DATE_TIME),
        ("Message",): Reading("The address space has changed", Builtin.LOCALIZED_TEXT),
        ("Severity",): Reading(100, Builtin.UINT16),
    }
    if named:
        fields["Changes",] = Reading(changes, Builtin.EXTENSION_OBJECT)
    return Occurrence(GENERAL_MODEL_CHANGE_EVENT_TYPE if named else BASE_MODEL_CHANGE_EVENT_TYPE, SERVER, now_ns, fields.get)


# --- transitions out of the journal ---


def _transition(event: Event, view: TwinView) -> Transition | None:
    """As it was recorded; None where its rule is gone, or where an older record does not say enough."""
    details = event.details
    try:
        rule = view.condition(str(details["condition"])).rule
        change = Change(details["change"])
        state = Condition(rule=rule, since_ns=event.timestamp_ns, **_state(details))
    except (KeyError, ValueError, TypeError):
        return None
    return Transition(state, change, event.timestamp_ns)


def _state(details: Mapping[str, Any]) -> dict[str, Any]:
    """Raises KeyError, ValueError, TypeError."""
    value, level = details["actual_value"], details["level"]
    return {
        "active": bool(details["active"]),
        "acknowledged": bool(details["acknowledged"]),
        "confirmed": bool(details["confirmed"]),
        "latched": bool(details["latched"]),
        "enabled": bool(details["enabled"]),
        "suppressed": bool(details["suppressed"]),
        "out_of_service": bool(details["out_of_service"]),
        "shelving": Shelving[str(details["shelving"]).upper()],
        "level": None if level is None else Limit(level),
        "value": float("nan") if value is None else float(value),
        "status": quality.code(str(details["status"])) or 0,
        "severity": int(details["severity"]),
        "serial": int(details["serial"]),
        "active_ns": parse(details.get("active_since")) or 0,
        "unshelve_ns": parse(details.get("unshelve")) or 0,
        "last_severity": int(details.get("last_severity", 0)),
        "user": str(details["user"]),
        "comment": str(details["comment"]),
        "comment_user": str(details.get("comment_user", "")),
        "comment_ns": parse(details.get("comment_time")) or 0,
        "prediction": _prediction(details),
    }


def _prediction(details: Mapping[str, Any]) -> Prediction | None:
    """What a predicted limit rested on. Raises KeyError, ValueError, TypeError."""
    if "predicts" not in details:
        return None
    row = (details[name] for name in ("predicts", "threshold", "probability", "early_s", "lead_s", "late_s"))
    return Prediction.of_row([*row, parse(details["issued"]) or 0, details["model"]])
