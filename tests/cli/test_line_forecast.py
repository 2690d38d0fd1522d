"""`edgetwin line forecast-score`: a table for people, a document for programs, faults in words."""

import json

import pytest

from cli.conftest import run
from gateway.settings.line import shipped

BASE = ("--run", "pv_baseline_8hr", "--config", str(shipped()), "--duration", "20min", "--seed", "5")


def test_scores_come_by_instant_and_over_all_and_are_the_same_again():
    words = ("line", "forecast-score", *BASE, "--shifts", "3", "-n", "20", "--at", "25%", "--at", "0.75", "--known", "tags", "--json")
    first, second = run(*words), run(*words)
    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert found == json.loads(second.out)
    assert {name: one["forecasts"] for name, one in found["at"].items()} == {"0.25": 3, "0.75": 3}
    assert found["all"]["forecasts"] == 6
    assert (found["known"], found["method"], found["why"]) == ("tags", "events", "it has planned stops")
    assert found["at"]["0.75"]["outcome"] < found["at"]["0.25"]["outcome"]


def test_the_table_ends_with_all_and_says_what_was_done():
    found = run("line", "forecast-score", *BASE, "--shifts", "2", "-n", "20", "--at", "0.5")
    assert found.code == 0, found.err
    head, half, every, done, meaning = found.out.splitlines()
    assert head.split()[:3] == ["at", "forecasts", "coverage"]
    assert half.split()[:2] == ["0.5", "2"]
    assert every.split()[:2] == ["all", "2"]
    assert done == "2 shifts, 20 replications each by discrete events (it has planned stops), seed 5, known: all"
    assert meaning.startswith("coverage: of the 90 % band")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--at", "noon"), "--at noon: a share of the shift"),
        (("--at", "100%"), "--at 100%: a share of the shift, from 0 to less than 1"),
        (("--known", "some"), "--known some: all or tags"),
        (("--method", "guess"), "--method guess: auto, recursion, events"),
        (("--method", "recursion", "--shifts", "1"), "the recursion cannot express this line as it stands: it has planned stops"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words, why):
    found = run("line", "forecast-score", *BASE, *words)
    assert found.code == 2
    assert why in found.err
