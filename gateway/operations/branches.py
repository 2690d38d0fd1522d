"""Runs that begin at a past time: what is known of it, or a refusal that names what is not."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.model import instant, quality
from gateway.model.process import ProcessModel
from gateway.operations.door import Refused
from gateway.simulation.branch import Course, grid, without_gaps
from gateway.simulation.process.model import Array
from gateway.simulation.whatif import Ask

Past = Callable[[Sequence[str], int], Awaitable[tuple[Mapping[str, Course], int]]]
"""past(tags, at_ns): what is known of each from the sample that held then, and until when it is known."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A past time, and what is known of the tags of the models from then until until_ns."""

    models: Sequence[ProcessModel]
    courses: Mapping[str, Course]
    at_ns: int
    until_ns: int

    @property
    def length_s(self) -> float:
        """From then until what is known ends."""
        return (self.until_ns - self.at_ns) / 1e9

    @property
    def start(self) -> dict[str, float]:
        """The state then, by tag; without those that are not known."""
        found = {tag: float(course.at(np.array([self.at_ns]))[0]) for tag, course in self.courses.items()}
        return {tag: value for tag, value in found.items() if np.isfinite(value)}

    def arrays(self, ask: Ask) -> tuple[dict[str, Array], dict[str, Array]]:
        """(inputs by step, outputs by instant with the initial one; NaN where nothing is known of them)."""
        at = grid(self.at_ns, ask.step_s, ask.steps)
        given = {tag for model in self.models for tag in model.outputs.values()}
        driven = {tag: without_gaps(course.at(at))[:-1] for tag, course in self.courses.items() if tag not in given}
        known = at <= self.until_ns
        return driven, {tag: np.where(known, self.courses[tag].at(at), np.nan) for tag in self.courses if tag in given}


async def begun(
    text: str, models: Sequence[ProcessModel], past: Past | None, now_ns: int, unavailable: tuple[type[Exception], ...]
) -> Branch:
    """What is known from that time on; unavailable: what past raises where the disk is away. Raises Refused."""
    at_ns = instant.parse(text)
    if at_ns is None:
        raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'at' is a time like 2026-01-31T12:00:00Z, got {text[:80]!r}")
    if at_ns >= now_ns:
        raise Refused(quality.BAD_OUT_OF_RANGE, f"argument 'at' is a past time, and {text[:80]} is not: it is {instant.iso(now_ns)}")
    if past is None:
        raise Refused(quality.BAD_INVALID_STATE, "there is no history here to begin from")
    wanted = tags_of(models)
    try:
        courses, until_ns = await past(wanted, at_ns)
    except unavailable as fault:
        raise Refused(quality.BAD_INVALID_STATE, f"the history cannot be read: {fault}") from None
    branch = Branch(models, courses, at_ns, until_ns)
    if missing := [tag for tag in wanted if tag not in branch.start]:
        later = [int(courses[tag].source_ns[0]) for tag in missing if tag in courses and courses[tag].source_ns.size]
        since = f": all of it is known from {instant.iso(max(later))}" if len(later) == len(missing) and max(later) > at_ns else ""
        raise Refused(quality.BAD_NO_DATA, f"there is no history of {', '.join(missing)} at {instant.iso(at_ns)}{since}")
    if branch.length_s <= 0:
        raise Refused(quality.BAD_NO_DATA, f"nothing is known after {instant.iso(at_ns)}: there is nothing to compare with")
    return branch


def tags_of(models: Sequence[ProcessModel]) -> list[str]:
    """The tags that models give or take, those that are given first."""
    given = [tag for model in models for tag in model.outputs.values()]
    return list(dict.fromkeys([*given, *(tag for model in models for tag in model.inputs.values() if isinstance(tag, str))]))
