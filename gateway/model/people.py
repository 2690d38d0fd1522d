"""People and machines that may sign in, as they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """One person. password: argon2id in PHC string form, empty where there is none; certificate: SHA-256 of its DER in hex, or empty."""

    name: str
    role: str
    password: str = ""
    certificate: str = ""
    disabled: bool = False
    created_ns: int = 0
    changed_ns: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """What a program signs in with. owner: the person it acts for, empty for a machine of its own; key: SHA-256 of the secret.

    expires_ns 0 = never.
    """

    token_id: str
    name: str
    role: str
    owner: str
    key: bytes
    created_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class People:
    """All that the disk knows of them. existed: there has been a user at some time."""

    users: Sequence[User] = ()
    tokens: Sequence[Token] = ()
    existed: bool = False
