"""What `browse` finds is what a tag needs, on two servers."""

import pytest
from asyncua import ua

from gateway.contracts import NotConnected
from gateway.wire.opcua.browse import browse
from support.node_plant import running
from support.opcua_source import URI, Kind, OpcUaSource
from support.ports import free_port


async def test_variables_come_with_path_type_unit_and_range():
    async with OpcUaSource(free_port(), {"double": (1.0, Kind.Double), "text": ("a", Kind.String), "list": ([1, 2], Kind.Int32)}) as plant:
        namespace = plant.nodes["double"].nodeid.NamespaceIndex
        folder = await plant.server.nodes.objects.add_object(ua.NodeId("Line", namespace), f"{namespace}:Line 1")
        analog = await folder.add_variable(ua.NodeId(7, namespace), f"{namespace}:Temp", 20.0)
        await analog.add_property(0, "EURange", ua.Range(0.0, 60.0))
        await analog.add_property(
            0, "EngineeringUnits", ua.EUInformation("x", 4408652, ua.LocalizedText("°C"), ua.LocalizedText("degree Celsius"))
        )
        found = {one.path: one for one in await browse(plant.url, ucum={4408652: "Cel"})}
        temp = found["Line 1", "Temp"]
        assert (temp.address, temp.name, temp.type, temp.unit, temp.range) == (f"nsu={URI};i=7", "Line_1.Temp", "float", "Cel", (0.0, 60.0))
        assert (found["text",].type, found["list",].type, found["list",].array) == ("text", "int", True)
        assert found["double",].writable
        assert not temp.writable
        assert all(one.path[0] != "Server" for one in found.values())
        assert [one.path for one in await browse(plant.url, root=f"nsu={URI};s=Line")] == [("Temp",)]
        assert ("Line 1", "Temp") not in [one.path for one in await browse(plant.url, depth=1)]
        with pytest.raises(LookupError, match="namespace"):
            await browse(plant.url, root="nsu=urn:no;i=1")
        with pytest.raises(LookupError, match="no such node"):
            await browse(plant.url, root=f"nsu={URI};s=nowhere")


async def test_states_come_with_their_words():
    """TwoState, MultiState and MultiStateValue properties (Part 8, 5.3.3), and those of an enumeration's own DataType (Part 3, 5.8.3)."""
    async with OpcUaSource(free_port(), {"on": (True, Kind.Boolean), "mode": (1, Kind.UInt32), "step": (5, Kind.Int32)}) as plant:

        def words(*texts):
            return [ua.LocalizedText(text) for text in texts]

        await plant.nodes["on"].add_property(0, "FalseState", ua.LocalizedText("off"))
        await plant.nodes["on"].add_property(0, "TrueState", ua.LocalizedText("on"))
        await plant.nodes["mode"].add_property(0, "EnumStrings", words("idle", "", "busy", "idle"))
        values = [
            ua.EnumValueType(Value=number, DisplayName=ua.LocalizedText(text)) for number, text in ((5, "heat"), (-1, "none"), (7, "cool"))
        ]
        await plant.nodes["step"].add_property(0, "EnumValues", values)
        index = plant.nodes["on"].nodeid.NamespaceIndex
        kind = await plant.server.nodes.enum_data_type.add_data_type(index, "Colour")
        await kind.add_property(0, "EnumStrings", words("red", "green"))
        await plant.server.nodes.objects.add_variable(ua.NodeId("lamp", index), f"{index}:lamp", 1, ua.VariantType.Int32, kind.nodeid)
        found = {one.path: one for one in await browse(plant.url)}
        assert (found["on",].type, found["on",].labels) == ("bool", {0: "off", 1: "on"})
        assert (found["mode",].type, found["mode",].labels) == ("enum", {0: "idle", 2: "busy", 3: "idle 3"})
        assert (found["step",].type, found["step",].labels) == ("enum", {5: "heat", 7: "cool"})
        assert (found["lamp",].type, found["lamp",].labels, found["lamp",].data_type) == ("enum", {0: "red", 1: "green"}, "Colour")


@pytest.mark.live
async def test_the_same_on_node_opcua(node, tmp_path):
    async with running(node, tmp_path) as plant:
        found = {one.path: one for one in await browse(plant.url)}
        assert (found["analog",].symbol, found["analog",].range) == ("°C", (0.0, 60.0))
        assert found["array",].array
        assert found["when",].type == "float"


async def test_nobody_there():
    with pytest.raises(NotConnected):
        await browse(f"opc.tcp://127.0.0.1:{free_port()}")
