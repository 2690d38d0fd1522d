"""The doors of the OPC UA server, seen by node-opcua."""

from pathlib import Path

import pytest

from gateway.access.people import People
from gateway.model.tag import Tag
from gateway.wire.opcua import trust
from support.certificates import make
from support.opcua_face import opcua_face

SCRIPT = Path(__file__).parents[1] / "node" / "security.mjs"
pytestmark = pytest.mark.live

PASSWORD = "violet anchor 7 moons"
POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")


async def test_another_implementation_gets_in_by_the_right_ways_only(node, tmp_path):
    """Each policy and mode by password and by certificate; a wrong password, a strange certificate and no security at all are refused."""
    client, stranger = make(tmp_path), make(tmp_path, "stranger")
    person = make(tmp_path, "person", uri=None)
    for one in (client, stranger, person):
        assert one.certificate_file.exists()
        assert one.key_file.exists()
        (tmp_path / f"{one.name}.chain.pem").write_text(trust.pem_of(one.certificate))
    client.put(tmp_path / "pki" / "trusted")
    people = People()
    await people.users.add("ola", "operator", PASSWORD)
    await people.users.add("vera", "viewer", certificate=person.sha256)
    async with opcua_face([Tag(0, "a.x")], access=people, folder=tmp_path, insecure=False, anonymous="none") as face:
        await face.step({"a.x": 1.0})
        found = await node.run(SCRIPT, face.sink.url, tmp_path, PASSWORD, folder=tmp_path, within=120)
        assert found["doors"] == {f"{policy}/{mode}": [1, 1] for policy in POLICIES for mode in ("Sign", "SignAndEncrypt")}
        assert found["wrongPassword"] == "BadUserAccessDenied"
        assert found["unknownUser"] == "BadUserAccessDenied"
        assert found["stranger"] != 1
        assert found["none"] != 1
        assert (tmp_path / "pki" / "rejected" / f"{stranger.sha1}.der").exists()
