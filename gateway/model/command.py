"""Commands: every change that a client or a person asks for, as one typed record for `operations`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where: the audit's subject. role is one of viewer, operator, engineer, manager, admin."""

    user: str
    role: str
    origin: str  # `local:<uid>`, `web:<address>`, `opcua:<address>`, `mqtt`


@dataclass(frozen=True, slots=True)
class Command:
    """kind is a key of the operations table, for example `alarm.acknowledge`; args are JSON values."""

    kind: str
    args: Mapping[str, Any]
    caller: Caller


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: status is an OPC UA StatusCode; result are JSON values."""

    status: int
    message: str
    result: Mapping[str, Any]
