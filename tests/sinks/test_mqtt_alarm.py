"""The record of a condition upstream: all of its states, and a topic that ends as its name does."""

import orjson

from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Change, Condition, Level, Limit, Shelving, Transition, event_id
from gateway.model.tag import Tag, TagTable
from gateway.sinks.mqtt import encode

S = 10**9
TAGS = TagTable.of([Tag(0, "line.temp", unit="Cel")])
LEVEL = AlarmRule(0, "line.temp", Limit.LEVEL, 0, 0.5, severity=900, levels=(Level(Limit.HI, 27, 500), Level(Limit.HIHI, 30, 900)))
SYSTEM = AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0, message="the store is away", subject="store")


def test_a_record_carries_the_whole_state():
    state = Condition(
        LEVEL, True, True, 5 * S, 31.0, "anna", "seen", confirmed=False, shelving=Shelving.TIMED, unshelve_ns=60 * S, suppressed=True,
        level=Limit.HIHI, severity=900, active_ns=2 * S, serial=4, raised_serial=2, comment_user="berta", comment_ns=4 * S,
    )  # fmt: skip
    record = orjson.loads(encode.alarm(Transition(state, Change.SHELVED, 5 * S), TAGS[0]))
    assert record == {
        "condition": "line.temp/Alarms/LEVEL",
        "tag": "line.temp",
        "limit": "LEVEL",
        "change": "shelved",
        "active": True,
        "acknowledged": True,
        "confirmed": False,
        "latched": False,
        "enabled": True,
        "shelving": "timed",
        "unshelve": "1970-01-01T00:01:00.000Z",
        "suppressed": True,
        "out_of_service": False,
        "retained": True,
        "active_limit": "HIHI",
        "severity": "critical",
        "level": 900,
        "timestamp": "1970-01-01T00:00:05.000Z",
        "active_since": "1970-01-01T00:00:02.000Z",
        "source_timestamp": None,
        "serial": 4,
        "event_id": event_id("line.temp/Alarms/LEVEL", 4).hex(),
        "value": 31.0,
        "quality": "good",
        "status": "Good",
        "threshold": 30.0,
        "hysteresis": 0.5,
        "unit": "Cel",
        "message": "",
        "cause": "",
        "consequence": "",
        "action": "",
        "user": "anna",
        "comment": "seen",
        "comment_user": "berta",
        "comment_time": "1970-01-01T00:00:04.000Z",
    }


def test_the_topic_ends_as_the_name_of_the_condition():
    encoder = encode.Encoder(TAGS, "plant/line1")
    for rule, topic in ((LEVEL, "plant/line1/_alarm/line.temp/LEVEL"), (SYSTEM, "plant/line1/_alarm/Gateway/store")):
        transition = Transition(Condition(rule, True, False, 1, 1.0, message="disk full"), Change.ACTIVE, 1)
        assert encoder.alarm_topic(transition) == topic
    record = orjson.loads(encode.alarm(transition, None))
    assert (record["message"], record["threshold"], record["condition"]) == ("disk full", None, "Gateway/Alarms/store")
