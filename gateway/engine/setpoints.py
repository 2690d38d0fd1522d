"""May this setpoint be written? The guard of one write, as a pure decision: type, range, rate, interlock, role."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.model import quality
from gateway.model.batch import Floats
from gateway.model.expression import Expression
from gateway.model.quality import Statuses
from gateway.model.tag import EXACT_INT, Tag, TagTable, TagType, WriteRule

RANK: Final = {"viewer": 1, "operator": 2, "engineer": 3, "manager": 4, "admin": 5}
_WHOLE: Final = {TagType.INT: (-EXACT_INT, EXACT_INT), TagType.BOOL: (0.0, 1.0), TagType.ENUM: (0.0, 2.0**32 - 1)}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The last write that was let through."""

    value: float
    at_ns: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """status is Good, or why not as a StatusCode (Part 4, 7.39) and in words."""

    status: int
    why: str = ""

    @property
    def allowed(self) -> bool:
        return self.status == quality.GOOD


@dataclass(frozen=True, slots=True)
class Interlock:
    """An expression (parsed with stateful=False) bound to the tags it reads."""

    expression: Expression
    tag_id: tuple[int, ...]

    @classmethod
    def of(cls, expression: Expression, tags: TagTable) -> "Interlock":
        """Raises KeyError where a tag of it is not in the table."""
        return cls(expression, tuple(tags.index[name] for name in expression.names))

    def check(self, value: Floats, status: Statuses) -> Verdict:
        """Against the twin's columns. Not Good is not proven: an interlock whose inputs are Uncertain or Bad refuses."""
        holds, code = self.expression.evaluate([value.item(k) for k in self.tag_id], [status.item(k) for k in self.tag_id])
        if code != quality.GOOD:
            return Verdict(quality.BAD_INVALID_STATE, f"the interlock {self.expression.text!r} cannot be judged: {quality.name(code)}")
        if holds == 0.0:
            return Verdict(quality.BAD_INVALID_STATE, f"the interlock {self.expression.text!r} does not allow it")
        return Verdict(quality.GOOD)


def guard(
    rule: WriteRule | None,
    tag: Tag,
    value: float | str,
    *,
    role: str,
    reason: str = "",
    now_ns: int,
    last: Accepted | None,
    interlock: Verdict | None,
) -> Verdict:
    """Is this write allowed? interlock: the verdict of the rule's interlock, None where it has none; last: the tag's last accepted write.

    The checks in their order: writable at all, role, reason, type, range, rate, interlock. An unknown role may do nothing.
    """
    refusals = _refusals(rule, tag, value, role, reason, now_ns, last, interlock)
    return next(refusals, Verdict(quality.GOOD))


def _refusals(
    rule: WriteRule | None,
    tag: Tag,
    value: float | str,
    role: str,
    reason: str,
    now_ns: int,
    last: Accepted | None,
    interlock: Verdict | None,
) -> Iterator[Verdict]:
    if rule is None or not tag.enabled:
        yield Verdict(quality.BAD_NOT_WRITABLE, f"{tag.name} is not writable")
        return
    if RANK.get(role, 0) < RANK.get(rule.role, math.inf):
        yield Verdict(quality.BAD_USER_ACCESS_DENIED, f"{tag.name} asks for the role {rule.role}")
    if rule.reason and not reason.strip():
        yield Verdict(quality.BAD_INVALID_STATE, f"{tag.name} asks for a reason")
    if wrong := _type_fault(tag, value):
        yield Verdict(quality.BAD_TYPE_MISMATCH, f"{tag.name}: {wrong}")
    elif not isinstance(value, str) and (refused := _bounds(rule, tag, value, now_ns, last)):
        yield Verdict(quality.BAD_OUT_OF_RANGE, refused)
    if rule.interlock is not None and interlock is None:
        yield Verdict(quality.BAD_INVALID_STATE, f"the interlock {rule.interlock!r} was not judged")
    if interlock is not None and not interlock.allowed:
        yield interlock


def _type_fault(tag: Tag, value: float | str) -> str:
    if isinstance(value, str) or tag.type is TagType.TEXT:
        return "" if isinstance(value, str) and tag.type is TagType.TEXT else "a text tag takes a text, every other one a number"
    if not math.isfinite(value):
        return "not a finite number"
    if tag.type is not TagType.FLOAT and value != math.floor(value):
        return f"{value:g} is not a whole number"
    if tag.type is TagType.ENUM and tag.labels:
        return "" if value in tag.labels else f"{value:g} is not one of its states"
    low, high = _WHOLE.get(tag.type, (-math.inf, math.inf))
    return "" if low <= value <= high else f"{value:g} is outside {low:.0f} to {high:.0f}"


def _bounds(rule: WriteRule, tag: Tag, value: float, now_ns: int, last: Accepted | None) -> str:
    low, high = tag.eu_range or (-math.inf, math.inf)
    low, high = max(low, rule.low), min(high, rule.high)
    if not low <= value <= high:
        return f"{tag.name}: {value:g} is outside {low:g} to {high:g}"
    if rule.max_rate is None or last is None or value == last.value:
        return ""
    elapsed_s = max(now_ns - last.at_ns, 0) / 1e9
    if abs(value - last.value) > rule.max_rate * elapsed_s:
        return f"{tag.name}: from {last.value:g} to {value:g} after {elapsed_s:.3g} s is faster than {rule.max_rate:g} per second"
    return ""
