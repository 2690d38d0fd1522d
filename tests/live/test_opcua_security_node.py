"""The doors of the running gateway's OPC UA server, seen by node-opcua."""

import asyncio
from pathlib import Path

import pytest
from asyncua import Client
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError

from gateway.wire.opcua import trust
from support.certificates import URI, make
from support.gateway import GatewayProcess
from support.opcua_doors import MODES
from support.opcua_doors import POLICIES as DOORS
from support.ports import free_port, wait_open

SCRIPT = Path(__file__).parents[1] / "node" / "security.mjs"
PASSWORD = "violet anchor 7 moons"
POLICIES = tuple(DOORS)
SITE = """
opcua: {{port: {port}}}
tags:
  - {{name: a.x, writable: {{}}}}
"""

pytestmark = pytest.mark.live


def brought(folder):
    """Certificates and keys as node-opcua reads them: a good one, a stranger's, an expired one, a person's."""
    made = {
        "client": make(folder),
        "stranger": make(folder, "stranger"),
        "expired": make(folder, "expired", days=(-30, -1)),
        "person": make(folder, "person", uri=None),
    }
    for name, one in made.items():
        assert one.certificate_file.exists()
        assert one.key_file.exists()
        (folder / f"{name}.chain.pem").write_text(trust.pem_of(one.certificate))
    return made


async def test_another_implementation_gets_in_by_the_right_ways_only(node, tmp_path):
    """Each policy and mode by password and by certificate; a wrong password, a strange or expired certificate and no security at all are
    refused, and so is a trusted certificate with another's key, which node-opcua does not even try.
    """
    made = brought(tmp_path)
    port = free_port()
    with GatewayProcess(tmp_path / "gateway", SITE.format(port=port)) as gateway:
        for name in ("client", "expired"):
            made[name].put(tmp_path / "gateway" / "data" / "pki" / "trusted")
        await asyncio.to_thread(gateway.start, 30)
        await asyncio.to_thread(wait_open, port, 30)
        assert gateway.command("user.add", user="ola", role="operator", password=PASSWORD).status_code == 200
        assert gateway.command("user.add", user="vera", role="viewer", certificate=made["person"].sha256).status_code == 200
        assert gateway.command("tag.write", tag="a.x", value=1).status_code == 200
        url = f"opc.tcp://127.0.0.1:{port}/edgetwin"
        found = await node.run(SCRIPT, url, tmp_path, PASSWORD, folder=tmp_path, within=120)
        own = tmp_path / "gateway" / "data" / "pki" / "own" / "cert.der"
        for policy in POLICIES:
            assert await turned_away(url, policy, made["client"], made["stranger"], own)
            assert not await turned_away(url, policy, made["client"], made["client"], own)
        rejected = tmp_path / "gateway" / "data" / "pki" / "rejected"
        assert (rejected / f"{made['stranger'].sha1}.der").exists()
    assert found["doors"] == {f"{policy}/{mode}": [1, 1] for policy in POLICIES for mode in ("Sign", "SignAndEncrypt")}
    assert (found["wrongPassword"], found["unknownUser"]) == ("BadUserAccessDenied", "BadUserAccessDenied")
    assert "End point must exist" in found["none"]
    assert {who: len(answers) for who, answers in found["refused"].items()} == {"stranger": 3, "expired": 3}
    assert all("rejected by server" in answer for answers in found["refused"].values() for answer in answers)


async def turned_away(url, policy, shown, held, own):
    """Whether a client that shows a trusted certificate but holds another key is cut off before it has a channel."""
    client = Client(url, timeout=5)
    client.application_uri = URI
    certificate = CertProperties(shown.der, "der")
    await client.set_security(
        DOORS[policy],
        certificate,
        str(held.key_file),
        server_certificate=CertProperties(own.read_bytes(), "der"),
        mode=MODES["SignAndEncrypt"],
    )
    try:
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()
    except (UaError, ConnectionError, TimeoutError):
        return True
    finally:
        client.disconnect_socket()
    return False
