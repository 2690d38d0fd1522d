"""The running gateway's own events to an OPC UA client: what a reload changes, who did what, and alarms before and after a refresh."""

import asyncio

import pytest
from asyncua import Client, ua

from sinks.test_opcua_events import SERVER, Listener, event_filter, operand, refresh
from support.gateway import GatewayProcess
from support.ports import free_port
from support.waiting import eventually

PASSWORD = "Correct-Horse-7-Battery"
SITE = """
tags:
  - {{name: line.temp, unit: Cel, range: [0, 60]}}
  - {{name: line.set, unit: Cel, range: [0, 60], writable: {{}}}}
alarms:
  - {{tag: line.temp, hi: 50, severity: 700, message: Oven too hot}}
opcua: {{port: {port}, insecure: true, anonymous: operator}}
"""
FIELDS = ("EventType", "SourceName", "Message", "Severity", "ClientUserId")


@pytest.mark.live
async def test_a_client_hears_of_reloads_of_people_and_of_alarms(tmp_path):
    port = free_port()
    url = f"opc.tcp://127.0.0.1:{port}/edgetwin"
    with GatewayProcess(tmp_path / "gateway", SITE.format(port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        assert gateway.command("user.add", user="mia", role="manager", password=PASSWORD).status_code == 200
        manager = Client(url, timeout=10)
        manager.set_user("mia")
        manager.set_password(PASSWORD)
        async with manager, Client(url, timeout=10) as operator:
            clauses = [*(operand(name) for name in FIELDS), operand("Changes", of=ua.ObjectIds.GeneralModelChangeEventType)]
            listeners = [await Listener(client).open() for client in (manager, operator)]
            for listener in listeners:
                assert (await listener.item(SERVER, event_filter(*clauses))).StatusCode.is_good()

            def heard(listener, kind):
                return [fields for _, fields in listener.events if fields[0] == ua.NodeId(kind)]

            assert gateway.command("tag.override", tag="line.temp", value=55.0).status_code == 200
            for listener in listeners:
                await eventually(lambda listener=listener: heard(listener, ua.ObjectIds.NonExclusiveLevelAlarmType))
                (alarm,) = heard(listener, ua.ObjectIds.NonExclusiveLevelAlarmType)
                assert alarm[1:4] == ["line.temp", ua.LocalizedText("Oven too hot", "en"), 700]
            audited = await eventually(lambda: heard(listeners[0], ua.ObjectIds.AuditEventType))
            assert audited[0][2].Text.startswith("tag.override by ")

            gateway.write(SITE.format(port=port).replace("alarms:", "  - {name: line.new}\nalarms:"))
            assert gateway.command("config.reload").status_code == 200
            for listener in listeners:
                await eventually(lambda listener=listener: heard(listener, ua.ObjectIds.RefreshRequiredEventType))
                (changed,) = heard(listener, ua.ObjectIds.GeneralModelChangeEventType)
                assert [(one.Affected.Identifier, one.Verb) for one in changed[5]] == [("line.new", 1)]
                await eventually(
                    lambda listener=listener: (
                        "configuration reloaded" in [fields[2].Text for fields in heard(listener, ua.ObjectIds.SystemEventType)]
                    )
                )
            assert not heard(listeners[1], ua.ObjectIds.AuditEventType)
            assert await operator.get_node(ua.NodeId("line.new", 2)).read_browse_name() == ua.QualifiedName("new", 2)

            assert await refresh(operator, listeners[1].id) == "Good"
            await eventually(lambda: heard(listeners[1], ua.ObjectIds.RefreshEndEventType))
            assert len(heard(listeners[1], ua.ObjectIds.NonExclusiveLevelAlarmType)) == 2
            assert not heard(listeners[0], ua.ObjectIds.RefreshStartEventType)
