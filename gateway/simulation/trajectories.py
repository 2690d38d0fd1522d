"""What an ensemble hands back: the runs, and what is said of them: quantiles, means with intervals, differences of paired runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from gateway.simulation.process.model import Array, unknown

LEVELS: Final = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a run left all bounds. The trajectories end one step before."""

    step: int
    state: str
    runs: int  # how many of them

    def __str__(self) -> str:
        return f"{self.state} diverged in step {self.step} ({self.runs} of the runs)"


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Runs of one model. y is (runs, steps+1, outputs): the initial state and one after each step; x (runs, states) is where they ended.

    partial says why there are fewer steps than asked for ("": there are not); warnings are for people. draws are the parameters, inputs
    and states that varied, one value per run. Antithetic runs k and k + runs/2 belong together.
    """

    outputs: tuple[str, ...]
    time_s: Array
    y: Array
    x: Array
    states: tuple[str, ...]
    draws: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    antithetic: bool = False
    diverged: Divergence | None = None
    partial: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """How many."""
        return int(self.y.shape[0])

    @property
    def steps(self) -> int:
        """How many were made."""
        return int(self.y.shape[1]) - 1

    def of(self, output: str) -> Array:
        """One output, (runs, steps+1). Raises ModelError for a name that is not there."""
        unknown([output], self.outputs, "output")
        return np.asarray(self.y[:, :, self.outputs.index(output)])

    def quantiles(self, levels: Sequence[float] = LEVELS) -> Array:
        """(levels, steps+1, outputs), linear between order statistics."""
        return np.quantile(self.y, levels, axis=0)

    def mean(self, level: float = 0.95) -> tuple[Array, Array]:
        """The mean over runs and the half-width of its interval at `level` (Student's t), each (steps+1, outputs); inf for one run."""
        return mean_interval(self.y, level, antithetic=self.antithetic)

    def difference(self, other: "Trajectories", level: float = 0.95) -> tuple[Array, Array]:
        """Mean of self - other and its half-width, run by run: for ensembles of the same seed, whose chance is the same.

        Raises ValueError when they are not of one shape.
        """
        if self.y.shape != other.y.shape or self.outputs != other.outputs:
            raise ValueError(f"ensembles of {self.y.shape} and {other.y.shape} cannot be paired")
        return mean_interval(self.y - other.y, level, antithetic=self.antithetic and other.antithetic)


def mean_interval(values: Array, level: float = 0.95, *, antithetic: bool = False) -> tuple[Array, Array]:
    """Mean over the first axis and the half-width of its interval, mean +- t s/sqrt(n); the pairs count where runs are antithetic."""
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is none: it lies between 0 and 1")
    half = values.shape[0] // 2
    sample = (values[:half] + values[half:]) / 2 if antithetic else values
    count = sample.shape[0]
    mean = sample.mean(axis=0)
    if count < 2:
        return mean, np.full_like(mean, math.inf)
    return mean, student(level, count - 1) * sample.std(axis=0, ddof=1) / math.sqrt(count)


def student(level: float, freedom: int) -> float:
    """The two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def joined(parts: Sequence[Trajectories]) -> Trajectories:
    """Blocks of independent runs as one ensemble, as long as the shortest of them."""
    steps = min(part.steps for part in parts)
    first = next((part for part in parts if part.partial), parts[0])
    order = _halves([part.runs for part in parts]) if first.antithetic else slice(None)
    return Trajectories(
        first.outputs,
        first.time_s[: steps + 1],
        np.concatenate([part.y[:, : steps + 1] for part in parts])[order],
        np.concatenate([part.x for part in parts])[order],
        first.states,
        {name: np.concatenate([part.draws[name] for part in parts])[order] for name in first.draws},
        first.antithetic,
        first.diverged,
        first.partial,
        first.warnings,
    )


def _halves(sizes: Sequence[int]) -> list[int]:
    """Rows of antithetic blocks so that run k and run k + n/2 of the whole belong together."""
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    pairs = list(zip(starts, sizes, strict=True))
    front = [at + k for at, size in pairs for k in range(size // 2)]
    back = [at + size // 2 + k for at, size in pairs for k in range(size // 2)]
    return front + back
