"""Alarms: the rule (configuration), the condition (live) and the transition (record). Words of IEC 62682 / ISA-18.2 and OPC UA Part 9."""

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """Which limit of a tag a condition watches: the last segment of its node `s=<tag>/Alarms/<limit>`."""

    HIHI = "HIHI"
    HI = "HI"
    LO = "LO"
    LOLO = "LOLO"
    STATE = "STATE"  # an enum or bool tag stands in the named state
    BAD = "BAD"  # bad quality


class Change(StrEnum):
    """What a transition did."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """One limit of one tag. Delays run on engine time; the return is at threshold -/+ hysteresis."""

    tag_id: int
    tag: str
    limit: Limit
    threshold: float  # engineering units; the number of the state for STATE; unused for BAD
    hysteresis: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    severity: int = 500  # 1-1000
    message: str = ""
    cause: str = ""
    consequence: str = ""
    action: str = ""

    @property
    def condition(self) -> str:
        """Stable name of the condition, the NodeId's string part."""
        return f"{self.tag}/Alarms/{self.limit.value}"


@dataclass(frozen=True, slots=True)
class Condition:
    """The live state of one rule at one moment."""

    rule: AlarmRule
    active: bool
    acknowledged: bool
    since_ns: int  # of the last transition, engine time
    value: float  # at the last transition
    user: str = ""
    comment: str = ""

    @property
    def retained(self) -> bool:
        """Part 9, 5.5.2: of interest to a client while active or not acknowledged."""
        return self.active or not self.acknowledged


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one condition: the record that goes to the journal, to MQTT and to OPC UA alike."""

    rule: AlarmRule
    change: Change
    active: bool
    acknowledged: bool
    at_ns: int  # engine time
    source_ns: int  # of the sample that caused it, 0 where none did
    value: float
    status: int
    user: str = ""
    comment: str = ""
