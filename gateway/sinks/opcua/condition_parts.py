"""What a condition is made of: a field is a function of a Live condition; nothing is kept per condition (Part 9, 5.2, 5.3)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.model.alarm import AlarmRule, Change, Condition, Transition
from gateway.model.tag import TagTable
from gateway.wire.opcua.face import Builtin, Content, Key, Reading, Text
from gateway.wire.opcua.occurrences import Path

PROPERTY: Final = 68
TWO_STATE_VARIABLE: Final = 8995
CONDITION_VARIABLE: Final = 9002
FINITE_STATE_VARIABLE: Final = 2760
SHELVED_STATE_MACHINE: Final = 2929
LIMIT_STATE_MACHINE: Final = 9318

_BAD_CONDITION_DISABLED: Final = 0x80990000
_BAD_STATE_NOT_ACTIVE: Final = 0x80BF0000
Certificate = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Live:
    """A condition at the moment at which it is shown or reported, by the transition that led to its state. target: key of the setpoint or
    command that it is compared with, 0 for none. certificate: the server's own (DER) and when it ends (UTC ns).
    """

    transition: Transition
    received_ns: int
    now_ns: int
    target: Key
    certificate: Certificate | None = None

    @property
    def condition(self) -> Condition:
        return self.transition.condition

    @property
    def rule(self) -> AlarmRule:
        return self.transition.condition.rule

    @property
    def time_ns(self) -> int:
        return self.transition.at_ns


@dataclass(frozen=True, slots=True)
class Field:
    """One component or property. of: its value; None for an Object, which has only parts. lasting: also true while disabled (5.5.2)."""

    type_definition: int
    data_type: int = 0
    builtin: Builtin = Builtin.STRING
    of: Callable[[Live], Content] | None = None
    lasting: bool = False

    def read(self, live: Live) -> Reading:
        """The value as it stands. Of a disabled condition little is known: BadConditionDisabled."""
        assert self.of is not None
        if not self.lasting and not live.condition.enabled:
            return Reading(None, self.builtin, _BAD_CONDITION_DISABLED)
        content = self.of(live)
        if content is NOT_ACTIVE:
            return Reading(None, self.builtin, _BAD_STATE_NOT_ACTIVE)
        return Reading(content, self.builtin, 0, live.time_ns, live.now_ns)


Fields = dict[Path, Field]
NOT_ACTIVE: Final = Text(None, None)
"""Stands for the value of a state machine that is not active itself."""


def now(condition: Condition, tags: TagTable, now_ns: int) -> Live:
    """A condition as it stands."""
    change = condition.change or (Change.ACTIVE if condition.active else Change.INACTIVE)
    return replace(at(Transition(condition, change, condition.since_ns), tags, now_ns), received_ns=condition.since_ns)


def at(transition: Transition, tags: TagTable, now_ns: int) -> Live:
    """A condition at one of its transitions."""
    rule = transition.rule
    return Live(transition, now_ns, now_ns, tags[rule.target_id].name if rule.target_id >= 0 else 0)


# --- how fields are made ---


def prop(builtin: Builtin, of: Callable[[Live], Content], data_type: int = 0, *, lasting: bool = False) -> Field:
    return Field(PROPERTY, data_type or int(builtin), builtin, of, lasting)


def duration(of: Callable[[Live], Content]) -> Field:
    return prop(Builtin.DOUBLE, of, 290, lasting=True)


def utc(of: Callable[[Live], Content], *, lasting: bool = False) -> Field:
    return prop(Builtin.DATE_TIME, of, 294, lasting=lasting)


def node_id(of: Callable[[Live], Key]) -> Field:
    return prop(Builtin.NODE_ID, of, lasting=True)


def two_state(name: str, off: str, on: str, of: Callable[[Condition], bool], *, lasting: bool = False) -> Fields:
    """A TwoStateVariable (5.2) with its Id."""

    def text(live: Live) -> Content:
        return Text(on if of(live.condition) else off)

    return {
        (name,): Field(TWO_STATE_VARIABLE, int(Builtin.LOCALIZED_TEXT), Builtin.LOCALIZED_TEXT, text, lasting),
        (name, "Id"): prop(Builtin.BOOLEAN, lambda live: of(live.condition), lasting=lasting),
    }


def condition_variable(name: str, builtin: Builtin, of: Callable[[Live], Content], at: Callable[[Live], int]) -> Fields:
    """A ConditionVariable (5.3) with its SourceTimestamp."""
    return {(name,): Field(CONDITION_VARIABLE, int(builtin), builtin, of), (name, "SourceTimestamp"): utc(at)}


def machine(name: str, definition: int, of: Callable[[Condition], tuple[int, str] | None]) -> Fields:
    """A finite state machine (Part 5, B.4.5) with its CurrentState; None: it is not active."""

    def text(live: Live) -> Content:
        state = of(live.condition)
        return NOT_ACTIVE if state is None else Text(state[1])

    def number(live: Live) -> Content:
        state = of(live.condition)
        return NOT_ACTIVE if state is None else state[0]

    return {
        (name,): Field(definition),
        (name, "CurrentState"): Field(FINITE_STATE_VARIABLE, int(Builtin.LOCALIZED_TEXT), Builtin.LOCALIZED_TEXT, text),
        (name, "CurrentState", "Id"): prop(Builtin.NODE_ID, number),
    }
