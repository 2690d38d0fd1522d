"""Which parameter matters: Sobol's indices of first order and total, of a function or of a model's output.

Two designs A and B of n points each, and for every parameter A with that column of B (Saltelli et al. 2010): n (k + 2) evaluations. First
order by Saltelli's estimator, total by Jansen's, on a scrambled low-discrepancy design.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.distributions import Distribution
from gateway.simulation.ensemble import Progress, State, simulate
from gateway.simulation.process.model import Array, Model, ModelError, unknown

POINTS: Final = 1024
_INSIDE: Final = 1e-12
_CELLS: Final = 4_000_000  # numbers of a block of runs


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """first and total (k,), in the order of names, with their standard errors; variance: of what was looked at.

    first: the share of the variance that goes when this one is known; total: the share that stays when all others are.
    """

    names: tuple[str, ...]
    first: Array
    total: Array
    first_error: Array
    total_error: Array
    variance: float


def sobol(
    function: Callable[[Mapping[str, Array]], Array],
    varied: Mapping[str, Distribution],
    generator: "np.random.Generator",
    points: int = POINTS,
) -> Sensitivity:
    """Of function(values by name, each (m,)) -> (m,), called once with m = points (k + 2). points: a power of two.

    Raises ModelError for nothing that varies, other numbers of points, and results that are no numbers.
    """
    return _indices(lambda values: np.asarray(function(values), np.float64)[:, None], varied, generator, points)[0]


def sensitivity(
    model: Model,
    x0: State,
    inputs: Mapping[str, npt.ArrayLike],
    dt_s: float,
    steps: int,
    varied: Mapping[str, Distribution],
    output: str,
    generator: "np.random.Generator",
    *,
    quantity: Callable[[Array], Array] | None = None,
    points: int = 256,
) -> Sensitivity:
    """Of an output without noise: at the last instant, or quantity of its (runs, steps+1) -> (runs,).

    varied as that of simulate. Raises ModelError.
    """
    return sensitivities(model, x0, inputs, dt_s, steps, varied, [output], generator, quantity=quantity, points=points)[output]


def sensitivities(
    model: Model,
    x0: State,
    inputs: Mapping[str, npt.ArrayLike],
    dt_s: float,
    steps: int,
    varied: Mapping[str, Distribution],
    outputs: Sequence[str],
    generator: "np.random.Generator",
    *,
    quantity: Callable[[Array], Array] | None = None,
    points: int = 256,
    progress: Progress | None = None,
) -> dict[str, Sensitivity]:
    """Of several outputs, from the same runs. As sensitivity; progress counts runs."""
    unknown(outputs, model.outputs, "output")
    look = quantity or (lambda path: path[:, -1])
    block = max(1, _CELLS // ((steps + 1) * max(1, len(model.outputs))))

    def ends(values: Mapping[str, Array]) -> Array:
        m, rows = next(iter(values.values())).size, list[Array]()
        for at in range(0, m, block):
            part = {name: column[at : at + block] for name, column in values.items()}
            runs = simulate(
                model, x0, inputs, dt_s, steps, generator, min(block, m - at), overrides=part, process_noise=False, measured=False
            )
            if runs.partial:
                raise ModelError(runs.partial)
            rows.append(np.stack([look(runs.of(output)) for output in outputs], axis=1))
            if progress is not None and not progress(min(at + block, m), m):
                raise ModelError("ended before its last run")
        return np.concatenate(rows)

    return dict(zip(outputs, _indices(ends, varied, generator, points), strict=True))


def _indices(
    function: Callable[[Mapping[str, Array]], Array], varied: Mapping[str, Distribution], generator: "np.random.Generator", points: int
) -> list[Sensitivity]:
    """Of each column of function(values by name, each (m,)) -> (m, columns)."""
    if not varied:
        raise ModelError("nothing varies: there is nothing to be sensitive to")
    if points < 2 or points & (points - 1):
        raise ModelError(f"{points} points are no power of two")
    names, k = tuple(varied), len(varied)
    a, b = np.split(_design(2 * k, points, generator), 2, axis=1)
    mixed = np.repeat(a[None], k, axis=0)
    for j in range(k):
        mixed[j, :, j] = b[:, j]
    shares = np.concatenate([a, b, mixed.reshape(-1, k)])
    found = function({name: varied[name].inverse(shares[:, j]) for j, name in enumerate(names)})
    if not np.isfinite(found).all():
        raise ModelError("what is looked at is no finite number for some of the parameters")
    return [_estimated(names, column, points) for column in found.T]


def _estimated(names: tuple[str, ...], found: Array, points: int) -> Sensitivity:
    ya, yb, ym = found[:points], found[points : 2 * points], found[2 * points :].reshape(len(names), points)
    variance = float(np.concatenate([ya, yb]).var())
    if variance <= 0:
        zero = np.zeros(len(names))
        return Sensitivity(names, zero, zero, zero, zero, 0.0)
    first, total = (yb - yb.mean()) * (ym - ya) / variance, (ya - ym) ** 2 / (2 * variance)
    root = np.sqrt(points)
    return Sensitivity(names, first.mean(1), total.mean(1), first.std(1, ddof=1) / root, total.std(1, ddof=1) / root, variance)


def _design(columns: int, points: int, generator: "np.random.Generator") -> Array:
    """(points, columns) of a scrambled Sobol sequence, strictly between 0 and 1."""
    from scipy.stats import qmc

    return np.clip(np.asarray(qmc.Sobol(columns, scramble=True, rng=generator).random(points)), _INSIDE, 1 - _INSIDE)
