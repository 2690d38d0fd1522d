"""Tags to paste: from a real server, and from names that no tag may have."""

import asyncio
import csv
import io
import re
import time

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from hypothesis import given
from hypothesis import strategies as st

from cli.conftest import edgetwin, run
from gateway import settings
from gateway.cli import paste
from gateway.cli.access import access
from gateway.cli.inspect import unreached
from gateway.model.tag import TagType
from gateway.plugins import plugins
from gateway.settings import read_units
from gateway.settings.names import RESERVED, wrong
from gateway.wire.opcua import certificates
from gateway.wire.opcua.browse import Found
from gateway.wire.opcua.plant import PlantServer, Variable

VARIABLES = [
    Variable("line.temperature", TagType.FLOAT, read_units()["Cel"], (0.0, 60.0), writable=True),
    Variable("line.count", TagType.INT),
    Variable("line.message", TagType.TEXT),
    Variable("line.on", TagType.BOOL),
    Variable("line.state", TagType.ENUM, labels={0: "stopped", 2: 'run "fast": #1'}),
    Variable("line.share", TagType.FLOAT, read_units()["%"]),
    Variable("line.ratio", TagType.FLOAT, read_units()["1"]),
]


@pytest.fixture
async def plant(free_port):
    server = PlantServer(free_port, "urn:test:plant", VARIABLES, lambda _name, _value: None)
    await server.start()
    yield server
    await server.stop()


async def test_what_browse_prints_can_be_pasted_and_passes_check(plant, tmp_path):
    said = await edgetwin("browse", plant.url)
    assert said.code == 0
    site = tmp_path / "site.yaml"
    site.write_text(f"version: 1\ngateway: {{name: line1, data_dir: {tmp_path / 'data'}}}\n{said.out}")
    loaded = settings.load(site, plugins())
    tags = {tag.name.rpartition(".")[2]: tag for tag in loaded.tags}
    assert (tags["temperature"].unit, tags["temperature"].eu_range, tags["temperature"].type) == ("Cel", (0.0, 60.0), TagType.FLOAT)
    assert (tags["count"].type, tags["message"].type, tags["on"].type) == (TagType.INT, TagType.TEXT, TagType.BOOL)
    assert (tags["state"].type, tags["state"].labels) == (TagType.ENUM, {0: "stopped", 2: 'run "fast": #1'})
    assert (tags["share"].unit, tags["ratio"].unit) == ("%", "1")
    table = list(csv.DictReader(io.StringIO((await edgetwin("browse", plant.url, "--format", "csv")).out)))
    assert {row["name"] for row in table} == {tag.name for tag in loaded.tags}
    document = (await edgetwin("browse", plant.url, "--json")).json
    assert len(document["tags"]) == 7
    (tmp_path / "tags.csv").write_text((await edgetwin("browse", plant.url, "--format", "csv")).out)
    source = f"sources: {{plc1: {{driver: opcua, url: {plant.url}}}}}\n"
    site.write_text(f"version: 1\ngateway: {{name: line1, data_dir: {tmp_path / 'data'}}}\n{source}tags_from: [tags.csv]\n")
    assert [(tag.name, tag.type, tag.unit, tag.labels) for tag in settings.load(site, plugins()).tags] == [
        (tag.name, tag.type, tag.unit, tag.labels) for tag in loaded.tags
    ]


def test_a_server_that_is_not_there_is_three(free_port):
    said = run("browse", f"opc.tcp://127.0.0.1:{free_port}")
    assert (said.code, said.out) == (3, "")


async def test_a_root_that_is_not_there_is_one_and_what_is_no_server_is_two(plant):
    for root in ("nsu=urn:test:plant;s=nowhere", "nsu=urn:no;s=a"):
        said = await edgetwin("browse", plant.url, "--root", root)
        assert (said.code, said.out) == (1, "")
        assert root in said.err
    for wrong_usage in (("http://127.0.0.1:1",), ("opc.tcp://",), (plant.url, "--root", "?"), (plant.url, "--security", "Strong")):
        said = await edgetwin("browse", *wrong_usage)
        assert (said.code, said.out) == (2, ""), wrong_usage


async def test_user_password_and_security_reach_the_server(plant, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGETWIN_PASSWORD", "secret")
    said = await edgetwin("browse", plant.url, "--user", "ann")
    assert said.code == 0
    assert f'plc1: {{driver: "opcua", url: "{plant.url}", user: "ann"}}' in said.out
    assert "secret" not in said.out
    pki = tmp_path / "pki"
    said = await edgetwin("browse", plant.url, "--security", "Basic256Sha256/SignAndEncrypt", "--pki", pki)
    assert said.code == 3  # this server has no such endpoint
    assert (pki / "own" / "cert.der").exists()
    before = (pki / "own" / "cert.der").read_bytes()
    way = access(plant.url, "ann", "secret", "Aes256Sha256_RsaPss/Sign", pki, None)
    assert (way.user, way.password, way.security.policy, way.security.mode) == ("ann", "secret", "Aes256Sha256RsaPss", "Sign")
    assert (pki / "own" / "cert.der").read_bytes() == before


class Users(UserManager):
    """One user."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        return User(role=UserRole.User, name=username) if (username, password) == ("ann", "secret") else None


async def test_a_server_that_asks_for_security_and_a_password_is_walked(free_port, tmp_path, monkeypatch):
    url, own = f"opc.tcp://127.0.0.1:{free_port}/plant", certificates.renew(tmp_path / "plant", "plant", time.time())
    server = Server(user_manager=Users())
    await server.init()
    server.set_endpoint(url)
    await server.set_application_uri(certificates.application_uri("plant"))
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    await server.load_certificate(str(own.certificate))
    await server.load_private_key(str(own.key))
    index = await server.register_namespace("urn:test:plant")
    await server.nodes.objects.add_variable(ua.NodeId("speed", index), f"{index}:speed", 1.5)
    secure = ("browse", url, "--user", "ann", "--security", "Basic256Sha256/SignAndEncrypt", "--pki", tmp_path / "pki")
    pinned = (*secure, "--server-certificate", own.certificate)
    monkeypatch.setenv("EDGETWIN_PASSWORD", "secret")
    async with server:
        said = await edgetwin(*secure)
        assert (said.code, "is not trusted" in said.err) == (3, True)
        assert "--server-certificate" in said.err
        told = await asyncio.create_subprocess_shell(re.search(r"`(mkdir .*)`", said.err)[1])
        assert await told.wait() == 0
        assert (await edgetwin(*secure)).code == 0
        said = await edgetwin(*pinned)
        assert (said.code, "nsu=urn:test:plant;s=speed" in said.out) == (0, True)
        monkeypatch.setenv("EDGETWIN_PASSWORD", "wrong")
        assert (await edgetwin(*pinned)).code == 3


def test_a_server_that_refuses_our_certificate_is_to_be_told_which_one_to_trust(tmp_path):
    way = access("opc.tcp://127.0.0.1:1", None, None, "Basic256Sha256/SignAndEncrypt", tmp_path, None)
    hint = unreached("opc.tcp://127.0.0.1:1: An error occurred verifying security.(BadSecurityChecksFailed)", way)
    assert hint.startswith("the server refuses our certificate: trust ")
    assert "CN=" in hint


def found(*paths, **more):
    return [Found(path, f"nsu=urn:a;s={n}", "Double", "float", **more) for n, path in enumerate(paths)]


def test_what_cannot_be_a_tag_is_a_comment_with_the_reason():
    pasted = paste.tags([*found(("a",), array=True), Found(("b",), "nsu=urn:a;s=b", "Motor", "")], "plc1", {})
    lines = paste.as_yaml(pasted, "plc1", {"url": "opc.tcp://x"}).splitlines()[3:]
    assert all(line.startswith("  # - {") for line in lines)
    assert "an array" in lines[0]
    assert "a structure" in lines[1]
    assert paste.as_csv(pasted) == "name,source,address,type,unit,range,labels\n"


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "_x", "Twin", "Kpi", "ä", "", "a b", "value"]), min_size=1, max_size=4).map(tuple), max_size=12
    )
)
def test_names_are_allowed_differ_and_are_no_level_of_each_other(paths):
    names = [each.keys["name"] for each in paste.tags(found(*paths), "plc1", {})]
    assert len(set(names)) == len(names)
    assert all(wrong(name) is None for name in names)
    assert not any(other.startswith(f"{name}.") for name in names for other in names)


def test_the_reserved_levels_are_those_of_the_configuration():
    assert paste.RESERVED == RESERVED
