"""People, tokens, certificates and the audit, through the running gateway or, with --config where it does not run, on its data directory,
which is locked meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from gateway.cli import daemon, offline, show
from gateway.cli.failure import FAILED, WRONG, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.access.people import People
    from gateway.store.store import Store

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Configuration of the gateway; where it does not run, its data directory is used.", show_default=False
    ),
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")]
_LONGEST: Final = 4096


class Place(Protocol):
    """Where people are kept."""

    def command(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """The outcome of a command."""

    def users(self) -> list[dict[str, Any]]: ...
    def tokens(self) -> list[dict[str, Any]]: ...
    def audit(self, limit: int, before: int | None, user: str | None) -> list[dict[str, Any]]: ...
    def verify(self) -> dict[str, Any]: ...


def place(url: str | None, name: str | None, config: Path | None) -> Place:
    """The running gateway, or the data of one that does not run."""
    if config is None:
        return _Running(daemon.find(url, name))
    if url is not None or name is not None:
        raise Failure(WRONG, "--config, --url and --name each say which gateway: give one of them")
    gateway = daemon.running(offline.site_of(config).gateway.name)
    return _Stopped(config) if gateway is None else _Running(gateway)


class _Running:
    """A gateway that runs."""

    def __init__(self, gateway: daemon.Daemon) -> None:
        self._gateway = gateway

    def command(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        return self._gateway.command(kind, args)

    def users(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._gateway.get("/users")["users"]
        return found

    def tokens(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._gateway.get("/tokens")["tokens"]
        return found

    def audit(self, limit: int, before: int | None, user: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._gateway.get("/audit", limit=limit, before=before, user=user)["records"]
        return found

    def verify(self) -> dict[str, Any]:
        found: dict[str, Any] = self._gateway.get("/audit/verify")
        return found


class _Stopped:
    """The data of a gateway that does not run. Whoever may write the directory is admin, as on the local socket."""

    def __init__(self, config: Path) -> None:
        self._config = config

    def command(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        return asyncio.run(self._command(kind, args))

    async def _command(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        import time

        from gateway.access.roles import allowed
        from gateway.model import quality
        from gateway.model.command import Caller, Command, Outcome
        from gateway.operations import Door, people
        from gateway.operations.certificates import Certificates

        gateway = offline.site_of(self._config).gateway
        certificates = Certificates(Path(gateway.data_dir) / "pki", gateway.name, time.time_ns)
        async with self._opened() as (store, register):

            async def audit(command: Command, outcome: Outcome) -> None:
                await store.audit(command, outcome, time.time_ns())

            door = Door(people.operations(register, _no_link) | certificates.operations(), allowed, audit)
            who = f"local:{os.getuid()}"
            outcome = await door.execute(Command(kind, args, Caller(who, "admin", who)))
        if outcome.status != quality.GOOD:
            raise Failure(FAILED, outcome.message, status=quality.name(outcome.status))
        return {"command": kind, "status": "Good", "result": dict(outcome.result)}

    def users(self) -> list[dict[str, Any]]:
        from gateway.web.rows import user_row

        async def read() -> list[dict[str, Any]]:
            async with self._opened() as (_, register):
                return [user_row(user, register) for user in register.users.all()]

        return asyncio.run(read())

    def tokens(self) -> list[dict[str, Any]]:
        from gateway.web.rows import token_row

        async def read() -> list[dict[str, Any]]:
            async with self._opened() as (_, register):
                return [token_row(token) for token in register.tokens.all()]

        return asyncio.run(read())

    def audit(self, limit: int, before: int | None, user: str | None) -> list[dict[str, Any]]:
        from gateway.web.rows import record_row

        async def read() -> list[dict[str, Any]]:
            async with self._opened() as (store, _):
                return [record_row(record) for record in await store.audit_log(limit, before, user)]

        return asyncio.run(read())

    def verify(self) -> dict[str, Any]:
        from gateway.web.rows import check_row

        async def read() -> dict[str, Any]:
            async with self._opened() as (store, _):
                return check_row(await store.audit_verify())

        return asyncio.run(read())

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[Store, People]]:
        import time

        from gateway.access.people import People

        async with offline.opened(self._config) as (store, _):
            register = People(store.people, now_ns=time.time_ns)
            await register.load()
            yield store, register


def _no_link(_user: str, _role: str) -> str:
    raise Failure(WRONG, "a one-time link is made by a running gateway")


def password(*, from_stdin: bool, twice: bool = True, ask: str = "Password") -> str:
    """What a person types, twice where it is new, or the first line of standard input. It is never an argument: those can be seen."""
    if from_stdin:
        return sys.stdin.readline(_LONGEST).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Failure(WRONG, "there is no terminal to ask for the password", "give it on standard input, with --password-stdin")
    import getpass

    first = getpass.getpass(f"{ask}: ")
    if twice and getpass.getpass(f"{ask}, once more: ") != first:
        raise Failure(WRONG, "the two passwords differ")
    return first


def told(outcome: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    """What was done, in words or as the outcome's result."""
    if as_json:
        show.document(outcome["result"])
    else:
        show.line(words)
