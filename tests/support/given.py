"""A forecaster whose words a test puts into its mouth."""

from dataclasses import dataclass

import numpy as np

from gateway.simulation.forecast.forecaster import Array, Mask, Normal


@dataclass(slots=True)
class Given:
    """mean, sd (tags, steps) from one step after `put` on."""

    step_s: float
    mean: Array
    sd: Array
    age_s: Array
    name: str = "model"

    @classmethod
    def of(cls, tags: int, step_s: float) -> "Given":
        """No trajectory yet."""
        return cls(step_s, np.full((tags, 1), np.nan), np.full((tags, 1), np.nan), np.zeros(tags))

    def put(self, mean: Array, sd: Array, step_s: float) -> None:
        """The newest trajectory; it begins now. Raises ValueError where shapes differ or the number of tags does."""
        if mean.shape != sd.shape or len(mean) != self.age_s.size or mean.ndim != 2 or not mean.shape[1]:
            raise ValueError(f"trajectory of shape {mean.shape} and {sd.shape} for {self.age_s.size} tags")
        self.mean, self.sd, self.step_s, self.age_s = mean, sd, step_s, np.zeros(len(mean))

    def update(self, dt_s: Array, y: Array, good: Mask) -> None:
        """It grows older."""
        self.age_s = self.age_s + dt_s

    def predict(self, horizon_s: Array) -> Normal:
        """Straight lines between its steps; NaN beyond its end."""
        place = (horizon_s + self.age_s[:, None]) / self.step_s - 1
        last = self.mean.shape[1] - 1
        low = np.clip(np.floor(place + 1e-9).astype(np.intp), 0, max(last - 1, 0))
        high, share = np.minimum(low + 1, last), np.clip(place - low, 0.0, 1.0)
        inside = place <= last + 1e-6
        parts = (
            np.take_along_axis(part, low, 1) * (1 - share) + np.take_along_axis(part, high, 1) * share for part in (self.mean, self.sd)
        )
        mean, sd = (np.where(inside, part, np.nan) for part in parts)
        return Normal(mean, sd)
