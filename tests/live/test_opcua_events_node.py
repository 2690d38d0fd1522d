"""Events to node-opcua, a stack that shares no line with ours (Part 4, 7.7, 7.22.3; Part 9, 5.5.7)."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.model.alarm import AlarmRule, Limit
from gateway.model.tag import Tag, WriteRule
from support.opcua_face import opcua_face
from support.waiting import eventually

CLIENT = Path(__file__).parents[1] / "node" / "events.mjs"
NAMES = ("line.oven.temp", "line.press.force", "hall")
OVERFLOW = "ns=0;i=3035"

pytestmark = pytest.mark.live


async def run_plant(face):
    """Three alarms as the client first asks, then the hall up and down as often as it says."""
    for times in (1, 20):
        await eventually(lambda times=times: [c.args["value"] for c in face.commands.asked if c.kind == "tag.write"][-1:] == [times], 60)
        if times == 1:
            await face.step(dict.fromkeys(NAMES, 60.0))
        for n in range(times - times % 2):
            await face.step({"hall": 60.0 if n % 2 else 20.0})


async def test_a_foreign_client_hears_what_its_filters_ask_for(node, tmp_path):
    tags = [*(Tag(number, name) for number, name in enumerate(NAMES)), Tag(3, "go", write_rule=WriteRule(low=0, high=100))]
    rules = [AlarmRule(number, name, Limit.HI, 50.0, severity=300 + 100 * number, message=f"{name}!") for number, name in enumerate(NAMES)]
    async with opcua_face(tags, rules) as face:
        await face.step(dict.fromkeys(NAMES, 20.0))
        plant = asyncio.create_task(run_plant(face))
        try:
            found = await node.run(CLIENT, face.sink.url, folder=tmp_path, within=90)
        finally:
            plant.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await plant
    first = found["first"]
    assert first["EventId"] == 16
    assert (first["EventType"], first["SourceNode"], first["SourceName"]) == ("ns=0;i=10060", "ns=2;s=line.oven.temp", "line.oven.temp")
    assert (first["Message"], first["Severity"], first["ActiveState"], first["ConditionName"]) == ("line.oven.temp!", 300, "Active", "HI")
    assert (first["ActiveState.Id"], first["Retain"]) == (True, True)
    oven, press, hall = NAMES
    everybody, middle, severe, nobody = [oven, press, hall], [press], [press, hall], []
    assert found["alarms"] == {
        "all": [16, 16, 16],
        **dict.fromkeys(("alarms", "root", "NotNull", "OfType", "BitwiseAnd"), everybody),
        "oven": [oven],
        "line": [oven, press],
        **dict.fromkeys(("Equals", "EqualsText", "Between", "Cast", "BitwiseOr"), middle),
        **dict.fromkeys(("GreaterThan", "GreaterThanOrEqual"), severe),
        "LessThan": [oven],
        "LessThanOrEqual": [oven, press],
        "Like": [oven],
        "InList": [oven, hall],
        "And": [hall],
        "Or": [oven, hall],
        **dict.fromkeys(("OfOther", "sampling", "lost"), nobody),
    }
    assert found["refused"] == {
        "IsNull": "BadEventFilterInvalid",
        "InView": "BadEventFilterInvalid",
        "Loop": "BadEventFilterInvalid",
        "tag": "BadAttributeIdInvalid",
        "twin": "BadNotSupported",
    }
    assert found["lost"][:11] == [["Internal/EventQueueOverflow", OVERFLOW], *[[hall, "ns=0;i=10060"]] * 10]
    assert found["refreshed"] == ["ns=0;i=2787", *["ns=0;i=10060"] * 3, "ns=0;i=2788"]
    assert (found["refresh"], found["refresh2"], found["refreshForeign"]) == (
        "Good",
        "BadMonitoredItemIdInvalid",
        "BadSubscriptionIdInvalid",
    )
