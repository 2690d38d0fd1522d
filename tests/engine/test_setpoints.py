"""May this setpoint be written?"""

import math

import pytest

from engine.rig import T0, S, build, feed, mark, table, tag
from gateway.engine.setpoints import Accepted, Interlock, Verdict, guard
from gateway.model import quality
from gateway.model.expression import parse
from gateway.model.tag import TagType, WriteRule

RULE = WriteRule(low=18.0, high=30.0, max_rate=1 / 60, role="operator")
SETPOINT = tag("line.sp", eu_range=(0.0, 60.0))
GOOD = quality.GOOD


def judged(value, *, rule=RULE, on=SETPOINT, role="operator", reason="", after_s=None, was=20.0, interlock=None):
    last = None if after_s is None else Accepted(was, T0)
    now_ns = T0 + round((after_s or 0) * S)
    return guard(rule, on, value, role=role, reason=reason, now_ns=now_ns, last=last, interlock=interlock).status


def test_bounds_belong_to_what_is_allowed():
    assert [judged(value) for value in (18.0, 30.0, 25)] == [GOOD] * 3
    assert [judged(value) for value in (17.99, 30.01)] == [quality.BAD_OUT_OF_RANGE] * 2
    assert judged(70.0, rule=WriteRule()) == quality.BAD_OUT_OF_RANGE


def test_the_rate_is_counted_from_the_last_accepted_write():
    assert judged(21.0, after_s=60) == GOOD
    assert judged(21.1, after_s=60) == quality.BAD_OUT_OF_RANGE
    assert judged(20.0, after_s=0) == GOOD
    assert judged(20.1, after_s=0) == quality.BAD_OUT_OF_RANGE
    assert judged(29.0) == GOOD
    assert judged(19.0, after_s=-5) == quality.BAD_OUT_OF_RANGE


@pytest.mark.parametrize("role", ["viewer", "", "typo"])
def test_a_lower_or_unknown_role_may_not(role):
    assert judged(20.0, role=role) == quality.BAD_USER_ACCESS_DENIED


def test_a_rule_with_an_unknown_role_lets_nobody_through():
    assert judged(20.0, rule=WriteRule(role="boss"), role="admin") == quality.BAD_USER_ACCESS_DENIED


def test_without_a_rule_or_out_of_service_nothing_is_written():
    assert judged(20.0, rule=None) == quality.BAD_NOT_WRITABLE
    assert judged(20.0, on=tag("x", enabled=False)) == quality.BAD_NOT_WRITABLE


def test_a_reason_is_words():
    rule = WriteRule(reason=True)
    assert judged(20.0, rule=rule, reason="  ") == quality.BAD_INVALID_STATE
    assert judged(20.0, rule=rule, reason="shift change") == GOOD


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        (TagType.FLOAT, math.nan, quality.BAD_TYPE_MISMATCH),
        (TagType.FLOAT, math.inf, quality.BAD_TYPE_MISMATCH),
        (TagType.FLOAT, "20", quality.BAD_TYPE_MISMATCH),
        (TagType.INT, 20.0, GOOD),
        (TagType.INT, 20.5, quality.BAD_TYPE_MISMATCH),
        (TagType.INT, 2.0**60, quality.BAD_TYPE_MISMATCH),
        (TagType.BOOL, 1.0, GOOD),
        (TagType.BOOL, 2.0, quality.BAD_TYPE_MISMATCH),
        (TagType.ENUM, 7.0, GOOD),
        (TagType.ENUM, 1.0, quality.BAD_TYPE_MISMATCH),
        (TagType.TEXT, "recipe 7", GOOD),
        (TagType.TEXT, 7.0, quality.BAD_TYPE_MISMATCH),
    ],
)
def test_the_type_is_checked(kind, value, status):
    assert judged(value, rule=WriteRule(), on=tag("x", type=kind, labels={7: "on"})) == status


def test_an_interlock_must_be_true_and_proven():
    tags = table("line.estop", "line.door")
    engine = build(tags)
    interlock = Interlock.of(parse("not line.estop and line.door", tags.index, stateful=False), tags)
    view = engine.view
    assert interlock.check(view.value, view.status).status == quality.BAD_INVALID_STATE
    feed(engine, [0, 1], [0.0, 1.0], 0)
    assert interlock.check(view.value, view.status) == Verdict(GOOD)
    feed(engine, [0], [1.0], 1)
    assert "does not allow" in interlock.check(view.value, view.status).why
    feed(engine, [0], [0.0], 2)
    mark(engine, [1], quality.BAD_NO_COMMUNICATION, 3)
    assert "BadNoCommunication" in interlock.check(view.value, view.status).why


def test_an_interlock_counts_and_cannot_be_forgotten():
    rule = WriteRule(interlock="not line.estop")
    assert judged(20.0, rule=rule, interlock=Verdict(GOOD)) == GOOD
    assert judged(20.0, rule=rule, interlock=Verdict(quality.BAD_INVALID_STATE, "no")) == quality.BAD_INVALID_STATE
    assert judged(20.0, rule=rule, interlock=None) == quality.BAD_INVALID_STATE
