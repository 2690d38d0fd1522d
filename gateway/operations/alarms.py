"""Commands on alarms and events: acknowledge a condition, acknowledge or clear journal entries."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gateway.contracts import EventView
from gateway.model import quality
from gateway.model.command import Caller
from gateway.model.update import TwinUpdate
from gateway.operations.door import Args, Commanded, Operation, Refused, names_of, text_of

_DAY_NS = 86_400_000_000_000


class Conditions(Protocol):
    """What these commands need of the engine."""

    def acknowledge(self, condition: str, now_ns: int, user: str, comment: str) -> TwinUpdate: ...


def operations(
    engine: Conditions,
    journal: EventView,
    commanded: Commanded,
    now_ns: Callable[[], int],
    durable: Callable[[], Awaitable[None]],
) -> dict[str, Operation]:
    """commanded(...) carries the transition down the normal road; durable() returns once it is on disk."""

    async def acknowledge(args: Args, caller: Caller) -> Mapping[str, Any]:
        names = names_of(args, "condition")
        comment = text_of(args, "comment", "")
        done = []
        for name in names:
            try:
                update = engine.acknowledge(name, now_ns(), caller.user, comment)
            except KeyError as error:
                raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no condition {name!r}") from error
            if update.transitions:
                commanded("acknowledge", update, condition=name, user=caller.user, comment=comment)
                done.append(name)
        if not done:
            raise Refused(quality.BAD_INVALID_STATE, "nothing to acknowledge: already acknowledged, or never active")
        await durable()
        return {"acknowledged": done}

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
