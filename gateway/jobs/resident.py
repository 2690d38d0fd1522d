"""The worker that stays: it keeps what it has learned between jobs, so it is one process, and never ended for being idle."""

from typing import Final

from gateway.jobs.workers import Workers

IDLE_S: Final = 2 * 3600.0  # longer than the longest pause between two forecasts: after it, nobody asks any more


def resident() -> Workers:
    """Workers of one. A job that dies takes the process with it; the next job starts another, which takes up what was saved last."""
    return Workers(1, idle_s=IDLE_S)
