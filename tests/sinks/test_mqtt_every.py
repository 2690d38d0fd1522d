"""Alarms, events and EVERY values against Mosquitto: each record once, in order, and none lost whatever the broker does."""

import asyncio
import time
from dataclasses import replace

import aiomqtt
import orjson
import pytest

from gateway.contracts import NotConnected, Rejected
from gateway.model.alarm import AlarmRule, Change, Condition, Limit, Transition
from gateway.model.event import Category, Event
from gateway.model.outbox import OutboxRow
from support.mqtt_face import AT, EVERY, PATH, TAGS, MqttFace, connected, subscriber, without
from support.waiting import eventually

HI = AlarmRule(0, "line.temp", Limit.HI, 27.0, hysteresis=0.5, severity=800, cause="fan", message="too warm")


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
    ended = Transition(Condition(rule, False, True, AT, 6.0), Change.INACTIVE, AT)
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


async def test_a_live_alarm_goes_with_qos_1_and_is_not_historical(mosquitto):
    face = MqttFace(mosquitto.url, TAGS, [HI])
    sink = await connected(face)
    async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(f"{PATH}/_alarm/#", qos=2)
        face.step({"line.temp": 30.0})
        await face.outbox.drain(sink)
        async with asyncio.timeout(5):
            message = await anext(aiter(client.messages))
    assert message.qos == 1
    identity = {"gateway": "line1", "boot": "boot1", "stream": "hq/alarms", "seq": "1"}
    assert dict(message.properties.UserProperty) == identity
    document = orjson.loads(message.payload)
    assert {key: str(document[key]) for key in identity} == identity
    assert "historical" not in document
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
