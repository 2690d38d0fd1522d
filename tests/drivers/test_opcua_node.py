"""The OPC UA driver against node-opcua: another implementation of the standard, in a process that can be killed and frozen."""

import asyncio
import shutil
import signal
import time

import pytest
from pydantic import SecretStr

from drivers.opcua import keeper
from drivers.opcua.config import Config
from drivers.opcua.driver import OpcUaDriver
from gateway.contracts import NotConnected
from gateway.model.tag import TagType, WriteRule
from support.driving import driver_context, read_rows, values_of
from support.node_plant import running
from support.opcua_source import tag

pytestmark = pytest.mark.live


@pytest.fixture
async def plant(node, tmp_path):
    async with running(node, tmp_path) as plant:
        yield plant


@pytest.fixture
async def driven(plant, tmp_path):
    made = []

    async def make(tags, *, memory=None, connect=True, **keys):
        context, unit = driver_context(tags, tmp_path, memory)
        driver = OpcUaDriver(Config(**{"url": plant.url, "publishing_interval": 0.05, **keys}), context)
        made.append(driver)
        if connect:
            await driver.connect()
        return driver, unit

    yield make
    for driver in made:
        await driver.close()


async def test_mixed_types_with_and_without_times(driven, plant):
    tags = (
        tag(0, "double"),
        tag(1, "float"),
        tag(2, "int32", type=TagType.INT),
        tag(3, "bool", type=TagType.BOOL),
        tag(4, "text", type=TagType.TEXT),
        tag(5, "when"),
        tag(6, "array[2]"),
        tag(7, "timeless"),
        tag(8, "nowhere"),
    )
    driver, unit = await driven(tags)
    rows = {row[0]: row for row in await read_rows(driver, lambda rows: len({row[0] for row in rows}) == len(tags))}
    assert [rows[place][1] for place in range(8)] == [1.5, 2.5, -3.0, 1.0, "warm", 1577836800.0, 12.0, 8.5]
    assert rows[8][2] == 0x8034_0000
    assert set(unit.problems) == {"plant.nowhere"}
    await plant.set("double", 2.25)
    (row,) = await read_rows(driver, lambda rows: rows)
    assert (row[0], row[1]) == (0, 2.25)
    assert abs(row[3] - time.time_ns()) < 5e9


async def test_an_element_is_written_where_the_server_knows_index_ranges(driven, plant):
    driver, unit = await driven((tag(0, "array[1]", write_rule=WriteRule()), tag(1, "double", write_rule=WriteRule())))
    assert unit.problems == {}
    statuses = await driver.write_setpoints([(0, 99.0), (1, 3.0)])
    assert await plant.say("get array", "got") == ['[{"0":10,"1":99,"2":12,"3":13}]'] or statuses[0] >= 0x8000_0000
    assert statuses[1] in {0, 0x803B_0000, 0x801F_0000}


async def test_relaxed_it_reads_on_and_what_the_server_does_not_know_is_acknowledged_without_harm(driven, plant):
    """Beyond the window while no commit is to be had; then all at once, with a number that the server never gave."""
    driver, unit = await driven((tag(0, "double"),), window=4)
    driver.relax(True)
    receipts = []
    for place in range(20):
        await plant.set("double", 100.0 + place)
        async with asyncio.timeout(5):
            while True:
                batch = await driver.read()
                receipts.append(batch.receipt)
                if batch.value[-1] == 100.0 + place:
                    break
    (subscription,) = driver._pump.streams
    driver.relax(False)
    driver._pump.acknowledge([(subscription, 4_000_000)])
    driver.accept(receipts[-1])
    await plant.set("double", 1.0)
    await read_rows(driver, lambda rows: 1.0 in values_of(rows, 0))
    assert not {"gaps", "publish_refused", "decode_errors", "subscriptions_rebuilt"} & set(unit.counters)


async def test_a_killed_server_is_lost_and_read_again_when_it_is_back(driven, plant):
    driver, _ = await driven((tag(0, "double"),))
    await read_rows(driver, lambda rows: rows)
    await plant.kill()
    started = time.monotonic()
    with pytest.raises(NotConnected):
        await read_rows(driver, lambda _: False)
    assert time.monotonic() - started < 2
    await driver.close()
    with pytest.raises(NotConnected):
        await driver.connect()
    await plant.start()
    await driver.connect()
    await read_rows(driver, lambda rows: 1.5 in values_of(rows, 0), 5)


async def test_a_frozen_server_is_not_connected_after_two_keep_alives(driven, plant, monkeypatch):
    """The socket stays open and says nothing: data age decides, not the socket."""
    monkeypatch.setattr(keeper, "KEEPALIVE_S", 1.0)
    driver, _ = await driven((tag(0, "double"),))
    await read_rows(driver, lambda rows: rows)
    plant.signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(NotConnected):
        await read_rows(driver, lambda _: False)
    assert time.monotonic() - started < 5
    started = time.monotonic()
    await driver.close()
    assert time.monotonic() - started < 4
    plant.signal(signal.SIGCONT)
    await driver.connect()
    await read_rows(driver, lambda rows: 1.5 in values_of(rows, 0))


async def test_a_frozen_server_is_noticed_though_it_promised_few_keep_alives(driven, plant, monkeypatch):
    """Whatever the server made of the keep-alive interval, and with no subscription at all: a Read tells."""
    driver, _ = await driven((), request_timeout=0.5)
    monkeypatch.setattr(keeper, "KEEPALIVE_S", 0.2)
    plant.signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(NotConnected):
        await read_rows(driver, lambda _: False)
    assert time.monotonic() - started < 5
    plant.signal(signal.SIGCONT)


async def test_a_new_process_takes_the_old_subscriptions_over(driven, plant):
    """As after kill -9: nothing accepted, the socket gone, what was not acknowledged comes again with what was set meanwhile."""
    tags = (tag(0, "double", sampling_interval_ns=20_000_000),)
    keys = {"user": "gw", "password": SecretStr("secret"), "queue_size": 100}
    first, _ = await driven(tags, **keys)
    await read_rows(first, lambda rows: 1.5 in values_of(rows, 0))
    await plant.set("double", 10.0)
    await read_rows(first, lambda rows: 10.0 in values_of(rows, 0), accept=False)
    memory = first._context.memory
    first._link._client.uaclient.protocol.transport.abort()
    for value in (11.0, 12.0, 13.0):
        await plant.set("double", value)
        await asyncio.sleep(0.1)
    second, unit = await driven(tags, memory=memory, **keys)
    rows = await read_rows(second, lambda rows: 13.0 in values_of(rows, 0))
    assert unit.counters["subscriptions_taken_over"] == 1
    assert [value for value in dict.fromkeys(values_of(rows, 0)) if value >= 10] == [10.0, 11.0, 12.0, 13.0]
    assert "gaps" not in unit.counters


async def test_sign_and_encrypt_with_a_user(driven, plant, tmp_path):
    """Refused until a person trusts the server's certificate; then read and written as ever, with a name and a password."""
    keys = {"security": "Basic256Sha256/SignAndEncrypt", "user": "gw", "password": SecretStr("secret")}
    driver, _ = await driven((tag(0, "double"),), connect=False, **keys)
    with pytest.raises(NotConnected, match="not trusted"):
        await driver.connect()
    (refused,) = (tmp_path / "pki" / "rejected").iterdir()
    (tmp_path / "pki" / "trusted").mkdir()
    shutil.move(refused, tmp_path / "pki" / "trusted" / refused.name)
    await driver.connect()
    await read_rows(driver, lambda rows: 1.5 in values_of(rows, 0))
    wrong, _ = await driven((tag(0, "double"),), connect=False, **{**keys, "password": SecretStr("guess")})
    with pytest.raises(NotConnected):
        await wrong.connect()
