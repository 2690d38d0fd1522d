"""What would have kept a chattering alarm quiet (ISA-18.2, 16.5.4 and annex; EEMUA 191, appendix 9): pure functions over its past.

A delay only ever takes annunciations away, or merges them into the one before: more of it never makes an alarm chatter that did not. So
the least one that helps is found by halving the list of those that come into question.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

import numpy as np

from gateway.model.batch import Floats, Times

CHATTER: Final = 3  # annunciated so often
CHATTER_NS: Final = 60_000_000_000  # within that time


class Run(NamedTuple):
    """One time that an alarm stood: from its annunciation to its return, engine ns."""

    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Advice:
    """The least delay, in seconds, rounded up to a tenth, under which the same past would not have chattered; None where none would have
    helped, or it did not chatter."""

    on_delay_s: float | None
    off_delay_s: float | None


def chatters(began_ns: Sequence[int]) -> bool:
    """Whether annunciations at these times, oldest first, stood three times within a minute."""
    return any(later - earlier <= CHATTER_NS for earlier, later in zip(began_ns, began_ns[CHATTER - 1 :], strict=False))


def tuned(runs: Sequence[Run]) -> Advice:
    """The on-delay and the off-delay for these runs, oldest first."""
    if not chatters([run.began_ns for run in runs]):
        return Advice(None, None)
    lasted = [run.ended_ns - run.began_ns for run in runs]
    normal = [later.began_ns - earlier.ended_ns for earlier, later in pairwise(runs)]
    return Advice(
        on_delay_s=_least(lasted, lambda delay_ns: _with_on_delay(runs, delay_ns)),
        off_delay_s=_least(normal, lambda delay_ns: _with_off_delay(runs, delay_ns)),
    )


def hysteresis(runs: Sequence[Run], source_ns: Times, value: Floats, threshold: float, *, low: bool = False) -> float | None:
    """The least hysteresis, in engineering units, that would have merged the runs that chatter; None where the samples show no return.

    source_ns, value: the tag's samples over the time of the runs, oldest first. low: the alarm is at or below the threshold. How far the
    value came back between two runs is how much the hysteresis lacked; the least number of them is merged that ends the chatter.
    """
    sign = -1.0 if low else 1.0
    depths: list[float] = []
    for earlier, later in pairwise(runs):
        first, last = np.searchsorted(source_ns, (earlier.ended_ns, later.began_ns))
        between = value[max(int(first) - 1, 0) : int(last)]
        between = between[np.isfinite(between)]
        depths.append(float(np.max(sign * (threshold - between))) if between.size else np.inf)
    finite = sorted({depth for depth in depths if 0 < depth < np.inf})

    def begins(depth: float) -> list[int]:
        return [runs[0].began_ns] + [run.began_ns for run, back in zip(runs[1:], depths, strict=True) if back > depth]

    if not chatters([run.began_ns for run in runs]):
        return None
    at = bisect_left(finite, True, key=lambda depth: not chatters(begins(depth)))
    return float(f"{finite[at] * 1.01:.3g}") if at < len(finite) else None  # a little more than what just touched


def _with_on_delay(runs: Sequence[Run], delay_ns: int) -> list[int]:
    return [run.began_ns + delay_ns for run in runs if run.ended_ns - run.began_ns > delay_ns]


def _with_off_delay(runs: Sequence[Run], delay_ns: int) -> list[int]:
    ends = pairwise(runs)
    return [runs[0].began_ns] + [later.began_ns for earlier, later in ends if later.began_ns - earlier.ended_ns > delay_ns]


def _least(candidates: Sequence[int], begins: Callable[[int], Sequence[int]]) -> float | None:
    """The least of these delays that leaves no chatter."""
    ordered = sorted(set(candidates))
    at = bisect_left(ordered, True, key=lambda delay_ns: not chatters(begins(delay_ns)))
    return ceil(ordered[at] / 1e8) / 10 if at < len(ordered) else None
