"""Persistence: it stays as it is. Its own error scale is learned per horizon; every other model is measured against it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.simulation.forecast.forecaster import Array, Mask, Normal
from gateway.simulation.forecast.lags import SLOTS, Lags

FORGET: Final = 0.99  # per error of a knot


@dataclass(slots=True)
class Persistence:
    """The last Good sample, and the mean squared error (tags, knots) of what it said so far."""

    knots_s: Array
    last: Array
    age_s: Array
    lags: Lags
    square: Array
    weight: Array
    clock_s: Array
    name: str = "persistence"

    @classmethod
    def of(cls, tags: int, knots_s: Array) -> "Persistence":
        """knots_s (knots,) ascending: the horizons at which its errors are learned; between them they are interpolated."""
        shape = (tags, knots_s.size)
        return cls(knots_s, np.full(tags, np.nan), np.zeros(tags), Lags.of(tags, knots_s), np.zeros(shape), np.zeros(shape), np.zeros(tags))

    def update(self, dt_s: Array, y: Array, good: Mask) -> None:
        """Compare with what was said a knot ago, then say it anew."""
        self.clock_s = self.clock_s + dt_s
        self.age_s = np.where(good, 0.0, self.age_s + dt_s)
        self.last = np.where(good, y, self.last)
        before, due = self.lags.turn(self.clock_s, self.last)
        due &= good[:, None]
        error = np.where(due, y[:, None] - before, 0.0)
        keep = np.where(due, FORGET, 1.0)
        self.square = keep * self.square + error * error
        self.weight = keep * self.weight + due

    def variance(self) -> Array:
        """(tags, knots): the errors' mean square, and while they are few also how they grew up to the next shorter horizon.

        NaN before any error. Errors of one horizon share their time: SLOTS of them tell about as much as one.
        """
        prior = SLOTS**2 / (SLOTS + self.weight)
        found = np.full(self.square.shape, np.nan)
        known = self.weight[:, 0] > 0
        found[known, 0] = self.square[known, 0] / self.weight[known, 0]
        for knot in range(1, self.knots_s.size):
            walk = found[:, knot - 1] * (self.knots_s[knot] / self.knots_s[knot - 1]) ** self._growth(found, knot)
            square, weight, share = self.square[:, knot], self.weight[:, knot], prior[:, knot]
            alone = np.divide(square, weight, out=np.full(square.size, np.nan), where=weight > 0)
            found[:, knot] = np.where(np.isnan(walk), alone, (share * np.nan_to_num(walk) + square) / (share + weight))
        for knot in range(self.knots_s.size - 2, -1, -1):  # shorter than what a tag's samples are apart: no wider than beyond
            found[:, knot] = np.where(np.isnan(found[:, knot]), found[:, knot + 1], found[:, knot])
        return found

    def _growth(self, found: Array, knot: int) -> Array:
        """The power of time with which the mean square grew between the two shorter knots: 0 noise, 1 a random walk, 2 a ramp."""
        if knot < 2:
            return np.ones(len(found))
        short, long = found[:, knot - 2], found[:, knot - 1]
        ratio = np.divide(long, short, out=np.ones(len(found)), where=(short > 0) & (long > 0))
        return np.asarray(np.clip(np.log(ratio) / np.log(self.knots_s[knot - 1] / self.knots_s[knot - 2]), 0.0, 2.0))

    def predict(self, horizon_s: Array) -> Normal:
        """The last sample; sd from the squared errors, which grow with the age of that sample; NaN before the first error."""
        variance = self.variance()
        knots = np.concatenate([[0.0], self.knots_s])
        grown = np.concatenate([variance[:, :1], variance], axis=1)
        place = np.clip(np.searchsorted(knots, horizon_s, "right") - 1, 0, knots.size - 2)
        share = np.clip((horizon_s - knots[place]) / (knots[place + 1] - knots[place]), 0.0, None)
        between = grown[:, place] * (1 - share) + grown[:, place + 1] * share
        between = np.maximum(between, 0.0) * (1 + (self.age_s[:, None] / horizon_s))
        known = ~np.isnan(self.last)[:, None]
        mean = np.broadcast_to(self.last[:, None], between.shape)
        return Normal(np.array(mean), np.where(known, np.sqrt(between), np.nan))
