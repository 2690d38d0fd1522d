"""Faults of the plant as the gateway shows them: named in status, marked with the right StatusCode, over when they are over."""

import numpy as np
import pytest

from gateway.demo.extra import write_site
from gateway.demo.handle import PlantProcess
from gateway.health import State
from gateway.launch import running
from gateway.model import quality
from gateway.model.command import Caller, Command
from gateway.settings.units import data
from support.ports import free_port
from support.waiting import eventually

FLOOD = 200


@pytest.fixture
async def plant():
    async with PlantProcess("--opcua-port", str(free_port()), "--mqtt-port", str(free_port()), "--extra", str(FLOOD)) as running_plant:
        yield running_plant


@pytest.fixture
async def gateway(plant, tmp_path, monkeypatch):
    """The demo's gateway with 200 tags more, connected to its plant."""
    monkeypatch.setenv("EDGETWIN_DEMO_NAME", f"faults{free_port()}")
    monkeypatch.setenv("EDGETWIN_DEMO_PLANT", plant.opcua_url)
    monkeypatch.setenv("EDGETWIN_DEMO_BROKER", plant.mqtt_url)
    monkeypatch.setenv("EDGETWIN_DEMO_OPCUA_PORT", str(free_port()))
    monkeypatch.setenv("EDGETWIN_DEMO_WEB_PORT", str(free_port()))
    async with running(write_site(data("demo.yaml"), FLOOD, tmp_path), data_dir=tmp_path / "data") as started:
        await eventually(lambda: all(source.unit.state is State.UP for source in started.south.sources.values()), within=15)
        await eventually(lambda: np.isin(started.engine.view.status[shown(started)], [quality.GOOD]).all(), within=15)
        yield started


def shown(gateway):
    """Rows of the tags that come from the plant."""
    return [tag.tag_id for tag in gateway.site.tags if tag.source in {"plc1", "cell"}]


def status(gateway, name):
    return int(gateway.engine.view.status[gateway.site.tags.index[name]])


@pytest.mark.live
async def test_two_hundred_alarms_at_once_come_and_go_and_no_one_is_forgotten(gateway, plant):
    def flooded(active):
        conditions = [one for one in gateway.engine.view.conditions() if one.rule.tag.startswith("extra.")]
        return len(conditions) == FLOOD and all(one.active is active for one in conditions)

    await plant.inject("flood", seconds=4)
    await eventually(lambda: flooded(True), within=15)
    await eventually(lambda: flooded(False), within=20)
    events = await gateway.store.journal.query(limit=1000)
    raised = {event.details.get("condition", event.message) for event in events}
    assert len(raised) >= FLOOD


@pytest.mark.live
async def test_a_value_that_is_not_a_number_marks_its_tag_and_no_other(gateway, plant):
    await plant.inject("nan", tags=["production_line.temperature"])
    await eventually(lambda: status(gateway, "production_line.temperature") == quality.BAD_OUT_OF_RANGE, within=10)
    assert status(gateway, "production_line.power") == quality.GOOD
    await plant.clear("nan")
    await eventually(lambda: status(gateway, "production_line.temperature") == quality.GOOD, within=10)


@pytest.mark.live
async def test_a_source_that_dies_turns_its_tags_bad_and_comes_back_by_itself(gateway, plant):
    await plant.inject("kill_source")
    await eventually(lambda: status(gateway, "production_line.power") == quality.BAD_NO_COMMUNICATION, within=15)
    assert status(gateway, "environment.temperature") == quality.GOOD
    assert gateway.report.status()["state"] == "degraded"
    await plant.clear("kill_source")
    await eventually(lambda: status(gateway, "production_line.power") == quality.GOOD, within=15)


@pytest.mark.live
async def test_a_write_that_the_plant_refuses_is_refused_to_whoever_asked(gateway, plant):
    command = Command(
        "tag.write", {"tag": "production_line.temperature_setpoint", "value": 23.0}, Caller("anna", "operator", "web:127.0.0.1")
    )
    await plant.inject("refuse_write")

    async def refused():
        return (await gateway.door.execute(command)).status != quality.GOOD

    await eventually(refused, within=10)
    await plant.clear("refuse_write")

    async def accepted():
        return (await gateway.door.execute(command)).status == quality.GOOD

    await eventually(accepted, within=10)
    row = gateway.site.tags.index["production_line.temperature_setpoint"]
    await eventually(lambda: gateway.engine.view.value[row] == 23.0, within=10)
