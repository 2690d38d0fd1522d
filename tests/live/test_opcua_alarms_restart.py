"""A condition on the OPC UA face of the running gateway, before and after it was killed (Part 9, 5.5.7)."""

import asyncio

import pytest
from asyncua import Client, ua

from support.gateway import GatewayProcess
from support.ports import free_port
from support.waiting import eventually

CONDITION = "line.temp/Alarms/HI"
CONDITION_TYPE = ua.NodeId(ua.ObjectIds.ConditionType)
SITE = """
tags:
  - {{name: line.temp, unit: Cel, range: [0, 60]}}
  - {{name: line.fan}}
alarms:
  - {{tag: line.temp, hi: 50, hihi: 55, confirm: true, message: Oven too hot, cause: fan}}
opcua: {{port: {port}, insecure: true, anonymous: operator}}
"""


class Alarms:
    """What an alarm list hears: condition -> its last event."""

    def __init__(self):
        self.events = {}

    def event_notification(self, event):
        self.events[event.NodeId.Identifier if event.NodeId else str(event.EventType)] = event


async def listen(client, alarms):
    """A subscription to all conditions, refreshed."""
    subscription = await client.create_subscription(50, alarms)
    await subscription.subscribe_alarms_and_conditions(client.nodes.server, ua.ObjectIds.NonExclusiveLevelAlarmType)
    refresh = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
    number = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
    await client.get_node(CONDITION_TYPE).call_method(refresh, number)


async def call(client, method, *inputs):
    nodeid = ua.NodeId(method)
    (result,) = await client.uaclient.call(
        [ua.CallMethodRequest(ObjectId=ua.NodeId(CONDITION, 2), MethodId=nodeid, InputArguments=list(inputs))]
    )
    return result.StatusCode.value


async def read(client, path):
    return await client.get_node(ua.NodeId(f"{CONDITION}/{path}", 2)).read_value()


@pytest.mark.live
async def test_what_a_client_did_to_a_condition_survives_a_kill(tmp_path):
    port = free_port()
    url = f"opc.tcp://127.0.0.1:{port}/edgetwin"
    with GatewayProcess(tmp_path / "gateway", SITE.format(port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        assert gateway.command("tag.override", tag="line.temp", value=52.0).status_code == 200
        alarms = Alarms()
        async with Client(url, timeout=10) as client:
            await listen(client, alarms)
            event = await eventually(lambda: alarms.events.get(CONDITION), within=10)
            assert (event.Message.Text, event.Severity, event.SourceName) == ("Oven too hot", 500, "line.temp")
            acknowledge = ua.ObjectIds.AcknowledgeableConditionType_Acknowledge
            identifier = ua.Variant(event.EventId, ua.VariantType.ByteString)
            assert await call(client, acknowledge, identifier, ua.Variant(ua.LocalizedText("seen", "en"))) == ua.StatusCodes.Good
            seen = await read(client, "EventId")
        gateway.kill()
        await asyncio.to_thread(gateway.start)
        alarms = Alarms()
        async with Client(url, timeout=10) as client:
            assert [await read(client, path) for path in ("ActiveState/Id", "AckedState/Id", "ConfirmedState/Id")] == [True, True, False]
            assert ((await read(client, "Comment")).Text, await read(client, "ClientUserId")) == ("seen", "anonymous")
            await listen(client, alarms)
            event = await eventually(lambda: alarms.events.get(CONDITION), within=10)
            assert event.EventId == seen
            assert (getattr(event, "AckedState/Id"), getattr(event, "ConfirmedState/Id"), event.Retain) == (True, False, True)
            confirm = ua.ObjectIds.AcknowledgeableConditionType_Confirm
            identifier = ua.Variant(event.EventId, ua.VariantType.ByteString)
            assert await call(client, confirm, identifier, ua.Variant(ua.LocalizedText())) == ua.StatusCodes.Good
            await eventually(lambda: getattr(alarms.events[CONDITION], "ConfirmedState/Id"), within=10)
        assert gateway.stop() == 0
