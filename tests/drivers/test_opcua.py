"""The OPC UA driver against a real server (asyncua, in this process)."""

import asyncio
import math
import socket
import time
from datetime import UTC, datetime

import psutil
import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.connection import SecureConnection

from drivers.opcua import keeper
from drivers.opcua.config import Config
from drivers.opcua.driver import OpcUaDriver
from gateway.contracts import NotConnected, Relaxing
from gateway.model.tag import TagType, WriteRule
from gateway.wire.opcua import client
from support.driving import driver_context, read_rows, values_of
from support.opcua_source import Kind, OpcUaSource, tag
from support.ports import free_port
from support.waiting import eventually

VALUES = {
    "double": (1.5, Kind.Double),
    "float": (2.5, Kind.Float),
    "int32": (-3, Kind.Int32),
    "uint64": (2**53 + 2, Kind.UInt64),
    "bool": (True, Kind.Boolean),
    "text": ("grün", Kind.String),
    "array": ([10.0, 11.0, 12.0, 13.0], Kind.Double),
    "nan": (math.nan, Kind.Double),
}
TAGS = (
    tag(0, "double"),
    tag(1, "float"),
    tag(2, "int32", type=TagType.INT),
    tag(3, "uint64", type=TagType.INT),
    tag(4, "bool", type=TagType.BOOL),
    tag(5, "text", type=TagType.TEXT),
    tag(6, "array[3]"),
    tag(7, "nan"),
)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared():
    async with OpcUaSource(free_port(), VALUES) as source:
        yield source


@pytest_asyncio.fixture(loop_scope="module")
async def plant(shared):
    """The plant as it was made, whatever the test before did to it."""
    if shared.server is None:
        await shared.start()
    for name, (value, _) in VALUES.items():
        await shared.write(name, value)
    yield shared
    if shared.server is not None:
        await shared.server.delete_nodes([node for name, node in shared.nodes.items() if name not in VALUES])
    shared.nodes = {name: node for name, node in shared.nodes.items() if name in VALUES}


@pytest_asyncio.fixture(loop_scope="module")
async def driven(plant, tmp_path):
    """Makes connected drivers of the plant: `driver, unit = await driven(tags, key=value)`."""
    made = []

    async def make(tags, *, memory=None, connect=True, **keys):
        context, unit = driver_context(tags, tmp_path, memory)
        driver = OpcUaDriver(Config(**{"url": plant.url, "publishing_interval": 0.02, "request_timeout": 3, **keys}), context)
        made.append(driver)
        if connect:
            await driver.connect()
        return driver, unit

    yield make
    for driver in made:
        await driver.close()


async def test_each_type_comes_as_the_tag_wants_it(driven):
    """Unsigned 64 bit beyond 2^53 is BadOutOfRange; NaN goes on as it is, for the engine to judge; texts lie beside the columns."""
    driver, _ = await driven(TAGS)
    rows = {row[0]: row for row in await read_rows(driver, lambda rows: len({row[0] for row in rows}) == len(TAGS))}
    assert [rows[place][1] for place in (0, 1, 2, 4, 5, 6)] == [1.5, 2.5, -3.0, 1.0, "grün", 13.0]
    assert rows[3][2] == ua.StatusCodes.BadOutOfRange
    assert math.isnan(rows[7][1])
    assert rows[7][2] == 0


async def test_a_value_keeps_its_own_source_time_and_status(driven, plant):
    driver, _ = await driven(TAGS[:1])
    await read_rows(driver, lambda rows: rows)
    stamp = ua.win_epoch_to_datetime(133_500_000_000_000_000)
    await plant.write("double", 7.0, status=ua.StatusCodes.UncertainSensorNotAccurate, at=stamp)
    (row,) = await read_rows(driver, lambda rows: rows)
    assert row == (0, 7.0, ua.StatusCodes.UncertainSensorNotAccurate, (133_500_000_000_000_000 - 116_444_736_000_000_000) * 100)


async def test_text_and_number_do_not_pass_for_each_other(driven):
    driver, _ = await driven((tag(0, "double", type=TagType.TEXT), tag(1, "text")))
    rows = await read_rows(driver, lambda rows: len(rows) == 2)
    assert {row[2] for row in rows} == {ua.StatusCodes.BadTypeMismatch}


async def test_a_bad_node_turns_its_own_tag_bad_and_heals_when_it_appears(driven, plant, monkeypatch):
    """Unknown node, unknown namespace: named, Bad with the server's code, tried again; the neighbour flows all the while."""
    monkeypatch.setattr(keeper, "RETRY_FIRST_S", 0.2)
    lost = tag(2, "x", address="nsu=urn:nobody;s=x")
    driver, unit = await driven((tag(0, "double"), tag(1, "later"), lost))
    rows = await read_rows(driver, lambda rows: len(rows) >= 3)
    assert {row[0]: row[2] for row in rows} == {0: 0, 1: ua.StatusCodes.BadNodeIdUnknown, 2: ua.StatusCodes.BadNodeIdUnknown}
    assert "BadNodeIdUnknown" in unit.problems["plant.later"]
    await plant.add("later", 5.0)
    rows = await read_rows(driver, lambda rows: 5.0 in values_of(rows, 1))
    assert "plant.later" not in unit.problems
    assert "plant.x" in unit.problems


async def test_what_was_a_problem_before_a_reconnect_is_none_after_it_healed(driven, plant):
    driver, unit = await driven((tag(0, "later"),))
    assert "plant.later" in unit.problems
    await plant.add("later", 5.0)
    await driver.close()
    await driver.connect()
    assert unit.problems == {}


async def test_texts_that_cannot_be_carried_are_marked_and_the_neighbour_flows(driven, plant):
    """16 MB, and bytes that are no UTF-8 (a lone surrogate)."""
    driver, _ = await driven((tag(0, "text", type=TagType.TEXT), tag(1, "double")))
    await read_rows(driver, lambda rows: len(rows) == 2)
    for text, status in (("x" * 16_000_000, ua.StatusCodes.BadEncodingLimitsExceeded), ("a\udc80", ua.StatusCodes.BadDecodingError)):
        await plant.write("text", text)
        rows = await read_rows(driver, lambda rows: rows, 20)
        assert [(row[0], row[2]) for row in rows] == [(0, status)]
    await plant.write("double", 6.0)
    await read_rows(driver, lambda rows: 6.0 in values_of(rows, 1))


async def test_connecting_over_and_over_leaves_nothing_behind(driven, plant):
    """No task, no socket, no subscription at the server is left by a connection that was closed."""
    driver, _ = await driven(TAGS, connect=False)
    left = []
    for _ in range(8):
        await driver.connect()
        await read_rows(driver, lambda rows: len(rows) >= 3)
        await driver.close()
        await eventually(lambda: not plant.server.bserver.clients)
        left.append((len(asyncio.all_tasks()), psutil.Process().num_fds()))
    assert not plant.server.iserver.subscription_service.subscriptions
    await eventually(lambda: len(asyncio.all_tasks()) <= left[1][0] and psutil.Process().num_fds() <= left[1][1])


async def test_values_flow_over_renewals_of_the_channel_though_the_clocks_differ(driven, plant, monkeypatch):
    """Tokens of half a second, made by a server whose clock stands in 1980: what it still sends under the old one is taken."""
    monkeypatch.setattr(client, "_CHANNEL_LIFETIME_MS", 500)
    driver, _ = await driven(TAGS[:1])
    server_side = SecureConnection.open

    def opened(connection, parameters, server):
        answer = server_side(connection, parameters, server)
        answer.SecurityToken.CreatedAt = datetime(1980, 1, 1, tzinfo=UTC)
        return answer

    monkeypatch.setattr(SecureConnection, "open", opened)
    connection = driver._link._client.uaclient.protocol._connection
    first = connection.security_token.TokenId
    async with asyncio.timeout(10):
        value = 0.0
        while connection.security_token.TokenId < first + 3:
            value += 1.0
            await plant.write("double", value)
            await read_rows(driver, lambda rows, value=value: value in values_of(rows, 0))
    assert abs((datetime.now(UTC) - connection.prev_security_token.CreatedAt).total_seconds()) < 60


async def test_the_socket_notices_a_dead_path_in_ten_seconds(driven):
    driver, _ = await driven(TAGS[:1])
    sock = driver._link._client.uaclient.protocol.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    idle = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    probes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) * sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert idle + probes <= 10


async def test_nothing_is_acknowledged_before_it_is_accepted(driven, plant):
    driver, _ = await driven(TAGS[:1])
    batch = await asyncio.wait_for(driver.read(), 5)
    await plant.write("double", 2.0)
    second = await asyncio.wait_for(driver.read(), 5)
    (subscription,) = plant.server.iserver.subscription_service.subscriptions.values()
    assert len(subscription._not_acknowledged_results) == 2
    driver.accept(batch.receipt)
    await plant.write("double", 3.0)
    await asyncio.wait_for(driver.read(), 5)
    await eventually(lambda: 1 not in subscription._not_acknowledged_results)
    assert 2 in subscription._not_acknowledged_results
    driver.accept(second.receipt)


async def test_a_full_window_stops_asking_and_loses_nothing(driven, plant):
    """With four notifications uncommitted no Publish is sent; the server's queue holds the rest until the commit."""
    driver, unit = await driven(TAGS[:1], window=4, publish_requests=3, queue_size=1000)
    for place in range(60):
        before = len(driver._inbox)
        await plant.write("double", float(1000 + place))
        await eventually(lambda before=before: len(driver._inbox) > before or not driver._pump.listening)
    assert not driver._pump.listening  # so nothing more can come
    assert len(driver._inbox) <= 4 + 3
    rows = await read_rows(driver, lambda rows: 1059.0 in values_of(rows, 0))
    assert [value for value in values_of(rows, 0) if value >= 1000] == [float(1000 + place) for place in range(60)]
    assert "gaps" not in unit.counters


async def test_while_the_disk_is_away_it_reads_on_and_the_subscription_lives(driven, plant, monkeypatch):
    """Nothing is accepted for longer than the server lets a subscription live unheard, over a reconnect too; the commit that follows
    acknowledges messages that the server has forgotten by then, and the link stays."""
    monkeypatch.setattr(keeper, "LIFETIME_S", 0.6)
    monkeypatch.setattr(keeper, "KEEPALIVE_S", 0.2)
    driver, unit = await driven(TAGS[:1], window=4)
    assert isinstance(driver, Relaxing)
    driver.relax(True)
    receipts, seen = [], []

    async def until(last):
        async with asyncio.timeout(10):
            while last not in seen:
                batch = await driver.read()
                receipts.append(batch.receipt)
                seen.extend(batch.value.tolist())

    for place in range(30):
        await plant.write("double", float(place))
        await until(float(place))
        await asyncio.sleep(0.05)
    (subscription,) = plant.server.iserver.subscription_service.subscriptions.values()
    assert len(subscription._not_acknowledged_results) > driver.window
    for sequence in list(subscription._not_acknowledged_results)[:10]:
        del subscription._not_acknowledged_results[sequence]
    driver.relax(False)
    driver.accept(receipts[-1])
    await plant.write("double", 100.0)
    await until(100.0)
    await eventually(lambda: len(subscription._not_acknowledged_results) <= driver.window)
    assert "subscriptions_rebuilt" not in unit.counters
    assert "gaps" not in unit.counters
    driver.relax(True)
    await driver.close()
    await driver.connect()
    for place in range(200, 210):
        await plant.write("double", float(place))
        await until(float(place))


async def test_a_restarted_server_is_read_again_within_five_seconds(driven, plant):
    driver, _ = await driven(TAGS[:1])
    await read_rows(driver, lambda rows: rows)
    await plant.stop()
    with pytest.raises(NotConnected):
        await read_rows(driver, lambda _: False, within=10)
    await driver.close()
    await plant.start()
    started = time.monotonic()
    await driver.connect()
    await read_rows(driver, lambda rows: 1.5 in values_of(rows, 0))
    assert time.monotonic() - started < 5


async def test_a_hole_in_the_numbers_is_counted_and_named(driven, plant):
    """The server skips two numbers and cannot send them again: a gap, and the values behind it flow."""
    driver, unit = await driven(TAGS[:1])
    await read_rows(driver, lambda rows: rows)
    (subscription,) = plant.server.iserver.subscription_service.subscriptions.values()
    subscription._notification_seq += 2
    await plant.write("double", 9.0)
    await read_rows(driver, lambda rows: 9.0 in values_of(rows, 0))
    assert unit.counters["lost_notifications"] == 2
    assert "2 notifications" in unit.problems["gap"]


async def test_a_subscription_that_the_server_dropped_is_made_anew(driven, plant):
    """The server answers Publish with BadNoSubscription: a new subscription, on the same connection."""
    driver, unit = await driven(TAGS[:1])
    await read_rows(driver, lambda rows: rows)
    service = plant.server.iserver.subscription_service
    await service.delete_subscriptions(list(service.subscriptions))
    await plant.write("double", 8.0)
    await read_rows(driver, lambda rows: 8.0 in values_of(rows, 0), 15)
    assert unit.counters["subscriptions_rebuilt"] == 1


async def test_one_dead_subscription_of_two_is_made_anew_and_the_other_flows(driven, plant, monkeypatch):
    """Two publishing intervals are two subscriptions. One says nothing for two keep-alives: it alone is replaced."""
    monkeypatch.setattr(keeper, "KEEPALIVE_S", 0.3)
    driver, unit = await driven((tag(0, "double"), tag(1, "float", sampling_interval_ns=1_000_000_000)))
    await read_rows(driver, lambda rows: len(rows) == 2)
    slow = max(driver._pump.streams.values(), key=lambda stream: stream.granted.publishing_interval_s)
    await plant.server.iserver.subscription_service.subscriptions[slow.granted.id].stop()
    await eventually(lambda: unit.counters.get("subscriptions_rebuilt") == 1)
    await plant.write("double", 5.0)
    await plant.write("float", 6.0)
    rows = await read_rows(driver, lambda rows: 5.0 in values_of(rows, 0) and 6.0 in values_of(rows, 1))
    assert rows
    assert unit.counters["subscriptions_rebuilt"] == 1


async def test_a_silent_tag_is_probed_and_the_same_value_refreshes_it(driven):
    driver, unit = await driven((tag(0, "double", stale_after_ns=400_000_000), tag(1, "float")))
    rows = await read_rows(driver, lambda rows: len(values_of(rows, 0)) >= 3)
    assert set(values_of(rows, 0)) == {1.5}
    assert len(values_of(rows, 1)) == 1
    assert unit.counters["probes"] >= 2
    assert "dead_subscriptions" not in unit.counters


async def test_a_probe_that_finds_another_value_rebuilds_the_subscription(driven, plant):
    """The server's value changes without a notification: the subscription is dead, and only it is made anew."""
    driver, unit = await driven((tag(0, "double", stale_after_ns=400_000_000),))
    await read_rows(driver, lambda rows: rows)
    attribute = plant.server.iserver.aspace._nodes[plant.nodes["double"].nodeid].attributes[ua.AttributeIds.Value]
    attribute.value = ua.DataValue(ua.Variant(4.0, Kind.Double))
    rows = await read_rows(driver, lambda rows: 4.0 in values_of(rows, 0))
    await eventually(lambda: unit.counters.get("subscriptions_rebuilt") == 1)
    assert rows


async def test_setpoints_take_the_type_of_their_node(driven, plant):
    """1e39 does not fit a Float and is not sent; a fraction does not fit an Int32; an unknown element is not risked."""
    rule = WriteRule()
    tags = (
        tag(0, "float", write_rule=rule),
        tag(1, "int32", write_rule=rule),
        tag(2, "bool", write_rule=rule),
        tag(3, "text", type=TagType.TEXT, write_rule=rule),
        tag(4, "array[1]", write_rule=rule),
        tag(5, "double"),
        tag(6, "nowhere", write_rule=rule),
    )
    driver, unit = await driven(tags)
    codes = ua.StatusCodes
    assert await driver.write_setpoints([(0, 3.25), (1, 7.0), (2, 0.0), (3, "blue")]) == [0, 0, 0, 0]
    assert [await plant.nodes[name].read_value() for name in ("float", "int32", "bool", "text")] == [3.25, 7, False, "blue"]
    refused = await driver.write_setpoints([(0, 1e39), (1, 7.5), (2, 2.0), (3, 1.0), (4, 1.0), (5, 1.0), (6, 1.0), (0, math.nan), (0, "x")])
    assert refused == [
        codes.BadOutOfRange,
        codes.BadOutOfRange,
        codes.BadOutOfRange,
        codes.BadTypeMismatch,
        codes.BadWriteNotSupported,
        codes.BadNotWritable,
        codes.BadNodeIdUnknown,
        codes.BadOutOfRange,
        codes.BadTypeMismatch,
    ]
    await eventually(lambda: "plant.array_1.write" in unit.problems)
    await plant.stop()
    assert await driver.write_setpoints([(0, 1.0)]) == [codes.BadNotConnected]


async def test_history_fills_what_an_outage_left_out(tmp_path):
    """A historizing node brings the values of the outage, before the live ones; one that is not is a gap by name."""
    async with OpcUaSource(free_port(), {"kept": (0.0, Kind.Double), "plain": (0.0, Kind.Double)}, history=("kept",)) as plant:
        context, unit = driver_context((tag(0, "kept"), tag(1, "plain")), tmp_path)
        config = Config(url=plant.url, publishing_interval=0.02)
        first = OpcUaDriver(config, context)
        await first.connect()
        await read_rows(first, lambda rows: len(rows) >= 2)
        subscriptions = list(first._pump.streams)
        first._link._client.disconnect_socket()
        await first.close()
        await plant.server.iserver.subscription_service.delete_subscriptions(subscriptions)
        for value in (1.0, 2.0, 3.0):
            await plant.write("kept", value)
            await plant.write("plain", value)
        await eventually(lambda: _kept(plant, 3.0))
        second = OpcUaDriver(config, context)
        await second.connect()
        rows = await read_rows(second, lambda rows: 3.0 in values_of(rows, 1) and 3.0 in values_of(rows, 0))
        assert [value for value in values_of(rows, 0) if value in {1.0, 2.0}] == [1.0, 2.0]
        assert 1.0 not in values_of(rows, 1)
        await eventually(lambda: "1 tags" in unit.problems.get("gap", ""))
        await second.close()


async def _kept(plant, value):
    return value in [found.Value.Value for found in await plant.nodes["kept"].read_raw_history()]


async def test_a_server_that_accepts_and_says_nothing_is_not_connected(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    context, _ = driver_context(TAGS[:1], tmp_path)
    driver = OpcUaDriver(Config(url=f"opc.tcp://127.0.0.1:{listener.getsockname()[1]}", request_timeout=0.3), context)
    started = time.monotonic()
    with pytest.raises(NotConnected):
        await driver.connect()
    assert time.monotonic() - started < 2
    await driver.close()
    listener.close()
