"""What a benchmark says: rows of a measured figure, the target for it, and what others need for the same, in one run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

PUBLISHED: Final = "open62541 (published)"  # measured elsewhere with the C library at -O2, so it stands beside a row without a ratio


@dataclass(frozen=True, slots=True)
class Row:
    """One line. measured None: not run, note says why. target None: a figure without a promise.

    others: the same work by other programs, in the same unit and run.
    """

    name: str
    measured: float | None
    unit: str
    target: float | None = None
    most: bool = True  # the target is the most that may be; False: the least
    others: Mapping[str, float | str] = field(default_factory=dict)
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not run"
        if self.target is None:
            return ""
        return "ok" if (self.measured <= self.target if self.most else self.measured >= self.target) else "over"

    def times(self, other: str) -> float | None:
        """How many times better we are than another; None where nothing was measured here."""
        theirs = self.others[other]
        if self.measured is None or self.measured <= 0 or isinstance(theirs, str):
            return None
        return theirs / self.measured if self.most else self.measured / theirs

    def record(self) -> dict[str, Any]:
        """For JSON."""
        target = None if self.target is None else f"{'<=' if self.most else '>='} {self.target:g}"
        ratios = {name: round(times, 1) for name in self.others if (times := self.times(name)) is not None}
        return {
            "row": self.name,
            "measured": None if self.measured is None else round_(self.measured),
            "unit": self.unit,
            "target": target,
            "verdict": self.verdict,
            "others": dict(self.others),
            "times_better": ratios,
            "note": self.note,
        }


def table(rows: Iterable[Row]) -> list[str]:
    """The rows as aligned text."""
    cells = [("", "measured", "target", "", "others in this run")]
    for row in rows:
        sign = "<=" if row.most else ">="
        measured = "-" if row.measured is None else f"{round_(row.measured):,g} {row.unit}"
        target = "" if row.target is None else f"{sign} {row.target:,g}"
        others = [_other(row, name) for name in row.others]
        cells.append((row.name, measured, target, row.verdict, "; ".join([*others, *([row.note] if row.note else [])])))
    widths = [max(len(cell[column]) for cell in cells) for column in range(4)]
    return [
        "  ".join((name.ljust(widths[0]), measured.rjust(widths[1]), target.rjust(widths[2]), verdict.ljust(widths[3]), more)).rstrip()
        for name, measured, target, verdict, more in cells
    ]


def _other(row: Row, name: str) -> str:
    theirs, times = row.others[name], row.times(name)
    return f"{name} {theirs}" if times is None or isinstance(theirs, str) else f"{name} {round_(theirs):,g} ({times:.3g}x)"


def round_(value: float) -> float:
    """Three significant digits, thousands whole."""
    return float(round(value)) if abs(value) >= 1000 else float(f"{value:.3g}")


def middle(values: Iterable[float]) -> float:
    """The median: what survives a neighbour on the machine."""
    return float(median(values))
