"""Faults of a configuration: what is wrong, exactly where, and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple


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
    """The configuration cannot work. faults holds every fault and warning found, in the order of the files."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults if not fault.warning))


@dataclass(slots=True)
class Faults:
    """Collects what is found while the configuration is read; reading goes on after a fault so that all of them are listed at once."""

    found: list[Fault] = field(default_factory=list)

    def add(self, place: Place, key: str, why: str, hint: str = "") -> None:
        self.found.append(Fault(place, key, why, hint))

    def warn(self, place: Place, key: str, why: str, hint: str = "") -> None:
        self.found.append(Fault(place, key, why, hint, warning=True))

    @property
    def fatal(self) -> bool:
        return any(not fault.warning for fault in self.found)

    def check(self) -> None:
        """Raises SettingsError when anything but warnings was found."""
        if self.fatal:
            raise SettingsError(self.found)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, else all of a short list."""
    known = sorted(set(known))
    lower = {name.lower(): name for name in known}
    close = get_close_matches(word[:100].lower(), lower, n=1, cutoff=0.6) if len(known) <= 20_000 else []
    if close:
        return f"did you mean {lower[close[0]]}?"
    if not known:
        return "none is declared"
    return f"known: {', '.join(known)}" if len(known) <= 40 else ""


def quote(text: object) -> str:
    """A value for a message: quoted, printable and short."""
    shown = repr(text)
    return shown if len(shown) <= 80 else shown[:70] + "...'"
