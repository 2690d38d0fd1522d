"""Process models as a site ties them to its tags, named scenarios, and what became of runs: values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Change = float | Sequence[Sequence[float]]
"""A value, or a course: pairs of seconds from the beginning and the value that holds from then on, in order of time."""


@dataclass(frozen=True, slots=True)
class ProcessModel:
    """One entry of `models`. outputs: the model's output -> tag; inputs: its input -> tag, or a number that it keeps.

    parameters in the model's own units (seconds for times); spread: the standard deviation of those that are not known for sure;
    varied: those that are drawn from another distribution, as text; equations: those of the kind `equations`, nothing for the others.
    """

    name: str
    kind: str
    outputs: Mapping[str, str]
    inputs: Mapping[str, str | float] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    equations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    varied: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named what-if. parameters by dotted path: a tag, or model.parameter. Times in UTC ns, 0 for one of the configuration.

    horizon_s, step_s, runs: None where the scenario does not say.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Change] = field(default_factory=dict)
    horizon_s: float | None = None
    step_s: float | None = None
    runs: int | None = None
    created_ns: int = 0
    updated_ns: int = 0


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One simulation. run_id: a uuid4; kind `simulate` or `compare`; asked and results are JSON values, results empty until it is done."""

    run_id: str
    kind: str
    scenarios: Sequence[str]
    user: str
    started_ns: int
    asked: Mapping[str, Any]
    state: RunState = RunState.RUNNING
    seconds: float = 0.0
    steps: int = 0
    why: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
