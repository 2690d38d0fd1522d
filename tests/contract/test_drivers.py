"""What every driver promises (gateway.contracts.Driver), held against a real source."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
import yaml
from cases import named

from gateway.contracts import NotConnected
from gateway.settings import Plugins, load
from support.driving import driver_context, read_rows, values_of

CLOSE_MOST_S = 4.0
DRIVERS = Path(__file__).parents[2] / "drivers"

_STARTING = {"socket.connect", "socket.bind", "socket.__new__", "subprocess.Popen", "_thread.start_new_thread"}
_listening: list[list[str]] = []


def _hook(event, _args):
    if _listening and event in _STARTING:
        _listening[-1].append(event)


sys.addaudithook(_hook)


def build(case, keys, tags, folder):
    context, unit = driver_context(tags, folder)
    return case.build(keys, context), unit


async def closed_promptly(driver):
    started = time.monotonic()
    await driver.close()
    assert time.monotonic() - started < CLOSE_MOST_S


def test_a_constructor_opens_and_starts_nothing(driver_case, tmp_path):
    """Outside of an event loop, with nobody there: no socket, thread or process."""
    config = named(driver_case.config)(**driver_case.absent(tmp_path))
    context, _ = driver_context(driver_case.tags, tmp_path)
    kind = named(driver_case.driver)
    _listening.append([])
    try:
        kind(config, context)
    finally:
        heard = _listening.pop()
    assert heard == []


async def test_nobody_there_is_not_connected_and_close_is_prompt(driver_case, tmp_path):
    driver, _ = build(driver_case, driver_case.absent(tmp_path), driver_case.tags, tmp_path)
    for _ in range(2):
        with pytest.raises(NotConnected):
            await asyncio.wait_for(driver.connect(), 20)
        await closed_promptly(driver)
    await closed_promptly(driver)


async def test_close_without_connect_does_nothing(driver_case, tmp_path):
    driver, _ = build(driver_case, driver_case.absent(tmp_path), driver_case.tags, tmp_path)
    await closed_promptly(driver)
    await closed_promptly(driver)


async def test_samples_come_again_after_close_and_connect(driver_case, tmp_path):
    async with driver_case.peer(tmp_path) as peer:
        driver, _ = build(driver_case, peer.keys, peer.tags, tmp_path)
        for value in (10.0, 20.0):
            await driver.connect()
            await peer.emit(value)
            await read_rows(driver, lambda rows, value=value: value in values_of(rows, peer.tags[0].tag_id))
            await closed_promptly(driver)
            await closed_promptly(driver)


async def test_accept_never_raises(driver_case, tmp_path):
    """Before connect, twice, with None and with what another connection gave, after close."""
    async with driver_case.peer(tmp_path) as peer:
        driver, _ = build(driver_case, peer.keys, peer.tags, tmp_path)
        driver.accept(None)
        await driver.connect()
        await peer.emit(1.5)
        batch = await asyncio.wait_for(driver.read(), 10)
        for receipt in (None, batch.receipt, batch.receipt, object()):
            driver.accept(receipt)
        await driver.close()
        driver.accept(batch.receipt)
        await driver.connect()
        driver.accept(batch.receipt)
        await driver.close()


async def test_a_cancelled_read_loses_nothing(driver_case, tmp_path):
    """Reads are cancelled at every chance while the source emits; each value arrives once, in order."""
    async with driver_case.peer(tmp_path) as peer:
        driver, _ = build(driver_case, peer.keys, peer.tags, tmp_path)
        await driver.connect()
        expected = [float(100 + place) for place in range(20)]
        emitting = asyncio.create_task(_emit_all(peer, expected))
        got = []
        deadline = time.monotonic() + 20
        while expected[-1] not in got and time.monotonic() < deadline:
            reading = asyncio.create_task(driver.read())
            await asyncio.wait({reading}, timeout=0.004)
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                batch = reading.result()
                got += batch.value[batch.tag_id == peer.tags[0].tag_id].tolist()
                driver.accept(batch.receipt)
        await emitting
        await driver.close()
        assert [value for value in got if value >= 100] == expected


async def _emit_all(peer, values):
    for value in values:
        await peer.emit(value)
        await asyncio.sleep(0.03)  # a source's own pace


async def test_a_lost_source_is_not_connected_and_comes_back(driver_case, tmp_path):
    if not driver_case.endless:
        pytest.skip("a recording is not lost")
    async with driver_case.peer(tmp_path) as peer:
        driver, _ = build(driver_case, peer.keys, peer.tags, tmp_path)
        await driver.connect()
        await peer.emit(1.0)
        await read_rows(driver, lambda rows: 1.0 in values_of(rows, peer.tags[0].tag_id))
        await peer.stop()
        with pytest.raises(NotConnected):
            await read_rows(driver, lambda _rows: False, within=20)
        await closed_promptly(driver)
        with pytest.raises(NotConnected):
            await asyncio.wait_for(driver.connect(), 20)
        await peer.start()
        await driver.connect()
        await peer.emit(2.0)
        await read_rows(driver, lambda rows: 2.0 in values_of(rows, peer.tags[0].tag_id))
        await driver.close()


def test_its_folder_explains_itself(driver_case):
    """sample.yaml passes the check; README.md names each key of the configuration."""
    folder = DRIVERS / driver_case.name
    site = load(folder / "sample.yaml", Plugins({driver_case.name: named(driver_case.config)}, {}, {}))
    assert [unit.kind for unit in site.sources.values()] == [driver_case.name]
    assert yaml.safe_load((folder / "sample.yaml").read_text())["version"] == 1
    manual = (folder / "README.md").read_text()
    for key in named(driver_case.config).model_fields:
        assert f"`{key}`" in manual, f"README.md does not explain {key}"
