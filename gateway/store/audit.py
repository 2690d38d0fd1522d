"""The audit of commands: append-only, and chained by hash, so that a change in the middle shows (IEC 62443-3-3, SR 3.9).

hash = SHA-256 over the hash before and the canonical JSON of the record. The chain proves order and content up to its last record;
that none was cut off its end shows only where its head is kept elsewhere too.
"""

import hashlib
import json
import sqlite3
from typing import Any, Final

from gateway.model.audit import AuditCheck, AuditRecord
from gateway.model.command import Command, Outcome
from gateway.store.packing import to_bytes

_FIRST: Final = bytes(32)
_LAST: Final = 2**63 - 1
_COLUMNS: Final = "seq, at_ns, user, role, origin, command, args, status, message, prev_hash, hash"


def append(connection: sqlite3.Connection, command: Command, outcome: Outcome, at_ns: int) -> int:
    """Add one record; its seq."""
    last = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, before = (last[0] + 1, last[1]) if last else (1, _FIRST)
    caller = command.caller
    args = json.dumps(dict(command.args), default=str, sort_keys=True, separators=(",", ":"))
    record = (seq, at_ns, caller.user, caller.role, caller.origin, command.kind, args, outcome.status, outcome.message)
    values = [to_bytes(value) if isinstance(value, str) else value for value in record]
    marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, str) else "?" for value in record)
    connection.execute(f"INSERT INTO audit({_COLUMNS}) VALUES({marks}, ?, ?)", (*values, before, _hash(before, record)))  # marks only
    return seq


def verify(connection: sqlite3.Connection) -> AuditCheck:
    """Read the whole chain."""
    before, expected = _FIRST, 1
    for row in connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq"):  # noqa: S608  # column names of our own
        *record, prev_hash, own = row
        if record[0] != expected or prev_hash != before or own != _hash(before, tuple(record)):
            return AuditCheck(expected - 1, expected, before.hex())
        before, expected = own, expected + 1
    return AuditCheck(expected - 1, None, before.hex())


def newest(connection: sqlite3.Connection, limit: int, before: int | None = None, user: str | None = None) -> list[AuditRecord]:
    """Newest first; those with a smaller seq than `before`, and of one user, where that is given."""
    sql = f"SELECT {_COLUMNS} FROM audit WHERE seq < ? AND (? IS NULL OR user = ?) ORDER BY seq DESC LIMIT ?"  # noqa: S608  # as above
    rows = connection.execute(sql, (_LAST if before is None else min(max(before, 0), _LAST), user, user, limit))
    return [AuditRecord(*row[:9]) for row in rows]


def _hash(before: bytes, record: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(before + json.dumps(record, separators=(",", ":")).encode()).digest()
