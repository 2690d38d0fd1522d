"""ARX with inputs, by recursive least squares with forgetting (Ljung 1999, 11.2), on a grid of its own, for many tags at once.

    dy[t+1] = a0 (y[t] - y0) + sum a_i dy[t+1-i] + sum b_j (u_j[t] - u_j0) + c

In differences and with a prior at zero the model shrinks to persistence where the data say nothing (ridge regression).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.forecaster import Array, Mask, Normal
from gateway.simulation.forecast.kalman import JUMP, JUMPS, SPARE

FORGET: Final = 0.998  # per step of the grid
PRIOR: Final = 10.0  # variance of a coefficient against its error variance, in the data's own scale
SETTLE: Final = 8  # steps of the grid that set the scale before anything is learned
WIDEST: Final = 4.0  # an impulse response beyond it, or a way of so many ranges of what was seen: no stable model, and it stays silent


@dataclass(slots=True)
class Arx:
    """State of n tags with m inputs each; k = order + m + 1 regressors: y - y0, the newest differences, inputs, 1.

    theta (n, k)   cov (n, k, k)   y, y0 (n,)   dy (n, order)   run (n,): real grid samples in a row   square, weight: of one-step errors
    """

    grid_s: float
    order: int
    inputs: int
    theta: Array
    cov: Array
    y: Array
    y0: Array
    u0: Array
    u: Array
    dy: Array
    scale: Array
    clock_s: Array
    number: npt.NDArray[np.int64]
    run: npt.NDArray[np.int64]
    learned: npt.NDArray[np.int64]
    square: Array
    weight: Array
    reach: Array
    jumps: Array
    future: Array | None = None
    name: str = field(default="arx")

    @classmethod
    def of(cls, tags: int, grid_s: float, *, order: int = 4, inputs: int = 0) -> "Arx":
        """Nothing seen. grid_s: one step of the model, seconds. Raises ValueError for an order below 1."""
        if order < 1 or grid_s <= 0:
            raise ValueError(f"order {order} and a grid of {grid_s} s make no model")
        k, nan = order + inputs + 1, np.full(tags, np.nan)
        zero, whole = np.zeros(tags), np.zeros(tags, np.int64)
        return cls(
            grid_s, order, inputs, np.zeros((tags, k)), np.zeros((tags, k, k)), nan.copy(), nan, np.full((tags, inputs), np.nan),
            np.zeros((tags, inputs)), np.zeros((tags, order - 1)), np.zeros((tags, k)), zero, whole - 1, whole.copy(), whole.copy(),
            zero.copy(), zero.copy(), zero.copy(), zero.copy(),
        )  # fmt: skip

    def drive(self, u: Array, future: Array | None = None) -> None:
        """Inputs from now on: u (n, inputs) as they are, future (n, steps of the grid, inputs) as they are planned, else they stay."""
        self.u0 = np.where(np.isnan(self.u0), u, self.u0)
        self.u, self.future = np.where(np.isnan(u), np.nan_to_num(self.u0), u), future  # what is not known counts as where it began

    def update(self, dt_s: Array, y: Array, good: Mask) -> None:
        """Learns when a tag's clock enters a new cell of the grid with a Good sample; a cell without one breaks the row of differences."""
        self.clock_s = self.clock_s + dt_s
        number = np.floor(self.clock_s / self.grid_s + 1e-6).astype(np.int64)
        turned = number != self.number
        if not turned.any():
            return
        taken = turned & good
        self.run = np.where(taken & (number == self.number + 1), self.run, np.where(turned, 0, self.run))
        self.number = number
        new = np.where(taken, y, 0.0)
        self.y0 = np.where(taken & np.isnan(self.y0), new, self.y0)
        ready = taken & (self.run > self.order - 1)
        jumped = self._learn(ready, new) if ready.any() else np.zeros(y.size, bool)
        dy = np.where(self.run > 0, new - self.y, 0.0)
        if self.order > 1:
            shifted = np.concatenate([dy[:, None], self.dy[:, :-1]], axis=1)
            self.dy = np.where((self.run > 0)[:, None] & taken[:, None], shifted, np.where(taken[:, None], 0.0, self.dy))
        self.dy[jumped] = 0.0  # it is no way of the process
        self.y = np.where(taken, new, self.y)
        self.reach = np.maximum(self.reach, np.where(taken, np.abs(new - np.nan_to_num(self.y0)), 0.0))
        self.run = self.run + taken

    def _regressors(self) -> Array:
        parts = ((self.y - self.y0)[:, None], self.dy, self.u - np.nan_to_num(self.u0), np.ones((self.y.size, 1)))
        return np.concatenate(parts, axis=1)

    def _learn(self, ready: Mask, new: Array) -> Mask:
        """Which tags jumped: of that, nothing is learned."""
        x = np.where(ready[:, None], self._regressors(), 0.0)
        target = np.where(ready, new - self.y, 0.0)
        self.learned = self.learned + ready
        settling = ready & (self.learned <= SETTLE)
        self.scale = self.scale + np.where(settling[:, None], x * x, 0.0)
        if (begins := ready & (self.learned == SETTLE)).any():
            self._begin(begins)
        jumped = np.zeros(ready.size, bool)
        rows = np.flatnonzero(ready & (self.learned > SETTLE))
        if rows.size:
            jumped[rows] = self._least_squares(rows, x[rows], target[rows])
        self.jumps = np.maximum(self.jumps - ready / SPARE, 0.0) + jumped
        return jumped

    def _begin(self, rows: Mask) -> None:
        """The prior: independent coefficients, each in the scale of its regressor; a regressor that stood still counts like the others."""
        mean = self.scale[rows] / SETTLE
        typical = np.where(mean > 0, mean, np.maximum(mean.max(axis=1, keepdims=True), 1e-12))
        self.cov[rows] = np.eye(self.theta.shape[1]) * (PRIOR / typical)[:, None, :]

    def _least_squares(self, rows: npt.NDArray[np.intp], x: Array, target: Array) -> Mask:
        cov, theta = self.cov[rows], self.theta[rows]
        error = target - (theta * x).sum(1)
        px = (cov @ x[:, :, None])[:, :, 0]
        spread = (x * px).sum(1)
        usual = self.square[rows] / np.maximum(self.weight[rows], 1.0)
        known = (self.weight[rows] > 4 * self.theta.shape[1]) & (usual > 0) & (self.jumps[rows] < JUMPS)
        jumped: Mask = known & (error * error > JUMP * JUMP * usual * (1 + spread))
        spread = np.where(jumped, 0.0, spread)
        px[jumped], error = 0.0, np.where(jumped, 0.0, error)
        gain = px / (FORGET + spread)[:, None]
        self.theta[rows] = theta + gain * error[:, None]
        cov = cov - gain[:, :, None] * px[:, None, :]
        # Old data are forgotten only where new ones tell something: without it an idle input blows the covariance up (Kulhavy 1987).
        told = spread > 1e-3
        cov = (cov + cov.transpose(0, 2, 1)) / 2  # what is not symmetric grows with every 1 / FORGET
        self.cov[rows] = np.where(told[:, None, None], cov / FORGET, cov)
        late = (self.learned[rows] > SETTLE + self.theta.shape[1]) & ~jumped
        self.square[rows] = np.where(late, FORGET * self.square[rows] + error * error / (1 + spread), self.square[rows])
        self.weight[rows] = np.where(late, FORGET * self.weight[rows] + 1, self.weight[rows])
        return jumped

    def predict(self, horizon_s: Array) -> Normal:
        """The recursion over its own grid, then straight lines between; NaN until it has learned something."""
        age = self.clock_s - self.number * self.grid_s
        place = (horizon_s + age[:, None]) / self.grid_s
        count = int(np.ceil(place.max(initial=1.0) - 1e-9)) if place.size else 1
        mean, variance = self._run(max(count, 1))
        cell = np.clip(np.floor(place + 1e-9).astype(np.intp), 0, mean.shape[1] - 2)
        share = place - cell
        at_cell = (
            np.take_along_axis(part, cell, 1) * (1 - share) + np.take_along_axis(part, cell + 1, 1) * share for part in (mean, variance)
        )
        centre, square = at_cell
        ready = ((self.weight > 4 * self.theta.shape[1]) & (self.run > 0))[:, None] & ~np.isnan(square)
        return Normal(np.where(ready, centre, np.nan), np.where(ready, np.sqrt(np.maximum(square, 0.0)), np.nan))

    def _run(self, count: int) -> tuple[Array, Array]:
        """Means and variances at 0..count steps of the grid, (n, count + 1); NaN where the model is not stable."""
        tags, ar = self.y.size, self.order
        auto, push = self.theta[:, :ar], self.theta[:, ar:]
        level = np.nan_to_num(self.y - self.y0)
        shock = np.zeros((tags, ar))
        shock[:, : min(2, ar)] = 1.0
        both = np.stack([np.concatenate([level[:, None], self.dy], axis=1), shock])
        told = np.empty((count + 1, 2, tags))
        told[0, 0], told[0, 1] = level, 0.0
        drive = np.zeros((2, tags))
        drive[0] = self._push(push, 0)
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(1, count + 1):
                if self.future is not None:
                    drive[0] = self._push(push, step - 1)
                told[step, 1] = both[1, :, 0]
                both = _turn(both, auto, drive)
                told[step, 0] = both[0, :, 0]
            stable = (np.abs(told[:, 1]) < WIDEST).all(0) & (np.abs(told[:, 0] - level) <= WIDEST * self.reach).all(0)
        error = np.divide(self.square, self.weight, out=np.zeros(tags), where=self.weight > 0)
        error[~stable] = np.nan
        psi = np.where(stable, told[:, 1], 0.0)
        return (told[:, 0] + np.nan_to_num(self.y0)).T, np.cumsum(psi * psi, axis=0).T * error[:, None]

    def _push(self, push: Array, step: int) -> Array:
        """What inputs and the constant add to a difference."""
        u = self.u if self.future is None else self.future[:, min(step, self.future.shape[1] - 1)]
        return np.asarray((push[:, :-1] * (u - np.nan_to_num(self.u0))).sum(1) + push[:, -1])


def _turn(x: Array, auto: Array, drive: Array | float) -> Array:
    """One step of level and differences, newest first."""
    dy = (x * auto).sum(-1) + drive
    return np.concatenate([(x[..., 0] + dy)[..., None], dy[..., None], x[..., 1:-1]], axis=-1)[..., : x.shape[-1]]
