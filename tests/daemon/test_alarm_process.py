"""Alarms of a gateway as it is run: told on every face, and still there after it was killed."""

from asyncua import Client

from support.gateway import GatewayProcess
from support.waiting import eventually

HI = "line.temp/Alarms/HI"
SITE = """
opcua: {port: 0, insecure: true, anonymous: viewer}
tags:
  - {name: line.temp, unit: Cel, writable: {role: operator}}
alarms:
  - {tag: line.temp, hi: 27}
events: {system_alarms: false}
"""


async def test_what_was_done_to_an_alarm_is_there_after_a_kill_and_its_figures_go_on(tmp_path):
    with GatewayProcess(tmp_path, SITE) as gateway:
        gateway.start(20)
        for value in (28.0, 20.0, 29.0):
            assert gateway.command("tag.write", tag="line.temp", value=value).status_code == 200
        await eventually(lambda: gateway.get("/alarms/performance")["last_day"] == 2)
        done = gateway.command("alarm.shelve", condition=HI, duration=600, comment="works")
        assert done.json()["result"] == {"done": [HI], "refused": [], "durable": True}
        assert gateway.command("alarm.shelve", condition=HI, duration=600).status_code == 409
        before = gateway.get("/alarms/performance")
        assert (before["standing"], before["shelved"]) == (0, 1)
        gateway.kill()
        gateway.start(20)
        (alarm,) = gateway.get("/alarms", shelved=True)["alarms"]
        assert (alarm["condition"], alarm["active"], alarm["shelving"], alarm["comment"]) == (HI, True, "timed", "works")
        after = gateway.get("/alarms/performance")
        assert {key: after[key] for key in after if key != "observed_h"} == {key: before[key] for key in before if key != "observed_h"}
        assert gateway.get("/status")["alarms"]["performance"]["last_day"] == 2
        lines = gateway.http.get("/metrics").text.splitlines()
        assert 'edgetwin_alarms_silenced{state="shelved"} 1.0' in lines
        assert "edgetwin_alarms_standing 0.0" in lines
        async with Client(gateway.get("/status")["urls"]["opcua"]) as client:
            below = await client.get_node("ns=2;s=Gateway/AlarmPerformance").get_children()
            figures = {(await node.read_browse_name()).Name: await node.read_value() for node in below}
        assert (figures["AlarmsLastDay"], figures["Standing"], figures["Shelved"], figures["TopTen"]) == (2, 0, 1, f"{HI}: 2")
        assert [rule["condition"] for rule in gateway.get("/alarms", state="all")["alarms"]] == [HI]
