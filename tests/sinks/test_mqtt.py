"""The MQTT upstream against Mosquitto: what subscribers see, and that EVERY loses nothing whatever the broker does."""

import asyncio
import time
from dataclasses import replace

import aiomqtt
import orjson
import pytest

from gateway.contracts import Delivery, NotConnected, Rejected
from gateway.model.alarm import AlarmRule, Change, Limit, Transition
from gateway.model.event import Category, Event
from gateway.model.outbox import OutboxRow
from gateway.model.tag import Tag, TagTable, TagType
from gateway.sinks.mqtt.config import Config
from gateway.wire.mqtt.client import Link
from support.mqtt_face import PATH, MqttFace, subscriber
from support.waiting import eventually

TAGS = (
    Tag(0, "line.temp", unit="Cel"),
    Tag(1, "line.count", type=TagType.INT),
    Tag(2, "line.on", type=TagType.BOOL),
    Tag(3, "line.recipe", type=TagType.TEXT),
    Tag(4, "line.state", type=TagType.ENUM, labels={0: "stopped", 1: "running"}),
)
HI = AlarmRule(0, "line.temp", Limit.HI, 27.0, hysteresis=0.5, severity=800, cause="fan", message="too warm")
AT = time.time_ns() // 1_000_000_000 * 1_000_000_000 + 123_000_000
EVERY = {"values": {"class": "EVERY", "mode": "per_tag"}}


def without(document, *keys):
    return {key: value for key, value in document.items() if key not in keys}


async def connected(face):
    await face.sink.connect()
    return face.sink


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


async def test_an_alarm_is_retained_while_it_matters(mosquitto):
    """Active, acknowledged, over: full records in order, and nothing retained afterwards."""
    face = MqttFace(mosquitto.url, TAGS, [HI])
    sink, topic = await connected(face), f"{PATH}/_alarm/line.temp/HI"
    async with subscriber(mosquitto.port, topic) as heard:
        face.step({"line.temp": 30.0})
        await face.outbox.drain(sink)
        async with subscriber(mosquitto.port, topic) as late:
            await eventually(lambda: late.messages)
        assert late.messages[0][2]
        face.outbox.append(sink.rows(face.engine.acknowledge(HI.condition, time.time_ns(), "anna", "seen"), []))
        face.step({"line.temp": 20.0})
        await face.outbox.drain(sink)
        await eventually(lambda: len(heard.messages) == 4)
    records = heard.on(topic)
    assert [(one and (one["change"], one["active"], one["acknowledged"])) for one in records] == [
        ("active", True, False),
        ("acknowledged", True, True),
        ("inactive", False, True),
        None,
    ]
    assert records[0]["level"] == 800
    assert records[0]["severity"] == "error"
    assert records[0]["cause"] == "fan"
    assert records[1]["user"] == "anna"
    assert [one["seq"] for one in records[:3]] == [1, 2, 3]
    assert {(one["gateway"], one["boot"], one["stream"]) for one in records[:3]} == {("line1", "boot1", "hq/alarms")}
    async with subscriber(mosquitto.port, topic, f"{PATH}/_status") as later:
        await eventually(lambda: later.messages)
        assert later.on(topic) == []
    await sink.close()


async def test_an_alarm_of_bad_quality_has_no_value_and_no_threshold(mosquitto):
    """The twin keeps the last value of a tag that turned Bad; upstream the quality says why there is none."""
    rule = AlarmRule(0, "line.temp", Limit.BAD, 0.0, severity=600)
    face = MqttFace(mosquitto.url, TAGS, [rule])
    sink = await connected(face)
    face.step({"line.temp": 20.0})
    face.step({"line.temp": 20.0}, status=0x8031_0000)
    async with subscriber(mosquitto.port, f"{PATH}/_alarm/line.temp/BAD") as heard:
        await face.outbox.drain(sink)
        await eventually(lambda: heard.messages)
    (record,) = heard.on(f"{PATH}/_alarm/line.temp/BAD")
    assert record["active"] is True
    assert (record["value"], record["quality"], record["status"]) == (None, "bad", "BadNoCommunication")
    assert record["threshold"] is None
    await sink.close()


async def test_the_end_of_a_condition_whose_tag_is_gone_is_told(mosquitto):
    """A rule of an earlier configuration: its row in the table is another tag's, or none."""
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    rule = AlarmRule(99, "line.old", Limit.HI, 5.0)
    ended = Transition(rule, Change.INACTIVE, active=False, acknowledged=True, at_ns=AT, source_ns=0, value=6.0, status=0)
    face.outbox.append(sink.rows(replace(face.step({}), transitions=(ended,)), []))
    async with subscriber(mosquitto.port, f"{PATH}/_alarm/line.old/HI") as heard:
        await face.outbox.drain(sink)
        await eventually(lambda: len(heard.messages) == 2)
    record, cleared = heard.on(f"{PATH}/_alarm/line.old/HI")
    assert (record["active"], record["unit"], cleared) == (False, "", None)
    await sink.close()


async def test_what_the_outbox_gave_up_is_told_below_the_prefix(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, **EVERY)
    sink = await connected(face)
    face.outbox.append([OutboxRow("hq/live", "_gap", b'{"gap":{"from_seq":1}}', AT, droppable=False)])
    async with subscriber(mosquitto.port, "#") as heard:
        await face.outbox.drain(sink)
        await eventually(lambda: f"{PATH}/_gap" in {topic for topic, _, _ in heard.messages})
    (gap,) = heard.on(f"{PATH}/_gap")
    assert (gap["stream"], gap["seq"], gap["gap"]) == ("hq/live", 1, {"from_seq": 1})
    await sink.close()


async def test_events_carry_the_documents_fields(mosquitto):
    face = MqttFace(mosquitto.url, TAGS)
    sink = await connected(face)
    one = Event("id-1", AT, Category.PROCESS, 700, "line", "lone \ud800 surrogate", {"x": [1, "\ud800"]})
    face.outbox.append(sink.rows(face.step({}), [one]))
    async with subscriber(mosquitto.port, f"{PATH}/_event/process") as heard:
        await face.outbox.drain(sink)
        await eventually(lambda: heard.messages)
    (event,) = heard.on(f"{PATH}/_event/process")
    assert without(event, "gateway", "boot", "stream", "seq", "timestamp") == {
        "event_id": "id-1",
        "category": "process",
        "severity": "error",
        "level": 700,
        "source": "line",
        "message": "lone ? surrogate",
        "details": {"x": [1, "?"]},
        "acknowledged": False,
    }
    await sink.close()


async def test_identity_also_stands_in_user_properties(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, **EVERY)
    face.step({"line.temp": 1.0})
    async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(f"{PATH}/line/temp", qos=1)
        sink = await connected(face)
        await face.outbox.drain(sink)
        async with asyncio.timeout(5):
            async for message in client.messages:
                if hasattr(message.properties, "UserProperty"):
                    break
    assert dict(message.properties.UserProperty) == {
        "gateway": "line1",
        "boot": "boot1",
        "stream": "hq/backlog",
        "seq": "1",
        "historical": "true",
    }
    await sink.close()


class Consumer:
    """De-duplicates by (boot, stream, seq), as the manual tells consumers to."""

    def __init__(self):
        self.seen, self.order, self.values, self.historical = set(), {}, [], 0

    def take(self, heard):
        for topic, payload, _ in heard.messages:
            document = orjson.loads(payload) if topic.endswith("/_batch") else {}
            key = (document.get("boot"), document.get("stream"), document.get("seq"))
            if document and key not in self.seen:
                self.seen.add(key)
                self.order.setdefault(key[1], []).append(key[2])
                self.values += document["value"]
                self.historical += document.get("historical", False)
        return self


async def persist(sink, outbox, within=20.0):
    """What the runner does: deliver, and connect again for as long as it takes."""
    async with asyncio.timeout(within):
        while True:
            try:
                await sink.connect()
                await outbox.drain(sink)
            except NotConnected:
                await sink.close()
                await asyncio.sleep(0.02)
                continue
            return


async def test_a_broker_killed_without_persistence_loses_nothing(mosquitto):
    """Numbered samples through kills of the broker in mid-delivery: after de-duplication all are there, in order, marked historical.

    The consumer is subscribed again before the upstream delivers again: what no session asked for, a broker keeps for nobody.
    """
    face = MqttFace(mosquitto.url, TAGS, values={"class": "EVERY", "mode": "batch"})
    consumer, number = Consumer(), 0
    for _ in range(3):
        for _ in range(300):
            number += 1
            face.step({"line.count": number})
        async with subscriber(mosquitto.port, f"{PATH}/_batch", qos=0) as heard:
            draining = asyncio.create_task(persist(face.sink, face.outbox))
            await eventually(lambda heard=heard: len(heard.messages) > 20)
            mosquitto.kill()
            draining.cancel()
            await face.sink.close()
            await heard.over.wait()  # all that the dead broker had written is read
        consumer.take(heard)
        mosquitto.start()
        async with subscriber(mosquitto.port, f"{PATH}/_batch", qos=0) as heard:
            await persist(face.sink, face.outbox)
            number += 1
            face.step({"line.count": number})
            await face.outbox.drain(face.sink)
            await eventually(lambda heard=heard, number=number: heard.messages and number in orjson.loads(heard.messages[-1][1])["value"])
        consumer.take(heard)
        await face.sink.close()
    assert sorted(consumer.values) == list(range(1, number + 1))
    assert all(seqs == sorted(seqs) for seqs in consumer.order.values())
    assert consumer.historical == 900


async def test_lost_pubacks_mean_repetition_not_loss(mosquitto):
    """A door that cuts the connection after each 30 PUBLISH packets without letting their PUBACK through."""
    cuts = 0

    async def door(reader, writer):
        nonlocal cuts
        there, on = await asyncio.open_connection("127.0.0.1", mosquitto.port)

        async def up():
            while data := await reader.read(65_536):
                on.write(data)
            on.close()

        async def down():
            nonlocal cuts
            passed = 0
            while data := await there.read(65_536):
                passed += len(data)
                if cuts < 4 and passed > 300:
                    cuts += 1
                    break
                writer.write(data)
            writer.close()
            on.close()

        await asyncio.gather(up(), down(), return_exceptions=True)

    server = await asyncio.start_server(door, "127.0.0.1", 0)
    face = MqttFace(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", TAGS, values={"class": "EVERY", "mode": "batch"})
    for number in range(500):
        face.step({"line.count": number})
    async with subscriber(mosquitto.port, f"{PATH}/_batch") as heard:
        await persist(face.sink, face.outbox)
        await eventually(lambda: heard.messages and 499 in orjson.loads(heard.messages[-1][1])["value"])
    consumer = Consumer().take(heard)
    assert cuts == 4
    assert consumer.values == list(range(500))
    assert len(heard.messages) - 500 <= 4 * 100, "no more repetitions than were under way"
    await face.sink.close()
    server.close()


async def test_live_and_backlog_are_streams_of_their_own_and_a_retained_value_is_never_older(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, **EVERY)
    for number in range(5):
        face.step({"line.temp": float(number)})
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/line/temp") as heard:
        await eventually(lambda: heard.messages)
        assert heard.on(f"{PATH}/line/temp")[0]["value"] == 4.0  # the newest, retained at once
        face.step({"line.temp": 5.0})
        for stream in (sink.streams[1], sink.streams[2]):
            await sink.deliver(face.outbox.rows[stream])
        await eventually(lambda: len(heard.messages) == 7)
    live, *backlog = heard.on(f"{PATH}/line/temp")[1:]
    assert (live["stream"], live["value"], live.get("historical")) == ("hq/live", 5.0, None)
    assert [(one["stream"], one["value"], one["historical"]) for one in backlog] == [("hq/backlog", float(n), True) for n in range(5)]
    async with subscriber(mosquitto.port, f"{PATH}/line/temp") as late:
        await eventually(lambda: late.messages)
        assert late.on(f"{PATH}/line/temp")[0]["value"] == 5.0
    await sink.close()


async def test_a_clock_set_back_makes_nothing_historical(mosquitto):
    """What is made on a standing connection is of the present, whatever its time; what an outage left is of the past."""
    face = MqttFace(mosquitto.url, TAGS, [HI], **EVERY)
    face.step({"line.temp": 30.0}, at_ns=AT)  # nobody is connected: values to the backlog, the alarm waits
    sink = await connected(face)
    async with subscriber(mosquitto.port, f"{PATH}/#") as heard:
        face.step({"line.count": 1}, at_ns=AT + 1_000_000_000)
        face.step({"line.on": 1}, at_ns=AT - 3_600_000_000_000)
        face.step({"line.state": 1}, at_ns=AT - 3_599_000_000_000)
        await face.outbox.drain(sink)
        await eventually(lambda: any("seq" in one for one in heard.on(f"{PATH}/line/temp")))
    told = {topic: orjson.loads(payload) for topic, payload, _ in heard.messages if b'"seq"' in payload}
    assert [topic for topic, one in told.items() if "historical" in one] == [f"{PATH}/_alarm/line.temp/HI", f"{PATH}/line/temp"]
    assert {f"{PATH}/line/{name}" for name in ("count", "on", "state")} <= set(told)
    async with subscriber(mosquitto.port, f"{PATH}/line/on") as late:
        await eventually(lambda: late.messages)
        assert late.on(f"{PATH}/line/on")[0]["seq"] == 2, "the newest one is retained"
    await sink.close()


async def test_what_was_made_before_a_reconnect_is_historical_after_it(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, **EVERY)
    sink = await connected(face)
    face.step({"line.count": 1})
    await sink.connect()
    face.step({"line.count": 2})
    async with subscriber(mosquitto.port, f"{PATH}/line/count") as heard:
        await face.outbox.drain(sink)
        await eventually(lambda: len(heard.messages) == 3)
    assert [one.get("historical", False) for one in heard.on(f"{PATH}/line/count")[1:]] == [True, False]
    await sink.close()


async def test_what_the_acl_denies_is_rejected_and_the_neighbours_are_delivered(start_mosquitto):
    broker = start_mosquitto(acl=["topic readwrite #", f"topic deny {PATH}/line/temp"])
    face = MqttFace(broker.url, TAGS, **EVERY)
    sink = await connected(face)
    face.step({"line.temp": 1.0, "line.count": 2, "line.on": 1})
    rows = face.outbox.rows["hq/live"]
    async with subscriber(broker.port, f"{PATH}/line/count", f"{PATH}/line/on") as heard:
        with pytest.raises(Rejected, match=r"line/temp: not authorized \(0x87\)") as refused:
            await sink.deliver(rows)
        await eventually(lambda: any("seq" in one for one in heard.on(f"{PATH}/line/on")))
    assert [row.topic for row in refused.value.rows] == [f"{PATH}/line/temp"]
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


async def test_a_quota_is_waited_for_not_quarantined():
    """A broker that answers 0x97 (quota exceeded): the rows stay."""

    async def full(reader, writer):
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00")
        while data := await reader.read(1000):
            if data[0] & 0xF0 == 0x30:
                topic = int.from_bytes(data[2:4] if data[1] < 128 else data[3:5])
                at = (4 if data[1] < 128 else 5) + topic
                writer.write(b"\x40\x03" + data[at : at + 2] + b"\x97")

    server = await asyncio.start_server(full, "127.0.0.1", 0)
    face = MqttFace(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", TAGS, values={"class": "EVERY", "mode": "batch"})
    sink = await connected(face)
    face.step({"line.temp": 1.0})
    with pytest.raises(NotConnected, match="quota exceeded"):
        await sink.deliver(face.outbox.rows["hq/live"])
    await sink.close()
    server.close()


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


async def test_the_embedded_broker_is_served_by_3_1_1(free_port):
    from gateway.wire.mqtt.broker import EmbeddedBroker

    broker = EmbeddedBroker(free_port)
    await broker.start()
    face = MqttFace(broker.url, TAGS, [HI], **EVERY)
    sink = await connected(face)
    face.step({"line.temp": 30.0})
    await face.outbox.drain(sink)
    await sink.close()
    await broker.stop()


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
        await eventually(lambda: late.on(f"{PATH}/line/count"))
    assert {topic for topic, _, _ in late.messages} == {f"{PATH}/line/{name}" for name in ("count", "on", "recipe", "state")}
    assert late.on(f"{PATH}/line/count")[0]["value"] == 3
    await sink.close()


def test_commands_are_refused_until_they_exist():
    with pytest.raises(ValueError, match="not available in this version"):
        Config(url="mqtt://h", commands=True)


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
