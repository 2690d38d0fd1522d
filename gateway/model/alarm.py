"""Alarms: the rule (configuration), the condition (live) and the transition (record). Words of IEC 62682 / ISA-18.2 and OPC UA Part 9."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import isfinite
from typing import Final

from gateway.model.forecast import Prediction

HOUR_NS: Final = 3_600_000_000_000
FORECAST: Final = "Forecast"
SYSTEM_TAG: Final = -1
"""tag_id of a rule that watches the gateway itself and no tag."""


class Limit(StrEnum):
    """What a condition watches: the last segment of its node `s=<tag>/Alarms/<limit>`."""

    HIHI = "HIHI"
    HI = "HI"
    LO = "LO"
    LOLO = "LOLO"
    LEVEL = "LEVEL"  # up to four limits of which one holds at a time (Part 9, 5.8.19, exclusive)
    DEV = "DEV"  # too far from a setpoint (5.8.22)
    ROC = "ROC"  # rate of change (5.8.23)
    STATE = "STATE"  # an enum or bool tag stands in the named state (5.8.24, off-normal)
    DISC = "DISC"  # a command was not followed in time (5.8.25, discrepancy)
    BAD = "BAD"  # bad quality
    SYSTEM = "SYSTEM"  # something of the gateway itself is not as it should be
    PREDICTED = "PREDICTED"  # a limit of the tag is forecast to be passed: an alert, no alarm (ISA-TR18.2.8)


VALUE_LIMITS: Final = frozenset({Limit.HIHI, Limit.HI, Limit.LO, Limit.LOLO})


class Change(StrEnum):
    """What a transition did."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    LEVEL = "level"  # a condition of several limits that stays active went to another one
    LATCHED = "latched"  # the process is back to normal, the condition stays active until its reset
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    COMMENTED = "commented"
    RESET = "reset"  # a latched condition was let go
    RE_ALARMED = "re_alarmed"  # active for so long that it asks for attention again
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"
    ENABLED = "enabled"
    DISABLED = "disabled"


class Action(StrEnum):
    """What a person may do to a condition (Part 9, 5.5 to 5.8; IEC 62682, 11)."""

    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    COMMENT = "comment"
    RESET = "reset"
    SHELVE = "shelve"  # for a while
    SHELVE_ONCE = "shelve_once"  # until it returns to normal
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"
    ENABLE = "enable"
    DISABLE = "disable"


class Shelving(IntEnum):
    """Part 9, 5.8.17 (ShelvedStateMachineType)."""

    UNSHELVED = 0
    TIMED = 1
    ONE_SHOT = 2


class ConditionRefused(Exception):
    """An action that the condition's state forbids; status is the StatusCode of Part 9 for it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(frozen=True, slots=True)
class Level:
    """One limit of an exclusive condition."""

    limit: Limit
    threshold: float
    severity: int


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """One limit of one tag. Delays run on engine time; the return is at threshold -/+ hysteresis."""

    tag_id: int
    tag: str
    limit: Limit
    threshold: float
    """Engineering units: the limit; the greatest distance for DEV and DISC; units per second for ROC; the state's number for STATE."""
    hysteresis: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    severity: int = 500  # 1-1000
    message: str = ""
    cause: str = ""
    consequence: str = ""
    action: str = ""
    levels: tuple[Level, ...] = ()  # of LEVEL, from LOLO to HIHI
    target_id: int = -1  # of DEV and DISC: the tag of the setpoint or command
    target: str = ""  # its name
    latch: bool = False  # stays active until it is reset
    confirm: bool = False  # after the acknowledgement comes a confirmation
    re_alarm_ns: int = 0  # 0 = never
    shelve_max_ns: int = 8 * HOUR_NS
    subject: str = ""  # of SYSTEM: which one, for example `source.plc1`; of PREDICTED: the limit's word
    symbol: str = ""  # of the tag's unit, for messages
    labels: tuple[tuple[int, str], ...] = ()  # of the tag's states, for messages

    def shown(self, value: float) -> str:
        """A value of the tag as messages show it: its label, or at most five digits and the unit."""
        label = dict(self.labels).get(int(value)) if isfinite(value) else None
        return label or f"{value:.5g} {self.symbol}".rstrip()

    @property
    def condition(self) -> str:
        """Stable name of the condition, the NodeId's string part."""
        kind = FORECAST if self.limit is Limit.PREDICTED else "Alarms"
        return f"{self.tag}/{kind}/{self.subject or self.limit.value}"


@dataclass(frozen=True, slots=True)
class Condition:
    """The live state of one rule at one moment."""

    rule: AlarmRule
    active: bool
    acknowledged: bool
    since_ns: int  # of the last transition, engine time
    value: float  # at the last change of active or level
    user: str = ""  # who acted last, "" where it was time alone
    comment: str = ""  # what was said last, since it was raised
    status: int = 0  # the tag's at the last change of active or level
    enabled: bool = True
    confirmed: bool = True
    latched: bool = False  # the process is back to normal, the condition waits for its reset
    shelving: Shelving = Shelving.UNSHELVED
    unshelve_ns: int = 0  # engine time at which the shelving ends at the latest, 0 where there is none
    suppressed: bool = False
    out_of_service: bool = False
    level: Limit | None = None  # which limit holds: HIHI to LOLO of LEVEL, HI or LO of DEV and ROC
    severity: int = 500  # of the level that holds
    active_ns: int = 0  # when it became active last
    serial: int = 0  # counts the transitions: the EventId is made of it
    raised_serial: int = 0  # that of the last transition that asked for an acknowledgement
    message: str = ""  # of SYSTEM: what was said as it came
    comment_user: str = ""  # who said the comment,
    comment_ns: int = 0  # and when, engine time
    change: Change | None = None  # the last transition, None before the first
    last_severity: int = 0  # the one that was told before the present one; 0 while it has not changed
    prediction: Prediction | None = None  # of PREDICTED: the newest that it rests on

    @property
    def retained(self) -> bool:
        """Part 9, 5.5.2: of interest to a client while enabled and active, or not acknowledged or confirmed."""
        return self.enabled and (self.active or not self.acknowledged or not self.confirmed)

    @property
    def threshold(self) -> float | None:
        """What the value is held against: that of the level that holds, of LEVEL; None where a number says nothing."""
        if self.rule.limit in {Limit.BAD, Limit.SYSTEM}:
            return None
        if self.rule.limit is not Limit.LEVEL:
            return self.rule.threshold
        return next((level.threshold for level in self.rule.levels if level.limit is self.level), None)

    @property
    def silenced(self) -> bool:
        """Part 9, 5.8.2 (SuppressedOrShelved)."""
        return self.suppressed or self.out_of_service or self.shelving is not Shelving.UNSHELVED

    @property
    def event_id(self) -> bytes:
        """Part 9, 5.5.2 (EventId): of the transition that led to this state."""
        return event_id(self.rule.condition, self.serial)


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one condition: the record that goes to the journal, to MQTT and to OPC UA alike."""

    condition: Condition  # as it stands after the change
    change: Change
    at_ns: int  # engine time
    source_ns: int = 0  # of the sample that caused it, 0 where none did

    @property
    def rule(self) -> AlarmRule:
        return self.condition.rule

    @property
    def active(self) -> bool:
        return self.condition.active

    @property
    def acknowledged(self) -> bool:
        return self.condition.acknowledged

    @property
    def value(self) -> float:
        return self.condition.value

    @property
    def status(self) -> int:
        return self.condition.status

    @property
    def user(self) -> str:
        return self.condition.user

    @property
    def comment(self) -> str:
        return self.condition.comment


def predicted(rules: Iterable[AlarmRule], severity: int, shelve_max_ns: int = 8 * HOUR_NS) -> tuple[AlarmRule, ...]:
    """One rule of kind PREDICTED for each limit of a value (HIHI, HI, LO, LOLO) that these rules watch; severity is theirs."""
    found: dict[str, AlarmRule] = {}
    for rule in rules:
        for level in rule.levels or (Level(rule.limit, rule.threshold, rule.severity),):
            if level.limit in VALUE_LIMITS:
                one = AlarmRule(
                    rule.tag_id, rule.tag, Limit.PREDICTED, level.threshold, severity=severity, cause=rule.cause,
                    consequence=rule.consequence, action=rule.action, shelve_max_ns=shelve_max_ns, subject=level.limit.value,
                    symbol=rule.symbol, labels=rule.labels,
                )  # fmt: skip
                found.setdefault(one.condition, one)
    return tuple(found.values())


def event_id(condition: str, serial: int) -> bytes:
    """16 bytes that name one transition of one condition, the same after a restart."""
    return hashlib.blake2b(condition.encode(), digest_size=8).digest() + serial.to_bytes(8, "big")


def serial_of(condition: str, identifier: bytes) -> int | None:
    """The serial in an EventId of that condition; None for any other bytes."""
    serial = int.from_bytes(identifier[8:], "big")
    return serial if identifier == event_id(condition, serial) else None
