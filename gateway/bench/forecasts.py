"""What forecasts cost: a thousand tags, ten minutes of one-second steps, bands, and first passage through four limits each."""

import time
from typing import Any, Final

import numpy as np

from gateway.simulation.forecast.crossing import times
from gateway.simulation.forecast.drift import Drift
from gateway.simulation.forecast.reliability import Reliability
from gateway.simulation.forecast.rolling import Rolling

TAGS: Final = 1000
HORIZON_S: Final = 600.0
BUDGET_S: Final = 0.5
"""Of one forecast of all tags with bands and passages, every 10 s."""
_WARM: Final = 120


def figures() -> dict[str, Any]:
    """CPU seconds of one core: a forecast with its passages (best of several), and what samples cost between two of them."""
    rolling, generator = Rolling.of(TAGS, HORIZON_S, 1.0, every_s=10.0), np.random.default_rng(1)
    drift, away = Drift.of(TAGS, HORIZON_S, 1.0), np.array([20.0, 30.0, -20.0, -30.0])
    upper = np.broadcast_to(away > 0, (TAGS, away.size))
    limits = np.broadcast_to(away, upper.shape)
    reliability = Reliability.of(HORIZON_S, limits, upper, np.zeros(upper.shape))
    y, good = np.cumsum(0.1 * generator.standard_normal((_WARM, TAGS)), axis=0), np.ones(TAGS, bool)
    began = time.process_time()
    for at, column in enumerate(y):
        for part in (rolling, drift, reliability):
            part.step(float(at), column, good)
    samples_s = (time.process_time() - began) / _WARM * 10
    rolling.model[:] = np.arange(TAGS)[:, None] % len(rolling.names)  # every model in turn: none of them is idle
    best = np.inf
    for _ in range(5):
        before = time.process_time()
        rolling.forecast(0)
        chance, time_s, passed = drift.chances(rolling.last, limits, upper=upper)
        times(reliability.told(chance, time_s), time_s, passed)
        best = min(best, time.process_time() - before)
    return {
        "forecast_tags_x_steps_x_limits": f"{TAGS} x {round(HORIZON_S)} x 4",
        "forecast_with_bands_and_passages_s": round(best, 3),
        "forecast_budget_s": BUDGET_S,
        "forecast_ten_seconds_of_samples_and_scores_s": round(samples_s, 3),
    }
