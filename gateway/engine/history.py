"""The ring of twin commits in memory, as an undo log: a commit costs what changed in it, and any earlier state can be rebuilt."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.engine.where import Where
from gateway.model.batch import Floats, Rows, Times
from gateway.model.instant import iso
from gateway.model.quality import BAD, Statuses
from gateway.model.tag import TagTable, TagType

_ROW_BYTES: Final = 8 + 8 + 4 + 8
_ENTRY_BYTES: Final = 600  # the objects around the columns of one commit


@dataclass(frozen=True)
class Frame:
    """The twin at one moment: read-only columns by tag_id, and text by tag_id. It never changes."""

    version: int
    at_ns: int
    value: Floats
    status: Statuses
    source_ns: Times
    text: Mapping[int, str]

    def tree(self, tags: TagTable) -> dict[str, Any]:
        """The hierarchical dictionary of `tree`."""
        return tree(self.at_ns, self.value, self.status, self.text, tags)


class Undo(NamedTuple):
    """One commit: its version and time, and what it replaced."""

    version: int
    at_ns: int
    rows: Where
    value: Floats
    status: Statuses
    source_ns: Times
    text: Mapping[int, str | None]
    bytes: int


class Past:
    """A commit of the ring, rebuilt when it is looked at. It holds what it needs, so it outlives its place in the ring."""

    def __init__(self, version: int, at_ns: int, newest: Frame, undo: list[Undo]) -> None:
        """undo: the commits after this one, newest first."""
        self.version, self.at_ns = version, at_ns
        self._newest, self._undo = newest, undo

    @cached_property
    def _frame(self) -> Frame:
        value, status, source_ns = self._newest.value.copy(), self._newest.status.copy(), self._newest.source_ns.copy()
        text: dict[int, str | None] = dict(self._newest.text)
        for entry in self._undo:
            value[entry.rows], status[entry.rows], source_ns[entry.rows] = entry.value, entry.status, entry.source_ns
            text.update(entry.text)
        kept = {tag_id: words for tag_id, words in text.items() if words is not None}
        return Frame(self.version, self.at_ns, frozen(value), frozen(status), frozen(source_ns), kept)

    @property
    def value(self) -> Floats:
        return self._frame.value

    @property
    def status(self) -> Statuses:
        return self._frame.status

    @property
    def source_ns(self) -> Times:
        return self._frame.source_ns

    @property
    def text(self) -> Mapping[int, str]:
        return self._frame.text

    def tree(self, tags: TagTable) -> dict[str, Any]:
        """The hierarchical dictionary of `tree`."""
        return self._frame.tree(tags)


@dataclass(slots=True)
class Ring:
    """At most `length` commits and `bytes` of undo, whichever is less; the newest commit is always there.

    value, status, source_ns, text are the twin as of the newest commit.
    """

    length: int
    bytes: int
    value: Floats = field(default_factory=lambda: np.zeros(0))
    status: Statuses = field(default_factory=lambda: np.zeros(0, np.uint32))
    source_ns: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    text: dict[int, str] = field(default_factory=dict)
    used: int = 0
    entries: deque[Undo] = field(default_factory=deque)
    _newest: Frame | None = None

    def start(self, value: Floats, status: Statuses, source_ns: Times, text: Mapping[int, str]) -> None:
        """No commits yet; the first will be told apart from this state."""
        self.value, self.status, self.source_ns, self.text = value.copy(), status.copy(), source_ns.copy(), dict(text)
        self.forget()

    def forget(self) -> None:
        """No commits any more, the state stays."""
        self.entries.clear()
        self.used, self._newest = 0, None

    def grow(self, value: Floats, status: Statuses, source_ns: Times, size: int) -> None:
        """Longer columns, of which the rows from `size` on are new."""
        self.value = np.concatenate((self.value, value[size:]))
        self.status = np.concatenate((self.status, status[size:]))
        self.source_ns = np.concatenate((self.source_ns, source_ns[size:]))
        self._newest = None

    def commit(
        self, version: int, at_ns: int, changed: Rows, value: Floats, status: Statuses, source_ns: Times, text: Mapping[int, str]
    ) -> None:
        """A new commit, in which `changed` (each once) of the twin's live columns have changed; text holds the changed rows' texts."""
        before = {row: self.text.get(row) for row in text}
        rows: Where = changed
        if changed.size == self.value.size:  # all of it: the old columns become the undo as they are
            rows = slice(0, changed.size)
            undo = self.value, self.status, self.source_ns
            self.value, self.status, self.source_ns = value.copy(), status.copy(), source_ns.copy()
        else:
            undo = self.value[rows], self.status[rows], self.source_ns[rows]
            self.value[rows], self.status[rows], self.source_ns[rows] = value[rows], status[rows], source_ns[rows]
        size = changed.size * _ROW_BYTES + _ENTRY_BYTES + sum(len(words) * 4 for words in before.values() if words)
        self.entries.append(Undo(version, at_ns, rows, *undo, before, size))
        self.text.update(text)
        self.used += size
        self._newest = None
        while len(self.entries) > 1 and (len(self.entries) > self.length or self.used > self.bytes):
            self.used -= self.entries.popleft().bytes

    def at(self, at_ns: int) -> "Frame | Past | None":
        """The last commit at or before that time, None where the ring does not reach back so far."""
        undo: list[Undo] = []
        for entry in reversed(self.entries):
            if entry.at_ns <= at_ns:
                return Past(entry.version, entry.at_ns, self.newest(), undo) if undo else self.newest()
            undo.append(entry)
        return None

    def history(self, limit: int | None) -> "list[Frame | Past]":
        """The latest commits, oldest first; all of the ring without a limit."""
        count = len(self.entries) if limit is None else max(0, min(limit, len(self.entries)))
        newest_first = list(reversed(self.entries))
        pasts: list[Frame | Past] = [
            Past(newest_first[k].version, newest_first[k].at_ns, self.newest(), newest_first[:k]) for k in range(count)
        ]
        return pasts[::-1]

    def newest(self) -> Frame:
        """The newest commit, as a frame that stays."""
        if self._newest is None:
            last = self.entries[-1]
            self._newest = Frame(
                last.version,
                last.at_ns,
                frozen(self.value.copy()),
                frozen(self.status.copy()),
                frozen(self.source_ns.copy()),
                dict(self.text),
            )
        return self._newest


def frozen(column: Any) -> Any:
    """The same array, read only."""
    column.flags.writeable = False
    return column


def tree(at_ns: int, value: Floats, status: Statuses, text: Mapping[int, str], tags: TagTable) -> dict[str, Any]:
    """The hierarchical dictionary: dots become levels; None where the status is Bad; `timestamp` at the top (ISO 8601, Z).

    Tags that the columns do not reach (they came with a later reload) and tags out of use are left out.
    """
    root: dict[str, Any] = {"timestamp": iso(at_ns)}
    for tag, number, code in zip(tags, value.tolist(), status.tolist(), strict=False):
        if not tag.enabled:
            continue
        level = root
        *folders, leaf = tag.path
        for folder in folders:
            level = level.setdefault(folder, {})
        level[leaf] = None if code >= BAD else plain(tag.type, number, text.get(tag.tag_id))
    return root


def plain(kind: TagType, number: float, text: str | None) -> float | int | bool | str | None:
    """One value as its type, for JSON; None where there is none."""
    if kind is TagType.TEXT:
        return text
    if number != number:  # noqa: PLR0124  NaN, the only one that differs from itself
        return None
    if kind is TagType.FLOAT:
        return number
    return number != 0.0 if kind is TagType.BOOL else int(number)
