"""Predicted limits in the engine: conditions that no sample moves, driven by what forecasts say, with every state of the others."""

from contextlib import suppress
from dataclasses import replace
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rig import T0, S, batch, build, rule, table
from gateway.engine.engine import Engine
from gateway.events import threshold_event
from gateway.model.alarm import SYSTEM_TAG, Action, AlarmRule, Change, ConditionRefused, Level, Limit, Shelving, predicted
from gateway.model.event import Category
from gateway.model.forecast import Alert, Prediction

TAGS = table("hall", "vacuum", "level")
LEVELS = (Level(Limit.LO, 2.0, 300), Level(Limit.HI, 8.0, 300), Level(Limit.HIHI, 9.0, 800))
OWN = AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject="outbox")
PLANT = (
    replace(rule(TAGS, "hall", "HI", 30.0, 1.0), symbol="°C", consequence="scrap", action="open the gates"),
    rule(TAGS, "hall", "LO", 10.0),
    AlarmRule(2, "level", Limit.LEVEL, 0.0, 0.5, levels=LEVELS, severity=800),
    rule(TAGS, "vacuum", "BAD"),
)
RULES = (*PLANT, OWN, *predicted(PLANT, 200))
HI, LO = "hall/Forecast/HI", "hall/Forecast/LO"


def engine() -> Engine:
    built = build(TAGS, RULES)
    built.step(batch([0, 1, 2], [20.0, 1.0, 5.0]), T0)
    return built


def alert(name: str = HI, *, stands: bool = True, probability: float = 0.85, median_s: float = 240.0) -> Alert:
    return Alert(name, stands, Prediction(name.rpartition("/")[2], 30.0, probability, 120.0, median_s, nan, T0, "local trend"))


def test_a_predicted_limit_is_made_of_every_limit_of_a_value_and_of_nothing_else():
    assert [(one.condition, one.threshold, one.severity) for one in predicted(PLANT, 200)] == [
        ("hall/Forecast/HI", 30.0, 200),
        ("hall/Forecast/LO", 10.0, 200),
        ("level/Forecast/LO", 2.0, 200),
        ("level/Forecast/HI", 8.0, 200),
        ("level/Forecast/HIHI", 9.0, 200),
    ]


def test_it_comes_and_goes_as_it_is_told_and_keeps_what_it_rests_on():
    twin = engine()
    (came,) = twin.foretell([alert()], T0 + S).transitions
    assert came.change is Change.ACTIVE
    assert came.condition.severity == 200
    assert came.condition.prediction == alert().prediction
    assert (came.value, came.condition.threshold) == (20.0, 30.0)
    newer = alert(median_s=180.0)
    assert not twin.foretell([newer], T0 + 2 * S).transitions
    assert twin.condition(HI).prediction.median_s == 180.0
    (went,) = twin.foretell([alert(stands=False, probability=0.1)], T0 + 3 * S).transitions
    assert went.change is Change.INACTIVE
    assert twin.condition(HI).retained  # until it is acknowledged


def test_no_sample_moves_it_and_it_ends_with_the_alarm_it_foretold():
    twin = engine()
    twin.foretell([alert()], T0 + S)
    assert not twin.step(batch([0], [29.9], 2), T0 + 2 * S).transitions
    raised = twin.step(batch([0], [30.5], 3), T0 + 3 * S).transitions
    assert [(one.rule.condition, one.change) for one in raised] == [("hall/Alarms/HI", Change.ACTIVE), (HI, Change.INACTIVE)]
    assert not twin.foretell([alert(probability=1.0)], T0 + 4 * S).transitions, "while the limit is passed there is nothing to predict"
    assert not twin.condition(HI).active


def test_of_several_limits_those_end_that_are_passed():
    twin = engine()
    names = ("level/Forecast/HI", "level/Forecast/HIHI", "level/Forecast/LO")
    twin.foretell([alert(name) for name in names], T0 + S)
    raised = twin.step(batch([2], [8.5], 2), T0 + 2 * S).transitions
    assert [one.rule.condition for one in raised] == ["level/Alarms/LEVEL", "level/Forecast/HI"]
    raised = twin.step(batch([2], [9.5], 3), T0 + 3 * S).transitions
    assert [one.rule.condition for one in raised] == ["level/Alarms/LEVEL", "level/Forecast/HIHI"]
    assert twin.condition("level/Forecast/LO").active


def test_it_is_counted_among_no_alarms_and_stands_beside_them():
    twin = engine()
    twin.foretell([alert()], T0 + S)
    assert twin.view.standing() == (0, 0)
    assert [one.rule.condition for one in twin.view.each_retained()] == [HI]
    assert [one.condition for one in twin.view.rules_of(0)] == ["hall/Alarms/HI", "hall/Alarms/LO", HI, LO]
    assert [one.condition for one in twin.view.rules_of(SYSTEM_TAG)] == ["Gateway/Alarms/outbox"]
    assert twin.system("Gateway/Alarms/outbox", True, T0 + 2 * S).transitions
    with pytest.raises(KeyError):
        twin.system(HI, False, T0 + 3 * S)


def test_a_person_may_do_to_it_what_is_done_to_any_condition():
    twin = engine()
    twin.foretell([alert()], T0 + S)
    assert twin.operate(HI, Action.ACKNOWLEDGE, T0 + 2 * S, user="eva", comment="seen").transitions[0].comment == "seen"
    twin.operate(HI, Action.SHELVE, T0 + 3 * S, user="eva", duration_ns=5 * S)
    assert twin.condition(HI).shelving is Shelving.TIMED
    (back,) = twin.tick(T0 + 8 * S).transitions
    assert back.change is Change.UNSHELVED
    for action in (Action.SUPPRESS, Action.UNSUPPRESS, Action.OUT_OF_SERVICE, Action.IN_SERVICE, Action.COMMENT):
        assert twin.operate(HI, action, T0 + 9 * S, user="eva", comment="so").transitions
    twin.operate(HI, Action.DISABLE, T0 + 10 * S)
    assert not twin.foretell([alert()], T0 + 11 * S).transitions
    enabled = twin.operate(HI, Action.ENABLE, T0 + 12 * S).transitions
    assert [one.change for one in enabled] == [Change.ENABLED, Change.ACTIVE], "it stood meanwhile"


def test_it_survives_a_restart_and_a_reload_and_a_set_clock():
    twin = engine()
    twin.foretell([alert()], T0 + S)
    other = build(TAGS, RULES)
    other.restore(twin.snapshot())
    assert other.condition(HI) == twin.condition(HI)
    assert other.state_hash() == twin.state_hash()
    twin.retable(TAGS, RULES, ())
    twin.tick(T0 + 2 * S)
    assert twin.condition(HI).prediction == alert().prediction
    twin.rebase(60 * S)
    assert twin.condition(HI).prediction.issued_ns == T0 + 60 * S
    twin.retable(TAGS, PLANT, ())
    (over,) = twin.tick(T0 + 70 * S).transitions
    assert (over.rule.condition, over.change) == (HI, Change.INACTIVE)
    bare = build(TAGS, PLANT)
    bare.restore(other.snapshot())
    (gone,) = bare.tick(T0 + 3 * S).transitions
    assert (gone.rule.limit, gone.rule.condition, gone.change) == (Limit.PREDICTED, HI, Change.INACTIVE)


def test_its_event_is_of_the_process_and_says_when_and_how_likely():
    event = threshold_event(engine().foretell([alert()], T0 + S).transitions[0])
    assert (event.category, event.level) == (Category.PROCESS, 200)
    assert event.message == ("hall is expected to rise above HI 30 °C in about 4 min (2 min at the earliest, probability 85%, now 20 °C)")
    told = {key: event.details[key] for key in ("limit", "predicts", "threshold", "probability", "lead_s", "early_s", "late_s", "model")}
    assert told == {
        "limit": "PREDICTED", "predicts": "HI", "threshold": 30.0, "probability": 0.85, "lead_s": 240.0, "early_s": 120.0, "late_s": None,
        "model": "local trend",
    }  # fmt: skip
    assert event.details["predicted_time"] == "2023-11-14T22:17:20.000Z"


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("sample"), st.sampled_from([5.0, 20.0, 29.5, 30.5, 40.0])),
        st.tuples(st.just("foretell"), st.lists(st.tuples(st.sampled_from([HI, LO, "nobody/Forecast/HI"]), st.booleans()), max_size=3)),
        st.tuples(st.just("act"), st.sampled_from(list(Action))),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=80)
@given(CALLS)
def test_whatever_happens_no_prediction_stands_beside_its_alarm_and_a_restart_changes_nothing(calls):
    twin, straight = engine(), engine()
    for k, (kind, what) in enumerate(calls, 1):
        for one in (twin, straight):
            if kind == "sample":
                one.step(batch([0], [what], k), T0 + k * S)
            elif kind == "foretell":
                one.foretell([alert(name, stands=stands) for name, stands in dict(what).items()], T0 + k * S)
            elif kind == "act":
                with suppress(ConditionRefused):
                    one.operate(HI, what, T0 + k * S, user="eva", comment="x", duration_ns=3 * S)
        if kind == "restart":
            again = build(TAGS, RULES)
            again.restore(twin.snapshot())
            twin = again
        assert twin.state_hash() == straight.state_hash()
        for name in ("HI", "LO"):
            alarm, ahead = twin.condition(f"hall/Alarms/{name}"), twin.condition(f"hall/Forecast/{name}")
            assert not (alarm.active and ahead.active)
