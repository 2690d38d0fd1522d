"""The record of a condition upstream: all of its states, and a topic that ends as its name does."""

import orjson

from gateway.events import of_transitions
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Change, Condition, Level, Limit, Shelving, Transition, event_id, predicted
from gateway.model.forecast import Alert, Prediction
from gateway.model.tag import Tag, TagTable
from gateway.sinks.mqtt import encode
from support.mqtt_face import PATH, MqttFace

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


def test_a_predicted_limit_is_an_event_of_the_process_and_no_alarm():
    """It has `_event/process`, with what it rests on; `_alarm` is for alarms."""
    alarm = AlarmRule(0, "line.temp", Limit.HI, 27.0)
    face = MqttFace("mqtt://127.0.0.1:1", TAGS, [alarm, *predicted([alarm], 200)])
    told = Prediction("HI", 27.0, 0.8, 60.0, 120.0, float("nan"), 5 * S, "drift")
    update = face.engine.foretell([Alert("line.temp/Forecast/HI", True, told)], 5 * S)
    rows = face.sink.rows(update, of_transitions(update.transitions))
    assert [row.topic for row in rows] == [f"{PATH}/_event/process"]
    details = orjson.loads(rows[0].payload)["details"]
    assert {key: details[key] for key in ("predicts", "probability", "lead_s", "model", "predicted_time")} == {
        "predicts": "HI", "probability": 0.8, "lead_s": 120.0, "model": "drift", "predicted_time": "1970-01-01T00:02:05.000Z",
    }  # fmt: skip
