"""What one durable transaction is made of."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.model.batch import Origin
from gateway.model.event import Event
from gateway.model.outbox import OutboxRow
from gateway.model.update import Columns


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the engine: the rows applied, derived ones included, and those that came too late for the twin."""

    now_ns: int
    origin: Origin
    rows: Columns
    late: Columns


@dataclass(frozen=True, slots=True)
class Commit:
    """All of it becomes durable, or nothing. token names the transaction: one that is given again is written once."""

    steps: Sequence[Step] = ()
    events: Sequence[Event] = ()
    outbox: Sequence[OutboxRow] = ()  # seq is given by the store
    snapshot: bytes | None = None  # of the engine after the last of the steps
    token: bytes = field(default_factory=lambda: secrets.token_bytes(12))
