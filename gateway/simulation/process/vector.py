"""The language of expressions on arrays: every value a column of runs; and functions that the equations of a process need."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from gateway.model.expression import Algebra, Node

_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "<": lambda a, b: np.less(a, b) * 1.0,
    "<=": lambda a, b: np.less_equal(a, b) * 1.0,
    ">": lambda a, b: np.greater(a, b) * 1.0,
    ">=": lambda a, b: np.greater_equal(a, b) * 1.0,
    "==": lambda a, b: np.equal(a, b) * 1.0,
    "!=": lambda a, b: np.not_equal(a, b) * 1.0,
}


def _each(function: Callable[[Any], Any]) -> Callable[[list[Node]], Node]:
    return lambda nodes: lambda v, o: function(nodes[0](v, o))


def _pair(function: Callable[[Any, Any], Any]) -> Callable[[list[Node]], Node]:
    return lambda nodes: lambda v, o: function(nodes[0](v, o), nodes[1](v, o))


def _all(function: Any) -> Callable[[list[Node]], Node]:  # a ufunc of two
    def folded(nodes: list[Node]) -> Node:
        def fold(v: Any, o: Any) -> Any:
            value = nodes[0](v, o)
            for node in nodes[1:]:
                value = function(value, node(v, o))
            return value

        return fold

    return folded


def _clip(nodes: list[Node]) -> Node:
    x, low, high = nodes
    return lambda v, o: np.minimum(np.maximum(x(v, o), low(v, o)), high(v, o))


def _if(nodes: list[Node]) -> Node:
    condition, then, otherwise = nodes
    return lambda v, o: np.where(np.not_equal(condition(v, o), 0.0), then(v, o), otherwise(v, o))  # type: ignore[return-value] # columns


def _logical(function: Any) -> Callable[[list[Node]], Node]:
    def both(nodes: list[Node]) -> Node:
        return lambda v, o: function.reduce(np.broadcast_arrays(*(np.not_equal(node(v, o), 0.0) for node in nodes))) * 1.0

    return both


VECTOR: Final = Algebra(
    _OPERATORS,
    {
        "min": _all(np.minimum),
        "max": _all(np.maximum),
        "abs": _each(np.abs),
        "sqrt": _each(np.sqrt),
        "clip": _clip,
        "if": _if,
        "exp": _each(np.exp),
        "log": _each(np.log),
        "sin": _each(np.sin),
        "cos": _each(np.cos),
        "tanh": _each(np.tanh),
        "pow": _pair(np.power),
    },
    lambda node: lambda v, o: np.equal(node(v, o), 0.0) * 1.0,
    _logical(np.logical_and),
    _logical(np.logical_or),
    {"min": (1, 64), "max": (1, 64), "abs": (1, 1), "sqrt": (1, 1), "clip": (3, 3), "if": (3, 3), "exp": (1, 1), "log": (1, 1)}
    | {"sin": (1, 1), "cos": (1, 1), "tanh": (1, 1), "pow": (2, 2)},
)
