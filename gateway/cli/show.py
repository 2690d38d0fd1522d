"""What verbs print: documents and tables on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_EXACT: Final = 2.0**53  # up to here a float holds every whole number


def line(text: str = "") -> None:
    """One line on stdout, at once also when piped; lone surrogates as question marks."""
    print(text.encode("utf-8", "replace").decode(), flush=True)  # noqa: T201 - this is the command line's own voice


def note(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - likewise


def document(content: Mapping[str, Any] | Sequence[Any], *, indent: int | None = 2) -> None:
    """One JSON document on stdout."""
    line(json.dumps(content, indent=indent, allow_nan=False))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """Columns as wide as their widest cell, two blanks between; those in `right` are aligned to the right."""
    cells = [list(head), *([("" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        padded = [cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))]
        line("  ".join(padded).rstrip())


def age(seconds: float | None) -> str:
    """A duration for a person: 1.5 s, 12 min, 3.2 h, 5 d; a dash for None."""
    if seconds is None:
        return "-"
    for unit, size, upto in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < upto:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def value(shown: Any) -> str:
    """A value of a tag: whole numbers with all their digits, others with twelve, a dash where there is none."""
    if shown is None:
        return "-"
    if isinstance(shown, float):
        return str(int(shown)) if shown.is_integer() and abs(shown) <= _EXACT else f"{shown:.12g}"
    return str(shown).lower() if isinstance(shown, bool) else str(shown)
