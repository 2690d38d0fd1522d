"""What a forecaster is: it learns from samples of all tags at once, and says where they will be."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Normal(NamedTuple):
    """Predictive distributions, (tags, horizons) each, engineering units. NaN: nothing to say about that tag."""

    mean: Array
    sd: Array


class Forecaster(Protocol):
    """State of n tags. Time passes for a tag also where it has no sample: a gap widens what is said of it."""

    @property
    def name(self) -> str:
        """One word, as people read it."""
        ...

    def update(self, dt_s: Array, y: Array, good: Mask) -> None:
        """dt_s (tags,) seconds since the tag's last update, y (tags,) its sample. Where good is False there is none: time alone passes."""
        ...

    def predict(self, horizon_s: Array) -> Normal:
        """For times (horizons,) ascending, seconds ahead of the last update."""
        ...
