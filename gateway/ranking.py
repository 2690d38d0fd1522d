"""What was counted most often of very many, without looking at all of them again and again."""

from collections import Counter
from heapq import nsmallest
from typing import Any, Final

TOP: Final = 10


class Top:
    """The names that were counted most often, by number and then by name: exact, and kept up as they are counted."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._total = 0
        self._leaders: set[str] = set()
        self._worst: tuple[int, str] | None = None  # no better than the last of them, once there are ten

    def count(self, name: str) -> None:
        """Once more."""
        self._counts[name] += 1
        self._total += 1
        if name in self._leaders or (self._worst is not None and self._rank(name) > self._worst):
            return
        self._leaders.add(name)
        if len(self._leaders) > TOP:
            self._leaders.remove(max(self._leaders, key=self._rank))
        self._bound()

    def forget(self, counts: Counter[str]) -> None:
        """Those are of another time. Passes over all that are left."""
        self._counts -= counts
        self._total -= counts.total()
        self._leaders = set(nsmallest(TOP, self._counts, key=self._rank))
        self._bound()

    def _bound(self) -> None:
        self._worst = max(map(self._rank, self._leaders)) if len(self._leaders) == TOP else None

    def _rank(self, name: str) -> tuple[int, str]:
        return -self._counts[name], name

    def report(self) -> dict[str, Any]:
        """The first ten, and their share of all."""
        top = [(name, self._counts[name]) for name in sorted(self._leaders, key=self._rank)]
        total = max(self._total, 1)
        return {
            "top": [{"condition": name, "count": count, "share": round(count / total, 4)} for name, count in top],
            "top_share": round(sum(count for _, count in top) / total, 4),
        }
