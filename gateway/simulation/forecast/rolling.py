"""Forecasts that roll: every sample teaches, every so often a forecast is issued, and each is scored when its time has come.

At a set of horizons (knots) the published distribution is that of the model chosen there, its band made honest by adaptive conformal
inference; between knots two neighbours are blended. Time is what the caller says; nothing here is random.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.model.forecast import QUANTILES, Codes, Forecast, Scores
from gateway.simulation.forecast import normal, score
from gateway.simulation.forecast.arx import Arx
from gateway.simulation.forecast.board import Board
from gateway.simulation.forecast.choose import Choice
from gateway.simulation.forecast.conformal import GAMMA, Adaptive
from gateway.simulation.forecast.forecaster import Array, Forecaster, Mask, Normal
from gateway.simulation.forecast.kalman import local_level, local_trend
from gateway.simulation.forecast.lags import SLOTS
from gateway.simulation.forecast.modelled import Modelled
from gateway.simulation.forecast.ou import ornstein_uhlenbeck
from gateway.simulation.forecast.persistence import Persistence

Rows = npt.NDArray[np.intp]
KNOTS: Final = (1 / 600, 1 / 120, 1 / 60, 1 / 20, 1 / 10, 1 / 5, 1 / 2, 1.0)
WORST: Final = 20.0  # a conformal score, in sd: one that was wild says no more than that
HELD: Final = 0.1  # share of a horizon that the sample which scores it may be older than its time
SHARPEST: Final = 1e-3  # of persistence's sd: no model is taken to know more than that, however still it was so far
_Z95: Final = normal.quantile(0.95)


def knots(horizon_s: float, step_s: float, lead_s: float | None = None) -> Array:
    """Horizons at which forecasts are scored: shares of the whole one and the lead, each a number of steps; every one once."""
    steps = max(round(horizon_s / step_s), 1)
    lead = steps if lead_s is None else round(lead_s / step_s)
    return np.round(np.unique(np.maximum(np.round(np.append(np.array(KNOTS) * steps, lead)), 1.0)) * step_s, 9)


def forecasters(tags: int, horizon_s: float, step_s: float, *, lead_s: float | None = None, inputs: int = 0) -> tuple[Forecaster, ...]:
    """The usual ones, persistence first."""
    grid_s = max(1, round(horizon_s / 60 / step_s)) * step_s
    return (
        Persistence.of(tags, knots(horizon_s, step_s, lead_s)),
        local_level(tags),
        local_trend(tags, step_s),
        ornstein_uhlenbeck(tags, max(10 * horizon_s, 4 * step_s), 2 * step_s),
        Arx.of(tags, grid_s, inputs=inputs),
    )


@dataclass(frozen=True, slots=True)
class Issued:
    """What was said of one knot: by every model (models, tags), and published (tags,)."""

    due_s: float
    mean: Array
    sd: Array
    centre: Array
    spread: Array
    own: Array


@dataclass(slots=True)
class Rolling:
    """Forecasts of n tags by one clock. every_s: how often one is issued and remembered for its score."""

    step_s: float
    every_s: float
    knots_s: Array
    members: tuple[Forecaster, ...]
    adaptive: Adaptive
    choice: Choice
    board: Board
    model: Codes
    last: Array
    age_s: Array
    waiting: tuple[deque[Issued], ...]
    next_s: Array
    now_s: float | None = None

    @classmethod
    def of(
        cls,
        tags: int,
        horizon_s: float,
        step_s: float,
        *,
        every_s: float | None = None,
        lead_s: float | None = None,
        members: Sequence[Forecaster] | None = None,
        alpha: float = 0.1,
    ) -> "Rolling":
        """Nothing seen. Raises ValueError for a horizon or step that is none, and where persistence is not the first member."""
        if not (0 < step_s <= horizon_s < float("inf")):
            raise ValueError(f"a horizon of {horizon_s} s in steps of {step_s} s is none")
        chosen = tuple(members) if members is not None else forecasters(tags, horizon_s, step_s, lead_s=lead_s)
        if not chosen or chosen[0].name != "persistence":
            raise ValueError("the first forecaster is persistence: the others are measured against it")
        at = knots(horizon_s, step_s, lead_s)
        every = max(every_s or step_s, step_s)
        spacing = np.maximum(every, at / SLOTS)
        overlap = np.maximum(at / spacing, 1.0)
        # Verdicts that share their time come late and together: a step as for single ones would swing the level.
        adaptive = Adaptive.of(tags, at.size, alpha, GAMMA / np.sqrt(overlap))
        zero = np.zeros((tags, at.size), np.int8)
        return cls(
            step_s, every, at, chosen, adaptive, Choice.of(len(chosen), tags, overlap),
            Board.of(tags, at), zero, np.full(tags, np.nan), np.full(tags, np.inf), tuple(deque(maxlen=SLOTS + 2) for _ in at),
            np.full(at.size, -np.inf),
        )  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models, persistence first."""
        return tuple(member.name for member in self.members)

    def drive(self, u: Array, feeds: Rows) -> None:
        """Inputs (inputs,) from the next step on, NaN where one is not known; feeds (tags, m): which of them act on a tag, -1 = none."""
        for member in self.members:
            if isinstance(member, Modelled):
                member.drive(u)
            elif isinstance(member, Arx) and member.inputs:
                member.drive(np.where(feeds >= 0, u[np.maximum(feeds, 0)], np.nan))

    def step(self, now_s: float, y: Array, good: Mask) -> None:
        """Samples y (tags,) at now_s; good (tags,) False where there is none, it is Bad or no number. ValueError where time goes back."""
        passed = 0.0 if self.now_s is None else now_s - self.now_s
        if passed < 0:
            raise ValueError(f"time goes back by {-passed} s")
        self.now_s = now_s
        good = good & np.isfinite(y)
        dt_s = np.full(y.size, passed)
        for member in self.members:
            member.update(dt_s, y, good)
        self.last = np.where(good, y, self.last)
        self.age_s = np.where(good, 0.0, self.age_s + passed)
        self._due(now_s)
        if (now_s + 1e-6 >= self.next_s).any():
            self._issue(now_s)

    def _due(self, now_s: float) -> None:
        for knot, waiting in enumerate(self.waiting):
            while waiting and waiting[0].due_s <= now_s + 1e-6:
                issued = waiting.popleft()
                if now_s - issued.due_s <= max(0.5 * self.step_s, HELD * self.knots_s[knot]):
                    self._score(knot, issued)

    def _score(self, knot: int, issued: Issued) -> None:
        y = self.last
        scored = (self.age_s <= HELD * self.knots_s[knot]) & ~np.isnan(issued.spread)
        error = np.abs(y - issued.mean)
        self.choice.learn(knot, score.crps_normal(issued.mean, issued.sd, y), error, scored)
        for member, off in zip(self.members, error, strict=True):
            if isinstance(member, Modelled):
                member.erred(knot, off, scored)
        row = np.flatnonzero(scored)
        if not row.size:
            return
        centre, spread, own = issued.centre[row], issued.spread[row], issued.own[row]
        still = score.crps_normal(issued.mean[0, row], issued.sd[0, row], y[row])
        self.board.take(knot, row, centre, spread, y[row], error[0, row], still)
        off = np.abs(y[row] - centre)
        nothing = 1e-9 * np.maximum(np.abs(centre), 1e-6)  # a signal that stands still has no spread, and no miss within its digits
        missed = off > np.maximum(_Z95 * spread, nothing)
        told = (own > nothing) | ~missed  # persistence before its first error has no scale to score by
        self.adaptive.learn(knot, np.minimum(off / np.maximum(own, nothing), WORST)[told], missed[told], row[told])

    def _issue(self, now_s: float) -> None:
        said = [member.predict(self.knots_s) for member in self.members]
        mean, sd = np.stack([one.mean for one in said]), np.stack([one.sd for one in said])
        self.model = self._chosen(mean)
        place = self.model[None].astype(np.intp)
        centre, own = (np.take_along_axis(part, place, 0)[0] for part in (mean, sd))
        own = np.maximum(own, SHARPEST * np.nan_to_num(sd[0]))
        spread = own * self.adaptive.width / _Z95
        for knot in np.flatnonzero(now_s + 1e-6 >= self.next_s).tolist():
            at_s = float(self.knots_s[knot])
            self.waiting[knot].append(Issued(now_s + at_s, mean[..., knot], sd[..., knot], centre[:, knot], spread[:, knot], own[:, knot]))
            self.next_s[knot] = now_s + max(self.every_s, at_s / SLOTS)

    def _chosen(self, mean: Array) -> Codes:
        """Where the model that was chosen has nothing to say now, persistence speaks. mean (models, tags, knots)."""
        model = self.choice.chosen()
        silent = np.isnan(np.take_along_axis(mean, model[None].astype(np.intp), 0)[0])
        return np.where(silent, np.int8(0), model)

    def forecast(self, at_ns: int, steps: int | None = None) -> Forecast:
        """The published trajectory from now on, one row per tag; at_ns is the instant that now_s stands for."""
        count = round(self.knots_s[-1] / self.step_s) if steps is None else steps
        horizon_s = np.arange(1, count + 1) * self.step_s
        low, high, share = self._between(horizon_s)
        mean, variance = np.zeros((self.last.size, count)), np.zeros((self.last.size, count))
        for number in np.unique(self.model).tolist():
            row = np.flatnonzero((self.model == number).any(1))
            said = self._said(number, horizon_s, row)
            part = (self.model[row][:, low] == number) * (1 - share) + (self.model[row][:, high] == number) * share
            mean[row] += np.where(part > 0, part * said.mean, 0.0)
            variance[row] += np.where(part > 0, part * said.sd**2, 0.0)
        width = (self.adaptive.width[:, low] * (1 - share) + self.adaptive.width[:, high] * share) / _Z95
        still = self.members[0].predict(horizon_s).sd
        known = ~np.isnan(still)
        sd = np.where(known, np.maximum(np.sqrt(variance), SHARPEST * still) * width, np.nan)
        mean = np.where(known, mean, np.nan)
        bands = {p: mean + normal.quantile(p) * sd for p in QUANTILES}
        nearer = self.model[:, np.where(share > 0.5, high, low)]
        return Forecast(at_ns, round(self.step_s * 1e9), mean, sd, bands, nearer, self.names)

    def _said(self, number: int, horizon_s: Array, row: Rows) -> Normal:
        """A model's word on some tags; persistence's where it fell silent since it was chosen."""
        own = Normal(*(part[row] for part in self.members[number].predict(horizon_s)))
        silent = np.isnan(own.sd) | np.isnan(own.mean)
        if number == 0 or not silent.any():
            return own
        still = self.members[0].predict(horizon_s)
        return Normal(np.where(silent, still.mean[row], own.mean), np.where(silent, still.sd[row], own.sd))

    def _between(self, horizon_s: Array) -> tuple[Rows, Rows, Array]:
        """Knots below and above each horizon, and the share of the upper one."""
        last = self.knots_s.size - 1
        low = np.clip(np.searchsorted(self.knots_s, horizon_s + 1e-9, "right") - 1, 0, last)
        high = np.minimum(low + 1, last)
        width = np.where(high > low, self.knots_s[high] - self.knots_s[low], 1.0)
        return low, high, np.where(high > low, np.clip((horizon_s - self.knots_s[low]) / width, 0.0, 1.0), 0.0)

    def scores(self) -> Scores:
        """How what was published did, so far."""
        return self.board.scores(self.model, self.names)
