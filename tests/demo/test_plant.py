"""The plant as a process: it starts, is read and written by real clients, obeys, and ends."""

import asyncio
import math

import aiomqtt
import orjson
import pytest
from asyncua import Client, ua

from gateway.demo.emission import load
from gateway.demo.handle import PlantError, PlantProcess
from support.ports import answers, free_port
from support.waiting import eventually

NAMESPACE = "urn:edgetwin:plant"


@pytest.fixture
async def plant():
    async with PlantProcess("--opcua-port", str(free_port()), "--mqtt-port", str(free_port())) as running:
        yield running


@pytest.fixture
async def large_plant():
    async with PlantProcess("--opcua-port", str(free_port()), "--mqtt-port", str(free_port()), "--extra", "200") as running:
        yield running


class Seen:
    """A subscription's notifications: (name, value, source time in ns)."""

    def __init__(self):
        self.rows = []

    def datachange_notification(self, node, _value, data):
        sample = data.monitored_item.Value
        if sample.SourceTimestamp is not None:
            at = round(sample.SourceTimestamp.timestamp() * 1000) * 1_000_000
            self.rows.append((node.nodeid.Identifier, sample.Value.Value, at))

    def values(self, name):
        return [value for node, value, _ in self.rows if node == name]


async def test_what_a_subscriber_gets_is_what_the_ledger_says(plant, tmp_path):
    """Every value emitted between the first and the last notification of a signal was notified, once, with its own source time."""
    seen, names = Seen(), ["production_line.temperature", "machines.stringer.power", "production_line.energy_consumption"]
    async with Client(plant.opcua_url) as client:
        index = await client.get_namespace_index(NAMESPACE)
        subscription = await client.create_subscription(100, seen)
        await subscription.subscribe_data_change([client.get_node(ua.NodeId(name, index)) for name in names], queuesize=100)
        await eventually(lambda: len(seen.values("production_line.energy_consumption")) > 3, within=15)
        await plant.pause()
        await plant.save_emitted(tmp_path / "ledger.npz")
        ledger = load(tmp_path / "ledger.npz")

        def all_there():
            for name in names:
                times = [at for node, _, at in seen.rows if node == name]
                assert times == [at for at in ledger[name].tolist() if at >= times[0]]
            return True

        await eventually(all_there, within=10)


async def test_sensors_speak_json_with_their_time(plant):
    host, port = plant.mqtt_url.removeprefix("mqtt://").split(":")
    async with aiomqtt.Client(host, int(port), protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.subscribe("cell/environment", qos=1)
        async with asyncio.timeout(10):
            async for message in client.messages:
                reading = orjson.loads(message.payload)
                break
    assert set(reading) == {"timestamp", "temperature", "humidity"}
    assert reading["timestamp"].endswith("Z")
    assert 20 < reading["temperature"] < 24


async def test_a_setpoint_moves_the_plant_and_stays_within_its_range(plant):
    async with Client(plant.opcua_url) as client:
        index = await client.get_namespace_index(NAMESPACE)
        setpoint = client.get_node(ua.NodeId("machines.packer.speed_setpoint", index))
        speed = client.get_node(ua.NodeId("machines.packer.speed", index))
        await setpoint.write_value(500.0)
        await eventually(lambda: _reads(setpoint, 120.0), within=10)
        await eventually(lambda: _above(speed, 103.0), within=10)


async def test_a_refused_write_is_answered_bad_not_writable(plant):
    await plant.inject("refuse_write")
    async with Client(plant.opcua_url) as client:
        index = await client.get_namespace_index(NAMESPACE)
        setpoint = client.get_node(ua.NodeId("production_line.temperature_setpoint", index))

        async def refused():
            try:
                await setpoint.write_value(24.0)
            except (ua.uaerrors.BadNotWritable, ua.uaerrors.BadUserAccessDenied):
                return True
            return False

        await eventually(refused, within=10)
        await plant.clear("refuse_write")
        await eventually(lambda: _accepts(setpoint, 24.0), within=10)


async def test_a_killed_source_comes_back_with_all_values(plant):
    port = int(plant.opcua_url.split(":")[2].split("/")[0])
    await plant.inject("kill_source")
    await eventually(lambda: not answers(port), within=20)
    await plant.clear("kill_source")
    await eventually(lambda: answers(port), within=20)
    async with Client(plant.opcua_url) as client:
        index = await client.get_namespace_index(NAMESPACE)
        recipe = client.get_node(ua.NodeId("machines.laminator.recipe", index))
        await eventually(lambda: _reads(recipe, "EVA 145"), within=20)


async def test_nan_freeze_and_flood_show_at_the_server(large_plant):
    plant = large_plant
    async with Client(plant.opcua_url) as client:
        index = await client.get_namespace_index(NAMESPACE)
        temperature = client.get_node(ua.NodeId("production_line.temperature", index))
        flooded = [client.get_node(ua.NodeId(f"extra.g{number // 100:03d}.t{number:04d}", index)) for number in (0, 120, 199)]
        await plant.inject("nan", tags=["production_line.temperature"])

        async def not_a_number():
            return math.isnan(await _value(temperature))

        await eventually(not_a_number, within=10)
        await plant.inject("flood", seconds=30)

        async def over():
            return all(value > 90 for value in await client.read_values(flooded))

        await eventually(over, within=10)
        await plant.inject("freeze")
        before = (await plant.command("status"))["emitted"]
        await plant.pause()
        assert (await plant.command("status"))["emitted"] - before < 50


async def test_a_breakdown_of_one_machine_shows_and_ends(plant):
    async with Client(plant.opcua_url) as client:
        index = await client.get_namespace_index(NAMESPACE)
        framer, packer = (client.get_node(ua.NodeId(f"machines.{name}.state", index)) for name in ("framer", "packer"))
        await plant.inject("breakdown", tags=["machines.framer.state"])
        await eventually(lambda: _reads(framer, 3), within=10)
        assert await _value(packer) != 3
        assert (await plant.command("status"))["faults"] == ["breakdown"]
        await plant.clear("breakdown")
        await eventually(lambda: _reads(framer, 2), within=30)


async def test_the_broker_goes_and_comes_back(plant):
    port = int(plant.mqtt_url.rsplit(":", 1)[1])
    await plant.inject("disconnect_mqtt", seconds=1)
    await eventually(lambda: not answers(port), within=10)
    await eventually(lambda: answers(port), within=20)


async def test_a_wrong_command_is_answered_and_harms_nothing(plant):
    for verb, arguments in [
        ("explode", {}),
        ("inject", {"fault": "rust"}),
        ("inject", {"fault": "flood"}),
        ("write", {"tag": "production_line.power", "value": 1}),
    ]:
        with pytest.raises(PlantError):
            await plant.command(verb, **arguments)
    assert (await plant.command("status"))["ok"]


async def test_a_taken_port_leads_to_the_next_free_one():
    first = str(free_port())
    async with (
        PlantProcess("--opcua-port", first, "--mqtt-port", str(free_port())) as one,
        PlantProcess("--opcua-port", first, "--mqtt-url", one.mqtt_url) as other,
    ):
        assert one.opcua_url != other.opcua_url
        assert other.mqtt_url == one.mqtt_url


async def test_the_plant_ends_with_its_stdin():
    plant = PlantProcess("--opcua-port", str(free_port()), "--mqtt-port", str(free_port()))
    await plant.start()
    port = int(plant.opcua_url.split(":")[2].split("/")[0])
    await plant.stop()
    await plant.stop()
    assert not answers(port)


async def _value(node):
    # asyncua raises for a Bad status, which a node has until its first value
    try:
        return await node.read_value()
    except ua.UaStatusCodeError:
        return None


async def _reads(node, value):
    return await _value(node) == value


async def _above(node, limit):
    return (await _value(node) or 0.0) > limit


async def _accepts(node, value):
    try:
        await node.write_value(value)
    except ua.UaStatusCodeError:
        return False
    return True
