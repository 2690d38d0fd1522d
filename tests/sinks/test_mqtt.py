"""The MQTT upstream against Mosquitto: the LATEST values and the status that subscribers see."""

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.contracts import Delivery, NotConnected
from gateway.model.tag import Tag, TagTable
from gateway.sinks.mqtt.config import Config
from gateway.wire.mqtt.client import Link
from support.mqtt_face import AT, EVERY, PATH, TAGS, MqttFace, connected, subscriber, without
from support.waiting import eventually


async def test_each_tag_has_a_retained_topic(mosquitto):
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    await sink.write(face.step({"line.temp": 22.5, "line.count": 7, "line.on": 1, "line.recipe": 'a "b"', "line.state": 1}, at_ns=AT))
    async with subscriber(mosquitto.port, f"{PATH}/line/#") as late:
        await eventually(lambda: len(late.messages) == 5)
    assert all(retain for _, _, retain in late.messages)
    (temp,) = late.on(f"{PATH}/line/temp")
    assert temp.pop("timestamp").endswith(".123Z")
    assert temp == {"value": 22.5, "quality": "good", "unit": "Cel"}
    assert late.on(f"{PATH}/line/count")[0]["value"] == 7
    assert late.on(f"{PATH}/line/on")[0]["value"] is True
    assert late.on(f"{PATH}/line/recipe")[0]["value"] == 'a "b"'
    assert without(late.on(f"{PATH}/line/state")[0], "timestamp") == {"value": 1, "quality": "good", "label": "running"}
    await sink.close()


async def test_a_bad_value_is_null_with_its_status(mosquitto):
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/line/temp") as heard:
        await eventually(lambda: heard.messages)
        assert heard.on(f"{PATH}/line/temp")[0]["status"] == "BadWaitingForInitialData"
        await sink.write(face.step({"line.temp": 20.0}))
        await sink.write(face.step({"line.temp": 99.0}, status=0x8031_0000))
        await eventually(lambda: len(heard.messages) == 3)
    assert without(heard.on(f"{PATH}/line/temp")[2], "timestamp") == {
        "value": None,
        "quality": "bad",
        "status": "BadNoCommunication",
        "unit": "Cel",
    }
    await sink.close()


async def test_a_status_is_named_only_where_it_is_not_good(mosquitto):
    """Info bits (here: Limit bits, Part 4, 7.39.1) make no Good value another; an Uncertain one keeps its value."""
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/line/temp") as heard:
        await eventually(lambda: heard.messages)
        await sink.write(face.step({"line.temp": 20.0}, status=0x0000_0500))
        await sink.write(face.step({"line.temp": 21.0}, status=0x4094_0500))
        await eventually(lambda: len(heard.messages) == 3)
    assert [without(one, "timestamp", "unit") for one in heard.on(f"{PATH}/line/temp")[1:]] == [
        {"value": 20.0, "quality": "good"},
        {"value": 21.0, "quality": "uncertain", "status": "UncertainEngineeringUnitsExceeded"},
    ]
    await sink.close()


async def test_batch_mode_sends_columns(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, values={"class": "LATEST", "mode": "batch"})
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/_batch") as heard:
        await sink.write(face.step({"line.temp": 1.5, "line.on": 0}, at_ns=AT))
        await eventually(lambda: heard.messages)
    (batch,) = heard.on(f"{PATH}/_batch")
    assert without(batch, "t0") == {"dt_ms": [0, 0], "tag": ["line.temp", "line.on"], "value": [1.5, False]}
    await sink.close()


@pytest.mark.parametrize("delivery", ["LATEST", "EVERY"])
async def test_batches_are_as_large_as_the_broker_takes(start_mosquitto, delivery):
    broker = start_mosquitto(config=["max_packet_size 4000"])
    tags = [Tag(place, f"line.cell.station{place}") for place in range(300)]
    face = MqttFace(broker.url, tags, values={"class": delivery, "mode": "batch"}, events=False)
    sink = await connected(face)
    seen: set[str] = set()
    async with subscriber(broker.port, f"{PATH}/_batch") as heard:
        update = face.step({tag.name: 123.456789 + tag.tag_id for tag in tags}, status=0x4094_0000)
        if delivery == "LATEST":
            await sink.write(update)
        await face.outbox.drain(sink)
        await eventually(lambda: sum(len(one["tag"]) for one in heard.on(f"{PATH}/_batch")) == 300)
        seen.update(name for one in heard.on(f"{PATH}/_batch") for name in one["tag"])
    assert seen == {tag.name for tag in tags}
    assert face.report.problems.get(f"{PATH}/_batch") is None
    await sink.close()


async def test_a_batch_that_no_broker_takes_does_not_end_the_link(start_mosquitto):
    """One text larger than a packet may be: named, and the next batch flows."""
    broker = start_mosquitto(config=["max_packet_size 2000"])
    face = MqttFace(broker.url, TAGS, values={"class": "LATEST", "mode": "batch"}, events=False)
    sink = await connected(face)
    async with subscriber(broker.port, f"{PATH}/_batch") as heard:
        await sink.write(face.step({"line.recipe": "x" * 3000}))
        assert face.report.problems == {f"{PATH}/_batch": "packet too large (0x95)"}
        await sink.write(face.step({"line.temp": 1.0}))
        await eventually(lambda: heard.messages)
    assert face.report.problems == {f"{PATH}/_batch": None}
    await sink.close()


async def test_status_says_online_and_the_will_says_offline(mosquitto):
    face = MqttFace(mosquitto.url, TAGS)
    async with subscriber(mosquitto.port, f"{PATH}/_status") as heard:
        sink = await connected(face)
        sink._link._wire.paho._sock.shutdown(2)  # the gateway is killed
        await eventually(lambda: len(heard.messages) == 2)
        await sink.connect()
        await sink.close()
        await eventually(lambda: len(heard.messages) == 4)
        async with subscriber(mosquitto.port, f"{PATH}/_status") as late:
            await eventually(lambda: late.messages)
        assert late.messages[0][2], "retained"
    told = heard.on(f"{PATH}/_status")
    assert [one["online"] for one in told] == [True, False, True, False]
    assert {(one["gateway"], one["boot"], one["version"]) for one in told} == {("line1", "boot1", "0.1.0")}
    assert ["since" in one for one in told] == [True, False, True, True], "a will cannot know when it will be told"


async def test_the_state_changed_event_names_at_most_a_hundred_tags(mosquitto):
    tags = [Tag(place, f"t{place}") for place in range(150)]
    face = MqttFace(mosquitto.url, tags, values=None)
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/_event/system") as heard:
        await sink.write(face.step({tag.name: 1.0 for tag in tags}))
        await eventually(lambda: heard.messages)
    (event,) = heard.on(f"{PATH}/_event/system")
    assert event["details"]["changed"] == 150
    assert len(event["details"]["tags"]) == 100
    assert "seq" not in event
    await sink.close()


async def test_a_topic_is_a_problem_until_the_broker_takes_it_again(start_mosquitto):
    broker = start_mosquitto(acl=["topic readwrite #", f"topic deny {PATH}/line/temp"])
    face = MqttFace(broker.url, TAGS, qos=1)
    sink = await connected(face)
    assert face.report.problems == {f"{PATH}/line/temp": "not authorized (0x87)"}
    broker.configure(acl=["topic readwrite #"])
    broker.reload()
    async with asyncio.timeout(5):
        while face.report.problems[f"{PATH}/line/temp"] is not None:
            await sink.write(face.step({"line.temp": time.time(), "line.count": 2}))
    await sink.close()


async def test_a_value_too_large_for_the_broker_is_a_problem_until_a_smaller_one_comes(start_mosquitto):
    broker = start_mosquitto(config=["max_packet_size 1000"])
    face = MqttFace(broker.url, TAGS)
    sink = await connected(face)
    await sink.write(face.step({"line.recipe": "x" * 2000, "line.temp": 1.0}))
    assert face.report.problems == {f"{PATH}/line/recipe": "packet too large (0x95)"}
    assert face.report.counts["too_large"] == 1
    await sink.write(face.step({"line.temp": 2.0}))
    assert face.report.problems[f"{PATH}/line/recipe"] is not None
    await sink.write(face.step({"line.recipe": "x"}))
    assert face.report.problems[f"{PATH}/line/recipe"] is None
    await sink.close()


async def test_a_frozen_broker_holds_write_and_memory_stays_bounded(mosquitto):
    """One update at most waits in the link: the runner's conflating queue is the only other place."""
    tags = [Tag(place, f"t{place}", unit="Cel") for place in range(2000)]
    face = MqttFace(mosquitto.url, tags, keepalive=2)
    sink = await connected(face)
    mosquitto.freeze()

    async def push():
        for number in range(10_000):
            await sink.write(face.step({tag.name: float(number) for tag in tags[:500]}))

    with pytest.raises(NotConnected, match=r"[Kk]eep alive"):
        await asyncio.wait_for(push(), 15)
    assert sum(packet["to_process"] for packet in sink._link._wire.paho._out_packet) == 0
    await sink.close()
    mosquitto.thaw()


async def test_a_slow_broker_gets_fewer_values_not_older_ones(mosquitto):
    """Values changed while a write was under way are sent as they are now, once."""
    tags = [Tag(place, f"t{place}") for place in range(1500)]
    face = MqttFace(mosquitto.url, tags)
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/t1499") as heard:
        await eventually(lambda: heard.messages)
        first = face.step({tag.name: 1.0 for tag in tags})
        writing = asyncio.create_task(sink.write(first))
        await asyncio.sleep(0)
        face.step({"t1499": 2.0})
        await writing
        await eventually(lambda: len(heard.messages) == 2)
        assert heard.on(f"{PATH}/t1499")[1]["value"] == 2.0
    await sink.close()


async def test_publish_interval_gathers_changes(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, values={"class": "LATEST", "publish_interval": "100ms"})
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/line/temp") as heard:
        await eventually(lambda: heard.messages)
        for number in range(50):
            await sink.write(face.step({"line.temp": float(number)}))
        await eventually(lambda: heard.on(f"{PATH}/line/temp")[-1]["value"] == 49.0)
        assert len(heard.messages) < 10
    await sink.close()


async def test_a_tag_that_a_reload_brings_has_its_topic(mosquitto):
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    face.table = TagTable.of([*TAGS, Tag(5, "line.new", unit="bar")])
    face.engine.retable(face.table, [], [])
    async with subscriber(mosquitto.port, f"{PATH}/line/new") as heard:
        await sink.write(face.step({"line.new": 3.0}))
        await eventually(lambda: heard.messages)
    assert heard.on(f"{PATH}/line/new")[0]["unit"] == "bar"
    await sink.close()


@pytest.mark.parametrize("config", [{}, EVERY, {**EVERY, "events": False}], ids=["latest", "every", "every without events"])
async def test_a_tag_that_a_reload_takes_leaves_no_retained_value(mosquitto, config):
    """Nor does what the outbox still holds of it bring one back."""
    face = MqttFace(mosquitto.url, TAGS, **config)
    sink = await connected(face)
    await sink.write(face.step({"line.temp": 1.0, "line.count": 2}))
    face.table = TagTable.of([replace(TAGS[0], enabled=False), *TAGS[1:]])
    face.engine.retable(face.table, [], [])
    update = face.step({"line.count": 3})
    if Delivery.LATEST in sink.delivery:
        await sink.write(update)
    await face.outbox.drain(sink)
    async with subscriber(mosquitto.port, f"{PATH}/line/#") as late:
        await eventually(lambda: len({topic for topic, _, _ in late.messages}) >= 4)
    assert {topic for topic, _, _ in late.messages} == {f"{PATH}/line/{name}" for name in ("count", "on", "recipe", "state")}
    assert late.on(f"{PATH}/line/count")[0]["value"] == 3
    await sink.close()


@pytest.mark.parametrize("prefix", ["a/+", "$SYS", "/a", "a#"])
def test_prefixes_are_topics(prefix):
    with pytest.raises(ValueError):  # noqa: PT011  pydantic's own text
        Config(url="mqtt://h", prefix=prefix)


async def test_a_link_is_used_once(mosquitto):
    """connect() after a loss makes another one."""
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    first = sink._link
    mosquitto.restart()

    async def push():
        while True:
            await sink.write(face.step({"line.temp": time.time()}))
            await asyncio.sleep(0)

    with pytest.raises(NotConnected):
        await asyncio.wait_for(push(), 5)
    await sink.connect()
    assert isinstance(sink._link, Link)
    assert sink._link is not first
    await sink.close()
