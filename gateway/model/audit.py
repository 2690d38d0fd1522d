"""What the audit says of commands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """records that were read; broken_at = the first seq whose hash or place does not fit, None where all do; head = the last hash."""

    records: int
    broken_at: int | None
    head: str


@dataclass(frozen=True, slots=True)
class AuditRecord:
    seq: int
    at_ns: int
    user: str
    role: str
    origin: str
    command: str
    args: str  # JSON
    status: int
    message: str
