"""decode(encode(x)) = x, bit for bit, whatever a device sends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.contracts import Series
from gateway.store import codec

NOW = 1_700_000_000_000_000_000


def series(time, value, status=0, text=None):
    time = np.asarray(time, np.int64)
    return Series(time, np.asarray(value, np.float64), np.broadcast_to(np.asarray(status, np.uint32), time.shape).copy(), text or {})


def same(one, other):
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("source_ns", "value", "status")) and dict(
        one.text
    ) == dict(other.text)


def bits(strategy):
    """Every float64 there is: as numbers, and as raw bits (NaNs with a payload, subnormals)."""
    return strategy.map(lambda column: column.view(np.float64))


def decimals(n):
    whole = hnp.arrays(np.int64, n, elements=st.integers(-(10**7), 10**7))
    return st.tuples(whole, st.integers(0, 6), st.booleans()).map(
        lambda drawn: (drawn[0] / 10.0 ** drawn[1]).astype(np.float32 if drawn[2] else np.float64).astype(np.float64)
    )


@given(st.data())
def test_any_columns_come_back(data):
    n = data.draw(st.integers(1, 80))
    time = data.draw(
        hnp.arrays(np.int64, n)
        | hnp.arrays(np.int64, n, elements=st.integers(0, 2000)).map(lambda column: NOW + np.cumsum(column) * 1_000_000)
    )
    value = data.draw(decimals(n) | hnp.arrays(np.float64, n) | bits(hnp.arrays(np.int64, n)))
    for place in data.draw(st.lists(st.integers(0, n - 1), max_size=3)):
        value[place] = data.draw(st.sampled_from([np.nan, -0.0, np.inf, -np.inf, 1e39, 2.0**53 + 2, 5e-324]))
    status = data.draw(hnp.arrays(np.uint32, n, elements=st.sampled_from([0, 0, 0, 0x80310000, 0x40900000])))
    text = data.draw(st.dictionaries(st.integers(0, n - 1), st.text(st.characters(), max_size=5), max_size=5))
    given_ = series(time, value, status, text)
    assert same(codec.decode(codec.encode(given_)), given_)


@pytest.mark.parametrize(
    "value",
    [[0.0, -0.0], [np.nan, np.nan, 1.0], [np.inf, 1.0], [1e39, -1e39], [2.0**53 + 2, 1.0], [0.1, 0.2, 0.30000000000000004], [5e-324, 0.0]],
)
def test_values_that_are_easily_spoiled(value):
    given_ = series(np.arange(len(value)), value)
    assert same(codec.decode(codec.encode(given_)), given_)


def test_times_at_both_ends_of_the_calendar():
    given_ = series([-(2**63), 2**63 - 1, 0, 1], [1, 2, 3, 4])
    assert same(codec.decode(codec.encode(given_)), given_)


def test_a_step_as_wide_as_the_calendar():
    given_ = series([0, 2**63 - 513], [0, 0])
    assert same(codec.decode(codec.encode(given_)), given_)


def test_text_with_a_lone_surrogate_and_a_very_long_one():
    given_ = series([1, 2, 3], [np.nan] * 3, text={0: "\ud800", 1: "x" * (16 << 20), 2: ""})
    assert same(codec.decode(codec.encode(given_)), given_)


@given(st.data())
def test_a_damaged_block_is_an_error(data):
    given_ = series(NOW + np.arange(50) * 10**9, np.round(np.sin(np.arange(50)), 2))
    block = bytearray(codec.encode(given_))
    place = data.draw(st.integers(0, len(block) - 1))
    block[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="damaged"):
        codec.decode(bytes(block))


def test_a_transmitter_at_one_hertz_costs_less_than_four_bytes_a_sample():
    """Resolution 0.01, times with a few milliseconds of jitter, a fault in between."""
    rng = np.random.default_rng(1)
    time = NOW + (np.arange(3600) * 1000 + rng.integers(0, 5, 3600)) * 1_000_000
    value = np.round(50 + np.cumsum(rng.normal(0, 0.05, 3600)) + rng.normal(0, 0.1, 3600), 2)
    status = np.zeros(3600, np.uint32)
    status[100:120], value[100:120] = 0x80310000, np.nan
    assert len(codec.encode(series(time, value, status))) < 4 * 3600
