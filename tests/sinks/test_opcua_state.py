"""The subscription's table of states (Part 4, 5.13.1.2), by passing time: no socket, no clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sinks.opcua.subscriptions import State, Subscription
from gateway.wire.opcua.beat import Action

WAIT, NOTIFY, KEEP_ALIVE, CLOSE = Action.WAIT, Action.NOTIFY, Action.KEEP_ALIVE, Action.CLOSE


def subscription(keep_alive=3, lifetime=9, **fields):
    made = Subscription(**fields)
    made.revise(100.0, lifetime, keep_alive, 0, 0)
    return made


def timers(sub, queued, available):
    """One letter for each expiry: what came of it. queued, available: a letter each, + or -."""
    return [sub.timer(queued=q == "+", available=a == "+") for q, a in zip(queued, available, strict=True)]


def test_the_first_message_comes_at_once_even_without_data():
    """Row 7."""
    assert timers(subscription(), "+", "-") == [KEEP_ALIVE]


def test_notifications_go_out_while_requests_wait():
    """Row 6."""
    assert timers(subscription(), "+++", "+++") == [NOTIFY, NOTIFY, NOTIFY]


def test_silence_is_broken_by_a_keep_alive_after_the_keep_alive_count():
    """Rows 9, 16, 15: the first quiet cycle resets the counter, and the message comes when it has run down."""
    sub = subscription(keep_alive=3)
    assert timers(sub, "+" * 8, "+-------") == [NOTIFY, WAIT, WAIT, WAIT, KEEP_ALIVE, WAIT, WAIT, KEEP_ALIVE]


def test_data_after_silence_goes_out_in_the_same_cycle():
    """Row 14."""
    sub = subscription()
    assert timers(sub, "+++", "+-+") == [NOTIFY, WAIT, NOTIFY]
    assert sub.state is State.NORMAL


def test_without_a_request_the_subscription_is_late_and_answers_the_next_one():
    """Rows 8, 12, 10."""
    sub = subscription()
    assert timers(sub, "+--", "+++") == [NOTIFY, WAIT, WAIT]
    assert sub.late
    assert sub.publish(available=True) is NOTIFY
    assert sub.state is State.NORMAL


def test_late_with_nothing_to_say_answers_with_a_keep_alive():
    """Rows 8, 11: the very first message is due and no request waits."""
    sub = subscription()
    assert timers(sub, "-", "-") == [WAIT]
    assert sub.publish(available=False) is KEEP_ALIVE
    assert sub.state is State.KEEP_ALIVE


def test_a_keep_alive_that_finds_no_request_makes_it_late():
    """Row 17."""
    sub = subscription(keep_alive=2, lifetime=100)
    assert timers(sub, "+----", "+----") == [NOTIFY, WAIT, WAIT, WAIT, WAIT]
    assert sub.late


def test_a_subscription_that_is_not_late_leaves_the_request_in_the_queue():
    """Rows 4 and 13."""
    assert subscription().publish(available=True) is WAIT


def test_disabled_publishing_holds_notifications_back_but_not_keep_alives():
    """Rows 7, 9, 15 with PublishingEnabled = FALSE."""
    sub = subscription(keep_alive=2)
    sub.publishing_enabled = False
    assert timers(sub, "+++++", "+++++") == [KEEP_ALIVE, WAIT, WAIT, KEEP_ALIVE, WAIT]


def test_the_lifetime_ends_after_as_many_cycles_without_a_request_and_only_once():
    """Row 27."""
    sub = subscription(keep_alive=3, lifetime=9)
    assert timers(sub, "+" + "-" * 10, "-" * 11) == [KEEP_ALIVE, *[WAIT] * 8, CLOSE, WAIT]


def test_any_service_of_the_owner_prolongs_the_life():
    """Rows 18 to 22."""
    sub = subscription(keep_alive=3, lifetime=9)
    for _ in range(5):
        assert CLOSE not in timers(sub, "-" * 8, "-" * 8)
        sub.used()


@pytest.mark.parametrize("asked", [math.nan, math.inf, -math.inf, -5.0, 0.0, 1e-3])
def test_an_interval_that_is_none_becomes_the_shortest(asked):
    sub = Subscription(publishing_bounds_ms=(10.0, 60_000.0))
    sub.revise(asked, 0, 0, 0, 0)
    assert sub.publishing_ms == 10.0


@given(
    st.floats(width=64),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_whatever_is_asked_the_bounds_hold(interval, lifetime, keep_alive):
    """Part 4, 5.13.2.2: finite, lifetime at least three keep-alives, nothing abandoned lives longer than about an hour."""
    sub = Subscription()
    sub.revise(interval, lifetime, keep_alive, 0, 0)
    assert 10.0 <= sub.publishing_ms <= 3_600_000.0
    assert sub.keep_alive_count >= 1
    assert 3 * sub.keep_alive_count <= sub.lifetime_count <= 15_000
    assert sub.publishing_ms * sub.lifetime_count <= max(3_600_000.0, 3 * sub.publishing_ms)


@given(st.lists(st.tuples(st.sampled_from(["timer", "publish"]), st.booleans(), st.booleans()), max_size=60))
def test_an_answer_never_comes_without_a_request(events):
    """NOTIFY and KEEP_ALIVE use up a Publish request: never from a timer that found none."""
    sub = subscription(keep_alive=2, lifetime=6)
    for kind, queued, available in events:
        if kind == "publish":
            sub.publish(available=available)
        elif not queued:
            assert sub.timer(queued=False, available=available) in (WAIT, CLOSE)
        else:
            sub.timer(queued=True, available=available)


@given(st.lists(st.tuples(st.sampled_from(["timer", "publish"]), st.booleans(), st.booleans()), max_size=20), st.integers(0, 12))
def test_quiet_expirations_counted_afterwards_leave_what_each_of_them_would_have_left(events, most):
    """Rows 9 and 16: and the first that is no longer quiet is the keep-alive."""
    slept, ticked = subscription(keep_alive=4, lifetime=20), subscription(keep_alive=4, lifetime=20)
    for sub in (slept, ticked):
        for kind, queued, available in events:
            sub.publish(available=available) if kind == "publish" else sub.timer(queued=queued, available=available)
    times = min(most, slept.quiet())
    if times:
        slept.rested(times)
    assert timers(ticked, "+" * times, "-" * times) == [WAIT] * times
    assert slept == ticked
    if slept.message_sent and slept.state in (State.NORMAL, State.KEEP_ALIVE):
        assert timers(ticked, "+" * (slept.quiet() + 1), "-" * (slept.quiet() + 1))[-1] is KEEP_ALIVE
