"""A server with every door secured, and those who may come in."""

import pytest

from gateway.access.people import People
from support.certificates import make
from support.opcua_doors import PASSWORD, TAGS
from support.opcua_face import opcua_face


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def ours(certificates):
    """The certificate of a client that is trusted."""
    return make(certificates)


@pytest.fixture(scope="session")
def person(certificates):
    return make(certificates, "person", uri=None)


@pytest.fixture
async def people(person):
    made = People()
    await made.users.add("ola", "operator", PASSWORD)
    await made.users.add("vera", "viewer", certificate=person.sha256)
    return made


@pytest.fixture
async def secure_face(tmp_path, ours, people):
    ours.put(tmp_path / "pki" / "trusted")
    async with opcua_face(TAGS, access=people, folder=tmp_path, insecure=False, anonymous="none") as running:
        await running.step({"a.x": 1.0})
        yield running
