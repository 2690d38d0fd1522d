"""A gateway as it comes, with `opcua` and nothing said about security: closed, until a person has trusted a client and made a user."""

import asyncio

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyAes256Sha256RsaPss
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from support.certificates import URI, make
from support.gateway import GatewayProcess
from support.ports import free_port

pytestmark = pytest.mark.live

PASSWORD = "violet anchor 7 moons"
SITE = """\
tags:
  - {{name: line.setpoint, type: float, writable: {{min: 0, max: 10, role: engineer}}}}
opcua: {{port: {port}}}
"""


async def client(port, made, user):
    made_for = Client(f"opc.tcp://127.0.0.1:{port}", timeout=10)
    made_for.application_uri = URI
    server = (await made_for.connect_and_get_server_endpoints())[0].ServerCertificate
    await made_for.set_security(
        SecurityPolicyAes256Sha256RsaPss,
        CertProperties(made.der, "der"),
        str(made.key_file),
        server_certificate=CertProperties(server, "der"),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    made_for.set_user(user)
    made_for.set_password(PASSWORD)
    return made_for


async def test_a_gateway_is_closed_until_a_person_opens_it(tmp_path):
    """Refused, trusted, signed in, what the role allows and no more; the audit tells all of it, over a restart as well."""
    port, ours = free_port(), make(tmp_path)
    with GatewayProcess(tmp_path, SITE.format(port=port)) as gateway:
        await asyncio.to_thread(gateway.start, 30.0)
        assert "nobody can sign in" in gateway.get("/status")["sinks"]["opcua"]["problems"]["sign-in"]
        own = [row["sha256"] for row in gateway.get("/certificates")["certificates"] if row["place"] == "own"]
        with pytest.raises((UaError, ConnectionError)):
            async with await client(port, ours, "ola"):
                pass
        for user, role in (("root", "admin"), ("ola", "operator"), ("eve", "engineer")):
            assert gateway.command("user.add", user=user, role=role, password=PASSWORD).status_code == 200
        assert gateway.command("cert.trust", thumbprint=ours.sha1).status_code == 200
        for user, code in (("ola", ua.StatusCodes.BadUserAccessDenied), ("eve", None)):
            async with await client(port, ours, user) as signed_in:
                node = signed_in.get_node(ua.NodeId("line.setpoint", 2))
                wanted = ua.DataValue(ua.Variant(3.5, ua.VariantType.Double))
                if code is None:
                    await node.write_value(wanted)
                    assert await node.read_value() == 3.5
                else:
                    with pytest.raises(UaStatusCodeError) as refused:
                        await node.write_value(wanted)
                    assert refused.value.code == code
        assert await asyncio.to_thread(gateway.stop) == 0
        await asyncio.to_thread(gateway.start, 30.0)
        async with await client(port, ours, "eve") as again:
            assert await again.get_node(ua.NodeId("line.setpoint", 2)).read_value() == 3.5
        assert own == [row["sha256"] for row in gateway.get("/certificates")["certificates"] if row["place"] == "own"]
        told = [(record["user"], record["command"], record["status"]) for record in gateway.get("/audit")["records"]]
        assert ("", "opcua.channel", "BadSecurityChecksFailed") in told
        assert ("eve", "session.sign_in", "Good") in told
        assert ("eve", "tag.write", "Good") in told
