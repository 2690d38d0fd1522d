"""Alarm performance as ISA-18.2, IEC 62682 and EEMUA 191 count it: transitions in, figures out, by the time given."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.engine import Engine
from gateway.events import of_transitions, threshold_event
from gateway.model.alarm import Action, AlarmRule, Change, Condition, ConditionRefused, Level, Limit, Shelving, Transition
from gateway.model.batch import SampleBatch
from gateway.model.event import Category, Event
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.performance import CHATTERERS, DAY_NS, INTERVAL_NS, RUNS, AlarmPerformance
from gateway.tuning import Advice, Run, chatters, hysteresis, tuned

S = 1_000_000_000
START = 3_000_000 * INTERVAL_NS


def condition(tag="t", *, active=True, acknowledged=False, since=0, severity=500, **more):
    rule = AlarmRule(0, tag, Limit.HI, 27.0, severity=severity)
    return Condition(rule, active, acknowledged, since, 28.0, severity=severity, active_ns=since if active else 0, **more)


def raised(tag, at_ns, **more):
    return Transition(condition(tag, since=at_ns, **more), Change.ACTIVE, at_ns)


def returned(tag, at_ns, **more):
    return Transition(condition(tag, active=False, since=at_ns, **more), Change.INACTIVE, at_ns)


def acknowledged(tag, at_ns):
    return Transition(condition(tag, acknowledged=True, since=at_ns), Change.ACKNOWLEDGED, at_ns)


def performance(*transitions, began=START):
    made = AlarmPerformance(began)
    made.take(transitions)
    return made


def test_the_rate_is_that_of_the_last_ten_minutes_and_the_average_that_of_the_time_observed():
    made = performance(*(raised(f"t{n}", START + n * 300 * S) for n in range(24)))  # one each 5 min over two hours
    found = made.report(START + 7200 * S)
    assert (found["last_10_min"], found["last_day"], found["per_hour"], found["per_10_min"]) == (1, 24, 12.0, 2.0)
    assert (found["per_day"], found["peak_10_min"], found["observed_h"]) == (288.0, 2, 2.0)


def test_less_than_an_hour_of_observation_is_not_extrapolated_to_a_rate_of_its_own():
    assert performance(raised("t", START)).report(START + 60 * S)["per_hour"] == 1.0


def test_a_day_later_nothing_of_it_is_left():
    made = performance(raised("t", START), returned("t", START + S), acknowledged("t", START + S))
    made.take([returned("t", START + 2 * S), raised("u", START + DAY_NS + INTERVAL_NS)])
    found = made.report(START + DAY_NS + INTERVAL_NS)
    assert [one["condition"] for one in found["top"]] == ["u/Alarms/HI"]
    assert "t/Alarms/HI" not in made._trails


@pytest.mark.parametrize(
    ("counts", "flooded", "now"),
    [
        ([10, 0], 0, False),  # ten are no flood yet
        ([11, 0], 2, True),  # the present interval has not ended: the flood goes on
        ([11, 5, 4, 0], 2, False),  # five keep it up, four end it
        ([11, 0, 11, 5], 3, True),
        ([4, 5, 11], 1, True),
        ([11, 4, 10, 0], 1, False),
    ],
)
def test_a_flood_begins_above_ten_in_a_regular_interval_and_ends_below_five(counts, flooded, now):
    made = AlarmPerformance(START)
    for interval, count in enumerate(counts):
        made.take([raised(f"{interval}.{n}", START + interval * INTERVAL_NS + n * S) for n in range(count)])
    found = made.report(START + (len(counts) - 1) * INTERVAL_NS + 60 * S)
    assert (found["flood_share"], found["flood_now"]) == (round(flooded / len(counts), 4), now)


def test_shelved_suppressed_and_disabled_alarms_are_counted_apart_and_not_as_annunciated():
    made = AlarmPerformance(START)
    made.take(
        [
            raised("a", START, shelving=Shelving.TIMED),
            raised("b", START, suppressed=True),
            raised("c", START, out_of_service=True),
            raised("d", START, enabled=False),
            raised("e", START),
        ]
    )
    found = made.report(START)
    assert (found["last_day"], found["standing"]) == (1, 1)
    assert (found["shelved"], found["suppressed"], found["out_of_service"], found["disabled"]) == (1, 1, 1, 1)


def test_an_alarm_that_asks_anew_is_annunciated_again_and_stands_once():
    made = performance(raised("t", START))
    made.take([Transition(condition("t", since=START), Change.RE_ALARMED, START + 60 * S)])
    made.take([Transition(condition("t", since=START, serial=3, raised_serial=3), Change.LEVEL, START + 90 * S)])
    made.take([Transition(condition("t", since=START, serial=4, raised_serial=3), Change.COMMENTED, START + 95 * S)])
    found = made.report(START + 100 * S)
    assert (found["last_day"], found["standing"], found["chattering"]) == (3, 1, [])


def test_what_still_stands_unseen_when_its_shelving_ends_is_annunciated_and_what_was_seen_is_not():
    made = performance(raised("a", START, shelving=Shelving.TIMED))
    assert made.report(START)["last_day"] == 0
    made.take([Transition(condition("a", since=START), Change.UNSHELVED, START + 60 * S)])
    made.take([Transition(condition("b", since=START, acknowledged=True), Change.UNSHELVED, START + 60 * S)])
    found = made.report(START + 60 * S)
    assert (found["last_day"], found["standing"]) == (1, 2)


def test_stale_is_what_stands_for_more_than_a_day_also_after_a_restart():
    made = AlarmPerformance(START)
    made.seed([condition("old", since=START - DAY_NS - S), condition("new", since=START - S), condition("calm", active=False)])
    found = made.report(START)
    assert (found["standing"], found["stale"]) == (2, 1)


def test_the_time_to_acknowledge_is_the_mean_from_the_first_call_for_attention():
    made = performance(raised("a", START), raised("b", START), acknowledged("a", START + 10 * S))
    made.take([returned("b", START + 5 * S), raised("b", START + 20 * S), acknowledged("b", START + 40 * S)])
    made.take([acknowledged("b", START + 50 * S)])
    assert made.report(START + 60 * S)["acknowledge_s"] == 25.0


def test_three_within_a_minute_chatter_and_a_short_one_alone_is_fleeting():
    made = AlarmPerformance(START)
    for n in range(3):
        made.take([raised("a", START + n * 25 * S), returned("a", START + (n * 25 + 12) * S)])
    for n in range(3):
        made.take([raised("slow", START + n * 31 * S), returned("slow", START + (n * 31 + 12) * S)])
    made.take([raised("short", START), returned("short", START + 2 * S)])
    found = made.report(START + 120 * S)
    assert found["chattering"] == ["a/Alarms/HI"]
    assert made.advice("a/Alarms/HI") == Advice(on_delay_s=12.0, off_delay_s=13.0)
    assert made.advice("short/Alarms/HI") == made.advice("nobody") == Advice(None, None)
    assert found["fleeting"] == 1


def test_severities_and_the_ten_most_frequent_with_their_share():
    made = AlarmPerformance(START)
    for n in range(12):
        for k in range(n + 1):
            at_ns = START + k * 90 * S + n
            made.take([raised(f"t{n:02}", at_ns, severity=900 if n == 11 else 300), returned(f"t{n:02}", at_ns + 30 * S)])
    found = made.report(START + 3600 * S)
    assert [one["count"] for one in found["top"]] == list(range(12, 2, -1))
    assert found["top"][0] == {"condition": "t11/Alarms/HI", "count": 12, "share": round(12 / 78, 4)}
    assert found["top_share"] == round(75 / 78, 4)
    assert found["severity"] == {"info": 66, "warning": 0, "error": 0, "critical": 12}


def test_a_storm_of_one_alarm_leaves_a_bounded_trace():
    made = AlarmPerformance(START)
    for n in range(20_000):
        at_ns = START + n * S
        made.take([raised("a", at_ns), returned("a", at_ns + S // 2)])
    assert len(made._trails["a/Alarms/HI"].runs) == RUNS
    assert len(made._intervals) <= 145
    assert len(made._slots) <= 61
    for name in range(CHATTERERS + 10):
        for n in range(10):
            at_ns = START + 30_000 * S + n * S
            made.take([raised(f"t{name}", at_ns), returned(f"t{name}", at_ns + S // 2)])
    assert sum(len(trail.runs) > 3 for trail in made._trails.values()) == CHATTERERS


def test_the_journal_brings_back_what_was_counted_before_a_restart():
    story = [
        *(one for n in range(4) for one in (raised("a", START + n * 20 * S), returned("a", START + (n * 20 + 5) * S))),
        raised("b", START + 100 * S, severity=900),
        acknowledged("b", START + 130 * S),
        raised("c", START + 140 * S, shelving=Shelving.TIMED),
    ]
    now_ns = START + 300 * S
    before = performance(*story)
    after = AlarmPerformance(now_ns)
    foreign = Event("x", START, Category.SYSTEM, 100, "gateway", "hello", {"condition": "a", "change": "sideways"})
    after.recall([foreign, *map(threshold_event, story)], now_ns)
    after.seed([condition("a", active=False), condition("b", since=START + 100 * S), condition("c", shelving=Shelving.TIMED)])
    assert after.report(now_ns) == before.report(now_ns)


def test_a_clock_that_was_set_makes_nothing_stale():
    made = performance(raised("t", START))
    made.rebase(3 * DAY_NS)
    found = made.report(START + 3 * DAY_NS + S)
    assert (found["standing"], found["stale"], found["observed_h"]) == (1, 0, 0.0)


def test_figures_have_the_names_and_types_of_the_first_look_for_ever():
    made = AlarmPerformance(START)
    empty = {name: type(one) for name, one in made.figures(START).items()}
    made.take([raised("a", START), acknowledged("a", START + S)])
    assert {name: type(one) for name, one in made.figures(START + 2 * S).items()} == empty
    assert set(empty.values()) <= {bool, int, float, str}


LIVE = (
    AlarmRule(0, "t0", Limit.HI, 1.0, severity=500, confirm=True, shelve_max_ns=600 * S),
    AlarmRule(0, "t0", Limit.BAD, 0.0, severity=300),
    AlarmRule(
        1, "t1", Limit.LEVEL, 0.0, severity=800, levels=(Level(Limit.HI, 1.0, 500), Level(Limit.HIHI, 2.0, 900)), re_alarm_ns=300 * S
    ),
)
DEED = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from([0.0, 1.5, 2.5, float("nan")])),
    st.tuples(st.sampled_from([rule.condition for rule in LIVE]), st.sampled_from(list(Action))),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 200), DEED), max_size=60))
def test_whatever_happens_the_journal_tells_the_same_figures_as_the_live_transitions(story):
    table = TagTable.of([Tag(0, "t0", "s"), Tag(1, "t1", "s")])
    engine, live, events, now_ns = Engine(table, LIVE, (), Sync()), AlarmPerformance(START), [], START
    for after_s, (what, how) in story:
        now_ns += after_s * S
        update = engine.tick(now_ns)
        happened = [*update.transitions]
        if isinstance(how, Action):
            with suppress(ConditionRefused):
                happened += engine.operate(what, how, now_ns, user="u", comment="c", duration_ns=120 * S).transitions
        else:
            status = 0x8000_0000 if how != how else 0  # noqa: PLR0124 NaN
            happened += engine.step(SampleBatch.of([what], [how], status, now_ns, received_ns=now_ns), now_ns).transitions
        live.take(happened)
        events += of_transitions(happened)
    later = AlarmPerformance(START)
    later.recall(events, now_ns)
    later.seed([*engine.view.retained(), *engine.view.silenced()])
    assert later.report(now_ns) == live.report(now_ns)
    found, states = live.report(now_ns), engine.view.conditions()
    assert found["standing"] == sum(one.active and one.enabled and not one.silenced for one in states)
    assert found["shelved"] == sum(one.shelving is not Shelving.UNSHELVED for one in states)
    assert found["disabled"] == sum(not one.enabled for one in states)
    assert sum(found["severity"].values()) == found["last_day"]


def runs_of(pairs):
    at, found = 0, []
    for lasted, normal in pairs:
        found.append(Run(at, at + lasted * S))
        at += (lasted + normal) * S
    return found


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=3, max_size=40))
def test_the_delay_that_is_recommended_ends_the_chatter_and_a_shorter_one_does_not(pairs):
    runs = runs_of(pairs)
    advice = tuned(runs)
    if not chatters([run.began_ns for run in runs]):
        assert (advice.on_delay_s, advice.off_delay_s) == (None, None)
        return

    def still(on_s=0.0, off_s=0.0):
        begins, before = [], None
        for began, ended in runs:
            if ended - began <= on_s * S:
                continue
            if before is None or began - before > off_s * S:
                begins.append(began)
            before = ended
        return chatters(begins)

    assert not still(on_s=advice.on_delay_s)
    assert still(on_s=advice.on_delay_s - 1)
    assert not still(off_s=advice.off_delay_s)
    assert still(off_s=advice.off_delay_s - 1)


def test_the_hysteresis_is_what_the_value_came_back_between_the_runs():
    times, values, runs, at = [], [], [], 0
    for depth in (0.2, 0.3, 0.25, 2.0):  # four returns to 27 less the depth, the last one a real one
        runs.append(Run(at, at + 5 * S))
        times += [at, at + 5 * S, at + 8 * S]
        values += [27.1, 27.0 - depth / 2, 27.0 - depth]
        at += 10 * S
    runs.append(Run(at, at + 5 * S))
    found = hysteresis(runs, np.array(times), np.array(values), 27.0)
    assert found == pytest.approx(0.3, rel=0.02)
    assert found > 0.3 - 1e-9
    low = hysteresis(runs, np.array(times), 54.0 - np.array(values), 27.0, low=True)
    assert low == found


def test_no_hysteresis_is_recommended_where_nothing_is_known_of_the_returns_or_nothing_chatters():
    quick = runs_of([(1, 1)] * 5)
    assert hysteresis(quick, np.array([], np.int64), np.array([]), 27.0) is None
    slow = [replace_run(run, n * 100) for n, run in enumerate(quick)]
    assert hysteresis(slow, np.array([0]), np.array([1.0]), 27.0) is None


def replace_run(run, by_s):
    return run._replace(began_ns=run.began_ns + by_s * S, ended_ns=run.ended_ns + by_s * S)


def test_a_condition_that_is_renamed_or_gone_stands_no_longer_after_a_reload():
    made = performance(raised("t", START))
    made.seed([replace(condition("u", since=START))])
    assert list(made._standing) == ["u/Alarms/HI"]
