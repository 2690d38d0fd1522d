"""Exact discretisation of a linear system under a zero-order hold, and Runge-Kutta's where there is none."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.simulation.process.model import Array, ModelError

SUBSTEPS: Final = 5
"""A sub-step is at most the fastest time constant over this."""
MOST_SUBSTEPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Discrete:
    """x' = x a + u b + z root, matrices transposed so that runs are rows: a (..., n, n), b (..., m, n), root (..., n, n).

    A leading axis: one for each run. noisy: root is not 0.
    """

    a: Array
    b: Array
    root: Array
    noisy: bool

    def step(self, x: Array, u: Array, noise: Array | None, *, constant: bool = False) -> Array:
        """x' (runs, n). constant: the last row of b is a bias."""
        after = _times(x, self.a)
        b = self.b[..., :-1, :] if constant else self.b
        row = self.b[..., -1, :] if constant else 0.0
        if u.shape[1] and b.ndim == 2 and (u == u[:1]).all():  # mostly: one plan for all runs
            row = row + u[0] @ b
        elif u.shape[1]:
            after += _times(u, b)
        after += row
        if noise is not None and self.noisy:
            after += _times(noise, self.root)
        return after


def _times(x: Array, matrix: Array) -> Array:
    """(runs, n): one matrix for all runs, or one for each."""
    return x @ matrix if matrix.ndim == 2 else np.einsum("rj,rji->ri", x, matrix)


def _turned(matrix: Array) -> Array:
    return np.ascontiguousarray(np.swapaxes(matrix, -1, -2))


def discretised(a: Array, b: Array, spread: Array, dt_s: float) -> Discrete:
    """dx = (a x + b u) dt + spread dW over dt_s seconds, exact (Van Loan 1978). Shapes as Discrete; spread (..., n, k)."""
    from scipy.linalg import expm

    n, m = a.shape[-1], b.shape[-1]
    lead = a.shape[:-2]
    held = np.zeros((*lead, n + m, n + m))
    held[..., :n, :n], held[..., :n, n:] = a, b
    whole = np.asarray(expm(held * dt_s))
    noise = np.zeros((*lead, 2 * n, 2 * n))
    noise[..., :n, :n] = -a
    noise[..., :n, n:] = spread @ np.swapaxes(spread, -1, -2)
    noise[..., n:, n:] = np.swapaxes(a, -1, -2)
    doublings = max(0, math.ceil(math.log2(max(float(np.abs(a).sum(axis=-1).max(initial=0.0)) * dt_s, 1.0))))
    powers = np.asarray(expm(noise * (dt_s / 2**doublings)))  # of a part of the step: -a grows, and would overflow
    moved = np.swapaxes(powers[..., n:, n:], -1, -2)
    covariance = moved @ powers[..., :n, n:]
    for _ in range(doublings):
        covariance = covariance + moved @ covariance @ np.swapaxes(moved, -1, -2)
        moved = moved @ moved
    return Discrete(_turned(whole[..., :n, :n]), _turned(whole[..., :n, n:]), _turned(root(covariance)), bool(spread.any()))


def root(covariance: Array) -> Array:
    """r with r r' = covariance, also of a singular one: of its eigenvalues, rounding below 0 taken as 0."""
    values, vectors = np.linalg.eigh((covariance + np.swapaxes(covariance, -1, -2)) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


def runge_kutta(slope: Callable[[Array], Array], x: Array, dt_s: float, fastest_s: float) -> Array:
    """x after dt_s of x' = slope(x), fourth order, in sub-steps of at most a fifth of the fastest time constant.

    Raises ModelError where that would be too many.
    """
    count = max(1, math.ceil(dt_s / fastest_s * SUBSTEPS - 1e-9)) if fastest_s > 0 else MOST_SUBSTEPS + 1
    if count > MOST_SUBSTEPS:
        raise ModelError(f"a step of {dt_s:g} s needs more than {MOST_SUBSTEPS} sub-steps at a time constant of {fastest_s:g} s")
    h = dt_s / count
    for _ in range(count):
        first = slope(x)
        second = slope(x + h / 2 * first)
        third = slope(x + h / 2 * second)
        x = x + h / 6 * (first + 2 * second + 2 * third + slope(x + h * third))
    return x
