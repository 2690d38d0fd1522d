"""What comes of a calibration: parameters with their intervals, how they fit what they have not seen, and whether they may be applied."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from gateway.simulation.calibration.statistics import Whiteness

Z95: Final = 1.959964
OFFSET: Final = "bias"
_SURE: Final = 6.0  # standard deviations from 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """One parameter: its value, standard deviation and 95 % interval; before: in force until now."""

    name: str
    value: float
    sd: float
    low: float
    high: float
    before: float


@dataclass(frozen=True, slots=True)
class Judged:
    """fit: NRMSE percent; error: root mean square, in standard deviations of each output. On the held-out part."""

    fit: float
    error: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What came of it. trained, held_out and before: the fit on its own data, on unseen ones, and of the parameters until now there."""

    model: str
    kind: str
    method: str
    parameters: tuple[Estimate, ...]
    trained: float
    held_out: Judged
    before: Judged
    whiteness: Whiteness
    samples: int
    step_s: float
    excitation: Mapping[str, int]
    hint: Mapping[str, float] | None
    warnings: tuple[str, ...]
    plot: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def better(self) -> bool:
        """Not worse on data that neither has seen: what may be applied."""
        return self.held_out.error <= self.before.error

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviations that runs may draw from: of no noise, and of nothing that a draw could turn in sign against its sense."""
        free = {OFFSET, "mean"}
        return {
            one.name: one.sd
            for one in self.parameters
            if one.sd > 0 and not one.name.endswith("noise") and (one.name in free or abs(one.value) > _SURE * one.sd)
        }

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **{name: getattr(self, name) for name in ("model", "kind", "method", "samples", "step_s", "better")},
            "parameters": [asdict(one) for one in self.parameters],
            "spread": self.spread,
            "fit": self.trained,
            "held_out": asdict(self.held_out),
            "before": asdict(self.before),
            "whiteness": {**asdict(self.whiteness), "white": self.whiteness.white},
            "excitation": dict(self.excitation),
            "tuning": None if self.hint is None else dict(self.hint),
            "warnings": list(self.warnings),
            "plot": {name: list(values) for name, values in self.plot.items()},
        }


def estimate(name: str, value: float, sd: float, before: float, low: float = -math.inf) -> Estimate:
    """With a 95 % interval that ends at low, the lowest that the parameter may be."""
    return Estimate(name, value, sd, max(value - Z95 * sd, low), value + Z95 * sd, before)
