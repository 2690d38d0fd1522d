"""Distributions of parameters, inputs and initial states: one value per run.

Values are made from uniforms by the inverse of the distribution function, so that antithetic runs mirror them and sensitivity designs can
use them.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np

from gateway.simulation.process.model import Array, ModelError, Parameter, unknown

Kind = Literal["normal", "truncated", "lognormal", "uniform", "triangular", "fixed"]
NUMBERS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "normal": ("mean", "sd"),
    "truncated": ("mean", "sd", "low", "high"),
    "lognormal": ("median", "sd of the logarithm"),
    "uniform": ("low", "high"),
    "triangular": ("low", "mode", "high"),
    "fixed": ("value",),
}
_CALL: Final = re.compile(r"\s*([a-z]+)\s*\(([^()]*)\)\s*")
_LEAST: Final = 0.01
"""Of its size: no parameter that is known relatively becomes less, or changes its sign."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """As NUMBERS says: normal(mean, sd), truncated(mean, sd, low, high), a normal one within its bounds, and so on.

    Raises ModelError where the numbers do not make one.
    """

    kind: Kind
    a: float
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.a, self.b, self.c, self.d)):
            raise ModelError(f"a {self.kind} distribution of {self._shown()} is none: no finite numbers")
        wrong = {
            "normal": self.b < 0,
            "truncated": self.b < 0 or not self.c <= self.a <= self.d,
            "lognormal": self.a <= 0 or self.b < 0,
            "uniform": self.b < self.a,
            "triangular": not self.a <= self.b <= self.c,
            "fixed": False,
        }
        if self.kind not in wrong:
            raise ModelError(f"there is no distribution {self.kind!r}: {', '.join(wrong)}")
        if wrong[self.kind]:
            raise ModelError(f"a {self.kind} distribution of {self._shown()} is none: it takes {', '.join(NUMBERS[self.kind])}")

    def _shown(self) -> str:
        return ", ".join(f"{value:g}" for value in (self.a, self.b, self.c, self.d)[: len(NUMBERS[self.kind])])

    def __str__(self) -> str:
        """As `of_text` reads it."""
        return f"{self.kind}({', '.join(repr(value) for value in (self.a, self.b, self.c, self.d)[: len(NUMBERS[self.kind])])})"

    @property
    def middle(self) -> float:
        """The value where nothing varies: mean, median, mode, or the middle of the range."""
        return {"uniform": (self.a + self.b) / 2, "triangular": self.b}.get(self.kind, self.a)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which all values lie; the middle twice where there are none."""
        return {"truncated": (self.c, self.d), "uniform": (self.a, self.b), "triangular": (self.a, self.c)}.get(
            self.kind, (self.middle, self.middle)
        )

    def inverse(self, p: Array) -> Array:
        """The values below which the shares p (each between 0 and 1) lie."""
        if self.kind == "fixed":
            return np.full_like(p, self.a)
        if self.kind == "uniform":
            return self.a + (self.b - self.a) * p
        if self.kind == "triangular":
            return self._triangular(p)
        from scipy.special import ndtr, ndtri

        if self.kind == "truncated":
            if not self.b:
                return np.full_like(p, self.a)
            low, high = ndtr((self.c - self.a) / self.b), ndtr((self.d - self.a) / self.b)
            return np.clip(self.a + self.b * np.asarray(ndtri(low + p * (high - low))), self.c, self.d)
        z = np.asarray(ndtri(p))
        return self.a + self.b * z if self.kind == "normal" else self.a * np.exp(self.b * z)

    def _triangular(self, p: Array) -> Array:
        width, left, right = self.c - self.a, self.b - self.a, self.c - self.b
        if not width:
            return np.full_like(p, self.a)
        rising = self.a + np.sqrt(p * width * left)
        return np.where(p * width < left, rising, self.c - np.sqrt((1 - p) * width * right))


def of_text(text: str, number: Callable[[str], float] = float) -> Distribution:
    """`uniform(1.9, 2.1)`, `truncated(10, 2, 5, 15)`: names and numbers as NUMBERS says. Raises ModelError that names what is wrong."""
    forms = ", ".join(f"{kind}({', '.join(names)})" for kind, names in NUMBERS.items() if kind != "fixed")
    call = _CALL.fullmatch(text)
    if call is None or call[1] not in NUMBERS:
        raise ModelError(f"{text[:80]!r} is no distribution: write {forms}")
    kind = cast("Kind", call[1])
    try:
        values = [number(part.strip()) for part in call[2].split(",")]
    except ValueError:
        raise ModelError(f"{text[:80]!r} has what is no number: {kind}({', '.join(NUMBERS[kind])})") from None
    if len(values) != len(NUMBERS[kind]):
        raise ModelError(f"{text[:80]!r} has {len(values)} numbers: {kind}({', '.join(NUMBERS[kind])})")
    return Distribution(kind, *values)


def drawn(varied: Mapping[str, Distribution], runs: int, generator: "np.random.Generator", *, antithetic: bool = False) -> dict[str, Array]:
    """(runs,) of each, in the order of `varied`; antithetic: the second half mirrors the first."""
    values = {}
    for name, distribution in varied.items():
        p = generator.uniform(size=runs // 2 if antithetic else runs)
        p = np.clip(p, 1e-16, 1 - 1e-16)
        values[name] = distribution.inverse(np.concatenate([p, 1 - p]) if antithetic else p)
    return values


def relative(parameters: Mapping[str, Parameter], uncertainty: float, names: tuple[str, ...] | None = None) -> dict[str, Distribution]:
    """The same relative uncertainty of every parameter: normal with a standard deviation of uncertainty times its size.

    It is cut off where a parameter would lose its sign, and as far on the other side. With names of only some of them. A parameter that
    is 0 stays so. Raises ModelError for an uncertainty below 0 or an unknown name.
    """
    if not (math.isfinite(uncertainty) and uncertainty >= 0):
        raise ModelError(f"an uncertainty of {uncertainty} is none: it must not be negative")
    unknown(names or (), parameters, "parameter")
    return {
        name: _relative(float(value), uncertainty)
        for name, value in parameters.items()
        if (names is None or name in names) and not isinstance(value, np.ndarray) and value != 0
    }


def _relative(value: float, uncertainty: float) -> Distribution:
    low, high = sorted((_LEAST * value, (2 - _LEAST) * value))
    return Distribution("truncated", value, abs(value) * uncertainty, low, high)
