"""One forecast on every face of the running gateway, and a what-if begun over MQTT."""

import json
import time

import aiomqtt
import httpx
import pytest
from asyncua import Client, ua

from gateway.launch import running
from gateway.model.command import Caller, Command
from gateway.model.instant import iso
from support.mqtt_face import subscriber
from support.ports import free_port
from support.waiting import eventually

ADMIN = Caller("admin", "admin", "test")
SITE = """
version: 1
gateway: {{name: t{web}, path: acme/line1, data_dir: {data}}}
web: {{port: {web}, insecure: true, anonymous: viewer}}
opcua: {{port: {opcua}, insecure: true, anonymous: viewer}}
upstream: [{{name: hq, kind: mqtt, url: "{url}", commands: true}}]
tags:
  - {{name: line.t, unit: Cel, range: [0, 60], sampling_interval: 100ms}}
  - {{name: line.sp, unit: Cel, range: [0, 60]}}
alarms: [{{tag: line.t, hi: 25}}]
models: {{hall: {{kind: first_order, output: line.t, inputs: {{u: line.sp}}, parameters: {{tau: 100s}}}}}}
forecast: {{tags: [line.t], horizon: 6s, step: 100ms, every: 1s, lead: 3s}}
"""


@pytest.fixture
async def gateway(tmp_path, monkeypatch, mosquitto):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(web=free_port(), opcua=free_port(), data=tmp_path / "data", url=mosquitto.url))
    async with running(path) as made:
        for tag in ("line.t", "line.sp"):
            await made.door.execute(Command("tag.override", {"tag": tag, "value": 22.0}, ADMIN))
        yield made


async def test_every_face_shows_the_same_forecast(gateway, mosquitto):
    urls = gateway.urls()
    async with (
        subscriber(mosquitto.port, "acme/line1/_forecast/#") as heard,
        httpx.AsyncClient(base_url=urls["web"], timeout=10) as web,
        Client(urls["opcua"], timeout=10) as client,
    ):
        topic = "acme/line1/_forecast/line.t"
        await eventually(lambda: heard.messages and heard.on(topic)[-1]["p50"] == 22.0, within=20)
        told = {record["issued"]: record for record in heard.on(topic)}

        async def agree():
            found = (await web.get("/api/v1/forecasts/line.t", params={"past": "1min"})).json()
            value = await client.get_node(ua.NodeId("line.t/Forecast/P95", 2)).read_data_value(raise_on_bad_status=False)
            told.update({record["issued"]: record for record in heard.on(topic)})
            record = told.get(found["issued"])
            if (
                record is None
                or value.SourceTimestamp is None
                or not record["timestamp"].startswith(value.SourceTimestamp.isoformat()[:19])
            ):
                return False
            return found, record, value.Value.Value

        found, record, high = await eventually(agree, within=10)
        assert {key: found[key] for key in record if key != "band"} == {key: record[key] for key in record if key != "band"}
        assert high == record["p95"]
        assert (len(found["trajectory"]["t_ms"]), len(record["band"]["dt_ms"])) == (60, 60)
        assert [limit["limit"] for limit in record["limits"]] == ["HI"]


async def test_a_machine_asks_what_if_over_mqtt(gateway, mosquitto):
    _, token = await gateway.people.tokens.create("mes", "operator", None)
    base = "acme/line1/_cmd/simulation.run"
    command = {"id": "1", "token": token, "expires": iso(time.time_ns() + 60 * 10**9), "args": {"parameters": {"line.sp": 30}, "seed": 7}}
    async with (
        subscriber(mosquitto.port, f"{base}/reply") as heard,
        aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
    ):
        await eventually(lambda: "hq" in {unit.name for unit in gateway.health.units.values() if unit.state.value == "up"})
        await client.publish(base, json.dumps(command), qos=1)
        await eventually(lambda: heard.messages)
        (answer,) = heard.on(f"{base}/reply")
        assert (answer["status"], answer["result"]["seed"]) == ("Good", 7)
        run = await eventually(lambda: _ended(gateway, answer["result"]["run"]), within=20)
        assert (run.user, run.results["delta"]["outputs"]["line.t"]["mean"][-1] > 5) == ("token:mes", True)
        await client.publish(base, json.dumps(command), qos=1)
        await eventually(lambda: len(heard.messages) == 2)
        assert heard.on(f"{base}/reply")[1]["status"] == "BadNonceInvalid"
        audit = await gateway.store.audit_log(5)
        assert [(one.user, one.command, one.status) for one in audit][:2] == [
            ("token:mes", "simulation.run", 0x8024_0000),
            ("token:mes", "simulation.run", 0),
        ]
        assert all(token not in one.args for one in audit)


async def _ended(gateway, run_id):
    run = await gateway.store.runs.run(run_id)
    return run if run.results else None
