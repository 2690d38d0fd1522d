"""Paging of raw history: any page size gives the whole series once, whatever is packed or arrives in between."""

import asyncio
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.tag import Tag, TagTable
from gateway.sinks.opcua.raw import read_raw
from gateway.store.config import StoreConfig
from gateway.store.store import Store
from gateway.wire.opcua.past import RawQuery
from support.past import NOON, SECOND, Past

TAGS = TagTable.of([Tag(0, "line.temp"), Tag(1, "line.other")])
samples = st.tuples(st.integers(0, 6), st.integers(0, 4), st.sampled_from([0, 0x4000_0000]))  # few times, so that many are equal


def rows(series):
    return list(zip(((series.source_ns - NOON) // SECOND).tolist(), series.value.tolist(), series.status.tolist(), strict=True))


async def walk(store, query, most, between):
    """All pages, with something happening after each."""
    rest, found = None, []
    while True:
        series, rest = await read_raw(store.history, 0, query, rest, most)
        found += rows(series)
        assert series.source_ns.size <= most
        if rest is None:
            return found
        await between()


async def scenario(batches, cuts, most, query):
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder), StoreConfig(), TAGS, NOON)
        try:
            kept = Past(store)
            for place, batch in enumerate(batches):
                if batch:
                    times, values, statuses = zip(*batch, strict=True)
                    await kept.keep(0, NOON + SECOND * np.array(times), values, statuses)
                    await kept.keep(1, NOON + SECOND * np.array(times), values)
                if place in cuts:
                    await kept.cut()
            whole = rows(await store.history.read(0, NOON, NOON + 7 * SECOND))
            pending = [kept.cut, lambda: kept.keep(0, [NOON - SECOND], 1.0), lambda: kept.keep(0, [NOON + 99 * SECOND], 2.0)]

            async def between():
                if pending:
                    await pending.pop(0)()

            found = await walk(store, query, most, between)
        finally:
            await store.close()
    return whole, found


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.lists(samples, max_size=8), min_size=1, max_size=5),
    cuts=st.sets(st.integers(0, 4)),
    most=st.integers(1, 7),
    backward=st.booleans(),
)
def test_every_sample_is_sent_once_in_order_of_time(batches, cuts, most, backward):
    """From tail, blocks or both; blocks are cut and other samples come in while the client reads."""
    low, high = NOON, NOON + 7 * SECOND
    query = RawQuery(high, low - 100, 0, bounds=False) if backward else RawQuery(low, high, 0, bounds=False)
    whole, found = asyncio.run(scenario(batches, cuts, most, query))
    assert sorted(found) == sorted(whole)
    times = [time for time, _, _ in found]
    assert times == sorted(times, reverse=backward)


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(st.lists(samples, max_size=8), min_size=1, max_size=4),
    cuts=st.sets(st.integers(0, 3)),
    limit=st.integers(1, 9),
    begin=st.integers(-1, 6),
    length=st.integers(0, 7),
)
def test_both_ends_of_a_range_are_read_as_the_whole_range_is(batches, cuts, limit, begin, length):
    """read with a limit and read_before against the whole range: the same times, however blocks and tail overlap."""

    async def look(store):
        span = NOON + begin * SECOND, NOON + (begin + length) * SECOND
        whole = await store.history.read(0, *span)
        first, last = await store.history.read(0, *span, limit), await store.history.read_before(0, *span, limit)
        assert first.source_ns.tolist() == whole.source_ns[:limit].tolist()
        assert last.source_ns.tolist() == whole.source_ns[max(whole.source_ns.size - limit, 0) :].tolist()
        assert set(rows(first)) | set(rows(last)) <= set(rows(whole))

    async def run():
        with tempfile.TemporaryDirectory() as folder:
            store = await Store.open(Path(folder), StoreConfig(), TAGS, NOON)
            try:
                kept = Past(store)
                for place, batch in enumerate(batches):
                    if batch:
                        times, values, statuses = zip(*batch, strict=True)
                        await kept.keep(0, NOON + SECOND * np.array(times), values, statuses)
                    await look(store)
                    if place in cuts:
                        await kept.cut()
                        await look(store)
            finally:
                await store.close()

    asyncio.run(run())
