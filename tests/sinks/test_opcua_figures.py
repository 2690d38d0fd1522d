"""The gateway's own figures as nodes: Objects below Objects, by names that never change."""

from asyncua import Client, ua

from gateway.model.tag import Tag
from support.opcua_face import opcua_face

FIGURES = {"Gateway": {"Ready": True}, "Gateway/AlarmPerformance": {"Standing": 3, "FloodShare": 0.25, "TopTen": "a: 1", "FloodNow": False}}


async def test_alarm_performance_is_an_object_below_the_gateway_with_its_figures_as_variables():
    async with opcua_face((Tag(0, "line.temp", "plc1"),), figures=lambda: FIGURES) as face, Client(face.sink.url) as client:
        found = client.get_node("ns=2;s=Gateway/AlarmPerformance")
        assert (await found.read_browse_name()).Name == "AlarmPerformance"
        assert await found.read_node_class() == ua.NodeClass.Object
        below = {(await node.read_browse_name()).Name: node for node in await found.get_children()}
        assert {name: await node.read_value() for name, node in below.items()} == FIGURES["Gateway/AlarmPerformance"]
        parent = await found.get_parent()
        assert parent.nodeid.Identifier == "Gateway"
        assert "AlarmPerformance" in [(await node.read_browse_name()).Name for node in await parent.get_children()]
        assert await client.get_node("ns=2;s=Gateway/AlarmPerformance/Standing").read_value() == 3
        roots = [(await node.read_browse_name()).Name for node in await client.nodes.objects.get_children()]
        assert "AlarmPerformance" not in roots
