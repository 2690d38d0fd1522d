"""People and their roles, as node-opcua meets them: signed in with name and password over the face as it runs."""

from pathlib import Path

import pytest

from gateway.access.people import People
from gateway.model.tag import Tag, WriteRule
from support.opcua_face import opcua_face

NODE = Path(__file__).parents[1] / "node"
TAGS = [Tag(0, "line.setpoint", write_rule=WriteRule(role="operator")), Tag(1, "line.limit", write_rule=WriteRule(role="engineer"))]
PASSWORD = "kettle-drum-seven"

pytestmark = pytest.mark.live


@pytest.mark.parametrize(
    ("role", "setpoint", "limit"),
    [("viewer", (1, False), (1, False)), ("operator", (3, True), (1, False)), ("engineer", (3, True), (3, True))],
)
async def test_a_foreign_client_sees_and_gets_what_its_role_may(node, tmp_path, role, setpoint, limit):
    people = People()
    await people.users.add("ann", role, PASSWORD)
    async with opcua_face(TAGS, anonymous="none", access=people, folder=tmp_path) as face:
        await face.step({"line.setpoint": 1.0, "line.limit": 2.0})
        found = await node.run(NODE / "roles.mjs", face.sink.url, "ann", PASSWORD, folder=tmp_path)
        wrong = await node.run(NODE / "roles.mjs", face.sink.url, "ann", "wrong", folder=tmp_path)
        nobody = await node.run(NODE / "roles.mjs", face.sink.url, folder=tmp_path)
    assert found["level"] == 3
    for name, (level, good) in (("line.setpoint", setpoint), ("line.limit", limit)):
        assert found[name] == {"level": level, "write": "Good" if good else "BadUserAccessDenied"}
    assert found["all"] == found["security"] == "BadUserAccessDenied"
    assert {"15656", "15668"} <= set(found["own"])
    assert ("16036" in found["own"]) == (role == "engineer")
    assert "BadUserAccessDenied" in wrong["refused"]
    assert nobody["refused"]
