"""Calibration and residuals as an OPC UA client sees them, and the same by REST."""

import asyncio
import math
from contextlib import asynccontextmanager

import httpx
import pytest
from asyncua import Client, ua

from gateway.launch import running
from support.heated import SITE, plant
from support.ports import free_port
from support.waiting import eventually

NS = 2
PASSWORD = "Correct-Horse-7-Battery"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "site.yaml"
    web, opcua = (f"{{port: {free_port()}, insecure: true, anonymous: operator}}" for _ in range(2))
    head = f"version: 1\ngateway: {{name: t{free_port()}, data_dir: {tmp_path / 'data'}}}\nweb: {web}\nopcua: {opcua}\n"
    path.write_text(head + SITE.replace("TAU", "50s").replace("MORE", ", residual: {step: 100ms, false_alarm: 1h}"))
    return path


@asynccontextmanager
async def served(site):
    """A gateway, and an engineer's client."""
    async with running(site) as gateway:
        await gateway.people.users.add("eve", "engineer", PASSWORD)
        client = Client(gateway.urls()["opcua"], timeout=10)
        client.set_user("eve")
        client.set_password(PASSWORD)
        async with client:
            yield gateway, client


def node(client, path=""):
    return client.get_node(ua.NodeId(f"Simulation{path}", NS))


async def ended(client, run):
    async def looked():
        return await node(client, f"/Runs/{run}/State").read_value() in {"done", "failed"}

    await eventually(looked, within=40)
    return await node(client, f"/Runs/{run}/State").read_value()


async def test_a_client_calibrates_browses_the_run_applies_and_goes_back(site):
    """Calibrate(tag, window) answers the run's id; its versions are put in force and taken back by Methods, and shown by REST."""
    await plant(site)
    async with served(site) as (gateway, client):
        run = await node(client).call_method("2:Calibrate", "line.t", 3700.0)
        assert await ended(client, run) == "done"
        await node(client).call_method("2:ApplyCalibration", "hall", ua.Variant(1, ua.VariantType.UInt32))
        assert gateway.foreseeing.calibrated().models[0].parameters["tau"] == pytest.approx(100.0, rel=0.02)
        transport = httpx.AsyncHTTPTransport(uds=gateway.urls()["local"])
        async with httpx.AsyncClient(base_url="http://localhost/api/v1", transport=transport) as web:
            (version,) = (await web.get("/calibrations", params={"model": "hall"})).json()["versions"]
            assert (version["state"], version["run"], version["user"]) == ("applied", run, "eve")
            assert version["report"]["whiteness"]["white"] in {True, False}
            again = await web.post("/calibrations/hall/apply", json={"version": 1})
            assert (again.status_code, "in force already" in again.json()["detail"]) == (409, True)
            begun = await web.post("/calibrations", json={"tag": "line.t", "window_s": 3700})
            assert (begun.status_code, await ended(client, begun.json()["run"])) == (202, "done")
            unknown = await web.post("/calibrations", json={"model": "none"})
            assert (unknown.status_code, "there is no model 'none'" in unknown.json()["detail"]) == (404, True)
            assert (await web.get("/calibrations", params={"model": "none"})).status_code == 404
        await node(client).call_method("2:RollbackCalibration", "hall")
        assert gateway.foreseeing.calibrated().models[0].parameters["tau"] == 50.0
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await node(client).call_method("2:Calibrate", "line.t", -1.0)
        assert refused.value.code == ua.StatusCodes.BadInvalidArgument


async def test_a_watched_model_has_its_figures_below_simulation(site):
    """They say that it is blind as long as nothing is measured."""
    async with served(site) as (gateway, client):
        model = node(client, "/Models/hall")
        names = {(await child.read_browse_name()).Name for child in await model.get_children()}
        assert names == {"Residual", "NIS", "NISLow", "NISHigh", "EWMA", "Health", "Raw", "State", "StandsIn"}
        async with asyncio.timeout(10):
            assert await node(client, "/Models/hall/State").read_value() == "blind"
        assert math.isnan(await node(client, "/Models/hall/Health").read_value())
        assert "hall" in gateway.residuals.watched
