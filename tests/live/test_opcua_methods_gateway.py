"""The gateway's own Methods on the running gateway, called by a user who signs in (Part 4, 5.11)."""

import asyncio

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from support.gateway import GatewayProcess
from support.ports import free_port

PASSWORD = "Correct-Horse-7-Battery"
SITE = """
tags:
  - {{name: line.temp, unit: Cel, range: [0, 60]}}
  - {{name: line.on, type: bool}}
opcua: {{port: {port}, insecure: true, anonymous: operator}}
sync: {{mode: manual}}
"""


async def read(client, key):
    return (await client.get_node(ua.NodeId(key, 2)).read_data_value(raise_on_bad_status=False)).Value.Value


@pytest.mark.live
async def test_an_engineer_overrides_releases_commits_and_records_and_an_operator_may_not(tmp_path):
    port = free_port()
    url = f"opc.tcp://127.0.0.1:{port}/edgetwin"
    with GatewayProcess(tmp_path / "gateway", SITE.format(port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        assert gateway.command("user.add", user="kim", role="engineer", password=PASSWORD).status_code == 200
        async with Client(url, timeout=10) as stranger:
            twin = stranger.get_node(ua.NodeId("Twin", 2))
            with pytest.raises(UaStatusCodeError) as denied:
                await twin.call_method("2:Override", "line.temp", 21.5, "calibration")
            assert denied.value.code == ua.StatusCodes.BadUserAccessDenied
        client = Client(url, timeout=10)
        client.set_user("kim")
        client.set_password(PASSWORD)
        async with client:
            twin, gateway_object = (client.get_node(ua.NodeId(key, 2)) for key in ("Twin", "Gateway"))
            before = await read(client, "Twin/StateVersion")
            await twin.call_method("2:Override", "line.temp", 21.5, "calibration")
            await twin.call_method("2:Override", "line.on", True, "")
            with pytest.raises(UaStatusCodeError) as wrong:
                await twin.call_method("2:Override", "line.temp", "warm", "")
            assert wrong.value.code == ua.StatusCodes.BadTypeMismatch
            with pytest.raises(UaStatusCodeError) as unknown:
                await twin.call_method("2:Override", "line.none", 1.0, "")
            assert unknown.value.code == ua.StatusCodes.BadNodeIdUnknown
            version = await twin.call_method("2:Commit")
            assert version > before
            assert await read(client, "Twin/StateVersion") == version
            assert (await read(client, "line.temp"), await read(client, "line.on")) == (21.5, True)
            released = await twin.call_method("2:Release", ua.Variant(["line.temp", "line.on"], ua.VariantType.String))
            assert released == ["line.temp", "line.on"]
            path = await gateway_object.call_method("2:StartRecording", "run1.etrec", 0.0)
            assert path.endswith("run1.etrec")
            with pytest.raises(UaStatusCodeError) as running:
                await gateway_object.call_method("2:StartRecording", "run2.etrec", 10.0)
            assert running.value.code == ua.StatusCodes.BadInvalidState
            stopped, state_hash = await gateway_object.call_method("2:StopRecording")
            assert (stopped, len(state_hash) > 0) == (path, True)
            with pytest.raises(UaStatusCodeError) as outside:
                await gateway_object.call_method("2:StartRecording", "../run.etrec", 0.0)
            assert outside.value.code == ua.StatusCodes.BadOutOfRange
            with pytest.raises(UaStatusCodeError) as denied:
                await gateway_object.call_method("2:Reload", True)
            assert denied.value.code == ua.StatusCodes.BadUserAccessDenied
        assert gateway.command("user.role", user="kim", role="admin").status_code == 200
        gateway.write(SITE.format(port=port) + "log: {level: warning}\n")
        client = Client(url, timeout=10)
        client.set_user("kim")
        client.set_password(PASSWORD)
        async with client:
            gateway_object = client.get_node(ua.NodeId("Gateway", 2))
            differences = await gateway_object.call_method("2:Reload", True)
            assert any("log" in line for line in differences)
            assert await gateway_object.call_method("2:Reload", False) == differences
            assert await gateway_object.call_method("2:Reload", True) == []
        assert gateway.stop() == 0
