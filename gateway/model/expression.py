"""The language of derived tags, interlocks and model equations: arithmetic, comparison and a few functions over tags, by tag name.

    expression = or ; or = and {"or" and} ; and = not {"and" not} ; not = "not" not | comparison
    comparison = sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
    sum = product {("+" | "-") product} ; product = unary {("*" | "/") unary} ; unary = ("-" | "+") unary | atom
    atom = number | "true" | "false" | tag | function "(" expression {"," expression} ")" | "(" expression ")"

Everything is a number: true is 1, false is 0, and what is not 0 counts as true. Functions: min, max, abs, sqrt, clip(x, low, high),
if(condition, then, else), integral(x) = the time integral in x times hours (kW gives kW.h) with each value held until the next one,
rate(x) = the change of x per second between its last two samples.
What the words do is an Algebra: on single numbers here, on arrays where the equations of a model are read.
A tag's name may contain "-" and begin with a digit: the longest known name wins, so `a.b-c` is a tag where there is one and a
difference otherwise.
"""

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from gateway.model import quality

HOUR_NS: Final = 3_600_000_000_000
_LONGEST: Final = 4096
_DEEPEST: Final = 48
_SPACE: Final = re.compile(r"\s*")
_NUMBER: Final = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_WORD: Final = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_SYMBOL: Final = re.compile(r"<=|>=|==|!=|[-+*/<>(),]")
_KEYWORDS: Final = frozenset({"and", "or", "not", "true", "false"})
_ARITY: Final = {
    "min": (1, 64),
    "max": (1, 64),
    "abs": (1, 1),
    "sqrt": (1, 1),
    "clip": (3, 3),
    "if": (3, 3),
    "integral": (1, 1),
    "rate": (1, 1),
}

Values = Sequence[float]
Node = Callable[[Values, Values], float]
"""Evaluates one node from the input values and the values of the stateful calls."""


@dataclass(frozen=True, slots=True)
class Algebra:
    """What operators and functions do. negate: "not"; every, some: "and", "or" of two and more; arity: the fewest and most arguments."""

    operators: Mapping[str, Callable[[Any, Any], Any]]
    functions: Mapping[str, Callable[[list[Node]], Node]]
    negate: Callable[[Node], Node]
    every: Callable[[list[Node]], Node]
    some: Callable[[list[Node]], Node]
    arity: Mapping[str, tuple[int, int]] = field(default_factory=lambda: _ARITY)


class ExpressionError(ValueError):
    """The text is no expression. position counts characters from 0; why and hint are for people."""

    def __init__(self, position: int, why: str, hint: str = "") -> None:
        super().__init__(f"character {position + 1}: {why}" + (f" ({hint})" if hint else ""))
        self.position, self.why, self.hint = position, why, hint


@dataclass(slots=True)
class Memory:
    """What one integral or rate call remembers: its output, and the last input with its source time. known is False across a gap."""

    kind: str
    output: float = 0.0
    last: float = 0.0
    at_ns: int = 0
    known: bool = False
    ready: bool = False  # False until there is an output

    def feed(self, x: float, at_ns: int) -> None:
        """One more input. An integral holds each value until the next one, as a source that reports by exception means it, and pauses
        across a gap; a time that does not advance adds nothing."""
        elapsed = at_ns - self.at_ns
        if self.known and elapsed > 0:
            if self.kind == "integral":
                self.output += self.last * (elapsed / HOUR_NS)
            else:
                self.output, self.ready = (x - self.last) / (elapsed / 1e9), True
        if self.kind == "integral":
            self.ready = True
        if not self.known or elapsed >= 0:
            self.last, self.at_ns, self.known = x, at_ns, True


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. names are the tags it reads, in order of first use; values and statuses are given in that order."""

    text: str
    names: tuple[str, ...]
    node: Node
    calls: tuple[tuple[str, Node], ...] = field(default=())

    def memories(self) -> list[Memory]:
        """Fresh memory for each integral and rate call."""
        return [Memory(kind) for kind, _ in self.calls]

    def evaluate(self, values: Values, statuses: Sequence[int]) -> tuple[float, int]:
        """The value and its status, for an expression without integral and rate (an interlock).

        The status is that of the worst input; no number (a division by zero, an overflow) is BadOutOfRange. Bad comes with NaN.
        """
        return self.advance(values, statuses, 0, [])

    def advance(self, values: Values, statuses: Sequence[int], at_ns: int, memories: list[Memory]) -> tuple[float, int]:
        """The same, with integrals and rates carried on to at_ns in memories (as made by `memories`)."""
        status = worst(statuses)
        if status >= quality.BAD:
            for memory in memories:
                memory.known = False
            return math.nan, status
        outputs: list[float] = []
        try:
            for (_, argument), memory in zip(self.calls, memories, strict=True):
                memory.feed(argument(values, outputs), at_ns)
                outputs.append(memory.output)
            value = self.node(values, outputs)
        except (ZeroDivisionError, OverflowError):
            return math.nan, quality.BAD_OUT_OF_RANGE
        if not math.isfinite(value):
            return math.nan, quality.BAD_OUT_OF_RANGE
        if not all(memory.ready for memory in memories):
            return math.nan, quality.BAD_WAITING_FOR_INITIAL_DATA
        return value, status


def worst(statuses: Sequence[int]) -> int:
    """The first of the worst: Bad before Uncertain before Good (Part 4, 7.39.1). All Good is plain Good."""
    found = quality.GOOD
    for status in statuses:
        if (status >> 30) > (found >> 30):
            found = status
    return found


def parse(text: str, names: Collection[str], *, stateful: bool = True, algebra: Algebra | None = None) -> Expression:
    """Reads an expression over the tags `names`. stateful=False refuses integral and rate, which an interlock cannot have.

    algebra: what its words do, on single numbers without it.

    Raises ExpressionError with the position and, for an unknown name, the nearest known one.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(_LONGEST, f"longer than {_LONGEST} characters")
    parser = _Parser(text, names if isinstance(names, set | frozenset | dict) else frozenset(names), stateful, algebra or SCALAR)
    node = parser.expression(0)
    if parser.token.kind != "end":
        raise ExpressionError(parser.token.position, f"{parser.token.text!r} does not continue the expression")
    return Expression(text, tuple(parser.inputs), node, tuple(parser.calls))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, tag, word, symbol, end
    text: str
    position: int


_POWER: Final = {"or": 1, "and": 2, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6}
_NOT, _COMPARISON, _UNARY = 3, 4, 7


class _Parser:
    """Precedence climbing (Pratt); one token ahead."""

    def __init__(self, text: str, names: Collection[str], stateful: bool, algebra: Algebra) -> None:
        self.text, self.names, self.stateful, self.algebra = text, names, stateful, algebra
        self.inputs: dict[str, int] = {}
        self.calls: list[tuple[str, Node]] = []
        self.depth = 0
        self.token = self._read(0)

    def expression(self, power: int) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ExpressionError(self.token.position, f"nested deeper than {_DEEPEST} levels")
        left = self._prefix()
        while (own := self._infix_power()) > power:
            steps: list[tuple[str, Node]] = []
            while self._infix_power() == own:
                if own == _COMPARISON and steps:
                    raise ExpressionError(self.token.position, "comparisons do not chain", "write a < b and b < c")
                symbol = self._take().text
                steps.append((symbol, self.expression(own)))
            left = _chain(left, steps, self.algebra)
        self.depth -= 1
        return left

    def _infix_power(self) -> int:
        return _POWER.get(self.token.text, 0) if self.token.kind in {"symbol", "word"} else 0

    def _take(self) -> _Token:
        token = self.token
        self.token = self._read(token.position + len(token.text))
        return token

    def _prefix(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return _constant(float(token.text))
        if token.kind == "tag":
            return _input(self.inputs.setdefault(token.text, len(self.inputs)))
        if token.kind == "word":
            return self._word(token)
        if token.text == "(":
            node = self.expression(0)
            self._expect(")", token)
            return node
        if token.text in {"-", "+"}:
            node = self.expression(_UNARY)
            return _negative(node) if token.text == "-" else node
        what = "the expression ends too early" if token.kind == "end" else f"{token.text!r} cannot stand here"
        raise ExpressionError(token.position, what)

    def _word(self, token: _Token) -> Node:
        if token.text in {"true", "false"}:
            return _constant(1.0 if token.text == "true" else 0.0)
        if token.text == "not":
            return self.algebra.negate(self.expression(_NOT))
        if token.text not in self.algebra.arity or self.token.text != "(":
            raise ExpressionError(token.position, f"{token.text!r} cannot stand here")
        opening = self._take()
        arguments = [self.expression(0)]
        while self.token.text == ",":
            self._take()
            arguments.append(self.expression(0))
        self._expect(")", opening)
        return self._call(token, arguments)

    def _call(self, token: _Token, arguments: list[Node]) -> Node:
        low, high = self.algebra.arity[token.text]
        if not low <= len(arguments) <= high:
            wanted = f"{low}" if low == high else f"{low} to {high}"
            raise ExpressionError(token.position, f"{token.text} takes {wanted} arguments, not {len(arguments)}")
        if token.text not in {"integral", "rate"}:
            return self.algebra.functions[token.text](arguments)
        if not self.stateful:
            raise ExpressionError(
                token.position, f"{token.text} needs a derived tag of its own", "declare it under derived and use its name here"
            )
        self.calls.append((token.text, arguments[0]))
        return _output(len(self.calls) - 1)

    def _expect(self, symbol: str, opened: _Token) -> None:
        if self.token.text != symbol:
            raise ExpressionError(self.token.position, f"{symbol!r} expected for the {opened.text!r} at character {opened.position + 1}")
        self._take()

    def _read(self, start: int) -> _Token:
        at = _space(self.text, start)
        if at == len(self.text):
            return _Token("end", "", at)
        if (match := _NAME.match(self.text, at)) and (token := self._named(match.group(), at)):
            return token
        if match := _NUMBER.match(self.text, at):
            return _Token("number", match.group(), at)
        if match := _SYMBOL.match(self.text, at):
            return _Token("symbol", match.group(), at)
        if match := _WORD.match(self.text, at):
            near = get_close_matches(match.group(), [*self.names, *self.algebra.arity], 1)
            raise ExpressionError(at, f"there is no tag {match.group()!r}", f"did you mean {near[0]}?" if near else "")
        raise ExpressionError(at, f"{self.text[at]!r} is not part of the language")

    def _named(self, run: str, at: int) -> _Token | None:
        """The keyword, function or longest known tag at the start of a run of name characters."""
        word = _WORD.match(run)
        if run in self.names and not (word and word.group() == run and (run in _KEYWORDS or run in self.algebra.arity)):
            return _Token("tag", run, at)
        if word and word.group() in _KEYWORDS:
            return _Token("word", word.group(), at)
        if word and word.group() in self.algebra.arity and self.text.startswith("(", _space(self.text, at + word.end())):
            return _Token("word", word.group(), at)
        while run:
            if run in self.names:
                return _Token("tag", run, at)
            run = run[: run.rfind("-")] if "-" in run else ""
        return None


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _constant(number: float) -> Node:
    return lambda _v, _o: number


def _input(place: int) -> Node:
    return lambda v, _o: v[place]


def _output(place: int) -> Node:
    return lambda _v, o: o[place]


def _negative(a: Node) -> Node:
    return lambda v, o: -a(v, o)


def _not(a: Node) -> Node:
    return lambda v, o: float(a(v, o) == 0.0)


_OPERATORS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
}


def _chain(first: Node, steps: list[tuple[str, Node]], algebra: Algebra) -> Node:
    """Operators of one rank from left to right, flat: a sum of a thousand terms is no thousand calls deep."""
    nodes = [first, *(node for _, node in steps)]
    if steps[0][0] == "and":
        return algebra.every(nodes)
    if steps[0][0] == "or":
        return algebra.some(nodes)
    calls = [(algebra.operators[symbol], node) for symbol, node in steps]
    if len(calls) == 1:
        apply, second = calls[0]
        return lambda v, o: apply(first(v, o), second(v, o))

    def walk(v: Values, o: Values) -> float:
        value = first(v, o)
        for combine, node in calls:
            value = combine(value, node(v, o))
        return value

    return walk


def _clip(x: Node, low: Node, high: Node) -> Node:
    return lambda v, o: min(max(x(v, o), low(v, o)), high(v, o))


def _if(condition: Node, then: Node, otherwise: Node) -> Node:
    return lambda v, o: then(v, o) if condition(v, o) != 0.0 else otherwise(v, o)


def _sqrt(x: Node) -> Node:
    def root(v: Values, o: Values) -> float:
        number = x(v, o)
        return math.sqrt(number) if number >= 0.0 else math.nan

    return root


_FUNCTIONS: Final[dict[str, Callable[[list[Node]], Node]]] = {
    "min": lambda a: lambda v, o: min(n(v, o) for n in a),
    "max": lambda a: lambda v, o: max(n(v, o) for n in a),
    "abs": lambda a: lambda v, o: abs(a[0](v, o)),
    "sqrt": lambda a: _sqrt(a[0]),
    "clip": lambda a: _clip(a[0], a[1], a[2]),
    "if": lambda a: _if(a[0], a[1], a[2]),
}
SCALAR: Final = Algebra(
    _OPERATORS,
    _FUNCTIONS,
    _not,
    lambda nodes: lambda v, o: float(all(node(v, o) != 0.0 for node in nodes)),
    lambda nodes: lambda v, o: float(any(node(v, o) != 0.0 for node in nodes)),
)
"""On single numbers: derived tags and interlocks."""
