"""The log of a real line: the columns of a run's event table, and the accounts of a log, which are those it was written from.

Beside `start`, `state_change` and `end` it has rows `produced` and `rejected`, one item each, `produced:12` for twelve at once, and the
state UNKNOWN for time that is not covered. duration is that of the state before the row's: 0 in rows of items, which begin no state.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.model import instant
from gateway.simulation.line.measured import PRODUCED, REJECTED, STATE_CHANGE, STATES, UNKNOWN, Account, Entry

COLUMNS: Final = ("datetime", "timestamp", "machine", "state", "event_type", "duration")
UNKNOWN_STATE: Final = "UNKNOWN"
START, END = "start", "end"
_KIND: Final = re.compile(r"(produced|rejected)(?::([1-9]\d{0,11}))?", re.ASCII)
_NUMBERS: Final = {state.value: row for row, state in enumerate(STATES)} | {UNKNOWN_STATE: UNKNOWN}
Row = tuple[str, float, str, str, str, float]


class LogError(Exception):
    """A log that cannot be read: which row (from 1), and why."""


def rows(entries: Mapping[str, Sequence[Entry]], begin_ns: int, end_ns: int) -> list[Row]:
    """The log from begin to end in order of time; timestamp counts seconds from begin_ns. An item belongs to the time before it."""
    found = list[tuple[int, int, Row]]()
    for name, own in entries.items():
        state, since_ns = UNKNOWN, begin_ns
        inside = list[Entry]()
        for entry in sorted(own, key=lambda one: one[0]):
            if entry[0] > end_ns or (entry[0] == end_ns and entry[1] == STATE_CHANGE):
                continue
            if entry[0] > begin_ns:
                inside.append(entry)
            elif entry[1] == STATE_CHANGE:
                state = entry[2]
        found.append((begin_ns, 0, _row(begin_ns, begin_ns, name, state, START, 0)))
        for at_ns, what, shown, number in inside:
            if what == STATE_CHANGE:
                found.append((at_ns, 1, _row(at_ns, begin_ns, name, shown, what, at_ns - since_ns)))
                state, since_ns = shown, at_ns
            else:
                kind = what if number == 1 else f"{what}:{number}"
                found.append((at_ns, 1, _row(at_ns, begin_ns, name, shown, kind, 0)))
        found.append((end_ns, 2, _row(end_ns, begin_ns, name, state, END, end_ns - since_ns)))
    return [row for _, _, row in sorted(found, key=lambda one: one[:2])]


def _row(at_ns: int, begin_ns: int, machine: str, state: int, kind: str, spent_ns: int) -> Row:
    word = UNKNOWN_STATE if state == UNKNOWN else STATES[state].value
    return instant.iso(at_ns), (at_ns - begin_ns) / 1e9, machine, word, kind, spent_ns / 1e9


def accounts_of(log: Iterable[Mapping[str, Any]], until_ns: int | None = None) -> tuple[dict[str, Account], int]:
    """The accounts of a log by machine, and the instant of its end; until_ns: no further than that. Raises LogError."""
    found, standing, end_ns = dict[str, Account](), dict[str, tuple[int, int]](), 0
    for number, row in enumerate(log, 1):
        at_ns, machine, state, kind = _read(number, row)
        if until_ns is not None and at_ns > until_ns:
            end_ns = until_ns
            continue
        end_ns = max(end_ns, at_ns)
        if machine not in found:
            found[machine] = Account(at_ns, instant.LAST_NS)
            standing[machine] = (at_ns, state)
            continue
        since_ns, before = standing[machine]
        if at_ns < since_ns:
            raise LogError(f"row {number}: {machine} is at an earlier time than in the row before")
        account = found[machine]
        if match := _KIND.fullmatch(kind):
            account.count(at_ns, PRODUCED if match[1] == PRODUCED else REJECTED, int(match[2] or 1), state)
            continue
        account.pass_by(since_ns, at_ns, before)
        standing[machine] = (at_ns, state)
    for machine, account in found.items():
        since_ns, before = standing[machine]
        account.pass_by(since_ns, end_ns, before)
        account.end_ns = end_ns
    return found, end_ns


def _read(number: int, row: Mapping[str, Any]) -> tuple[int, str, int, str]:
    for name in COLUMNS:
        if row.get(name) in (None, ""):
            raise LogError(f"row {number}: there is no {name}")
    at_ns, state, kind = instant.parse(row["datetime"]), _NUMBERS.get(str(row["state"])), str(row["event_type"])
    if at_ns is None:
        raise LogError(f"row {number}: {row['datetime']!r} is no instant")
    if state is None:
        raise LogError(f"row {number}: {row['state']!r} is no state: {', '.join(_NUMBERS)}")
    if kind not in {START, STATE_CHANGE, END} and not _KIND.fullmatch(kind):
        raise LogError(f"row {number}: {kind!r} is no event_type: {START}, {STATE_CHANGE}, {END}, {PRODUCED}, {REJECTED}, {PRODUCED}:12")
    return at_ns, str(row["machine"]), state, kind
