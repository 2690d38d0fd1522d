"""Faults of a configuration: what is wrong, exactly where, and what would be right."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, NamedTuple

LISTED: Final = 1000
HINTED: Final = 200


class Place(NamedTuple):
    """A character of a file; line and column count from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. key is its path in the configuration, empty where the file itself is at fault. A warning does not stop a start."""

    place: Place
    key: str
    why: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.key + ': ' if self.key else ''}{self.why}{f' ({self.hint})' if self.hint else ''}"


class SettingsError(Exception):
    """The configuration cannot work. faults holds every fault and warning found, file by file and line by line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults if not fault.warning))


@dataclass(slots=True)
class Faults:
    """Collects what is found while the configuration is read; reading goes on after a fault so that all of them are listed at once."""

    found: list[Fault] = field(default_factory=list)
    fatal: bool = False
    more: int = 0  # faults beyond the first LISTED
    _seen: set[tuple[Place, str, str]] = field(default_factory=set)

    def add(self, place: Place, key: str, why: str, hint: str = "") -> None:
        self.fatal = True
        self._keep(Fault(place, key, why, hint))

    def warn(self, place: Place, key: str, why: str, hint: str = "") -> None:
        self._keep(Fault(place, key, why, hint, warning=True))

    def _keep(self, fault: Fault) -> None:
        """Once for each key of the file: one that several limits share is read for each of them."""
        seen = fault.place, fault.key.rpartition(".")[2], fault.why
        if seen in self._seen:
            return
        if len(self.found) < LISTED:
            self._seen.add(seen)
            self.found.append(fault)
        else:
            self.more += 1

    @property
    def hinting(self) -> bool:
        """False once there are many faults: each hint costs a search."""
        return len(self.found) < HINTED

    def nearest(self, word: str, known: Collection[str]) -> str:
        """The hint of the function, while hints are given."""
        return nearest(word, known) if self.hinting else ""

    def listed(self) -> list[Fault]:
        """All of them, file by file and line by line."""
        files = list(dict.fromkeys(fault.place.file for fault in self.found))
        ordered = sorted(self.found, key=lambda fault: (files.index(fault.place.file), fault.place.line, fault.place.column))
        if self.more:
            ordered.append(Fault(ordered[-1].place, "", f"and {self.more} more", "mend these first", warning=not self.fatal))
        return ordered

    def check(self) -> None:
        """Raises SettingsError when anything but warnings was found."""
        if self.fatal:
            raise SettingsError(self.listed())


def nearest(word: str, known: Collection[str]) -> str:
    """A hint that names the nearest known word, else all of a short list."""
    lower = {name.lower(): name for name in _candidates(word, known)}
    close = get_close_matches(word[:100].lower(), lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lower[close[0]]}?"
    if not known:
        return "none is declared"
    return f"known: {', '.join(sorted(known))}" if len(known) <= 40 else ""


def _candidates(word: str, known: Collection[str]) -> Collection[str]:
    """Of very many names those that share an end with the word: the search costs microseconds for each."""
    if len(known) <= 1000:
        return sorted(known)
    ends = word[:3], word[-3:]
    return [name for name in known if abs(len(name) - len(word)) <= 2 and (name[:3] == ends[0] or name[-3:] == ends[1])][:1000]


def quote(text: object) -> str:
    """A value for a message: quoted, printable and short."""
    shown = repr(text)
    return shown if len(shown) <= 80 else shown[:70] + "...'"
