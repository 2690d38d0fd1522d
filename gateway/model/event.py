"""Events: something happened that a person or another program may want to know (categories and severities of the source documents)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Category(StrEnum):
    SYSTEM = "system"
    PROCESS = "process"
    OPTIMIZATION = "optimization"
    THRESHOLD = "threshold"
    USER = "user"
    ERROR = "error"


class Severity(StrEnum):
    INFO = "info"  # 1-400
    WARNING = "warning"  # 401-600
    ERROR = "error"  # 601-800
    CRITICAL = "critical"  # 801-1000

    @classmethod
    def of_level(cls, level: int) -> "Severity":
        """The word for an OPC UA severity of 1-1000."""
        if level <= 400:
            return cls.INFO
        if level <= 600:
            return cls.WARNING
        return cls.ERROR if level <= 800 else cls.CRITICAL

    @property
    def level(self) -> int:
        """The OPC UA severity of an event of which only the word is known."""
        return {Severity.INFO: 200, Severity.WARNING: 500, Severity.ERROR: 700, Severity.CRITICAL: 900}[self]


@dataclass(frozen=True, slots=True)
class Event:
    """One event. event_id is a uuid4 in text; details are JSON values only (no NaN)."""

    event_id: str
    timestamp_ns: int
    category: Category
    level: int  # 1-1000
    source: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    acknowledged: bool = False

    @property
    def severity(self) -> Severity:
        return Severity.of_level(self.level)
