"""What forecasts cost: a thousand tags, ten minutes of one-second steps, bands, and first passage through four limits each."""

import time
from typing import Any, Final

import numpy as np

from gateway.simulation.forecast.rolling import Rolling

TAGS: Final = 1000
HORIZON_S: Final = 600.0
BUDGET_S: Final = 0.5
"""Of one forecast of all tags with bands and passages, every 10 s."""
_WARM: Final = 120


def figures() -> dict[str, Any]:
    """CPU seconds of one core: a forecast with its passages (best of several), and what samples cost between two of them."""
    rolling, generator = Rolling.of(TAGS, HORIZON_S, 1.0, every_s=10.0), np.random.default_rng(1)
    y, good = np.cumsum(0.1 * generator.standard_normal((_WARM, TAGS)), axis=0), np.ones(TAGS, bool)
    began = time.process_time()
    for at, column in enumerate(y):
        rolling.step(float(at), column, good)
    samples_s = (time.process_time() - began) / _WARM * 10
    rolling.model[:] = np.arange(TAGS)[:, None] % len(rolling.names)  # every model in turn: none of them is idle
    limits = rolling.last[:, None] + np.array([2.0, 3.0, -2.0, -3.0])
    upper = np.array([True, True, False, False])
    best = np.inf
    for _ in range(5):
        before = time.process_time()
        rolling.crossing(rolling.forecast(0), limits, upper=upper, scan_s=1.0)
        best = min(best, time.process_time() - before)
    return {
        "forecast_tags_x_steps_x_limits": f"{TAGS} x {round(HORIZON_S)} x 4",
        "forecast_with_bands_and_passages_s": round(best, 3),
        "forecast_budget_s": BUDGET_S,
        "forecast_ten_seconds_of_samples_and_scores_s": round(samples_s, 3),
    }
