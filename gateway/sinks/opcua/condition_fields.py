"""Conditions as Part 9 describes them: for each kind of rule its type and every field of it, as one table for nodes and events alike.

A field is found by its path of BrowseNames below the condition; names of the gateway's own namespace begin with `2:`. Texts are those
of Part 9, Annex A, in English. Pure: a field is a function of a Live condition, and nothing is kept per condition.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from gateway.events import said
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Change, Condition, Limit, Shelving, Transition
from gateway.model.tag import TagTable
from gateway.wire.opcua.face import Builtin, Content, Key, Reading, Text
from gateway.wire.opcua.occurrences import Path

GATEWAY: Final = "Gateway"
"""Key of the Object below which the gateway's own conditions stand."""

PROPERTY: Final = 68
TWO_STATE_VARIABLE: Final = 8995
CONDITION_VARIABLE: Final = 9002
FINITE_STATE_VARIABLE: Final = 2760
SHELVED_STATE_MACHINE: Final = 2929
LIMIT_STATE_MACHINE: Final = 9318

_BAD_CONDITION_DISABLED: Final = 0x80990000
_BAD_STATE_NOT_ACTIVE: Final = 0x80BF0000
_CERTIFICATE_EXPIRATION: Final = 13225  # CertificateExpirationAlarmType (5.8.24.7)
_RSA_SHA256_CERTIFICATE: Final = 12560  # RsaSha256ApplicationCertificateType (Part 12, 7.8.4.9)
_PROCESS_CLASS: Final = (11164, "ProcessConditionClassType")
_SYSTEM_CLASS: Final = (11166, "SystemConditionClassType")

_TYPES: Final[Mapping[Limit, int]] = {
    Limit.HIHI: 10060,  # NonExclusiveLevelAlarmType (5.8.20.3)
    Limit.HI: 10060,
    Limit.LO: 10060,
    Limit.LOLO: 10060,
    Limit.LEVEL: 9482,  # ExclusiveLevelAlarmType (5.8.21.2)
    Limit.DEV: 10368,  # NonExclusiveDeviationAlarmType (5.8.22.2)
    Limit.ROC: 10214,  # NonExclusiveRateOfChangeAlarmType (5.8.23.2)
    Limit.STATE: 10637,  # OffNormalAlarmType (5.8.24.2)
    Limit.DISC: 17080,  # DiscrepancyAlarmType (5.8.25)
    Limit.BAD: 11753,  # SystemOffNormalAlarmType (5.8.24.3)
    Limit.SYSTEM: 11753,
}
_WORDS: Final[Mapping[Limit, str]] = {Limit.HIHI: "HighHigh", Limit.HI: "High", Limit.LO: "Low", Limit.LOLO: "LowLow"}
_LIMIT_STATES: Final[Mapping[Limit, int]] = {Limit.HIHI: 9329, Limit.HI: 9331, Limit.LO: 9333, Limit.LOLO: 9335}
_SHELVED_STATES: Final[Mapping[Shelving, tuple[int, str]]] = {
    Shelving.UNSHELVED: (2930, "Unshelved"),
    Shelving.TIMED: (2932, "Timed Shelved"),
    Shelving.ONE_SHOT: (2933, "One Shot Shelved"),
}


Certificate = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Live:
    """A condition at the moment at which it is shown or reported, by the transition that led to its state. target: key of the setpoint or
    command that it is compared with, 0 for none. last_severity: the one before its severity changed, 0 where it has not. certificate: the
    server's own (DER) and when it ends (UTC ns).
    """

    transition: Transition
    received_ns: int
    now_ns: int
    target: Key
    last_severity: int = 0
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
        if content is _NOT_ACTIVE:
            return Reading(None, self.builtin, _BAD_STATE_NOT_ACTIVE)
        return Reading(content, self.builtin, 0, live.time_ns, live.now_ns)


Fields = dict[Path, Field]
_NOT_ACTIVE: Final = Text(None, None)
"""Stands for the value of a state machine that is not active itself."""


def type_of(rule: AlarmRule) -> int:
    """The condition's ObjectType, which is its EventType."""
    return _CERTIFICATE_EXPIRATION if _of_certificate(rule) else _TYPES[rule.limit]


def _of_certificate(rule: AlarmRule) -> bool:
    """Whether it watches the server's own certificate."""
    return rule.limit is Limit.SYSTEM and rule.subject == "certificate"


def source_of(rule: AlarmRule) -> str:
    """Key of the ConditionSource, which is the event's SourceNode."""
    return GATEWAY if rule.tag_id == SYSTEM_TAG else rule.tag


def name_of(rule: AlarmRule) -> str:
    """ConditionName, and the BrowseName of its node."""
    return rule.subject or rule.limit.value


def now(condition: Condition, tags: TagTable, now_ns: int) -> Live:
    """A condition as it stands."""
    change = Change.ACTIVE if condition.active else Change.INACTIVE
    return replace(at(Transition(condition, change, condition.since_ns), tags, now_ns), received_ns=condition.since_ns)


def at(transition: Transition, tags: TagTable, now_ns: int) -> Live:
    """A condition at one of its transitions."""
    rule = transition.rule
    return Live(transition, now_ns, now_ns, tags[rule.target_id].name if rule.target_id >= 0 else 0)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one kind of condition by path, in the order of the types; parts: by the path of what they belong to."""

    fields: Fields
    parts: Mapping[Path, list[Path]]


def shape_of(rule: AlarmRule) -> Shape:
    """What a rule's condition consists of. Kept once per kind of rule."""
    return _shape(
        rule.limit,
        frozenset(level.limit for level in rule.levels),
        tuple(
            bool(has)
            for has in (
                *(rule.confirm, rule.latch, rule.re_alarm_ns, rule.on_delay_ns, rule.off_delay_ns),
                *(rule.cause, rule.consequence, rule.action, _of_certificate(rule)),
            )
        ),
    )


@cache
def _shape(limit: Limit, levels: frozenset[Limit], has: tuple[bool, ...]) -> Shape:
    fields = _fields(limit, levels, has)
    parts: dict[Path, list[Path]] = {(): []}
    for path in fields:
        parts.setdefault(path[:-1], []).append(path)
    return Shape(fields, parts)


def _fields(limit: Limit, levels: frozenset[Limit], has: tuple[bool, ...]) -> Fields:
    confirm, latch, re_alarm, on_delay, off_delay, *words, certificate = has
    found: Fields = {**_EVENT, **_CONDITION, **_ACKNOWLEDGEABLE}
    if confirm:
        found |= _state("ConfirmedState", "Unconfirmed", "Confirmed", lambda c: c.confirmed)
    found |= _ALARM
    if latch:
        found |= _state("LatchedState", "Unlatched", "Latched", lambda c: c.latched)
    for wanted, name, of in (
        (re_alarm, "ReAlarmTime", lambda live: live.rule.re_alarm_ns / 1e6),
        (on_delay, "OnDelay", lambda live: live.rule.on_delay_ns / 1e6),
        (off_delay, "OffDelay", lambda live: live.rule.off_delay_ns / 1e6),
    ):
        if wanted:
            found[name,] = _duration(of)
    found |= _of_limit(limit, levels) | (_OF_CERTIFICATE if certificate else {})
    for wanted, name, of_text in zip(words, ("Cause", "Consequence", "Action"), _ADVICE, strict=True):
        if wanted:
            found[f"2:{name}",] = _property(Builtin.LOCALIZED_TEXT, of_text, lasting=True)
    return found


# --- how fields are made ---


def _property(builtin: Builtin, of: Callable[[Live], Content], data_type: int = 0, *, lasting: bool = False) -> Field:
    return Field(PROPERTY, data_type or int(builtin), builtin, of, lasting)


def _duration(of: Callable[[Live], Content]) -> Field:
    return _property(Builtin.DOUBLE, of, 290, lasting=True)


def _utc(of: Callable[[Live], Content], *, lasting: bool = False) -> Field:
    return _property(Builtin.DATE_TIME, of, 294, lasting=lasting)


def _node(of: Callable[[Live], Key]) -> Field:
    return _property(Builtin.NODE_ID, of, lasting=True)


def _state(name: str, off: str, on: str, of: Callable[[Condition], bool], *, lasting: bool = False) -> Fields:
    """A TwoStateVariable (5.2) with its Id."""

    def text(live: Live) -> Content:
        return Text(on if of(live.condition) else off)

    return {
        (name,): Field(TWO_STATE_VARIABLE, int(Builtin.LOCALIZED_TEXT), Builtin.LOCALIZED_TEXT, text, lasting),
        (name, "Id"): _property(Builtin.BOOLEAN, lambda live: of(live.condition), lasting=lasting),
    }


def _condition_variable(name: str, builtin: Builtin, of: Callable[[Live], Content], at: Callable[[Live], int]) -> Fields:
    """A ConditionVariable (5.3) with its SourceTimestamp."""
    return {(name,): Field(CONDITION_VARIABLE, int(builtin), builtin, of), (name, "SourceTimestamp"): _utc(at)}


def _current(machine: str, definition: int, of: Callable[[Condition], tuple[int, str] | None]) -> Fields:
    """A finite state machine (Part 5, B.4.5) with its CurrentState; None: it is not active."""

    def text(live: Live) -> Content:
        state = of(live.condition)
        return _NOT_ACTIVE if state is None else Text(state[1])

    def number(live: Live) -> Content:
        state = of(live.condition)
        return _NOT_ACTIVE if state is None else state[0]

    return {
        (machine,): Field(definition),
        (machine, "CurrentState"): Field(FINITE_STATE_VARIABLE, int(Builtin.LOCALIZED_TEXT), Builtin.LOCALIZED_TEXT, text),
        (machine, "CurrentState", "Id"): _property(Builtin.NODE_ID, number),
    }


# --- the types, from the top down ---

_EVENT: Final[Fields] = {  # Part 5, 6.4.2
    ("EventId",): _property(Builtin.BYTE_STRING, lambda live: live.condition.event_id, lasting=True),
    ("EventType",): _node(lambda live: type_of(live.rule)),
    ("SourceNode",): _node(lambda live: source_of(live.rule)),
    ("SourceName",): _property(Builtin.STRING, lambda live: source_of(live.rule), lasting=True),
    ("Time",): _utc(lambda live: live.time_ns, lasting=True),
    ("ReceiveTime",): _utc(lambda live: live.received_ns, lasting=True),
    ("Message",): _property(
        Builtin.LOCALIZED_TEXT, lambda live: Text(said(live.transition) if live.condition.serial else ""), lasting=True
    ),
    ("Severity",): _property(Builtin.UINT16, lambda live: live.condition.severity, lasting=True),
}


def _class(rule: AlarmRule) -> tuple[int, str]:
    """5.9: what the gateway says of itself and of its sources is of another class than what the process does."""
    return _SYSTEM_CLASS if rule.limit in {Limit.BAD, Limit.SYSTEM} else _PROCESS_CLASS


def _enabled(live: Live) -> Content:
    """EffectiveDisplayName: the states below, in words (5.2)."""
    c = live.condition
    if not c.enabled:
        return Text("Disabled")
    shelved = [] if c.shelving is Shelving.UNSHELVED else [_SHELVED_STATES[c.shelving][1]]
    parts = ["Active" if c.active else "Inactive", "Acknowledged" if c.acknowledged else "Unacknowledged", *shelved]
    parts += [word for word, holds in (("Suppressed", c.suppressed), ("Out of Service", c.out_of_service)) if holds]
    return Text(" | ".join(parts))


_CONDITION: Final[Fields] = {  # 5.5.2
    ("ConditionClassId",): _node(lambda live: _class(live.rule)[0]),
    ("ConditionClassName",): _property(Builtin.LOCALIZED_TEXT, lambda live: Text(_class(live.rule)[1]), lasting=True),
    ("ConditionName",): _property(Builtin.STRING, lambda live: name_of(live.rule), lasting=True),
    ("BranchId",): _node(lambda _: 0),
    ("Retain",): _property(Builtin.BOOLEAN, lambda live: live.condition.retained, lasting=True),
    **_state("EnabledState", "Disabled", "Enabled", lambda c: c.enabled, lasting=True),
    ("EnabledState", "EffectiveDisplayName"): _property(Builtin.LOCALIZED_TEXT, _enabled, lasting=True),
    **_condition_variable("Quality", Builtin.STATUS_CODE, lambda live: live.condition.status, lambda live: live.condition.active_ns),
    **_condition_variable(
        "LastSeverity", Builtin.UINT16, lambda live: live.last_severity, lambda live: live.time_ns if live.last_severity else 0
    ),
    **_condition_variable("Comment", Builtin.LOCALIZED_TEXT, lambda live: _said(live.condition), lambda live: _said_ns(live.condition)),
    ("ClientUserId",): _property(Builtin.STRING, lambda live: live.condition.user),
}


def _said(condition: Condition) -> Text:
    return Text(condition.comment or None, None)


def _said_ns(condition: Condition) -> int:
    return condition.since_ns if condition.comment else 0


_ACKNOWLEDGEABLE: Final[Fields] = _state("AckedState", "Unacknowledged", "Acknowledged", lambda c: c.acknowledged)  # 5.7.2


def _unshelve_ms(live: Live) -> float:
    """5.8.17.2 (UnshelveTime): how long it still lasts; nothing for one that is not shelved."""
    condition = live.condition
    if condition.shelving is Shelving.UNSHELVED:
        return 0.0
    return max(0.0, (condition.unshelve_ns - live.now_ns) / 1e6) if condition.unshelve_ns else live.rule.shelve_max_ns / 1e6


def _effective_active(live: Live) -> Content:
    condition = live.condition
    level = _level(condition)
    return Text("Inactive" if not condition.active else "Active" if level is None else f"Active | {level[1]}")


_ALARM: Final[Fields] = {  # 5.8.2
    **_state("ActiveState", "Inactive", "Active", lambda c: c.active),
    ("ActiveState", "EffectiveDisplayName"): _property(Builtin.LOCALIZED_TEXT, _effective_active),
    ("InputNode",): _node(lambda live: 0 if live.rule.tag_id == SYSTEM_TAG else live.rule.tag),
    **_state("SuppressedState", "Unsuppressed", "Suppressed", lambda c: c.suppressed),
    **_state("OutOfServiceState", "In Service", "Out of Service", lambda c: c.out_of_service),
    **_current("ShelvingState", SHELVED_STATE_MACHINE, lambda c: _SHELVED_STATES[c.shelving]),
    ("ShelvingState", "UnshelveTime"): _property(Builtin.DOUBLE, _unshelve_ms, 290),
    ("SuppressedOrShelved",): _property(Builtin.BOOLEAN, lambda live: live.condition.silenced),
    ("MaxTimeShelved",): _duration(lambda live: live.rule.shelve_max_ns / 1e6),
}

_ADVICE: Final[tuple[Callable[[Live], Content], ...]] = (
    lambda live: Text(live.rule.cause),
    lambda live: Text(live.rule.consequence),
    lambda live: Text(live.rule.action),
)


def _of_limit(limit: Limit, levels: frozenset[Limit]) -> Fields:
    """What the last type in the line adds."""
    if limit in _WORDS:
        return _limit_state(limit, lambda c: c.active) | _limit(limit, lambda rule: rule.threshold)
    if limit is Limit.LEVEL:
        found = _current("LimitState", LIMIT_STATE_MACHINE, _level)
        for level in (one for one in _WORDS if one in levels):
            found |= _limit(level, _threshold(level))
        return found
    if limit in {Limit.DEV, Limit.ROC}:
        setpoint: Fields = {("SetpointNode",): _node(lambda live: live.target)}
        return _OF_DEVIATION | (setpoint if limit is Limit.DEV else {})
    if limit is Limit.DISC:
        return _OF_DISCREPANCY
    return {("NormalState",): _node(lambda _: 0)}  # 5.8.24.2: no Variable tells which state is the normal one


def _limit(limit: Limit, of: Callable[[AlarmRule], float]) -> Fields:
    """5.8.18 (LimitAlarmType)."""
    return {(f"{_WORDS[limit]}Limit",): _property(Builtin.DOUBLE, lambda live: of(live.rule), lasting=True)}


def _limit_state(limit: Limit, of: Callable[[Condition], bool]) -> Fields:
    """5.8.20.2 (NonExclusiveLimitAlarmType)."""
    word = _WORDS[limit]
    return _state(f"{word}State", f"{word} inactive", f"{word} active", of)


def _level(condition: Condition) -> tuple[int, str] | None:
    """5.8.19.3 (ExclusiveLimitStateMachineType)."""
    level = condition.level
    return None if level is None or not condition.active else (_LIMIT_STATES[level], _WORDS[level])


def _threshold(limit: Limit) -> Callable[[AlarmRule], float]:
    return lambda rule: next(level.threshold for level in rule.levels if level.limit is limit)


_OF_DEVIATION: Final[Fields] = {
    **_limit_state(Limit.HI, lambda c: c.active and c.level is Limit.HI),
    **_limit_state(Limit.LO, lambda c: c.active and c.level is Limit.LO),
    **_limit(Limit.HI, lambda rule: rule.threshold),
    **_limit(Limit.LO, lambda rule: -rule.threshold),
}
_OF_DISCREPANCY: Final[Fields] = {  # 5.8.25
    ("TargetValueNode",): _node(lambda live: live.target),
    ("ExpectedTime",): _duration(lambda live: live.rule.on_delay_ns / 1e6),
    ("Tolerance",): _property(Builtin.DOUBLE, lambda live: live.rule.threshold, lasting=True),
}
_OF_CERTIFICATE: Final[Fields] = {
    ("ExpirationDate",): _property(Builtin.DATE_TIME, lambda live: live.certificate[1] if live.certificate else None),
    ("CertificateType",): _node(lambda _: _RSA_SHA256_CERTIFICATE),
    ("Certificate",): _property(Builtin.BYTE_STRING, lambda live: live.certificate[0] if live.certificate else None),
}
