"""Forecasts that were issued: read back as they were said, across blocks, restarts and crashes, and bounded by age and bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.tag import Tag, TagTable
from gateway.store import forecasts
from gateway.store.config import StoreConfig
from gateway.store.errors import DamagedBlock
from gateway.store.forecasts import TAIL_ROWS, Issues, decode, encode
from gateway.store.store import Store

TAGS = TagTable.of([Tag(0, "a"), Tag(1, "b"), Tag(2, "c")])
HORIZON_S = np.array([1.0, 10.0, 60.0])
BEGIN_NS, EVERY_NS, LEAD_NS = 1_800_000_000 * 10**9, 10 * 10**9, 10 * 10**9
HUGE = 10**18


def issue(number, tags=(0, 1), lead=1, horizon_s=HORIZON_S):
    base = 100.0 * np.array(tags)[:, None] + number + np.arange(horizon_s.size) / 8
    mean = base[None].astype(np.float32)
    at_ns = np.array([BEGIN_NS + number * EVERY_NS])
    return Issues(at_ns, np.array(tags, np.int32), horizon_s, lead, mean, np.full_like(mean, 0.5))


async def opened(path):
    return await Store.open(path, StoreConfig(), TAGS, BEGIN_NS)


@pytest.fixture
async def store(tmp_path):
    one = await opened(tmp_path)
    yield one
    await one.close()


async def filled(store, count, **options):
    for number in range(count):
        await store.forecasts.put(issue(number, **options))


@settings(max_examples=50)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_decode_of_encode_is_what_was_encoded(m, n, k, random):
    rng = np.random.default_rng(random.randrange(2**32))
    mean, half = rng.standard_normal((2, m, n, k)).astype(np.float32)
    mean[rng.random(mean.shape) < 0.2] = np.nan
    one = Issues(
        rng.integers(0, 2**60, m), rng.integers(0, 2**30, n).astype(np.int32), np.sort(rng.random(k)), int(rng.integers(k)), mean, half
    )
    back = decode(encode(one))
    for name in ("at_ns", "ids", "horizon_s", "mean", "half"):
        assert getattr(back, name).tobytes() == getattr(one, name).tobytes(), name
    assert back.lead == one.lead
    assert back.mean.shape == one.mean.shape


def test_a_damaged_row_is_found():
    raw = bytearray(encode(issue(0)))
    for place in range(len(raw)):
        raw[place] ^= 4
        with pytest.raises(DamagedBlock):
            decode(bytes(raw))
        raw[place] ^= 4


async def test_past_gives_what_was_forecast_one_lead_earlier(store):
    await filled(store, 5)
    told = await store.forecasts.past(1, BEGIN_NS + LEAD_NS, BEGIN_NS + LEAD_NS + 3 * EVERY_NS)
    assert told.valid_ns.tolist() == [BEGIN_NS + LEAD_NS + n * EVERY_NS for n in range(3)]
    assert told.p50.tolist() == [100.125, 101.125, 102.125]
    assert told.p05.tolist() == [99.625, 100.625, 101.625]
    assert told.p95.tolist() == [100.625, 101.625, 102.625]
    assert (await store.forecasts.past(1, 0, HUGE * 9, limit=2)).p50.tolist() == [100.125, 101.125]
    assert (await store.forecasts.past(2, 0, HUGE * 9)).valid_ns.size == 0
    assert (await store.forecasts.past(99, 0, HUGE * 9)).valid_ns.size == 0


async def test_blocks_hold_the_same_as_the_rows_that_they_are_cut_from(store):
    await filled(store, TAIL_ROWS + 1)
    before = await store.forecasts.issued(0, 0, HUGE * 9)
    await store.keep_forecasts(HUGE, HUGE)
    assert await store._plant.read(lambda c: c.execute("SELECT count(*) FROM forecast_tail").fetchone()[0]) == 0
    await store.forecasts.put(issue(TAIL_ROWS + 1))
    (after,) = await store.forecasts.issued(0, 0, BEGIN_NS + (TAIL_ROWS + 1) * EVERY_NS)
    assert after.mean.tobytes() == before[0].mean.tobytes()
    assert after.at_ns.tolist() == before[0].at_ns.tolist()
    assert (await store.forecasts.past(0, 0, HUGE * 9)).valid_ns.size == TAIL_ROWS + 2


async def test_a_crash_between_blocks_and_the_end_of_the_rows_doubles_nothing(store, monkeypatch):
    await filled(store, TAIL_ROWS + 1)
    with monkeypatch.context() as patch:
        patch.setattr(forecasts, "_drop_tail", lambda *_: None)
        await store.keep_forecasts(HUGE, HUGE)
    assert (await store.forecasts.past(0, 0, HUGE * 9)).valid_ns.size == TAIL_ROWS + 1
    await store.keep_forecasts(HUGE, HUGE)
    assert (await store.forecasts.past(0, 0, HUGE * 9)).valid_ns.size == TAIL_ROWS + 1
    assert await store._plant.read(used_and_real) == pytest.approx(0)


def used_and_real(connection):
    """How far the counted bytes are from those that lie there."""
    real = sum(
        connection.execute(f"SELECT coalesce(sum(length(columns)), 0) FROM {one}").fetchone()[0]
        for one in ("forecast_tail", "forecast_blocks")
    )
    return forecasts.used_bytes(connection) - real


async def test_another_horizon_or_other_tags_lie_beside_the_old_ones(store):
    await filled(store, 3)
    await store.forecasts.put(issue(3, tags=(1, 2), lead=0, horizon_s=np.array([5.0, 7.0])))
    assert (await store.forecasts.past(1, 0, HUGE * 9)).p50.tolist() == [100.125, 101.125, 102.125, 103.0]
    assert [part.horizon_s.size for part in await store.forecasts.issued(1, 0, HUGE * 9)] == [3, 2]


async def test_what_is_too_old_goes_and_what_is_too_much(store):
    await filled(store, TAIL_ROWS + 1)
    await store.keep_forecasts(HUGE, HUGE)
    await filled(store, TAIL_ROWS + 1)
    await store.keep_forecasts(HUGE, 500)
    assert await store._plant.read(forecasts.used_bytes) <= 500
    assert await store._plant.read(used_and_real) == 0
    await filled(store, 3)
    await store.maintain(BEGIN_NS + 3600 * 10**9)
    await store.keep_forecasts(3600 * 10**9 - 15 * 10**9, HUGE)
    assert (await store.forecasts.past(0, 0, HUGE * 9)).p50.tolist() == [2.125]


async def test_they_are_there_after_a_restart(tmp_path):
    first = await opened(tmp_path)
    await filled(first, 2)
    await first.close()
    second = await opened(tmp_path)
    assert (await second.forecasts.past(0, 0, HUGE * 9)).p50.tolist() == [0.125, 1.125]
    await second.close()


async def test_a_damaged_block_is_left_out_and_told(store):
    await filled(store, 2)
    await store._plant.run(lambda c: c.execute("UPDATE forecast_tail SET columns=x'00' WHERE id=1"))
    assert (await store.forecasts.past(0, 0, HUGE * 9)).p50.tolist() == [1.125]
    assert "damaged forecasts" in store.forecasts.lost[0]
