"""The door: one table from the kind of a command to its permission and function. Every change leaves a record, a refused one too."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from gateway.model import quality
from gateway.model.command import Caller, Command, Outcome
from gateway.model.update import TwinUpdate
from gateway.operations.redact import LONGEST, LONGEST_REFUSED, redacted

Args = Mapping[str, Any]
BAD_RESOURCE_UNAVAILABLE: Final = 0x8004_0000
_LONGEST_MESSAGE: Final = 1_000  # characters
_SAID: Final = 1000  # a message may repeat an argument of a megabyte
_NEVER_UNAUDITED: Final = frozenset({"config:write", "history:import", "user:manage", "account:own", "cert:trust", "event:clear"})
"""Permissions for changes that nobody may make without a record."""


class Refused(Exception):
    """The command is not done; status says why on OPC UA, message in words (1000 characters of it), result (JSON values) in detail."""

    def __init__(self, status: int, message: str, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.result = status, message[:_SAID], result or {}


class Commanded(Protocol):
    """Where a command's update goes: down the normal road, and with its name and arguments into a recording."""

    def __call__(self, kind: str, update: TwinUpdate, **args: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of command. do(args, caller) returns the result as JSON values, or raises Refused. reads: it changes nothing."""

    permission: str
    do: Callable[[Args, Caller], Awaitable[Mapping[str, Any]]]
    summary: str
    reads: bool = False


class Door:
    """Commands of contracts.py. allowed(role, permission) decides; audit(command, outcome) keeps the record.

    unaudited() says why no record can be kept now: then configuration, people and certificates stay as they are, while the plant is
    served as ever.
    """

    def __init__(
        self,
        table: Mapping[str, Operation],
        allowed: Callable[[str, str], bool],
        audit: Callable[[Command, Outcome], Awaitable[None]],
        unaudited: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.table = dict(table)
        self._allowed, self._audit, self._unaudited = allowed, audit, unaudited
        self._closed = False
        self._under_way: set[asyncio.Task[Outcome]] = set()

    def close(self) -> None:
        """The gateway stops: what is asked for now could not be kept."""
        self._closed = True

    def permission(self, kind: str) -> str:
        """What a caller needs for it. Raises KeyError."""
        return self.table[kind].permission

    async def execute(self, command: Command) -> Outcome:
        """What was begun goes on to its end and its record, also where the caller's connection is lost meanwhile."""
        task = asyncio.create_task(self._execute(command))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _execute(self, command: Command) -> Outcome:
        outcome = await self._outcome(command)
        if len(outcome.message) > _LONGEST_MESSAGE:  # it quotes what was asked, which may be a megabyte
            outcome = replace(outcome, message=outcome.message[:_LONGEST_MESSAGE] + " ...")
        operation = self.table.get(command.kind)
        if outcome.status != quality.GOOD or operation is None or not operation.reads:
            await self._audit(redacted(command, LONGEST if outcome.status == quality.GOOD else LONGEST_REFUSED), outcome)
        return outcome

    async def _outcome(self, command: Command) -> Outcome:
        if self._closed:
            return Outcome(quality.BAD_SHUTDOWN, "the gateway is stopping", {})
        operation = self.table.get(command.kind)
        if operation is None:
            known = ", ".join(sorted(self.table))
            return Outcome(quality.BAD_NOT_SUPPORTED, f"there is no command {command.kind!r}; known: {known}", {})
        if not self._allowed(command.caller.role, operation.permission):
            why = f"{command.kind} needs the permission {operation.permission}, which the role {command.caller.role!r} has not"
            return Outcome(quality.BAD_USER_ACCESS_DENIED, why, {})
        fault = self._unaudited() if operation.permission in _NEVER_UNAUDITED and not operation.reads else None
        if fault is not None:
            return Outcome(BAD_RESOURCE_UNAVAILABLE, f"{command.kind} is not done while the audit cannot be written: {fault}", {})
        try:
            return Outcome(quality.GOOD, "done", await operation.do(command.args, command.caller))
        except Refused as refused:
            return Outcome(refused.status, refused.message, refused.result)


def text_of(args: Args, key: str, default: str | None = None) -> str:
    """A text argument; Refused where it is missing or something else."""
    value = args.get(key, default)
    if not isinstance(value, str):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is a text, got {value!r}")
    return value


def names_of(args: Args, key: str) -> list[str]:
    """A list of texts, or one text; Refused for anything else."""
    value = args.get(key)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is a text or a list of texts, got {value!r}")
    return names
