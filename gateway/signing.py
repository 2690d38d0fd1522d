"""Every command, sign-in and sign-out leaves a record in the audit and an event, whichever face it came through."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from gateway.access.attempts import Thrifts, address_of
from gateway.access.people import Record, SignIn, SignOut
from gateway.events import Publisher
from gateway.model import quality
from gateway.model.command import Caller, Command, Outcome
from gateway.model.event import Severity
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store

log = structlog.get_logger()

SIGN_IN: Final = "session.sign_in"
SIGN_OUT: Final = "session.sign_out"
BAD_IDENTITY_TOKEN_REJECTED: Final = 0x8021_0000

FIRST_USER: Final = "there are no users yet: `edgetwin user add NAME --role admin` on this machine makes the first one"


def commands(store: Store, say: Publisher, now_ns: Callable[[], int]) -> Callable[[Command, Outcome], Awaitable[None]]:
    """The audit of the one door. A disk that refuses is an event, and stops no command.

    Refusals cost nothing and can be had as often as one likes: in a flood of one caller's most are only counted.
    """
    refused = Thrifts(burst=100, interval_s=10.0)

    async def audit(command: Command, outcome: Outcome) -> None:
        caller = command.caller
        if quality.word(outcome.status) == "bad":
            left_out = refused.take((caller.user, address_of(caller.origin)), time.monotonic())
            if left_out is None:
                return
            command = replace(command, args={**command.args, "left_out": left_out}) if left_out else command
        try:
            await store.audit(command, outcome, now_ns())
        except StoreUnavailable as fault:
            say.error("AuditNotWritten", f"{command.kind} by {caller.user}: {fault}", Severity.CRITICAL)
        if outcome.status == quality.GOOD:
            say.user(f"{command.kind} by {caller.user}", command=command.kind, user=caller.user, origin=caller.origin)

    return audit


def recorder(store: Store, say: Publisher, now_ns: Callable[[], int]) -> Record:
    """Writes the record and publishes the event; a disk that refuses is an event too, and keeps nobody out."""

    async def record(what: SignIn | SignOut) -> None:
        user, left = what.user or "unknown", isinstance(what, SignOut)
        args: Mapping[str, Any]
        kind, args = (SIGN_OUT, {"why": what.why}) if isinstance(what, SignOut) else (SIGN_IN, {"by": what.by})
        args = {**args, "left_out": what.left_out} if what.left_out else args
        refused = bool(what.why) and not left
        outcome = Outcome(BAD_IDENTITY_TOKEN_REJECTED, what.why, {}) if refused else Outcome(quality.GOOD, "done", {})
        try:
            await store.audit(Command(kind, args, Caller(what.user, what.role, what.origin)), outcome, now_ns())
        except StoreUnavailable as fault:
            say.error("AuditNotWritten", f"{kind} by {user}: {fault}", Severity.CRITICAL)
        details = {"user": what.user, "origin": what.origin, **args}
        if refused:
            say.user(f"sign-in refused: {user}", Severity.WARNING, why=what.why, **details)
            log.warning("sign-in refused", user=_shown(user), origin=what.origin, why=what.why, **args)
        else:
            say.user(f"{user} signed {'out' if left else 'in'}", role=what.role, **details)

    return record


def refusals(store: Store, say: Publisher, now_ns: Callable[[], int]) -> Callable[[Command, Outcome], Awaitable[None]]:
    """The same for those who were turned away before they could say who they are."""

    async def record(command: Command, outcome: Outcome) -> None:
        try:
            await store.audit(command, outcome, now_ns())
        except StoreUnavailable as fault:
            say.error("AuditNotWritten", f"{command.kind} from {command.caller.origin}: {fault}", Severity.CRITICAL)
        details = {"origin": command.caller.origin, "status": quality.name(outcome.status), **command.args}
        say.system(f"{command.kind} refused: {outcome.message}", Severity.WARNING, **details)
        log.warning("refused", what=command.kind, origin=command.caller.origin, why=_shown(outcome.message))

    return record


def _shown(text: str) -> str:
    """What a stranger wrote, fit for a log."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])
