"""What a client may do to a condition (Part 9, 5.5 to 5.8): each Method is a command through the one door for changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.contracts import Commands
from gateway.model.alarm import AlarmRule, serial_of
from gateway.sinks.opcua.methods import execute
from gateway.wire.opcua.face import Builtin, Content, Key, Text
from gateway.wire.opcua.methods import Argument, Invocation, Method, MethodRefused
from gateway.wire.opcua.occurrences import Path

_BAD_EVENT_ID_UNKNOWN: Final = 0x809A_0000
_BAD_SHELVING_TIME_OUT_OF_RANGE: Final = 0x80D3_0000
_DURATION: Final = 290
_CONDITION: Final[Path] = ()
_SHELVING: Final[Path] = ("ShelvingState",)

_EVENT_ID: Final = Argument("EventId", int(Builtin.BYTE_STRING), array=False, description="The event that is meant.")
_COMMENT: Final = Argument("Comment", int(Builtin.LOCALIZED_TEXT), array=False, description="What is to be said of it; empty: nothing.")
_TIME: Final = Argument("ShelvingTime", _DURATION, array=False, description="For how long, in milliseconds.")


@dataclass(frozen=True, slots=True)
class _Declared:
    """One Method of the standard's types: numbers are its declarations in namespace 0, kind the command."""

    name: str
    numbers: tuple[int, ...]
    kind: str
    inputs: tuple[Argument, ...] = ()
    where: Path = _CONDITION
    once: bool = False
    offered: Callable[[AlarmRule], bool] = lambda _: True


def _with_comment(name: str, plain: tuple[int, ...], commented: tuple[int, ...], kind: str, **rest: Any) -> tuple[_Declared, ...]:
    """A Method and its second form, which takes a comment."""
    inputs = rest.pop("inputs", ())
    return _Declared(name, plain, kind, inputs, **rest), _Declared(f"{name}2", commented, kind, (*inputs, _COMMENT), **rest)


_METHODS: Final = (
    _Declared("Enable", (9027,), "alarm.enable"),  # 5.5.5
    _Declared("Disable", (9028,), "alarm.disable"),  # 5.5.4
    _Declared("AddComment", (9029,), "alarm.comment", (_EVENT_ID, _COMMENT)),  # 5.5.6
    _Declared("Acknowledge", (9111,), "alarm.acknowledge", (_EVENT_ID, _COMMENT)),  # 5.7.3
    _Declared("Confirm", (9113,), "alarm.confirm", (_EVENT_ID, _COMMENT), offered=lambda rule: rule.confirm),  # 5.7.4
    *_with_comment("Suppress", (16403,), (24316,), "alarm.suppress"),  # 5.8.5
    *_with_comment("Unsuppress", (17868,), (24318,), "alarm.unsuppress"),  # 5.8.7
    *_with_comment("RemoveFromService", (17869,), (24320,), "alarm.out_of_service"),  # 5.8.9
    *_with_comment("PlaceInService", (17870,), (24322,), "alarm.in_service"),  # 5.8.11
    *_with_comment("Reset", (18199,), (24324,), "alarm.reset", offered=lambda rule: rule.latch),  # 5.8.13
    *_with_comment("TimedShelve", (9213, 2949), (24756,), "alarm.shelve", inputs=(_TIME,), where=_SHELVING),  # 5.8.17
    *_with_comment("OneShotShelve", (9212, 2948), (24760,), "alarm.shelve", where=_SHELVING, once=True),
    *_with_comment("Unshelve", (9211, 2947), (24758,), "alarm.unshelve", where=_SHELVING),
)
_BY_NUMBER: Final = {number: declared for declared in _METHODS for number in declared.numbers}


class ConditionMethods:
    """The Methods of all conditions, made when asked for."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def names(self, rule: AlarmRule, where: Path) -> list[str]:
        """The Methods of a condition, or of its ShelvingState."""
        return [declared.name for declared in _METHODS if declared.where == where and declared.offered(rule)]

    def named(self, rule: AlarmRule, where: Path, name: str) -> Method | None:
        """One of them."""
        declared = next((one for one in _METHODS if (one.name, one.where) == (name, where) and one.offered(rule)), None)
        return None if declared is None else self._made(declared, rule)

    def find(self, rule: AlarmRule, where: Path, method: Key) -> Method | None:
        """By the Method's own identifier below that Object, or by its number in the types. The shelving Methods are found at the
        condition as well: clients that know no instances call them there (5.8.17.3).
        """
        if isinstance(method, int):
            declared = _BY_NUMBER.get(method)
            here = declared is not None and where in {declared.where, _CONDITION}
            return self._made(declared, rule) if declared is not None and here and declared.offered(rule) else None
        for declared in _METHODS:
            if method == "/".join((rule.condition, *declared.where, declared.name)):
                return self._made(declared, rule) if where in {declared.where, _CONDITION} and declared.offered(rule) else None
        return None

    def _made(self, declared: _Declared, rule: AlarmRule) -> Method:
        async def run(invocation: Invocation) -> tuple[Content, ...]:
            args = _args(declared, rule, invocation.inputs)
            if declared.kind == "alarm.comment" and "comment" not in args:
                return ()  # 5.5.6: a null comment is ignored
            await execute(self._commands, declared.kind, args, invocation.caller)
            return ()

        return Method(declared.name, declared.inputs, (), self._commands.permission(declared.kind), run, together=True)


def _args(declared: _Declared, rule: AlarmRule, inputs: tuple[Content, ...]) -> Mapping[str, Any]:
    """The command's arguments. Raises MethodRefused."""
    args: dict[str, Any] = {"condition": rule.condition} | ({"once": True} if declared.once else {})
    for argument, value in zip(declared.inputs, inputs, strict=True):
        if argument is _EVENT_ID:
            serial = serial_of(rule.condition, value) if isinstance(value, bytes) else None
            if serial is None:
                raise MethodRefused(_BAD_EVENT_ID_UNKNOWN)
            args["serial"] = serial
        elif argument is _TIME:
            assert isinstance(value, float)
            if not 0 < value <= rule.shelve_max_ns / 1e6:  # NaN too
                raise MethodRefused(_BAD_SHELVING_TIME_OUT_OF_RANGE)
            args["duration"] = value / 1000.0
        elif isinstance(value, Text) and (value.text or value.locale):
            args["comment"] = value.text or ""
    return args
