"""The Like operator's patterns (Part 4, 7.7.3, wildcard characters): % _ [] [^] and the backslash before a character that is meant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_ANY_NUMBER: Final = None  # stands for %
Step = Callable[[str], bool] | None


@dataclass(frozen=True, slots=True)
class Pattern:
    """Steps of one character each, and places where any number of characters may stand."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Every text is a pattern: a list that is not closed is the characters themselves."""
        return cls(tuple(_steps(text)))

    def matches(self, text: str) -> bool:
        """Whether the whole text fits. At most len(text) x len(steps) comparisons: no pattern is slow."""
        steps, at, step = self.steps, 0, 0
        star, resume = -1, 0  # the last %, and where the text goes on after it
        while at < len(text):
            here = steps[step] if step < len(steps) else _never
            if here is _ANY_NUMBER:
                star, resume = step, at
                step += 1
            elif here(text[at]):
                at, step = at + 1, step + 1
            elif star >= 0:
                resume += 1
                at, step = resume, star + 1
            else:
                return False
        return all(rest is _ANY_NUMBER for rest in steps[step:])


def _steps(text: str) -> Iterator[Step]:
    at = 0
    while at < len(text):
        character = text[at]
        end = _list_end(text, at) if character == "[" else 0
        if end:
            yield _one_of(text[at + 1 : end])
            at = end + 1
        elif character == "%":
            yield _ANY_NUMBER
            at += 1
        elif character == "_":
            yield _any
            at += 1
        else:
            escaped = character == "\\" and at + 1 < len(text)
            yield _exactly(text[at + 1] if escaped else character)
            at += 2 if escaped else 1


def _list_end(text: str, start: int) -> int:
    """Where the ] of a list stands; 0 where the list is empty or not closed."""
    at = start + 1 + text.startswith("^", start + 1)
    first = at
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "]":
            return at if at > first else 0
        at += 1
    return 0


def _one_of(inside: str) -> Step:
    """A list or a range: [abc], [a-f], [^0-9]."""
    outside = inside.startswith("^")
    characters: list[tuple[str, bool]] = []  # with whether it was escaped
    at = 1 if outside else 0
    while at < len(inside):
        escaped = inside[at] == "\\" and at + 1 < len(inside)
        characters.append((inside[at + 1] if escaped else inside[at], escaped))
        at += 2 if escaped else 1
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(characters):
        if at + 2 < len(characters) and characters[at + 1] == ("-", False):
            ranges.append((characters[at][0], characters[at + 2][0]))
            at += 3
        else:
            ranges.append((characters[at][0], characters[at][0]))
            at += 1
    return lambda character: any(low <= character <= high for low, high in ranges) is not outside


def _exactly(wanted: str) -> Step:
    return lambda character: character == wanted


def _any(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False
