"""Distributions of parameters, inputs and initial states: one value per run.

Values are made from uniforms by the inverse of the distribution function, so that antithetic runs mirror them and sensitivity designs can
use them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gateway.simulation.process.model import Array, ModelError, Parameter, unknown

Kind = Literal["normal", "lognormal", "uniform", "triangular", "fixed"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """normal(mean, sd); lognormal(median, sd of the logarithm); uniform(low, high); triangular(low, mode, high); fixed(value).

    Raises ModelError where the numbers do not make one.
    """

    kind: Kind
    a: float
    b: float = 0.0
    c: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.a, self.b, self.c)):
            raise ModelError(f"a {self.kind} distribution of {self.a}, {self.b}, {self.c} is none: no finite numbers")
        wrong = {
            "normal": self.b < 0,
            "lognormal": self.a <= 0 or self.b < 0,
            "uniform": self.b < self.a,
            "triangular": not self.a <= self.b <= self.c,
            "fixed": False,
        }
        if self.kind not in wrong:
            raise ModelError(f"there is no distribution {self.kind!r}: {', '.join(wrong)}")
        if wrong[self.kind]:
            raise ModelError(f"a {self.kind} distribution of {self.a}, {self.b}, {self.c} is none")

    def inverse(self, p: Array) -> Array:
        """The values below which the shares p (each between 0 and 1) lie."""
        if self.kind == "fixed":
            return np.full_like(p, self.a)
        if self.kind == "uniform":
            return self.a + (self.b - self.a) * p
        if self.kind == "triangular":
            return self._triangular(p)
        from scipy.special import ndtri

        z = np.asarray(ndtri(p))
        return self.a + self.b * z if self.kind == "normal" else self.a * np.exp(self.b * z)

    def _triangular(self, p: Array) -> Array:
        width, left, right = self.c - self.a, self.b - self.a, self.c - self.b
        if not width:
            return np.full_like(p, self.a)
        rising = self.a + np.sqrt(p * width * left)
        return np.where(p * width < left, rising, self.c - np.sqrt((1 - p) * width * right))


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

    With names of only some of them. A parameter that is 0 stays so. Raises ModelError for an uncertainty below 0 or an unknown name.
    """
    if not (math.isfinite(uncertainty) and uncertainty >= 0):
        raise ModelError(f"an uncertainty of {uncertainty} is none: it must not be negative")
    unknown(names or (), parameters, "parameter")
    return {
        name: Distribution("normal", float(value), abs(float(value)) * uncertainty)
        for name, value in parameters.items()
        if (names is None or name in names) and not isinstance(value, np.ndarray) and value != 0
    }
