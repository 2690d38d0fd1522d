"""The MQTT driver against Mosquitto: acknowledged after the commit, nothing lost over restarts, neighbours of a bad payload flow."""

import asyncio

import pytest

from drivers.mqtt.config import Config
from drivers.mqtt.driver import MqttDriver
from gateway.contracts import ConfigError, NotConnected, Windowed
from gateway.model.tag import Tag, TagType
from gateway.store.state import UnitMemory
from gateway.wire.mqtt import client as client_module
from gateway.wire.mqtt.broker import EmbeddedBroker
from gateway.wire.mqtt.client import Link, Outgoing
from gateway.wire.mqtt.endpoint import Endpoint
from support.driving import driver_context, read_rows, values_of
from support.waiting import eventually

TAGS = (Tag(0, "temp", "plant", "cell/temp"), Tag(1, "word", "plant", "cell/word", TagType.TEXT), Tag(2, "num", "plant", "cell/doc#/n"))


def driver(url, folder, tags=TAGS, **keys):
    context, unit = driver_context(tags, folder)
    return MqttDriver(Config(url=url, **({"topics": ["cell/#"]} | keys)), context), unit


async def publish(port, *messages):
    link = await Link.open(Endpoint("127.0.0.1", port, encrypted=False), "plant")
    codes = await link.publish([Outgoing(topic, payload) for topic, payload in messages])
    await link.close()
    return codes


def numbered(first, last):
    return [("cell/temp", b'{"value": %d, "ts": %d}' % (number, 1_795_000_000_000 + number)) for number in range(first, last)]


async def test_what_was_not_committed_comes_again_after_a_restart(mosquitto, tmp_path):
    one, _ = driver(mosquitto.url, tmp_path)
    await one.connect()
    await publish(mosquitto.port, *numbered(0, 10))
    assert values_of(await read_rows(one, lambda rows: len(rows) == 10), 0) == list(range(10))
    await publish(mosquitto.port, *numbered(10, 15))
    await read_rows(one, lambda rows: len(rows) == 5, accept=False)
    await one.close()  # the gateway goes before the commit
    await publish(mosquitto.port, *numbered(15, 20))
    two, _ = driver(mosquitto.url, tmp_path)
    await two.connect()
    assert values_of(await read_rows(two, lambda rows: len(rows) == 10), 0) == list(range(10, 20))
    await two.close()


async def test_receipts_of_an_earlier_connection_acknowledge_nothing(mosquitto, tmp_path):
    one, _ = driver(mosquitto.url, tmp_path)
    await one.connect()
    await publish(mosquitto.port, *numbered(0, 3))
    batch = await one.read()
    while len(batch) < 3:
        batch = await one.read()
    await one.connect()
    again = await read_rows(one, lambda rows: len(rows) == 3, accept=False)
    one.accept(batch.receipt)
    await one.connect()
    assert await read_rows(one, lambda rows: len(rows) == 3) == again
    await one.close()


async def test_topics_without_a_tag_are_counted_and_do_not_block_the_window(start_mosquitto, tmp_path):
    """200 of them with a window of 10 at the broker, and then the tag's own message."""
    broker = start_mosquitto(config=["max_inflight_messages 10"])
    for protocol in ("5", "3.1.1"):
        one, unit = driver(broker.url, tmp_path, protocol=protocol)
        await one.connect()
        await publish(broker.port, *[("cell/nobody", b"1")] * 200, *numbered(0, 1))
        assert len(await read_rows(one, lambda rows: rows)) == 1
        assert unit.counters["unknown_topics"] == 200
        await one.close()


async def test_unknown_topics_after_a_sample_wait_for_its_commit_and_go_with_it(start_mosquitto, tmp_path):
    broker = start_mosquitto(config=["max_inflight_messages 5"])
    one, _ = driver(broker.url, tmp_path, protocol="3.1.1")
    await one.connect()
    await publish(broker.port, *numbered(0, 1), *[("cell/nobody", b"1")] * 50, *numbered(1, 2))
    assert values_of(await read_rows(one, lambda rows: len(rows) == 2), 0) == [0, 1]
    await one.close()


async def test_a_bad_payload_is_named_and_well_again(mosquitto, tmp_path):
    one, unit = driver(mosquitto.url, tmp_path)
    await one.connect()
    await publish(
        mosquitto.port,
        ("cell/temp", b"hot"),
        ("cell/doc", b"{"),
        ("cell/word", b"x" * 9_000_000),
        ("cell/temp", b"NaN"),
        ("cell/doc", b'{"n": 7}'),
    )
    rows = await read_rows(one, lambda rows: len(rows) == 5)
    assert [(row[0], row[2]) for row in rows] == [(0, 0x8007_0000), (2, 0x8007_0000), (1, 0x8008_0000), (0, 0x803C_0000), (2, 0)]
    assert unit.problems["temp"] == "BadDecodingError"
    assert unit.counters["bad_values"] == 4
    await publish(mosquitto.port, ("cell/temp", b"21"))
    await read_rows(one, lambda rows: rows)
    assert "temp" not in unit.problems
    await one.close()


async def test_a_retained_message_is_the_first_value(mosquitto, tmp_path):
    link = await Link.open(Endpoint("127.0.0.1", mosquitto.port, encrypted=False), "plant")
    await link.publish([Outgoing("cell/temp", b"5", retain=True)])
    await link.close()
    one, _ = driver(mosquitto.url, tmp_path)
    await one.connect()
    assert values_of(await read_rows(one, lambda rows: rows), 0) == [5.0]
    await one.close()


async def test_a_broker_that_goes_ends_read_and_data_flows_when_it_is_back(mosquitto, tmp_path):
    one, _ = driver(mosquitto.url, tmp_path)
    await one.connect()
    waiting = asyncio.create_task(one.read())
    mosquitto.restart()
    with pytest.raises(NotConnected):
        await asyncio.wait_for(waiting, 5)
    await one.close()
    await one.connect()
    await publish(mosquitto.port, *numbered(0, 1))
    await read_rows(one, lambda rows: rows)
    await one.close()


async def test_a_cancelled_read_loses_nothing(mosquitto, tmp_path):
    one, _ = driver(mosquitto.url, tmp_path)
    await one.connect()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.read(), 0.02)
    await publish(mosquitto.port, *numbered(0, 5))
    assert values_of(await read_rows(one, lambda rows: len(rows) == 5), 0) == list(range(5))
    await one.close()


async def test_a_refused_subscription_is_named_and_the_others_flow(start_mosquitto, tmp_path):
    """Mosquitto grants a filter and then delivers nothing; a broker that refuses all filters is one we are not connected to."""
    answers = {}

    async def stingy(reader, writer):
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00")
        request = await reader.read(1000)
        writer.write(b"\x90" + bytes([3 + len(answers["codes"])]) + request[2:4] + b"\x00" + answers["codes"])
        await reader.read()

    server = await asyncio.start_server(stingy, "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    answers["codes"] = b"\x01\x87"
    one, unit = driver(url, tmp_path, topics=["cell/#", "other/#"])
    await one.connect()
    assert "not authorized" in unit.problems["other/#"]
    await one.close()
    answers["codes"] = b"\x87"
    two, _ = driver(url, tmp_path)
    with pytest.raises(NotConnected, match="every subscription refused: not authorized"):
        await two.connect()
    await two.close()
    server.close()


async def test_the_embedded_broker_is_read_by_3_1_1(free_port, tmp_path):
    broker = EmbeddedBroker(free_port)
    await broker.start()
    one, _ = driver(broker.url, tmp_path)
    await one.connect()
    await publish(free_port, *numbered(0, 50))
    assert values_of(await read_rows(one, lambda rows: len(rows) == 50), 0) == list(range(50))
    await one.close()
    await broker.stop()


async def test_a_flood_is_held_back_by_the_broker_and_memory_stays_bounded(start_mosquitto, tmp_path, monkeypatch):
    """Nobody reads while 10 000 messages come; then all are there, in order."""
    monkeypatch.setattr(client_module, "INBOX_MESSAGES", 2000)
    broker = start_mosquitto(config=["max_inflight_messages 0", "max_queued_messages 0"])
    one, _ = driver(broker.url, tmp_path)
    await one.connect()
    await publish(broker.port, *numbered(0, 10_000))
    await eventually(lambda: len(one._link._inbox) >= 2000, 10)
    assert len(one._link._inbox) < 4000
    assert values_of(await read_rows(one, lambda rows: len(rows) >= 10_000, 30), 0) == list(range(10_000))
    await one.close()


def test_a_tag_that_no_filter_covers_and_a_wrong_address(tmp_path):
    with pytest.raises(ConfigError, match="wildcard"):
        driver("mqtt://127.0.0.1", tmp_path, [Tag(0, "t", "plant", "a/+")])


async def test_a_3_1_1_broker_that_waits_for_acknowledgements_hurries_the_commit(mosquitto, tmp_path):
    """Mosquitto sends 20 messages ahead: at ten the driver asks for a commit, with version 5 it need not."""
    for protocol, hurries in (("3.1.1", True), ("5", False)):
        one, _ = driver(mosquitto.url, tmp_path, protocol=protocol, session_expiry=0)
        await one.connect()
        assert isinstance(one, Windowed)
        assert one.window > 1000
        await publish(mosquitto.port, *numbered(0, 40))
        await read_rows(one, lambda rows: len(rows) >= 10, accept=False)
        assert (one.window == 1) is hurries
        await one.close()


async def test_a_filter_that_left_the_configuration_is_forgotten_by_the_kept_session(mosquitto, tmp_path):
    words = {}
    memory = UnitMemory("plant", words, {})
    for topics, unknown in ((["cell/#", "noise/#"], 1), (["cell/#"], 0)):
        context, unit = driver_context(TAGS, tmp_path, memory)
        one = MqttDriver(Config(url=mosquitto.url, topics=topics), context)
        await one.connect()
        await publish(mosquitto.port, ("noise/a", b"1"), *numbered(0, 1))
        await read_rows(one, lambda rows: rows)
        assert unit.counters["unknown_topics"] == unknown
        await one.close()


async def test_a_tag_outside_the_filters_is_named(mosquitto, tmp_path):
    one, unit = driver(mosquitto.url, tmp_path, [*TAGS, Tag(3, "far", "plant", "far/away")])
    await one.connect()
    assert "no topic filter" in unit.problems["far"]
    await one.close()
