"""The OPC UA face to node-opcua, a stack that shares no line with ours."""

import asyncio
import contextlib
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.model.batch import Origin
from gateway.model.tag import Tag, TagType, WriteRule
from support.opcua_face import opcua_face

CLIENT = Path(__file__).parents[1] / "node" / "client.mjs"
BAD_NO_COMMUNICATION = 0x80310000
OVERFLOW = 0x480
STEP = 0.25
TAGS = [
    Tag(0, "line.temp", unit="Cel", eu_range=(0.0, 60.0)),
    Tag(1, "line.ramp", eu_range=(0.0, 1e6), sampling_interval_ns=1_000_000),
    Tag(2, "line.flaky", sampling_interval_ns=1_000_000),
    Tag(3, "line.state", type=TagType.ENUM, labels={0: "idle", 1: "busy"}),
    Tag(4, "line.dead"),
    Tag(5, "line.count", type=TagType.INT),
    Tag(6, "line.on", type=TagType.BOOL, labels={0: "off", 1: "on"}),
    Tag(7, "line.recipe", type=TagType.TEXT),
    Tag(8, "line.setpoint", unit="Cel", eu_range=(0.0, 60.0), write_rule=WriteRule()),
    Tag(9, "cell.deep.down.x"),
]

pytestmark = pytest.mark.live


async def run_plant(face):
    """A slow ramp of quarter units, and a tag whose link comes and goes."""
    at = 0.0
    for turn in range(1_000_000):
        at += STEP
        await face.step({"line.ramp": at})
        if turn % 10 == 0:
            lost = turn % 20 == 0
            await face.step({"line.flaky": 7.0}, BAD_NO_COMMUNICATION if lost else 0, origin=Origin.GATEWAY if lost else Origin.SOURCE)
        await asyncio.sleep(0.01)


async def test_a_foreign_client_finds_everything_and_misses_nothing(node, tmp_path):
    """Tree, value, unit, range; every crossing of a deadband; Bad and back; overflow; modify; keep-alive; republish; writes."""
    async with opcua_face(TAGS) as face:
        first = {"line.temp": 22.5, "line.state": 1.0, "line.count": 2.0**40, "line.on": 1.0, "line.recipe": "blå"}
        await face.step(first, at_ns=1_790_000_000_123_000_000)
        await face.step({"line.flaky": 7.0, "line.ramp": 0.0})
        plant = asyncio.create_task(run_plant(face))
        try:
            found = await node.run(CLIENT, face.sink.url, folder=tmp_path, within=90)
        finally:
            plant.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await plant
    tree = found["tree"]
    assert tree["/line/temp"] == {"id": "ns=2;s=line.temp", "nodeClass": "Variable", "type": "AnalogUnitRangeType"}
    assert tree["/line/temp/EURange"]["type"] == "PropertyType"
    assert tree["/cell/deep/down/x"]["type"] == "BaseDataVariableType"
    assert tree["/cell/deep"] == {"id": "ns=2;s=cell.deep", "nodeClass": "Object", "type": "FolderType"}
    assert {tree[f"/line/{name}"]["type"] for name in ("state", "on")} == {"MultiStateDiscreteType", "TwoStateDiscreteType"}
    assert found["value"] == {"value": 22.5, "type": 11, "status": "Good", "source": "2026-09-21T14:13:20.123Z"}
    assert (found["range"], found["unit"], found["states"]) == ([0, 60], [4408652, "°C"], ["idle", "busy"])
    assert found["dead"] == "BadWaitingForInitialData"
    assert found["types"] == {"line.count": "256,0", "line.on": "true", "line.recipe": "blå", "line.state": "1"}
    ramp = [value for value, _ in found["heard"]["ramp"]]
    assert [after - before for before, after in pairwise(ramp)] == [5 * STEP] * (len(ramp) - 1)
    statuses = [status for _, status in found["heard"]["flaky"]]
    assert all({before, after} == {0, BAD_NO_COMMUNICATION} for before, after in pairwise(statuses))
    assert {value for value, _ in found["heard"]["flaky"]} == {7}
    assert [status for _, status in found["heard"]["full"][1:]].count(OVERFLOW) >= 2
    modified = [value for value, _ in found["modified"]]
    assert [after - before for before, after in pairwise(modified)] == [13 * STEP] * (len(modified) - 1)
    assert "BadFilterNotAllowed" in found["wrongFilter"]
    assert found["keepAlives"] >= 3
    assert "BadMessageNotAvailable" in found["republish"]
    assert (found["write"], found["refused"]) == ("Good", "BadNotWritable")
    assert [dict(command.args) for command in face.commands.asked] == [{"tag": "line.setpoint", "value": 21.5}]
