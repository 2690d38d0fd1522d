"""What every sink promises (gateway.contracts.Sink), held against a real peer."""

import asyncio
import time

import pytest

from gateway.contracts import NotConnected

CLOSE_MOST_S = 4.0


async def closed_promptly(sink):
    started = time.monotonic()
    await sink.close()
    assert time.monotonic() - started < CLOSE_MOST_S


async def test_nobody_there_is_not_connected_and_close_is_prompt(sink_case, tmp_path):
    async with sink_case.refused(tmp_path) as sink:
        await closed_promptly(sink)
        for _ in range(2):
            with pytest.raises(NotConnected):
                await asyncio.wait_for(sink.connect(), 20)
            await closed_promptly(sink)
        await closed_promptly(sink)


async def test_it_works_again_after_close_and_connect(sink_case, tmp_path):
    async with sink_case.reachable(tmp_path) as sink:
        for _ in range(2):
            await sink.connect()
            await sink_case.use(sink)
            await closed_promptly(sink)
            await closed_promptly(sink)
