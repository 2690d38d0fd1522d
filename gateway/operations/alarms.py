"""Commands on alarms and events: acknowledge a condition, acknowledge or clear journal entries."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gateway.contracts import EventView, TwinView
from gateway.model import quality
from gateway.model.alarm import Change
from gateway.model.command import Caller
from gateway.model.update import TwinUpdate
from gateway.operations.door import Args, Commanded, Operation, Refused, names_of, text_of

_DAY_NS = 86_400_000_000_000


class Conditions(Protocol):
    """What these commands need of the engine."""

    @property
    def view(self) -> TwinView: ...
    def acknowledge(self, condition: str, now_ns: int, user: str, comment: str) -> TwinUpdate: ...


def operations(
    engine: Conditions,
    journal: EventView,
    commanded: Commanded,
    now_ns: Callable[[], int],
    durable: Callable[[], Awaitable[bool]],
) -> dict[str, Operation]:
    """commanded(...) carries the transition down the normal road; durable() waits until it is on disk; False where that takes too long."""

    async def acknowledge(args: Args, caller: Caller) -> Mapping[str, Any]:
        names = names_of(args, "condition")
        comment = text_of(args, "comment", "")
        known = {condition.rule.condition for condition in engine.view.conditions()}
        if unknown := [name for name in names if name not in known]:
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no condition {unknown[0]!r}")
        done = []
        for name in names:
            update = engine.acknowledge(name, now_ns(), caller.user, comment)
            commanded("acknowledge", update, condition=name, user=caller.user, comment=comment)
            if any(one.change is Change.ACKNOWLEDGED and one.rule.condition == name for one in update.transitions):
                done.append(name)
        if not done:
            raise Refused(quality.BAD_INVALID_STATE, "nothing to acknowledge: already acknowledged, or never active")
        return {"acknowledged": done, "durable": await durable()}

    async def acknowledge_event(args: Args, _: Caller) -> Mapping[str, Any]:
        event_id = text_of(args, "event_id")
        if not await journal.acknowledge(event_id):
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no event {event_id!r}")
        return {"event_id": event_id}

    async def clear_events(args: Args, _: Caller) -> Mapping[str, Any]:
        days = args.get("older_than_days")
        if days is not None and (isinstance(days, bool) or not isinstance(days, int | float) or not 0 <= days < 1e6):
            raise Refused(quality.BAD_OUT_OF_RANGE, f"older_than_days is a number of days from 0, got {days!r}")
        return {"removed": await journal.clear(None if days is None else now_ns() - round(days * _DAY_NS))}

    return {
        "alarm.acknowledge": Operation("alarm:ack", acknowledge, "acknowledge conditions: condition (text or list), comment"),
        "event.acknowledge": Operation("event:ack", acknowledge_event, "mark an event as seen: event_id"),
        "event.clear": Operation("event:clear", clear_events, "remove events from the journal: older_than_days (all without it)"),
    }
