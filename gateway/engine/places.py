"""Conditions by name, without their names: of 200 000 they would take more memory than the conditions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.model.alarm import FORECAST, AlarmRule

_KINDS: Final = ("/Alarms/", f"/{FORECAST}/")


class Places(Mapping[str, int]):
    """Row of a rule by its condition's name, in order of rows. Rules of one tag that follow each other are looked through."""

    def __init__(self, rules: Sequence[AlarmRule]) -> None:
        self._rules = rules
        self._first: dict[str, int] = {}  # by tag: where its rules begin,
        self._again: dict[str, list[int]] = {}  # and where more of them do
        before = None
        for row, rule in enumerate(rules):
            if rule.tag != before and self._first.setdefault(rule.tag, row) != row:
                self._again.setdefault(rule.tag, []).append(row)
            before = rule.tag

    def __getitem__(self, name: str) -> int:
        for kind in _KINDS:
            at = name.find(kind)
            while at >= 0:  # a tag's name may hold the word itself
                row = self._row(name[:at], name)
                if row is not None:
                    return row
                at = name.find(kind, at + 1)
        raise KeyError(name)

    def _row(self, tag: str, name: str) -> int | None:
        first = self._first.get(tag)
        if first is None:
            return None
        for begin in (first, *self._again.get(tag, ())):
            for row in range(begin, len(self._rules)):
                rule = self._rules[row]
                if rule.tag != tag:
                    break
                if rule.condition == name:
                    return row
        return None

    def __len__(self) -> int:
        return len(self._rules)

    def __iter__(self) -> Iterator[str]:
        return (rule.condition for rule in self._rules)
