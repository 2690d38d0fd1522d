"""Passwords: argon2id (RFC 9106) with the parameters of the OWASP password storage sheet, and which ones are refused.

Hashing takes 19 MiB and some 20 ms of a core: `Hasher` does it in a thread, one at a time, so that a flood of sign-ins takes neither the
loop nor the memory.
"""

import asyncio
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

LEAST: Final = 12  # characters
MOST: Final = 256
_DISTINCT: Final = 5  # characters that differ
_MEMORY_KIB: Final = 19 * 1024
_PASSES: Final = 2
_LANES: Final = 1

# of a password that nobody knows, with the parameters above: what an unknown name is checked against, so that it takes as long
_NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$xaAGC0VTbztNXTxmbObS8g$CSUD5ekc/jQpEy63PlhhkRAH4T3HCLrfKbzYi0bmOiM"

# the stems of the commonest passwords, as they stand after `_stem`
_COMMON: Final = frozenset(
    """abc abcd abcdef abcdefgh abcdefghijkl access admin administrator alpha automation baseball basketball batman biteme cheese chocolate
    changeme charlie computer controller corvette dallas default demo dragon edgetwin engineer factory flower football freedom gateway
    ginger guest hello hockey hunter iloveyou industrial internet jennifer jordan killer letmein liverpool login machine maintenance
    manager master matrix michael michelle monkey mustang network ninja operator passphrase passw password passwort pepper plant princess
    private production qazwsx qazwsxedc qwer qwerty qwertyui qwertyuiop qwertz qwertzuiop robert root samsung scada secret secure security
    service shadow siemens simatic soccer starwars station summer sunshine superman supervisor support system temp test testing thomas
    thunder trustno tigger user viewer welcome welcometo whatever william winter winner wizard yankees zaq zxcvbn zxcvbnm asdf asdfgh
    asdfghjkl motdepasse contrasena senha wachtwoord kennwort geheim haslo correcthorsebatterystaple""".split()  # noqa: SIM905  # one word a line would be a hundred lines
)
_LEET: Final = str.maketrans("@4301!|5$7", "aaeoiiisst")
_RUNS: Final = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm")


class Hasher:
    """Hashes and checks off the loop, one at a time."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def hash(self, password: str) -> str:
        """The PHC string to keep."""
        return await self._alone(lambda: _argon2().hash(_plain(password)))

    async def matches(self, kept: str, password: str) -> bool:
        """Whether this is the password. kept empty = nobody's: False, after as long as for anyone else."""
        return await self._alone(lambda: _matches(kept or _NOBODYS, password)) and kept != ""

    async def _alone(self, work: Callable[[], T]) -> T:
        async with self._one:
            return await asyncio.to_thread(work)


def outdated(kept: str) -> bool:
    """Whether this hash was made with other parameters than those of today."""
    return _argon2().check_needs_rehash(kept)


def fault(password: str, user: str) -> str | None:
    """Why this password is not good enough, or None. Pure. Length before composition (NIST SP 800-63B, 5.1.1.2)."""
    plain = unicodedata.normalize("NFC", password)
    if len(plain) < LEAST:
        return f"a password has {LEAST} characters at least"
    if len(plain) > MOST:
        return f"a password has {MOST} characters at most"
    if any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in plain):
        return "a password is text"
    folded = plain.casefold()
    if user and user.casefold() in folded and len(folded) - len(user) < LEAST:
        return "a password is more than the user's name"
    if len(set(folded)) < _DISTINCT or any(_is_run(folded, row) for row in _RUNS) or _stem(folded) in _COMMON or _repeats(folded):
        return "this password is among the commonest: three or four words that do not belong together are better"
    return None


def _plain(password: str) -> bytes:
    """RFC 8265, 4.2: the same characters give the same bytes, whatever keyboard they come from."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _matches(kept: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return len(password) <= MOST and _argon2().verify(kept, _plain(password))
    except (VerificationError, InvalidHashError):
        return False


@cache
def _argon2() -> "PasswordHasher":
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, hash_len=32, salt_len=16, type=Type.ID)


def _stem(folded: str) -> str:
    """What is left without the digits and signs around it, and with letters for the signs that stand for them."""
    return re.sub(r"[^a-z]", "", re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded).translate(_LEET))


def _repeats(folded: str) -> bool:
    """Whether it is a short piece, or a common one, again and again."""
    for size in range(1, len(folded) // 2 + 1):
        piece = folded[:size]
        if folded == (piece * len(folded))[: len(folded)] and (size < _DISTINCT or _stem(piece) in _COMMON):
            return True
    return False


def _is_run(folded: str, row: str) -> bool:
    return folded in row * 3 or folded in row[::-1] * 3
