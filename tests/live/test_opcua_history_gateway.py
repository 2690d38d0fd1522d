"""History of a running gateway, as a SCADA client reads it: values that it wrote, and what the alarms did meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Client, ua

from support.gateway import GatewayProcess
from support.ports import free_port
from support.waiting import eventually

pytestmark = pytest.mark.live

SITE = """
opcua: {{port: {port}, insecure: true, anonymous: operator}}
tags:
  - {{name: line.level, type: float, unit: Cel, range: [0, 100], writable: {{min: 0, max: 100, role: operator}}}}
alarms:
  - {{tag: line.level, hi: 50}}
"""


def clause(*path):
    base = ua.NodeId(ua.ObjectIds.BaseEventType)
    return ua.SimpleAttributeOperand(base, [ua.QualifiedName(name) for name in path], ua.AttributeIds.Value)


async def told(client, start):
    """(SourceName, ActiveState/Id) of the past events of a folder's conditions."""
    asked = ua.EventFilter(SelectClauses=[clause("SourceName"), clause("ActiveState", "Id")])
    details = ua.ReadEventDetails(StartTime=start, EndTime=datetime.now(UTC), NumValuesPerNode=0, Filter=asked)
    node = ua.HistoryReadValueId(NodeId=ua.NodeId("line", 2))
    (result,) = await client.uaclient.history_read(ua.HistoryReadParameters(details, ua.TimestampsToReturn.Source, False, [node]))
    return [tuple(field.Value for field in event.EventFields) for event in getattr(result.HistoryData, "Events", [])]


async def test_what_a_client_wrote_and_what_the_alarms_did_is_there_to_read(tmp_path):
    """Values in their order, their average, and the alarm's two transitions with the fields of its type."""
    port = free_port()
    with GatewayProcess(tmp_path, SITE.format(port=port)) as gateway:
        gateway.start(within=30)
        async with Client(f"opc.tcp://127.0.0.1:{port}/edgetwin", timeout=10) as client:
            start = datetime.now(UTC) - timedelta(seconds=1)
            node = client.get_node("ns=2;s=line.level")
            for value in (10.0, 60.0, 20.0):
                await node.write_value(value)

            async def values():
                found = await node.read_raw_history(start, datetime.now(UTC), return_bounds=False)
                return [one.Value.Value for one in found] == [10.0, 60.0, 20.0]

            await eventually(values)
            await eventually(lambda: told(client, start))
            assert await told(client, start) == [("line.level", True), ("line.level", False)]
            details = ua.ReadProcessedDetails(
                StartTime=start,
                EndTime=datetime.now(UTC),
                ProcessingInterval=0,
                AggregateType=[ua.NodeId(ua.ObjectIds.AggregateFunction_Average)],
            )
            wanted = [ua.HistoryReadValueId(NodeId=node.nodeid)]
            (result,) = await client.uaclient.history_read(ua.HistoryReadParameters(details, ua.TimestampsToReturn.Source, False, wanted))
            assert result.HistoryData.DataValues[0].Value.Value == pytest.approx(30.0)
