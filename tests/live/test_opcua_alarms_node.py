"""Alarms & Conditions and Methods to node-opcua, whose alarm list and calls share no line with ours (Part 9; Part 4, 5.11)."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from gateway.model.alarm import AlarmRule, Limit
from gateway.model.tag import Tag
from support.opcua_face import opcua_face

CLIENT = Path(__file__).parents[1] / "node" / "alarms.mjs"
METHODS = CLIENT.with_name("methods.mjs")
CONDITION = "line.temp/Alarms/HI"

pytestmark = pytest.mark.live


async def run_plant(face):
    """Hot until somebody says that it is to cool down; the engine's clock runs."""
    for _ in range(1_000_000):
        cold = face.engine.condition(CONDITION).comment == "cool down"
        await face.step({"line.temp": 20.0 if cold else 52.0})
        await face.sink.write(face.engine.tick(time.time_ns()))
        await asyncio.sleep(0.02)


async def test_a_foreign_alarm_list_follows_a_condition_through_its_life(node, tmp_path):
    """Seen by refresh, acknowledged, confirmed, commented, shelved with expiry, gone: by its events and by its nodes."""
    rules = [
        AlarmRule(0, "line.temp", Limit.HI, 50.0, severity=600, message="Oven too hot", confirm=True),
        AlarmRule(0, "line.temp", Limit.HIHI, 55.0, severity=800),
    ]
    async with opcua_face([Tag(0, "line.temp", unit="Cel", eu_range=(0.0, 60.0))], rules) as face:
        await face.step({"line.temp": 52.0})  # before anybody listens
        plant = asyncio.create_task(run_plant(face))
        try:
            found = await node.run(CLIENT, face.sink.url, CONDITION, folder=tmp_path, within=90)
        finally:
            plant.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await plant
    first = found["first"]
    assert (first["message"], first["severity"], first["source"], first["condition"]) == ("Oven too hot", 600, "line.temp", "HI")
    assert (first["active"], first["acked"], first["confirmed"], first["enabled"], first["retain"]) == (True, False, False, True, True)
    assert (first["shelved"], first["silenced"], first["out"]) == ("Unshelved", False, False)
    acknowledged = found["acknowledged"]
    assert (acknowledged["comment"], acknowledged["user"], acknowledged["retain"]) == ("seen", "anonymous", True)
    assert found["shelved"]["silenced"] is True
    assert found["statuses"] == {
        "wrongEvent": "BadEventIdUnknown",
        "acknowledge": "Good",
        "again": "BadConditionBranchAlreadyAcked",
        "confirm": "Good",
        "comment": "Good",
        "shelveTooLong": "BadShelvingTimeOutOfRange",
        "shelve": "Good",
        "suppress": "BadUserAccessDenied",
        "goodbye": "Good",
    }
    assert (found["last"]["active"], found["last"]["retain"], found["last"]["acked"]) == (False, False, True)
    assert found["node"] == {"active": False, "comment": "cool down", "limit": 50}
    assert found["type"] == "NonExclusiveLevelAlarmType"


async def test_a_foreign_client_finds_methods_with_their_arguments_and_is_told_what_is_wrong(node, tmp_path):
    rules = [AlarmRule(0, "line.temp", Limit.HI, 50.0)]
    async with opcua_face([Tag(0, "line.temp")], rules) as face:
        await face.step({"line.temp": 52.0})
        found = await node.run(METHODS, face.sink.url, folder=tmp_path, within=60)
    override = found["methods"]["Twin/Override"]
    assert override["inputs"] == [["tag", "String", -1, True], ["value", "Variant", -1, True], ["reason", "String", -1, True]]
    assert (override["outputs"], override["executable"], override["user"]) == ([], True, False)
    assert found["methods"]["Twin/Release"]["outputs"] == [["released", "String", 1, True]]
    assert found["methods"]["Gateway/StartRecording"]["inputs"] == [["name", "String", -1, True], ["seconds", "Double", -1, True]]
    assert found["statuses"] == {
        "denied": ["BadUserAccessDenied", []],
        "missing": ["BadArgumentsMissing", []],
        "many": ["BadTooManyArguments", []],
        "types": ["BadInvalidArgument", ["BadTypeMismatch", "Good"]],
        "rank": ["BadInvalidArgument", ["BadTypeMismatch", "Good"]],
        "nothing": ["BadMethodInvalid", []],
        "resend": "Good",
        "shutdown": "BadNotExecutable",
    }
    assert found["items"] == [1, True]
