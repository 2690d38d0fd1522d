"""Delays after failures and records in a flood, by passing the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.attempts import FREE, LONGEST_S, Backoff, Thrift, address_of


def test_five_failures_are_free_of_nothing_and_then_the_delay_doubles_up_to_fifteen_minutes():
    backoff, now_s, delays = Backoff(), 0.0, []
    for _ in range(FREE + 14):
        now_s += backoff.wait_s(["a"], now_s)
        backoff.failed(["a"], now_s)
        delays.append(backoff.wait_s(["a"], now_s))
    assert delays[:8] == [0, 0, 0, 0, 1, 2, 4, 8]
    assert delays[-1] == LONGEST_S
    assert backoff.wait_s(["b"], now_s) == 0
    assert backoff.wait_s(["b", "a"], now_s) == LONGEST_S


def test_failures_are_forgotten_in_time_and_at_a_word():
    backoff = Backoff()
    for _ in range(6):
        backoff.failed(["a", "b"], 0.0)
    backoff.forget("a")
    assert backoff.wait_s(["a"], 0.0) == 0
    assert backoff.wait_s(["b"], 0.0) == 2
    backoff.failed(["b"], 902.0)
    assert backoff.wait_s(["b"], 902.0) == 0


def test_a_flood_of_keys_takes_no_more_memory_and_frees_no_locked_one():
    backoff = Backoff()
    for _ in range(20):
        backoff.failed(["admin"], 0.0)
    for n in range(20_000):
        backoff.failed([f"flood {n}"], 1.0)
    assert len(backoff) <= 10_000
    assert backoff.wait_s(["admin"], 1.0) > 800


@given(st.lists(st.floats(0, 5), max_size=200))
def test_records_never_exceed_the_burst_and_the_rate_and_every_attempt_is_counted(pauses):
    thrift, now_s, written, counted = Thrift(5, 10.0), 0.0, 0, 0
    for pause in pauses:
        now_s += pause
        left_out = thrift.take(now_s)
        if left_out is not None:
            written, counted = written + 1, counted + left_out + 1
    assert written <= 5 + now_s / 10.0
    rest = thrift.take(now_s + 1000.0)
    assert counted + rest == len(pauses)


@pytest.mark.parametrize(
    ("one", "other"),
    [("web:10.0.0.7", "opcua:10.0.0.7"), ("web:::ffff:10.0.0.7", "web:10.0.0.7"), ("web:2001:db8::1", "opcua:2001:db8::2:3")],
)
def test_attempts_of_one_address_are_counted_together_whatever_the_face(one, other):
    assert address_of(one) == address_of(other)


def test_other_addresses_are_counted_apart():
    assert (
        len({address_of(origin) for origin in ("web:10.0.0.7", "web:10.0.0.8", "web:2001:db8:0:1::1", "web:2001:db8::1", "local:0")}) == 5
    )
