"""Subscriptions: by category and severity, bounded, each on its own."""

import asyncio
import json
from dataclasses import replace

import pytest

from gateway.events import Events, Publisher, threshold_event
from gateway.model.alarm import AlarmRule, Change, Condition, Level, Limit, Shelving, Transition, event_id
from gateway.model.event import Category, Severity

S = 10**9
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


def test_an_alarm_without_a_threshold_is_told_in_words():
    """Bad quality has no number to compare with, and a rule need not bring its own message."""
    bad = AlarmRule(0, "line.temperature", Limit.BAD, 0.0)
    event = threshold_event(Transition(Condition(bad, True, False, 5, float("nan"), status=0x80310000), Change.ACTIVE, 5, 4))
    assert "line.temperature" in event.message
    assert "BadNoCommunication" in event.message


def test_a_value_that_json_cannot_carry_is_null():
    event = threshold_event(Transition(Condition(RULE, True, False, 5, float("nan"), status=0x80310000), Change.ACTIVE, 5, 4))
    assert event.details["actual_value"] is None


LEVELS = (Level(Limit.HI, 8, 500), Level(Limit.HIHI, 9, 900))
WORDS = [
    (RULE, Change.ACTIVE, {}, "Threshold breach: t exceeded 27 with value 9.5"),
    (RULE, Change.RE_ALARMED, {}, "still: Threshold breach: t exceeded 27 with value 9.5"),
    (RULE, Change.LATCHED, {}, "t HI is back to normal at 9.5, and stays active until it is reset"),
    (RULE, Change.CONFIRMED, {"user": "anna"}, "t HI confirmed by anna"),
    (RULE, Change.COMMENTED, {"user": "anna", "comment": "valve"}, "t HI commented by anna: valve"),
    (RULE, Change.RESET, {"user": ""}, "t HI reset by unknown"),
    (RULE, Change.SHELVED, {"user": "anna", "shelving": Shelving.ONE_SHOT}, "t HI shelved until it returns to normal by anna"),
    (RULE, Change.SHELVED, {"user": "a", "shelving": Shelving.TIMED, "unshelve_ns": S}, "t HI shelved until 1970-01-01T00:00:01.000Z by a"),
    (RULE, Change.UNSHELVED, {"user": "anna"}, "t HI unshelved by anna"),
    (RULE, Change.UNSHELVED, {}, "t HI is shelved no longer"),
    (RULE, Change.OUT_OF_SERVICE, {"user": "anna"}, "t HI taken out of service by anna"),
    (
        replace(RULE, limit=Limit.LEVEL, levels=LEVELS),
        Change.ACTIVE,
        {"level": Limit.HIHI},
        "Threshold breach: t exceeded 9 with value 9.5",
    ),
    (
        replace(RULE, limit=Limit.LEVEL, levels=LEVELS),
        Change.LEVEL,
        {"level": Limit.HI},
        "Threshold breach: t exceeded 8 with value 9.5 (HI)",
    ),
    (replace(RULE, limit=Limit.DEV), Change.ACTIVE, {"level": Limit.LO}, "t is more than 27 below its setpoint at 9.5"),
    (replace(RULE, limit=Limit.ROC), Change.ACTIVE, {"level": Limit.HI}, "t rises faster than 27 per second at 9.5"),
    (replace(RULE, limit=Limit.DISC), Change.ACTIVE, {}, "t does not follow its command: it is 9.5"),
    (replace(RULE, limit=Limit.ROC, message="too fast"), Change.ACTIVE, {"level": Limit.LO}, "too fast (LO)"),
    (replace(RULE, limit=Limit.SYSTEM, subject="store"), Change.ACTIVE, {"message": "disk full"}, "disk full"),
    (replace(RULE, limit=Limit.SYSTEM, subject="store"), Change.INACTIVE, {}, "t store returned to normal"),
    (replace(RULE, symbol="°C"), Change.ACTIVE, {"value": 27.123456}, "Threshold breach: t exceeded 27 °C with value 27.123 °C"),
    (replace(RULE, symbol="°C"), Change.INACTIVE, {"value": 24.98761}, "t HI returned to normal at 24.988 °C"),
    (replace(RULE, limit=Limit.STATE, labels=((2, "running"),)), Change.INACTIVE, {"value": 2.0}, "t STATE returned to normal at running"),
]


@pytest.mark.parametrize(("rule", "change", "fields", "words"), WORDS, ids=[words for *_, words in WORDS])
def test_each_change_has_its_words(rule, change, fields, words):
    event = threshold_event(Transition(Condition(replace(rule, tag="t"), True, False, 5, **{"value": 9.5, **fields}), change, 5, 4))
    assert event.message == words


@pytest.mark.parametrize("change", list(Change))
def test_an_event_says_how_the_condition_stands(change):
    """Every change has words; what a person did is theirs; JSON carries all of it."""
    state = Condition(RULE, True, True, 5, 28.0, "anna", "seen", suppressed=True, serial=7, raised_serial=3)
    event = threshold_event(Transition(state, change, 5, 4))
    details = json.loads(json.dumps(dict(event.details), allow_nan=False))
    assert (details["change"], details["condition_event_id"]) == (change.value, event_id(RULE.condition, 7).hex())
    assert (details["shelving"], details["suppressed"], details["confirmed"], details["serial"]) == ("unshelved", True, True, 7)
    by_itself = {Change.ACTIVE, Change.INACTIVE, Change.LEVEL, Change.LATCHED, Change.RE_ALARMED}
    assert event.category is (Category.THRESHOLD if change in by_itself else Category.USER)


def test_a_milder_level_asks_for_no_attention():
    state = Condition(
        replace(RULE, limit=Limit.LEVEL, levels=LEVELS), True, False, 5, 8.5, level=Limit.HI, severity=500, serial=4, raised_serial=3
    )
    assert threshold_event(Transition(state, Change.LEVEL, 5)).severity is Severity.INFO
    assert threshold_event(Transition(replace(state, raised_serial=4), Change.LEVEL, 5)).severity is Severity.WARNING
