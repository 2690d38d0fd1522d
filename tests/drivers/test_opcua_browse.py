"""What `browse` finds is what a tag needs, on two servers."""

import csv
import io
import json

import pytest
import yaml
from asyncua import ua

from gateway.contracts import NotConnected
from gateway.wire.opcua.browse import Found, browse, render
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
        with pytest.raises(ValueError, match="namespace"):
            await browse(plant.url, root="nsu=urn:no;i=1")


@pytest.mark.live
async def test_the_same_on_node_opcua(node, tmp_path):
    async with running(node, tmp_path) as plant:
        found = {one.path: one for one in await browse(plant.url)}
        assert (found["analog",].symbol, found["analog",].range) == ("°C", (0.0, 60.0))
        assert found["array",].array
        assert found["when",].type == "float"


def test_what_is_printed_can_be_pasted():
    """YAML, CSV and JSON say the same; a name or address that YAML would read otherwise is quoted."""
    found = [
        Found(("Line", "Temp °"), 'nsu=urn:a;s=x: "y" #1', "Double", "float", "Cel", "°C", (0.0, 60.0)),
        Found(("A",), "nsu=urn:a;i=1", "Argument", ""),
        Found(("L",), "nsu=urn:a;i=2", "Int32", "int", symbol="pieces", array=True),
    ]
    rows = [
        {"name": "Line.Temp", "source": "plc", "address": 'nsu=urn:a;s=x: "y" #1', "type": "float", "unit": "Cel", "range": [0.0, 60.0]},
        {"name": "L", "source": "plc", "address": "nsu=urn:a;i=2[0]", "type": "int"},
    ]
    assert json.loads(render(found, "json")) == rows
    assert yaml.safe_load(render(found, "yaml")) == {"tags": rows}
    assert "# the server's unit: pieces" in render(found, "yaml")
    assert [row["address"] for row in csv.DictReader(io.StringIO(render(found, "csv")))] == [row["address"] for row in rows]


async def test_nobody_there():
    with pytest.raises(NotConnected):
        await browse(f"opc.tcp://127.0.0.1:{free_port()}")
