"""Which parameter sets a sweep tries: every combination, rows side by side, at random, or a latin hypercube."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

import numpy as np

Design = Literal["grid", "list", "random", "latin"]
MOST: Final = 10_000
"""Parameter sets of one sweep at most."""


@dataclass(frozen=True, slots=True)
class Vary:
    """One parameter by its dotted path: values that are named, or a range for the designs that draw. whole: draws are rounded."""

    path: str
    values: Sequence[Any] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False


def design(varied: Sequence[Vary], how: Design, points: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """The sets, each path -> value. points: how many, for random and latin (McKay, Beckman and Conover 1979).

    ValueError names what cannot be: values where a range is needed or the other way round, unequal lengths, too many sets.
    """
    if len({one.path for one in varied}) < len(varied):
        raise ValueError("a parameter is varied twice: give it once, with all its values")
    if how in {"grid", "list"}:
        return _named(varied, how)
    if not 1 <= points <= MOST:
        raise ValueError(f"{points} parameter sets are not possible: 1 to {MOST}")
    shares = _latin(len(varied), points, generator) if how == "latin" else generator.random((len(varied), points))
    columns = {one.path: [_at(one, float(share)) for share in row] for one, row in zip(varied, shares, strict=True)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _named(varied: Sequence[Vary], how: Design) -> list[dict[str, Any]]:
    for one in varied:
        if not one.values:
            raise ValueError(f"{one.path}: a {how} needs values, as {one.path}=1,2,3; a range is for random and latin")
    count = 1
    for one in varied:
        count = count * len(one.values) if how == "grid" else len(one.values)
    if count > MOST:
        raise ValueError(f"{count} parameter sets are not possible: at most {MOST}; a latin hypercube tries fewer of them")
    if how == "grid":
        rows = list(product(*(one.values for one in varied)))
    else:
        lengths = {one.path: len(one.values) for one in varied}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"a list needs as many values of each parameter, not {', '.join(f'{n} of {path}' for path, n in lengths.items())}"
            )
        rows = list(zip(*(one.values for one in varied), strict=True))
    return [dict(zip((one.path for one in varied), row, strict=True)) for row in rows]


def _latin(dimensions: int, points: int, generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(dimensions, points): one draw in each of `points` equal shares of every dimension, in an order of its own."""
    strata = np.stack([generator.permutation(points) for _ in range(dimensions)])
    return (strata + generator.random((dimensions, points))) / points


def _at(one: Vary, share: float) -> Any:
    if one.values:
        return one.values[min(int(share * len(one.values)), len(one.values) - 1)]
    value = one.low + (one.high - one.low) * share
    return min(int(one.low) + int(share * (int(one.high) - int(one.low) + 1)), int(one.high)) if one.whole else value
