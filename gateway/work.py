"""Jobs: work that takes longer than the daemon's loop may wait, done in worker processes. What the rooms may expect of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.generic]


class JobFailed(Exception):
    """This job has no result, and nothing else is harmed. reason is a word for programs, why says it to people.

    reason: `refused` (its arguments cannot work), `deadline`, `cancelled`, `died`, `nonsense` (the worker did not keep to the protocol),
    `error` (an unexpected one in the job's own function), `busy` (too many wait already), `unstarted` (no process could be started).
    """

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(f"{reason}: {why}")
        self.reason, self.why = reason, why


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. kind is a key of the table of jobs; args are JSON values; seed decides every draw."""

    kind: str
    args: Mapping[str, Any]
    arrays: Mapping[str, Column] = field(default_factory=dict)
    seed: int = 0
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came of it: JSON values, and arrays. seconds: how long it took, without the wait for a worker."""

    values: Mapping[str, Any]
    arrays: Mapping[str, Column]
    seconds: float


@dataclass(frozen=True, slots=True)
class Workforce:
    """The workers as they stand. resident_bytes: their memory, which is not in the daemon's."""

    alive: int
    busy: int
    waiting: int
    resident_bytes: int
    done: int
    failed: int


Progress = Callable[[float], None]
"""Told a share from 0 to 1, now and then."""


def silent(_share: float) -> None:
    """For those who do not ask."""


class Jobs(Protocol):
    """Worker processes. Cancelling the task that waits ends the worker that works for it."""

    async def run(self, job: Job, progress: Progress = silent) -> JobResult:
        """Raises JobFailed, of this job alone. The deadline begins when a worker takes the job."""

    def workforce(self) -> Workforce: ...
