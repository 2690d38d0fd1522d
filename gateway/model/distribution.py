"""Distributions of the times of a line: values only. `gateway.simulation.line.sampling` draws from them."""

import math
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "deterministic",
    "exponential",
    "uniform",
    "triangular",
    "normal",
    "lognormal",
    "weibull",
    "gamma",
    "erlang",
    "geometric",
    "empirical",
]
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "deterministic": ("value",),
    "exponential": ("mean",),
    "uniform": ("min", "max"),
    "triangular": ("min", "mode", "max"),
    "normal": ("mean", "sd"),
    "lognormal": ("median", "sigma"),
    "weibull": ("shape", "scale"),
    "gamma": ("shape", "scale"),
    "erlang": ("stages", "mean"),
    "geometric": ("probability", "step"),
    "empirical": (),
}
"""The numbers of each kind, in the order of a, b, c. normal is cut off below 0; sigma is the standard deviation of the logarithm;
geometric counts steps until the first success; empirical draws one of `values` by `weights` (all alike without)."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of a time in seconds, never negative. a, b, c as PARAMETERS names them. Raises ValueError where the numbers do not make one."""

    kind: Kind
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    values: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in PARAMETERS:
            raise ValueError(f"there is no distribution {self.kind!r}: {', '.join(PARAMETERS)}")
        if why := _flaw(self):
            raise ValueError(f"{self.words} is no distribution of a time: {why}")

    @classmethod
    def of(cls, kind: Kind, **parameters: float) -> "Distribution":
        """By the names of PARAMETERS: Distribution.of("weibull", shape=2.0, scale=900.0)."""
        names = PARAMETERS.get(kind, ())
        if set(parameters) != set(names):
            raise ValueError(f"{kind} takes {', '.join(names) or 'values'}, not {', '.join(parameters) or 'nothing'}")
        a, b, c = (*(float(parameters[name]) for name in names), 0.0, 0.0, 0.0)[:3]
        return cls(kind, a, b, c)

    @property
    def parameters(self) -> dict[str, float]:
        return dict(zip(PARAMETERS[self.kind], (self.a, self.b, self.c), strict=False))

    @property
    def words(self) -> str:
        inside = [f"{name} {value:g}" for name, value in self.parameters.items()] or [f"{len(self.values)} values"]
        return f"{self.kind}({', '.join(inside)})"


def _flaw(d: Distribution) -> str:
    a, b, c = d.a, d.b, d.c
    if not all(math.isfinite(number) for number in (a, b, c, *d.values, *d.weights)):
        return "a number in it is not finite"
    if d.kind == "empirical":
        return _flaw_of_values(d)
    if d.values or d.weights:
        return "only an empirical one has values and weights"
    flaws = {
        "deterministic": a < 0 and "a time is not negative",
        "exponential": a <= 0 and "its mean must be greater than 0",
        "uniform": (a < 0 and "a time is not negative") or (b < a and "min is greater than max"),
        "triangular": (a < 0 and "a time is not negative") or (not a <= b <= c and "it needs min <= mode <= max"),
        "normal": (a <= 0 and "its mean must be greater than 0") or (b < 0 and "sd is not negative"),
        "lognormal": (a <= 0 and "its median must be greater than 0") or (b < 0 and "sigma is not negative"),
        "weibull": min(a, b) <= 0 and "shape and scale must be greater than 0",
        "gamma": min(a, b) <= 0 and "shape and scale must be greater than 0",
        "erlang": ((a < 1 or a != int(a)) and "stages is a whole number from 1 on") or (b <= 0 and "its mean must be greater than 0"),
        "geometric": (not 0 < a <= 1 and "probability lies between 0 and 1") or (b <= 0 and "step must be greater than 0"),
    }
    return flaws[d.kind] or ""


def _flaw_of_values(d: Distribution) -> str:
    if not d.values or min(d.values) < 0:
        return "it needs values, none of them negative"
    if d.weights and (len(d.weights) != len(d.values) or min(d.weights) < 0 or not sum(d.weights) > 0):
        return "it needs one weight of at least 0 for each value, and one above 0"
    return ""


def constant(seconds: float) -> Distribution:
    return Distribution("deterministic", seconds)


NO_TIME: Final = constant(0.0)


def exponential(mean: float) -> Distribution:
    return Distribution("exponential", mean)


def between(low: float, high: float) -> Distribution:
    """Uniform between low and high; one time where they are the same."""
    return constant(low) if low == high else Distribution("uniform", low, high)
