"""A condition is found by its name, whatever the names of tags are like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.places import Places
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Limit

TAGS = ("a", "a/Alarms", "a/Alarms/HI", "b/Forecast/x", "Gateway", "/Alarms/")
LIMITS = (Limit.HIHI, Limit.HI, Limit.LO)


def made(tag, limit):
    if limit is Limit.SYSTEM:
        return AlarmRule(SYSTEM_TAG, "Gateway", limit, 0.0, subject=f"source.{tag}")
    return AlarmRule(TAGS.index(tag), tag, limit, 1.0, subject="HI" if limit is Limit.PREDICTED else "")


@given(st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from([*LIMITS, Limit.PREDICTED, Limit.SYSTEM])), unique=True))
def test_every_rule_is_at_its_row_and_nothing_else_is_found(pairs):
    rules = [made(*pair) for pair in pairs]
    places = Places(rules)
    names = {rule.condition: row for row, rule in enumerate(rules)}
    if len(names) == len(rules):
        assert dict(places) == names
        assert list(places) == [rule.condition for rule in rules]
    for tag in TAGS:
        for limit in (*LIMITS, Limit.PREDICTED, Limit.SYSTEM):
            assert (made(tag, limit).condition in places) == (made(tag, limit).condition in names)


@pytest.mark.parametrize("name", ["", "a", "a/Alarms", "a/Alarms/", "a/Alarms/HIHI", "/Alarms/HI", "x/Alarms/HI", "a/Forecast/HI"])
def test_what_is_no_condition_is_not_found(name):
    places = Places([made("a", Limit.HI)])
    assert name not in places
    assert places.get(name) is None
    with pytest.raises(KeyError):
        places[name]
