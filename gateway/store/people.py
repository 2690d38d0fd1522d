"""People and tokens in edgetwin.db (Repository of `access`)."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from gateway.model.people import People, Token, User
from gateway.store.database import Database

_USER: Final = "name, role, password, certificate, disabled, created_ns, changed_ns"
_TOKEN: Final = "token_id, name, role, owner, key, created_ns, expires_ns"  # noqa: S105  # columns


class PeopleTable:
    """Each call is one transaction, durable on return, and raises StoreUnavailable. database gives the file that is open now."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    async def load(self) -> People:
        return await self._database().read(_load)

    async def put_user(self, user: User, *, signed_out: bool = False) -> None:
        await self._database().run(_put_user, user, signed_out)

    async def remove_user(self, name: str) -> None:
        await self._database().run(_remove_user, name)

    async def put_token(self, token: Token) -> None:
        await self._database().run(_put_token, token)

    async def remove_tokens(self, token_ids: Sequence[str]) -> None:
        await self._database().run(_remove_tokens, token_ids)


def _load(connection: sqlite3.Connection) -> People:
    users = [
        User(name, role, password, certificate, bool(disabled), created_ns, changed_ns)
        for name, role, password, certificate, disabled, created_ns, changed_ns in connection.execute(f"SELECT {_USER} FROM users")  # noqa: S608  # column names of our own
    ]
    tokens = [Token(*row) for row in connection.execute(f"SELECT {_TOKEN} FROM tokens")]  # noqa: S608  # as above
    (existed,) = connection.execute("SELECT count(*) FROM had_users").fetchone()
    return People(users, tokens, existed > 0)


def _put_user(connection: sqlite3.Connection, user: User, signed_out: bool) -> None:
    row = (user.name, user.role, user.password, user.certificate, int(user.disabled), user.created_ns, user.changed_ns)
    connection.execute(f"INSERT OR REPLACE INTO users({_USER}) VALUES(?, ?, ?, ?, ?, ?, ?)", row)  # column names of our own
    connection.execute("INSERT OR IGNORE INTO had_users(id) VALUES(1)")
    if signed_out:
        connection.execute("DELETE FROM tokens WHERE owner=?", (user.name,))


def _remove_user(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM users WHERE name=?", (name,))
    connection.execute("DELETE FROM tokens WHERE owner=?", (name,))


def _put_token(connection: sqlite3.Connection, token: Token) -> None:
    row = (token.token_id, token.name, token.role, token.owner, token.key, token.created_ns, token.expires_ns)
    connection.execute(f"INSERT OR REPLACE INTO tokens({_TOKEN}) VALUES(?, ?, ?, ?, ?, ?, ?)", row)  # as above


def _remove_tokens(connection: sqlite3.Connection, token_ids: Sequence[str]) -> None:
    connection.executemany("DELETE FROM tokens WHERE token_id=?", [(token_id,) for token_id in token_ids])
