"""Commands on alarms and events: everything that Part 9 and IEC 62682 let a person do to a condition, and the journal's entries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from gateway.contracts import EventView, TwinView
from gateway.model import quality
from gateway.model.alarm import Action, Condition, ConditionRefused
from gateway.model.command import Caller
from gateway.model.update import TwinUpdate
from gateway.operations.door import Args, Commanded, Operation, Refused, names_of, text_of

MOST: Final = 1000  # conditions of one command
ROUND: Final = 10  # of them at a stretch: the road goes on meanwhile
LONGEST_COMMENT: Final = 1000
BAD_EVENT_ID_UNKNOWN: Final = 0x809A_0000
BAD_INVALID_ARGUMENT: Final = 0x80AB_0000
_DAY_NS: Final = 86_400_000_000_000
_LONGEST_S: Final = 366 * 86_400.0

_ACTIONS: Final[Mapping[str, tuple[str, Action, str]]] = MappingProxyType(
    {
        # kind -> permission, action, what it does
        "alarm.acknowledge": ("alarm:ack", Action.ACKNOWLEDGE, "acknowledge conditions"),
        "alarm.confirm": ("alarm:ack", Action.CONFIRM, "confirm conditions that ask for it once they are acknowledged"),
        "alarm.comment": ("alarm:ack", Action.COMMENT, "say something about conditions"),
        "alarm.shelve": ("alarm:shelve", Action.SHELVE, "shelve conditions: duration (seconds), or once (until they return to normal)"),
        "alarm.unshelve": ("alarm:shelve", Action.UNSHELVE, "end a shelving"),
        "alarm.suppress": ("alarm:suppress", Action.SUPPRESS, "suppress conditions by design"),
        "alarm.unsuppress": ("alarm:suppress", Action.UNSUPPRESS, "end a suppression"),
        "alarm.out_of_service": ("alarm:suppress", Action.OUT_OF_SERVICE, "take conditions out of service"),
        "alarm.in_service": ("alarm:suppress", Action.IN_SERVICE, "put conditions into service again"),
        "alarm.enable": ("alarm:suppress", Action.ENABLE, "enable conditions"),
        "alarm.disable": ("alarm:suppress", Action.DISABLE, "disable conditions"),
        "alarm.reset": ("alarm:suppress", Action.RESET, "let latched conditions go that are back to normal"),
    }
)
_SEEN: Final = frozenset({Action.ACKNOWLEDGE, Action.CONFIRM})
_ARGUMENTS: Final = frozenset({"condition", "comment", "serial"})
_SHELVING: Final = frozenset({"duration", "once"})


class Conditions(Protocol):
    """What these commands need of the engine."""

    @property
    def view(self) -> TwinView: ...

    def operate(
        self, condition: str, action: Action, now_ns: int, *, user: str = "", comment: str | None = None, duration_ns: int = 0
    ) -> TwinUpdate:
        """Raises KeyError, ConditionRefused."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One command with its arguments looked over. comment None: nothing is said; serial: of the transition that the caller has
    seen.
    """

    names: Sequence[str]
    action: Action
    comment: str | None
    duration_ns: int
    serial: int | None

    @classmethod
    def of(cls, args: Args, action: Action) -> "_Asked":
        """Raises Refused for an argument that is missing, unknown, or of the wrong type or size."""
        shelving = action is Action.SHELVE
        if unknown := sorted(args.keys() - _ARGUMENTS - (_SHELVING if shelving else set())):
            raise Refused(BAD_INVALID_ARGUMENT, f"there is no argument {unknown[0]!r}")
        names = list(dict.fromkeys(names_of(args, "condition")))
        if not 1 <= len(names) <= MOST:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'condition' names 1 to {MOST} conditions, got {len(names)}")
        comment = text_of(args, "comment") if "comment" in args else None
        if comment is not None and len(comment) > LONGEST_COMMENT:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'comment' has at most {LONGEST_COMMENT} characters, got {len(comment)}")
        if action is Action.COMMENT and comment is None:
            raise Refused(BAD_INVALID_ARGUMENT, "argument 'comment' is missing: there is nothing to say")
        once, duration_ns = _shelving(args) if shelving else (False, 0)
        return cls(names, Action.SHELVE_ONCE if once else action, comment, duration_ns, _serial(args, names))


class _Actions:
    """The commands on conditions."""

    def __init__(self, engine: Conditions, commanded: Commanded, now_ns: Callable[[], int], durable: Callable[[], Awaitable[bool]]) -> None:
        self._engine, self._commanded, self._now_ns, self._durable = engine, commanded, now_ns, durable

    def operation(self, permission: str, action: Action, summary: str) -> Operation:
        async def do(args: Args, caller: Caller) -> Mapping[str, Any]:
            return await self._do(_Asked.of(args, action), caller.user)

        return Operation(permission, do, f"{summary}: condition (text or list), comment, serial")

    async def _do(self, asked: _Asked, user: str) -> Mapping[str, Any]:
        """Those that can be are done."""
        done: list[str] = []
        refused: list[tuple[str, Refused]] = []
        for place, name in enumerate(asked.names):
            if place % ROUND == ROUND - 1:
                await asyncio.sleep(0)
            try:
                self._operate(asked, name, user)
            except ConditionRefused as fault:
                refused.append((name, Refused(fault.status, f"{name}: {fault.why}")))
            except Refused as fault:
                refused.append((name, fault))
            else:
                done.append(name)
        return await _told(done, refused, self._durable)

    def _operate(self, asked: _Asked, name: str, user: str) -> None:
        now_ns, comment, duration_ns = self._now_ns(), asked.comment, asked.duration_ns
        try:
            if asked.serial is not None:
                _check_serial(self._engine.view.condition(name), asked.serial, asked.action)
            update = self._engine.operate(name, asked.action, now_ns, user=user, comment=comment, duration_ns=duration_ns)
        except KeyError:
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no condition {name!r}") from None
        said = {"user": user, "comment": comment, "duration_ns": duration_ns}
        self._commanded("operate", update, condition=name, action=asked.action.value, **said)
        if not any(transition.rule.condition == name for transition in update.transitions):
            raise Refused(quality.BAD_INVALID_STATE, f"{name} changed at this very moment: look at it again")


def operations(
    engine: Conditions,
    journal: EventView,
    commanded: Commanded,
    now_ns: Callable[[], int],
    durable: Callable[[], Awaitable[bool]],
) -> dict[str, Operation]:
    """commanded(...) carries the transition down the normal road; durable() waits until it is on disk; False where that takes too long."""
    actions = _Actions(engine, commanded, now_ns, durable)

    async def acknowledge_event(args: Args, _: Caller) -> Mapping[str, Any]:
        event_id = text_of(args, "event_id")
        if not await journal.acknowledge(event_id):
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no event {event_id!r}")
        return {"event_id": event_id}

    async def clear_events(args: Args, _: Caller) -> Mapping[str, Any]:
        days = args.get("older_than_days")
        if days is not None and not _number(days, 0, 1e6):
            raise Refused(quality.BAD_OUT_OF_RANGE, f"older_than_days is a number of days from 0, got {days!r}")
        return {"removed": await journal.clear(None if days is None else now_ns() - round(days * _DAY_NS))}

    return {kind: actions.operation(*described) for kind, described in _ACTIONS.items()} | {
        "event.acknowledge": Operation("event:ack", acknowledge_event, "mark an event as seen: event_id"),
        "event.clear": Operation("event:clear", clear_events, "remove events from the journal: older_than_days (all without it)"),
    }


async def _told(done: list[str], refused: list[tuple[str, Refused]], durable: Callable[[], Awaitable[bool]]) -> Mapping[str, Any]:
    """The result, once what was done is on disk. Nothing done: Refused with the status of the first."""
    listed = [{"condition": name, "status": quality.name(fault.status), "message": fault.message} for name, fault in refused]
    if not done:
        first = refused[0][1]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise Refused(first.status, first.message + more, {"done": [], "refused": listed})
    return {"done": done, "refused": listed, "durable": await durable()}


def _check_serial(condition: Condition, serial: int, action: Action) -> None:
    """Part 9, 5.7.3 (Acknowledge): an EventId of a state that is over names nothing that could be acknowledged."""
    oldest = condition.raised_serial if action in _SEEN else 0
    if not oldest <= serial <= condition.serial:
        raise Refused(BAD_EVENT_ID_UNKNOWN, f"{condition.rule.condition}: serial {serial} is not of its present state: look at it again")


def _shelving(args: Args) -> tuple[bool, int]:
    """(until it returns, for how many ns)."""
    once, duration = args.get("once", False), args.get("duration")
    if not isinstance(once, bool):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument 'once' is true or false, got {once!r}")
    if once == (duration is not None):
        raise Refused(BAD_INVALID_ARGUMENT, "shelve for a duration in seconds, or once: one of the two")
    if once:
        return True, 0
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument 'duration' is a number of seconds, got {duration!r}")
    if not 0 < duration <= _LONGEST_S:  # NaN too
        raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'duration' is a number of seconds above 0, got {duration!r}")
    return False, round(duration * 1e9)


def _serial(args: Args, names: Sequence[str]) -> int | None:
    serial = args.get("serial")
    if serial is None:
        return None
    if isinstance(serial, bool) or not isinstance(serial, int):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument 'serial' is a whole number, got {serial!r}")
    if len(names) > 1:
        raise Refused(BAD_INVALID_ARGUMENT, "argument 'serial' is of one condition")
    return serial


def _number(value: Any, low: float, high: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value < high
