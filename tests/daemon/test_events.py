"""Subscriptions: by category and severity, bounded, each on its own."""

import asyncio

from gateway.events import Events, Publisher, threshold_event
from gateway.model.alarm import AlarmRule, Change, Condition, Limit, Transition
from gateway.model.event import Category, Severity

RULE = AlarmRule(0, "line.temperature", Limit.HI, 27.0, severity=500)


def publisher(events):
    return Publisher("test", events.publish, lambda: 7)


async def read(subscription):
    subscription.close()
    return [event.message async for event in subscription]


async def test_neither_category_nor_severity_means_all_events_once_each():
    events = Events()
    everything = events.subscribe()
    say = publisher(events)
    say.system("one")
    say.error("Two", "broke")
    assert await read(everything) == ["one", "Two: broke"]


async def test_a_subscriber_of_a_category_and_of_a_severity_gets_the_union_without_duplicates():
    events = Events()
    both = events.subscribe([Category.SYSTEM], [Severity.ERROR])
    say = publisher(events)
    say.system("in by category")
    say.system("in by both", Severity.ERROR)
    say.error("InBySeverity", "x")
    say.user("out")
    assert await read(both) == ["in by category", "in by both", "InBySeverity: x"]


async def test_a_full_queue_gives_up_its_least_severe_oldest_event_and_counts_it():
    events = Events()
    slow = events.subscribe(size=2)
    say = publisher(events)
    say.system("info 1")
    say.error("Bad", "1")
    say.system("info 2")
    assert slow.dropped == 1
    assert await read(slow) == ["Bad: 1", "info 2"]


async def test_a_subscriber_that_fails_harms_nobody():
    events = Events()
    broken, well = events.subscribe(), events.subscribe()

    async def fail():
        async for _ in broken:
            raise RuntimeError

    failing = asyncio.create_task(fail())
    publisher(events).system("hello")
    await asyncio.wait([failing])
    publisher(events).system("again")
    assert await read(well) == ["hello", "again"]


async def test_an_unsubscribed_one_gets_nothing_more():
    events = Events()
    gone = events.subscribe()
    events.unsubscribe(gone)
    publisher(events).system("late")
    assert await read(gone) == []


async def test_the_latest_events_are_bounded():
    events = Events(length=3)
    say = publisher(events)
    for number in range(5):
        say.system(str(number))
    assert [event.message for event in events.latest] == ["2", "3", "4"]


def test_a_breach_says_which_parameter_which_threshold_and_which_value():
    event = threshold_event(Transition(Condition(RULE, True, False, 5, 27.5), Change.ACTIVE, 5, 4))
    assert event.message == "Threshold breach: line.temperature exceeded 27 with value 27.5"
    assert (event.category, event.severity, event.timestamp_ns) == (Category.THRESHOLD, Severity.WARNING, 5)
    assert (event.details["parameter"], event.details["threshold"], event.details["actual_value"]) == ("line.temperature", 27.0, 27.5)


def test_a_low_limit_is_fallen_below_and_a_return_is_informative():
    low = AlarmRule(0, "line.temperature", Limit.LO, 18.0, severity=500)
    fell = threshold_event(Transition(Condition(low, True, False, 5, 17.0), Change.ACTIVE, 5, 4))
    back = threshold_event(Transition(Condition(low, False, False, 6, 19.0), Change.INACTIVE, 6, 5))
    assert "fell below 18 with value 17" in fell.message
    assert back.severity is Severity.INFO


def test_a_value_that_json_cannot_carry_is_null():
    event = threshold_event(Transition(Condition(RULE, True, False, 5, float("nan"), status=0x80310000), Change.ACTIVE, 5, 4))
    assert event.details["actual_value"] is None
