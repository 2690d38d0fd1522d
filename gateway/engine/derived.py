"""Derived tags: computed from other tags, in topological order, and only where an input changed."""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from gateway.model.batch import Floats, Mask, Rows, Times
from gateway.model.derived import DerivedRule
from gateway.model.expression import Expression, Memory, parse
from gateway.model.quality import Statuses
from gateway.model.tag import TagTable


class CycleError(ValueError):
    """Derived tags that need each other. path begins and ends with the same tag."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__("derived tags in a circle: " + " -> ".join(path))
        self.path = tuple(path)


def ordered(inputs: Mapping[str, Collection[str]]) -> list[str]:
    """The keys so that each comes after those of its inputs that are keys too. Raises CycleError with the path."""
    done: dict[str, None] = {}
    for start in inputs:
        path: dict[str, Iterable[str]] = {start: iter(inputs[start])}
        while path and start not in done:
            name = next(reversed(path))
            follower = next((other for other in path[name] if other in inputs and other not in done), None)
            if follower is None:
                path.pop(name)
                done[name] = None
            elif follower in path:
                walked = list(path)
                raise CycleError([*walked[walked.index(follower) :], follower])
            else:
                path[follower] = iter(inputs[follower])
    return list(done)


@dataclass(slots=True)
class Formula:
    """One derived tag at work: its expression, the rows that it reads, and what its integrals and rates remember."""

    tag_id: int
    tag: str
    expression: Expression
    inputs: tuple[int, ...]
    memories: list[Memory]


@dataclass(frozen=True, slots=True)
class Results:
    """Derived samples, each tag once, inputs before what reads them. value is NaN where the status is Bad."""

    rows: Rows
    value: Floats
    status: Statuses
    source_ns: Times


class Derived:
    """All derived tags of a table. feeds: bool by tag_id, the tags that some expression reads."""

    def __init__(self, rules: Sequence[DerivedRule], tags: TagTable) -> None:
        """Raises ExpressionError, CycleError, and ValueError for a rule without its tag."""
        by_name = {rule.tag: rule for rule in rules if rule.tag not in tags.index or tags[tags.index[rule.tag]].enabled}
        for rule in rules:
            if tags.index.get(rule.tag) != rule.tag_id:
                near = get_close_matches(rule.tag, tags.index, 1)
                raise ValueError(f"no tag {rule.tag!r} in the table" + (f" (did you mean {near[0]}?)" if near else ""))
        parsed = {name: parse(rule.expression, tags.index) for name, rule in by_name.items()}
        order = ordered({name: expression.names for name, expression in parsed.items()})
        self.formulas = [self._formula(by_name[name].tag_id, parsed[name], tags) for name in order]
        self.feeds: Mask = np.zeros(len(tags), bool)
        self._readers: dict[int, tuple[int, ...]] = {}
        self._index(len(tags))

    @staticmethod
    def _formula(tag_id: int, expression: Expression, tags: TagTable) -> Formula:
        inputs = tuple(tags.index[name] for name in expression.names)
        return Formula(tag_id, tags[tag_id].name, expression, inputs, expression.memories())

    def _index(self, size: int) -> None:
        """For each tag, the formulas that read it."""
        readers: dict[int, list[int]] = {}
        for place, formula in enumerate(self.formulas):
            for tag_id in formula.inputs:
                readers.setdefault(tag_id, []).append(place)
        self._readers = {tag_id: tuple(places) for tag_id, places in readers.items()}
        self.feeds = np.zeros(size, bool)
        self.feeds[list(readers)] = True

    def evaluate(self, changed: Rows, value: Floats, status: Statuses, source_ns: Times, fixed: Collection[int]) -> Results:
        """What follows from these changed rows (some of which feed an expression); columns of the twin, which stay as they are.

        status = worst input, source_ns = newest input, no number = BadOutOfRange. fixed: tags under manual input, whose readers see that.
        """
        places = {place for row in changed.tolist() for place in self._readers.get(row, ())}
        return self._run(places, value, status, source_ns, fixed, 0)

    def pause(self, rows: Rows) -> None:
        """The source times of these rows go back: integrals and rates over them, and over what follows from them, pause as across a gap."""
        waiting, seen = rows.tolist(), set[int]()
        while waiting:
            for place in self._readers.get(waiting.pop(), ()):
                if place not in seen:
                    seen.add(place)
                    waiting.append(self.formulas[place].tag_id)
                    for memory in self.formulas[place].memories:
                        memory.known = False

    def constants(self, now_ns: int, value: Floats, status: Statuses, source_ns: Times) -> Results:
        """The formulas that read no tag, as of now, and what reads them."""
        return self._run({k for k, formula in enumerate(self.formulas) if not formula.inputs}, value, status, source_ns, (), now_ns)

    def _run(
        self, places: set[int], value: Floats, status: Statuses, source_ns: Times, fixed: Collection[int], earliest_ns: int
    ) -> Results:
        """The formulas at these places and all that read them, lowest place first: inputs before what reads them."""
        due, queue = set(places), sorted(places)  # a sorted list is a heap
        fresh: dict[int, tuple[float, int, int]] = {}
        seen: dict[int, tuple[float, int, int]] = {}
        while queue:
            formula = self.formulas[heapq.heappop(queue)]
            known = [seen.get(row) or (value.item(row), status.item(row), source_ns.item(row)) for row in formula.inputs]
            newest = max((at for _, _, at in known), default=earliest_ns)
            number, code = formula.expression.advance([v for v, _, _ in known], [s for _, s, _ in known], newest, formula.memories)
            fresh[formula.tag_id] = (number, code, newest)
            if formula.tag_id in fixed:
                continue
            seen[formula.tag_id] = fresh[formula.tag_id]
            for place in self._readers.get(formula.tag_id, ()):
                if place not in due:
                    due.add(place)
                    heapq.heappush(queue, place)
        return Results(
            np.fromiter(fresh, np.intp, len(fresh)),
            np.array([number for number, _, _ in fresh.values()], np.float64),
            np.array([code for _, code, _ in fresh.values()], np.uint32),
            np.array([at for _, _, at in fresh.values()], np.int64),
        )
