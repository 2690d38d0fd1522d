"""Output-error least squares: parameters for which the simulated outputs lie nearest to the measured ones (Ljung 1999, 4.2).

Noise on the output does not bias them, as it does an equation-error fit (ARX). The cost has local minima, so it starts from a grid: times
spread over the window, and for each of them gain, offset and start by linear least squares (separable, Golub and Pereyra 1973).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.simulation.calibration.record import Mask, Record, Unfit
from gateway.simulation.calibration.response import WILD, starts_of, told
from gateway.simulation.process.model import Array, Model, ModelError

Tick = Callable[[float], None]
COARSE: Final = 800  # steps of the grid on which starts are compared
STARTS: Final = 3  # of them are followed to their minimum
EVALUATIONS: Final = 60
ROUGH: Final = 1e-4  # relative change of cost at which a start is compared with the others
FINE: Final = 1e-9
LINEAR: Final = ("K", "bias")  # of a model whose outputs are linear in them
_TIMES: Final = 12
_DELAYS: Final = 10
_ZETAS: Final = (0.3, 0.8, 1.3, 2.5)


@dataclass(frozen=True, slots=True)
class Free:
    """A parameter that is sought, within its bounds. positive: it is sought by its logarithm."""

    name: str
    low: float
    high: float
    positive: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """values of the free parameters, starts (parts * outputs,), told and e (N,), jacobian (n of the mask, free + starts)."""

    values: Mapping[str, float]
    starts: Array
    told: Array
    e: Array
    jacobian: Array


class OutputError:
    """One model on one record. mask (N,): the measurements that count."""

    def __init__(self, model: Model, record: Record, free: Sequence[Free], mask: Mask) -> None:
        within = np.zeros(mask.size, np.bool_)
        within[record.rows] = True
        mask = mask & within
        self._model, self._record, self._free, self._mask = model, record, tuple(free), mask
        outputs, width = len(record.outputs), starts_of(model, len(record.outputs))
        first = np.zeros(width * len(record.parts))
        for number, part in enumerate(record.parts):
            for k in range(outputs):
                rows = part.rows[(record.which[part.rows] == k)]
                counted = rows[mask[rows]] if mask[rows].any() else rows
                if counted.size:
                    first[number * width + k] = record.y[counted[:3]].mean()
        spread = np.array([max(float(np.std(record.y[record.which == k])), 1e-12) for k in range(outputs)])
        self._scale = spread[record.which]
        self.first = first

    def residuals(self, table: Mapping[str, Array], starts: Array) -> Array:
        """(candidates, n): in standard deviations of each output, of the measurements that count."""
        both = (self._record.y - told(self._model, self._record, table, starts)) / self._scale
        return np.asarray(both[:, self._mask])

    def fit(self, first: Mapping[str, float] | None, tick: Tick = lambda _share: None) -> Fit:
        """From a first guess alone, or from a grid. Raises Unfit where nothing fits."""
        guesses = [(dict(first), self.first)] if first is not None else self._guesses()
        best: tuple[float, Array] | None = None
        for place, (values, starts) in enumerate(guesses):
            found = self._packed(values, starts)
            if len(guesses) > 1:
                found = self._refined(found, ROUGH, EVALUATIONS // 4)
            cost = float(np.sum(self._residual(found) ** 2))
            if best is None or cost < best[0]:
                best = cost, found
            tick((place + 1) / (len(guesses) + 1))
        if best is not None:
            best = best[0], self._refined(best[1], FINE)
        if best is None or not best[0] < 1e18:
            raise Unfit("no parameters were found with which the model stays within bounds: look at its kind, its inputs and its units")
        return self._fit(best[1])

    def _fit(self, x: Array) -> Fit:
        values, starts = self._unpacked(x)
        whole = told(self._model, self._record, _table(values), starts[None])[0]
        jacobian = self._slopes(x) * self._chain(x)
        return Fit(values, starts, whole, self._record.y - whole, jacobian)

    # --- one vector for the search -----------------------------------------------------------------------------------------------------

    def _packed(self, values: Mapping[str, float], starts: Array) -> Array:
        inside = [min(max(values[one.name], one.low), one.high) for one in self._free]
        own = [math.log(value) if one.positive else value for one, value in zip(self._free, inside, strict=True)]
        return np.concatenate([own, starts])

    def _unpacked(self, x: Array) -> tuple[dict[str, float], Array]:
        own = x[: len(self._free)].tolist()
        values = {one.name: math.exp(value) if one.positive else value for one, value in zip(self._free, own, strict=True)}
        return values, x[len(self._free) :]

    def _chain(self, x: Array) -> Array:
        """d(search)/d(parameter)."""
        values, _ = self._unpacked(x)
        own = [1 / values[one.name] if one.positive else 1.0 for one in self._free]
        return np.concatenate([own, np.ones(x.size - len(own))])

    def _bounds(self) -> tuple[Array, Array]:
        low = [math.log(one.low) if one.positive else one.low for one in self._free]
        high = [math.log(one.high) if one.positive else one.high for one in self._free]
        wide = np.full(self.first.size, np.inf)
        return np.concatenate([low, -wide]), np.concatenate([high, wide])

    def _residual(self, x: Array) -> Array:
        return np.asarray(self._many(x[None])[0])

    def _many(self, x: Array) -> Array:
        """(candidates, n) of x (candidates, search)."""
        table = {one.name: np.exp(x[:, k]) if one.positive else x[:, k] for k, one in enumerate(self._free)}
        return self.residuals(table, x[:, len(self._free) :])

    def _slopes(self, x: Array) -> Array:
        """(n, search) by central differences, all in one go; one-sided at a bound."""
        low, high = self._bounds()
        size = np.array([1e-4 if one.positive else 1e-4 * max(abs(v), 1e-3) for one, v in zip(self._free, x.tolist(), strict=False)])
        h = np.concatenate([size, 1e-4 * np.maximum(np.abs(x[len(self._free) :]), 1e-3)])
        up, down = np.minimum(x + h, high), np.maximum(x - h, low)
        n = x.size
        both = np.tile(x, (2 * n, 1))
        both[np.arange(n), np.arange(n)], both[n + np.arange(n), np.arange(n)] = up, down
        e = self._many(both)
        return np.asarray(((e[:n] - e[n:]) / np.maximum(up - down, 1e-300)[:, None]).T)

    def _refined(self, x: Array, tolerance: float, most: int = EVALUATIONS) -> Array:
        from scipy.optimize import least_squares

        low, high = self._bounds()
        inside = np.clip(x, low + 1e-12 * np.abs(low, where=np.isfinite(low), out=np.zeros(x.size)), high)
        edge = (high > low) & np.isfinite(low) & np.isfinite(high)
        inside[edge] = np.clip(inside[edge], low[edge] + 1e-9 * (high - low)[edge], high[edge] - 1e-9 * (high - low)[edge])
        try:
            found = least_squares(
                self._residual, inside, jac=self._slopes, bounds=(low, high), x_scale="jac", xtol=tolerance, ftol=tolerance, max_nfev=most
            )
        except ModelError as fault:
            raise Unfit(str(fault)) from None
        return np.asarray(found.x)

    # --- where it begins ---------------------------------------------------------------------------------------------------------------

    def _guesses(self) -> list[tuple[dict[str, float], Array]]:
        """The likeliest first, on a coarse grid."""
        rough = OutputError(self._model, self._record.coarse(COARSE), self._free, self._mask)
        names = [one.name for one in self._free]
        linear = bool(set(LINEAR) & set(names))
        table = self._grid() if linear else self._scattered()
        if linear:
            values, starts, cost = rough._separable(table)
        else:
            starts = np.tile(rough.first, (len(next(iter(table.values()))), 1))
            e = rough.residuals(table, starts)
            values, cost = table, np.sum(e * e, axis=1)
        order = np.argsort(cost)
        picked = list[int]()
        for place in order.tolist():  # starts that differ
            if math.isfinite(cost[place]) and cost[place] < WILD**1.5 and len(picked) < STARTS:
                picked.append(place)
        same = starts.shape[1] == self.first.size
        return [({n: float(values[n][p]) for n in names}, starts[p] if same else self.first) for p in picked]

    def _grid(self) -> dict[str, Array]:
        """Times, delays and damping over what the window can tell."""
        span, axes = self._record.steps * self._record.step_s, dict[str, Array]()
        many = not any(one.name == "zeta" for one in self._free)
        for one in self._free:
            if one.name == "tau":
                axes[one.name] = np.geomspace(
                    max(one.low, self._record.step_s / 2), min(one.high, span / 2), _TIMES if many else _TIMES * 2 // 3
                )
            elif one.name == "theta":
                axes[one.name] = np.concatenate(
                    [[0.0], np.geomspace(self._record.step_s, max(one.high, 2 * self._record.step_s), _DELAYS if many else _DELAYS // 2)]
                )
            elif one.name == "zeta":
                axes[one.name] = np.array(_ZETAS)
            elif one.name not in LINEAR:
                axes[one.name] = np.array([float(np.asarray(self._model.parameters[one.name]))])
        mesh = np.meshgrid(*axes.values(), indexing="ij")
        return {name: np.clip(part.ravel(), one.low, one.high) for (name, part), one in zip(
            zip(axes, mesh, strict=True), [one for one in self._free if one.name in axes], strict=True)}  # fmt: skip

    def _separable(self, table: Mapping[str, Array]) -> tuple[dict[str, Array], Array, Array]:
        """With K, bias and starts by linear least squares for each candidate: (parameters, starts, cost)."""
        count = len(next(iter(table.values()))) if table else 1
        linear = [one.name for one in self._free if one.name in LINEAR]
        base = {name: float(np.asarray(self._model.parameters[name])) for name in LINEAR if name in self._model.parameters}
        rows = list[Array]()

        def one(changes: Mapping[str, float], starts: Array) -> Array:
            full = {**{name: np.full(count, value) for name, value in changes.items()}, **table}
            return told(self._model, self._record, full, np.tile(starts, (count, 1)))[:, self._mask]

        zero, silent = np.zeros(self.first.size), dict.fromkeys(base, 0.0)
        fixed = one({name: 0.0 if name in linear else value for name, value in base.items()}, zero)
        rows += [one({**silent, name: 1.0}, zero) for name in linear]
        rows += [one(silent, np.eye(self.first.size)[k]) for k in range(self.first.size)]
        x = np.stack(rows, axis=2) / self._scale[self._mask][None, :, None]
        target = (self._record.y[self._mask] - fixed) / self._scale[self._mask]
        found, cost = np.zeros((count, x.shape[2])), np.zeros(count)
        for k in range(count):
            found[k] = np.linalg.lstsq(x[k], target[k], rcond=1e-10)[0]
            cost[k] = float(np.sum((target[k] - x[k] @ found[k]) ** 2))
        values = {**dict(table), **{name: found[:, k] for k, name in enumerate(linear)}}
        return values, found[:, len(linear) :], cost

    def _scattered(self) -> dict[str, Array]:
        """The present values, and these times and over 3 and 10 in every direction of at most four parameters."""
        axes = []
        for place, one in enumerate(self._free):
            now = float(np.asarray(self._model.parameters[one.name]))
            factors = (0.1, 0.3, 1.0, 3.0, 10.0) if len(self._free) <= 2 else (0.2, 1.0, 5.0)
            wide = one.positive and place < 4
            axes.append(np.clip(now * np.array(factors), one.low, one.high) if wide else np.array([now]))
        return {one.name: part.ravel() for one, part in zip(self._free, np.meshgrid(*axes, indexing="ij"), strict=True)}


def _table(values: Mapping[str, float]) -> dict[str, Array]:
    return {name: np.array([value]) for name, value in values.items()}
