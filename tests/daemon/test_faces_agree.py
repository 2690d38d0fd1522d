"""What a condition is reads the same over REST, on MQTT and in the journal."""

import json
from itertools import product

import pytest

from gateway.events import threshold_event
from gateway.model import quality
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Change, Condition, Level, Limit, Shelving, Transition
from gateway.model.tag import Tag
from gateway.sinks.mqtt import encode
from gateway.web.routes.alarms import condition_row

LEVELS = (Level(Limit.HI, 27.0, 400), Level(Limit.HIHI, 30.0, 900))
RULES = [
    AlarmRule(0, "oven", Limit.HI, 27.0, severity=500, message="too warm"),
    AlarmRule(0, "oven", Limit.LEVEL, 0.0, severity=900, levels=LEVELS),
    AlarmRule(0, "oven", Limit.BAD, 0.0),
    AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, message="the outbox is nearly full", subject="outbox"),
]
FLAGS = (
    *("condition", "tag", "limit", "threshold", "severity", "level", "message", "active", "acknowledged", "confirmed", "latched"),
    *("enabled", "shelving", "suppressed", "out_of_service", "retained", "serial", "status", "user", "comment", "comment_user"),
    *("comment_time", "cause", "consequence", "action"),
)
SAME = {"level": "severity", "active_limit": "level", "event_id": "condition_event_id", "unshelve": "unshelve"}  # on MQTT: in the journal
RECORDED = (*("condition", "limit", "threshold", "change", "active", "acknowledged", "confirmed", "latched", "enabled", "shelving"),)


def condition(rule, *, active):
    return Condition(
        *(rule, active, False, 5_000_000_000, 31.0, "anna", "seen"),
        status=quality.UNCERTAIN,
        shelving=Shelving.TIMED,
        unshelve_ns=60_000_000_000,
        level=Limit.HIHI if rule.levels and active else None,
        severity=900 if rule.levels else rule.severity,
        active_ns=2_000_000_000,
        serial=4,
        raised_serial=2,
        message="91% of it are used" if rule.subject else "",
        comment_user="berta",
        comment_ns=4_000_000_000,
    )


@pytest.mark.parametrize(("rule", "active"), list(product(RULES, (True, False))), ids=lambda one: getattr(one, "condition", one))
def test_a_transition_reads_the_same_on_every_face(rule, active):
    transition = Transition(condition(rule, active=active), Change.SHELVED, 5_000_000_000)
    rest = condition_row(transition.condition)
    mqtt = json.loads(encode.alarm(transition, Tag(0, "oven") if rule.tag_id == 0 else None))
    journal = threshold_event(transition).details
    assert {name: rest[name] for name in FLAGS} == {name: mqtt[name] for name in FLAGS}
    assert (rest["unshelve_at"], rest["holds"], rest["since"]) == (mqtt["unshelve"], mqtt["active_limit"], mqtt["timestamp"])
    assert {name: mqtt[name] for name in RECORDED} == {name: journal[name] for name in RECORDED}
    assert {name: mqtt[name] for name in SAME} == {name: journal[other] for name, other in SAME.items()}
