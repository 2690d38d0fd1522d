"""Predicted limits to an asyncua client: a type of our own in the tree (Part 3, 5.8.1), conditions of it (Part 9), its fields in events."""

import time
from math import nan

import pytest
from asyncua import Client, ua

from gateway.events import threshold_event
from gateway.model.alarm import AlarmRule, Level, Limit, predicted
from gateway.model.forecast import Alert, Prediction
from gateway.model.tag import Tag
from gateway.sinks.opcua.events import event_occurrence
from gateway.sinks.opcua.types import PREDICTED, PREDICTED_LIMIT, PREDICTED_LIMIT_CLASS
from gateway.wire.opcua.contents import variant
from support.opcua_face import opcua_face
from support.waiting import eventually

NS = 2
TAGS = [Tag(0, "hall.t", unit="Cel"), Tag(1, "hall.level")]
LEVELS = (Level(Limit.LO, 2.0, 300), Level(Limit.HI, 8.0, 300))
PLANT = [
    AlarmRule(0, "hall.t", Limit.HI, 30.0, cause="warm", consequence="scrap", action="open the gates"),
    AlarmRule(1, "hall.level", Limit.LEVEL, 0.0, levels=LEVELS),
]
RULES = [*PLANT, *predicted(PLANT, 200)]
HI = "hall.t/Forecast/HI"
TYPE = ua.NodeId(PREDICTED_LIMIT, NS)
Ids = ua.ObjectIds


class Heard:
    def __init__(self):
        self.events = []

    def event_notification(self, event):
        self.events.append(event)


@pytest.fixture
async def face():
    async with opcua_face(TAGS, RULES) as running:
        await running.step({"hall.t": 20.0, "hall.level": 5.0})
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


def node(client, key):
    return client.get_node(ua.NodeId(key, NS))


async def foretell(face, stands=True, probability=0.85, median_s=240.0):
    now_ns = time.time_ns()
    told = Prediction("HI", 30.0, probability, 120.0, median_s, nan, now_ns, "drift")
    update = face.engine.foretell([Alert(HI, stands, told)], now_ns)
    await face.sink.write(update)
    return update


async def test_the_type_stands_below_the_alarm_conditions_and_declares_its_properties(client):
    below = await client.get_node(Ids.AlarmConditionType).get_references(Ids.HasSubtype, ua.BrowseDirection.Forward)
    assert TYPE in [one.NodeId for one in below]
    own = client.get_node(TYPE)
    assert await own.read_node_class() == ua.NodeClass.ObjectType
    assert (await own.read_attribute(ua.AttributeIds.IsAbstract)).Value.Value is False
    assert (await own.get_references(Ids.HasSubtype, ua.BrowseDirection.Inverse))[0].NodeId == ua.NodeId(Ids.AlarmConditionType)
    declared = {(await one.read_browse_name()).Name: one for one in await own.get_properties()}
    assert declared.keys() == PREDICTED.keys()
    rule = await declared["Probability"].get_references(Ids.HasModellingRule)
    assert [one.NodeId for one in rule] == [ua.NodeId(Ids.ModellingRule_Mandatory)]
    assert (await declared["LeadTime"].read_data_type()) == ua.NodeId(Ids.Duration)


async def test_its_condition_class_is_one_of_its_own(client):
    below = await client.get_node(Ids.BaseConditionClassType).get_references(Ids.HasSubtype, ua.BrowseDirection.Forward)
    assert ua.NodeId(PREDICTED_LIMIT_CLASS, NS) in [one.NodeId for one in below]
    condition = node(client, HI)
    assert await (await condition.get_child("0:ConditionClassId")).read_value() == ua.NodeId(PREDICTED_LIMIT_CLASS, NS)


async def test_a_condition_is_found_from_its_tag_and_has_its_type_and_values(face, client):
    await foretell(face)
    found = await node(client, "hall.t").get_references(Ids.HasCondition)
    assert [one.NodeId.Identifier for one in found] == ["hall.t/Alarms/HI", HI]
    folder = {one.nodeid.Identifier for one in await node(client, "hall.level/Alarms").get_children()}
    assert folder == {"hall.level/Alarms/LEVEL", "hall.level/Forecast/LO", "hall.level/Forecast/HI"}
    condition = node(client, HI)
    assert await condition.read_type_definition() == TYPE
    assert (await condition.read_browse_name()).Name == "PredictedHI"
    shown = {name: await node(client, f"{HI}/{name}").read_value() for name in PREDICTED}
    assert (shown["PredictedLimit"], shown["LimitValue"], shown["Probability"], shown["Model"]) == ("HI", 30.0, 0.85, "drift")
    assert 230_000 < shown["LeadTime"] <= 240_000
    assert (shown["PredictedTime"] - shown["EarliestTime"]).total_seconds() == pytest.approx(120.0, abs=1e-3)
    assert shown["LatestTime"] is None or shown["LatestTime"].year == 1601  # null
    assert await node(client, "hall.level/Forecast/HI/Model").read_value() is None


async def test_a_client_hears_acknowledges_shelves_and_is_told_again_by_a_refresh(face, client):
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    await subscription.subscribe_alarms_and_conditions(evtypes=TYPE)
    await face.step({"hall.level": 9.0})  # of another type
    await foretell(face)
    await eventually(lambda: heard.events)
    (event,) = heard.events
    assert (event.EventType, event.SourceName, event.Severity, event.Retain) == (TYPE, "hall.t", 200, True)
    assert (event.Probability, event.Model, event.PredictedLimit, event.LimitValue) == (0.85, "drift", "HI", 30.0)
    assert event.Message.Text.startswith("hall.t is expected to rise above HI 30 in about 4 min")
    condition = node(client, HI)
    await condition.call_method(ua.NodeId(Ids.AcknowledgeableConditionType_Acknowledge), event.EventId, ua.LocalizedText("seen"))
    await eventually(lambda: len(heard.events) == 2)
    assert getattr(heard.events[1], "AckedState/Id") is True
    await node(client, f"{HI}/ShelvingState").call_method(ua.NodeId(f"{HI}/ShelvingState/TimedShelve", NS), 60_000.0)
    await eventually(lambda: len(heard.events) == 3)
    assert heard.events[2].SuppressedOrShelved is True
    kind = client.get_node(Ids.ConditionType)
    await kind.call_method(ua.NodeId(Ids.ConditionType_ConditionRefresh), ua.UInt32(subscription.subscription_id))
    await eventually(lambda: len(heard.events) >= 4)
    assert any(one.EventType == TYPE for one in heard.events[3:])
    await foretell(face, stands=False, probability=0.1)
    assert face.engine.view.standing()[0] == 1  # the level, and nothing that was predicted


async def test_a_record_of_the_journal_has_its_fields_again(face):
    update = await foretell(face)
    event = threshold_event(update.transitions[0])
    shown = event_occurrence(event, face.engine.view)
    assert shown.type == PREDICTED_LIMIT
    told = {name: variant(shown.field((f"2:{name}",))).Value for name in ("Probability", "Model", "PredictedLimit", "LeadTime")}
    assert told == {"Probability": 0.85, "Model": "drift", "PredictedLimit": "HI", "LeadTime": pytest.approx(240_000, abs=1)}
