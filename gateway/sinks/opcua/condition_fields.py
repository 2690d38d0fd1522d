"""Conditions as Part 9 describes them: for each kind of rule its type and every field of it, as one table for nodes and events alike.

A field is found by its path of BrowseNames below the condition; names of the gateway's own namespace begin with `2:`. Texts are those
of Part 9, Annex A, in English.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import isnan
from typing import Final

from gateway.events import said
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Condition, Limit, Shelving
from gateway.model.forecast import Prediction
from gateway.sinks.opcua.condition_parts import (
    LIMIT_STATE_MACHINE,
    SHELVED_STATE_MACHINE,
    Fields,
    Live,
    condition_variable,
    duration,
    machine,
    node_id,
    prop,
    two_state,
    utc,
)
from gateway.sinks.opcua.types import PREDICTED, PREDICTED_LIMIT, PREDICTED_LIMIT_CLASS
from gateway.wire.opcua.face import Builtin, Content, Key, Text
from gateway.wire.opcua.occurrences import Path

GATEWAY: Final = "Gateway"
"""Key of the Object below which the gateway's own conditions stand."""

_CERTIFICATE_EXPIRATION: Final = 13225  # CertificateExpirationAlarmType (5.8.24.7)
_RSA_SHA256_CERTIFICATE: Final = 12560  # RsaSha256ApplicationCertificateType (Part 12, 7.8.4.9)
_PROCESS_CLASS: Final = (11164, "ProcessConditionClassType")
_SYSTEM_CLASS: Final = (11166, "SystemConditionClassType")

_TYPES: Final[Mapping[Limit, Key]] = {
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
    Limit.PREDICTED: PREDICTED_LIMIT,
}
_WORDS: Final[Mapping[Limit, str]] = {Limit.HIHI: "HighHigh", Limit.HI: "High", Limit.LO: "Low", Limit.LOLO: "LowLow"}
_LIMIT_STATES: Final[Mapping[Limit, int]] = {Limit.HIHI: 9329, Limit.HI: 9331, Limit.LO: 9333, Limit.LOLO: 9335}
_SHELVED_STATES: Final[Mapping[Shelving, tuple[int, str]]] = {
    Shelving.UNSHELVED: (2930, "Unshelved"),
    Shelving.TIMED: (2932, "Timed Shelved"),
    Shelving.ONE_SHOT: (2933, "One Shot Shelved"),
}


def type_of(rule: AlarmRule) -> Key:
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
    return f"{'Predicted' if rule.limit is Limit.PREDICTED else ''}{rule.subject or rule.limit.value}"


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one kind of condition by path, in the order of the types. By path too: parts, what belongs to one; names, their
    BrowseNames; suffixes, their identifiers less the condition's.
    """

    fields: Fields
    parts: Mapping[Path, list[Path]]
    names: Mapping[Path, str]
    suffixes: Mapping[Path, str]


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
    names = {path: path[-1].removeprefix("2:") for path in fields}
    return Shape(fields, parts, names, {path: "/".join(("", *path[:-1], name)) for path, name in names.items()})


def _fields(limit: Limit, levels: frozenset[Limit], has: tuple[bool, ...]) -> Fields:
    confirm, latch, re_alarm, on_delay, off_delay, *words, certificate = has
    found: Fields = {**_EVENT, **_CONDITION, **_ACKNOWLEDGEABLE}
    if confirm:
        found |= two_state("ConfirmedState", "Unconfirmed", "Confirmed", lambda c: c.confirmed)
    found |= _ALARM
    if latch:
        found |= two_state("LatchedState", "Unlatched", "Latched", lambda c: c.latched)
    for wanted, name, of in (
        (re_alarm, "ReAlarmTime", lambda live: live.rule.re_alarm_ns / 1e6),
        (on_delay, "OnDelay", lambda live: live.rule.on_delay_ns / 1e6),
        (off_delay, "OffDelay", lambda live: live.rule.off_delay_ns / 1e6),
    ):
        if wanted:
            found[name,] = duration(of)
    found |= _of_limit(limit, levels) | (_OF_CERTIFICATE if certificate else {})
    for wanted, name, of_text in zip(words, ("Cause", "Consequence", "Action"), _ADVICE, strict=True):
        if wanted:
            found[f"2:{name}",] = prop(Builtin.LOCALIZED_TEXT, of_text, lasting=True)
    return found


# --- the types, from the top down ---

_EVENT: Final[Fields] = {  # Part 5, 6.4.2
    ("EventId",): prop(Builtin.BYTE_STRING, lambda live: live.condition.event_id, lasting=True),
    ("EventType",): node_id(lambda live: type_of(live.rule)),
    ("SourceNode",): node_id(lambda live: source_of(live.rule)),
    ("SourceName",): prop(Builtin.STRING, lambda live: source_of(live.rule), lasting=True),
    ("Time",): utc(lambda live: live.time_ns, lasting=True),
    ("ReceiveTime",): utc(lambda live: live.received_ns, lasting=True),
    ("Message",): prop(Builtin.LOCALIZED_TEXT, lambda live: Text(said(live.transition) if live.condition.serial else ""), lasting=True),
    ("Severity",): prop(Builtin.UINT16, lambda live: live.condition.severity, lasting=True),
}


def _class(rule: AlarmRule) -> tuple[Key, str]:
    """5.9: what the gateway says of itself and of its sources is of another class than what the process does, or is expected to do."""
    if rule.limit is Limit.PREDICTED:
        return PREDICTED_LIMIT_CLASS, PREDICTED_LIMIT_CLASS
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
    ("ConditionClassId",): node_id(lambda live: _class(live.rule)[0]),
    ("ConditionClassName",): prop(Builtin.LOCALIZED_TEXT, lambda live: Text(_class(live.rule)[1]), lasting=True),
    ("ConditionName",): prop(Builtin.STRING, lambda live: name_of(live.rule), lasting=True),
    ("BranchId",): node_id(lambda _: 0),
    ("Retain",): prop(Builtin.BOOLEAN, lambda live: live.condition.retained, lasting=True),
    **two_state("EnabledState", "Disabled", "Enabled", lambda c: c.enabled, lasting=True),
    ("EnabledState", "EffectiveDisplayName"): prop(Builtin.LOCALIZED_TEXT, _enabled, lasting=True),
    **condition_variable("Quality", Builtin.STATUS_CODE, lambda live: live.condition.status, lambda live: live.condition.active_ns),
    **condition_variable(
        "LastSeverity",
        Builtin.UINT16,
        lambda live: live.condition.last_severity,
        lambda live: live.time_ns if live.condition.last_severity else 0,
    ),
    **condition_variable(
        "Comment", Builtin.LOCALIZED_TEXT, lambda live: Text(live.condition.comment or None, None), lambda live: live.condition.comment_ns
    ),
    ("ClientUserId",): prop(Builtin.STRING, lambda live: live.condition.comment_user),
}
_ACKNOWLEDGEABLE: Final[Fields] = two_state("AckedState", "Unacknowledged", "Acknowledged", lambda c: c.acknowledged)  # 5.7.2


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
    **two_state("ActiveState", "Inactive", "Active", lambda c: c.active),
    ("ActiveState", "EffectiveDisplayName"): prop(Builtin.LOCALIZED_TEXT, _effective_active),
    ("InputNode",): node_id(lambda live: 0 if live.rule.tag_id == SYSTEM_TAG else live.rule.tag),
    **two_state("SuppressedState", "Unsuppressed", "Suppressed", lambda c: c.suppressed),
    **two_state("OutOfServiceState", "In Service", "Out of Service", lambda c: c.out_of_service),
    **machine("ShelvingState", SHELVED_STATE_MACHINE, lambda c: _SHELVED_STATES[c.shelving]),
    ("ShelvingState", "UnshelveTime"): prop(Builtin.DOUBLE, _unshelve_ms, 290),
    ("SuppressedOrShelved",): prop(Builtin.BOOLEAN, lambda live: live.condition.silenced),
    ("MaxTimeShelved",): duration(lambda live: live.rule.shelve_max_ns / 1e6),
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
        found = machine("LimitState", LIMIT_STATE_MACHINE, _level)
        for level in (one for one in _WORDS if one in levels):
            found |= _limit(level, _threshold(level))
        return found
    if limit in {Limit.DEV, Limit.ROC}:
        setpoint: Fields = {("SetpointNode",): node_id(lambda live: live.target)}
        return _OF_DEVIATION | (setpoint if limit is Limit.DEV else {})
    if limit is Limit.DISC:
        return _OF_DISCREPANCY
    if limit is Limit.PREDICTED:
        return _OF_PREDICTION
    return {("NormalState",): node_id(lambda _: 0)}  # 5.8.24.2: no Variable tells which state is the normal one


def _limit(limit: Limit, of: Callable[[AlarmRule], float]) -> Fields:
    """5.8.18 (LimitAlarmType)."""
    return {(f"{_WORDS[limit]}Limit",): prop(Builtin.DOUBLE, lambda live: of(live.rule), lasting=True)}


def _limit_state(limit: Limit, of: Callable[[Condition], bool]) -> Fields:
    """5.8.20.2 (NonExclusiveLimitAlarmType)."""
    word = _WORDS[limit]
    return two_state(f"{word}State", f"{word} inactive", f"{word} active", of)


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
    ("TargetValueNode",): node_id(lambda live: live.target),
    ("ExpectedTime",): duration(lambda live: live.rule.on_delay_ns / 1e6),
    ("Tolerance",): prop(Builtin.DOUBLE, lambda live: live.rule.threshold, lasting=True),
}


def _told(name: str, of: Callable[[Prediction, Live], Content]) -> Fields:
    """A property of our own type; null before anything was predicted."""
    builtin, data_type, _ = PREDICTED[name]
    return {(f"2:{name}",): prop(builtin, lambda live: None if (told := live.condition.prediction) is None else of(told, live), data_type)}


def _instant(seconds: Callable[[Prediction], float]) -> Callable[[Prediction, Live], Content]:
    def of(told: Prediction, _: Live) -> Content:
        at_s = seconds(told)
        return None if isnan(at_s) else told.issued_ns + round(at_s * 1e9)

    return of


def _lead_ms(told: Prediction, live: Live) -> Content:
    return None if told.expected_ns is None else max(0.0, (told.expected_ns - live.now_ns) / 1e6)


_OF_PREDICTION: Final[Fields] = {
    ("2:PredictedLimit",): prop(Builtin.STRING, lambda live: live.rule.subject, lasting=True),
    ("2:LimitValue",): prop(Builtin.DOUBLE, lambda live: live.rule.threshold, lasting=True),
    **_told("Probability", lambda told, _: told.probability),
    **_told("PredictedTime", _instant(lambda told: told.median_s)),
    **_told("EarliestTime", _instant(lambda told: told.early_s)),
    **_told("LatestTime", _instant(lambda told: told.late_s)),
    **_told("LeadTime", _lead_ms),
    **_told("Model", lambda told, _: told.model),
}
_OF_CERTIFICATE: Final[Fields] = {
    ("ExpirationDate",): prop(Builtin.DATE_TIME, lambda live: live.certificate[1] if live.certificate else None),
    ("CertificateType",): node_id(lambda _: _RSA_SHA256_CERTIFICATE),
    ("Certificate",): prop(Builtin.BYTE_STRING, lambda live: live.certificate[0] if live.certificate else None),
}
