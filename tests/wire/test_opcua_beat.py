"""The publishing timer on a clock that goes as far as the loop would have waited."""

import asyncio
import math
import selectors

import pytest

from gateway.sinks.opcua.subscriptions import Subscription
from gateway.wire.opcua.beat import Action, Beat


class _Skipping(selectors.SelectSelector):
    """Nothing is waited for: the time is over."""

    now_s = 0.0

    def select(self, timeout=None):
        self.now_s += timeout or 0.0
        return super().select(0)


@pytest.fixture
def clock():
    """A loop, and its selector, which knows the time."""
    selector = _Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now_s
    yield loop, selector
    loop.close()


def course(clock, wakes, rest_s, until_s=10.0):
    """When the timer rang (ms), and the keep-alives among it, of a subscription of 100 ms with a keep-alive after 8; woken at `wakes`."""
    loop, selector = clock
    machine = Subscription()
    machine.revise(100.0, 100, 8, 0, 0)
    rang, alive = [], []

    def expired():
        rang.append(round(selector.now_s * 1e3))
        if machine.timer(queued=True, available=False) is Action.KEEP_ALIVE:
            alive.append(rang[-1])
        beat.go_on(rest_s)

    beat = Beat(machine, expired)

    async def run():
        beat.start()
        for at_s in wakes:
            loop.call_at(at_s, beat.wake)
        await asyncio.sleep(until_s)
        beat.stop()

    loop.run_until_complete(run())
    return rang, alive


def test_nothing_to_expect_means_no_expiration_but_for_the_keep_alives(clock):
    rang, alive = course(clock, (), math.inf, 3.0)
    assert rang == alive == [0, 900, 1700, 2500]


def test_the_keep_alives_come_at_the_same_times_as_without_any_sleep(clock):
    _, alive = course(clock, (), 0.0, 3.0)
    assert alive == [0, 900, 1700, 2500]


def test_who_wakes_it_gets_the_next_expiration_of_the_grid_and_moves_no_keep_alive(clock):
    rang, alive = course(clock, (0.05, 0.33, 0.333, 1.7205), math.inf, 3.0)
    assert rang == [0, 100, 400, 900, 1700, 1800, 2500]
    assert alive == [0, 900, 1700, 2500]


def test_a_request_that_will_be_given_up_is_waited_for_no_longer_than_that(clock):
    rang, alive = course(clock, (), 0.35, 0.95)
    assert rang == [0, 400, 800, 900]
    assert alive == [0, 900]


def test_a_stopped_timer_rings_no_more_and_cannot_be_woken(clock):
    loop, selector = clock
    machine = Subscription()
    machine.revise(100.0, 100, 8, 0, 0)
    rang = []
    beat = Beat(machine, lambda: rang.append(selector.now_s))

    async def run():
        beat.start()
        beat.stop()
        beat.stop()
        beat.wake()
        beat.restart()
        await asyncio.sleep(1.0)

    loop.run_until_complete(run())
    assert rang == []
    assert not beat.running
