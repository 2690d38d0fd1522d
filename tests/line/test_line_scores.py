"""Forecasts of shifts keep their promise: coverage over simulated shifts, and the scores themselves."""

import numpy as np
import pytest

from gateway.model.line import (
    SINK,
    SOURCE,
    Crew,
    Edge,
    Line,
    Machine,
    MachineState,
    Performance,
    Quality,
    Reliability,
    between,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.scoring import COLUMNS, Scoring, as_seen, covered, crps, report, scored
from support.lines import UNIT

ROW = Line(
    "row",
    (
        Machine("a", between(8.0, 12.0), reliability=Reliability(between(300.0, 900.0), exponential(120.0)), quality=Quality(0.05, 0.9)),
        Machine("b", constant(9.5), performance=Performance(0.02, constant(30.0))),
        Machine("c", exponential(9.0), reliability=Reliability(exponential(700.0), between(30.0, 150.0), within_cycle=True)),
    ),
    serial("abc", (6, 4)),
    UNIT,
    duration_s=900.0,
)
SHARED = Line(
    "shared",
    (
        Machine("a", constant(10.0), reliability=Reliability(exponential(300.0), between(30.0, 150.0)), crew="fitters"),
        Machine("b", constant(10.0), 2, reliability=Reliability(exponential(250.0), exponential(60.0)), crew="fitters"),
        Machine("c", between(15.0, 30.0), reliability=Reliability(between(200.0, 400.0), constant(80.0), "time"), crew="fitters"),
    ),
    (Edge(SOURCE, "a"), Edge("a", "b", 4), Edge("b", "c", 2), Edge("c", SINK)),
    UNIT,
    duration_s=900.0,
    crews=(Crew("fitters", 1),),
)


@pytest.mark.parametrize(
    ("line", "method", "replications", "seen"),
    [(ROW, "recursion", 30, False), (SHARED, "events", 20, False), (SHARED, "events", 20, True)],
    ids=["row", "shared", "shared, from its tags"],
)
def test_the_band_covers_what_it_says_over_two_hundred_shifts(line, method, replications, seen):
    rows, by, _ = scored(line, 3, range(200), Scoring(replications=replications, seen=seen), lambda _share: None)
    found = report(rows)["all"]
    assert by == method
    assert 0.84 <= found["coverage"] <= 0.96
    assert abs(found["bias"]) <= 3 * found["bias_error"]
    assert found["crps"] < found["mae"]


def test_coverage_of_counts_is_ninety_per_cent_however_coarse():
    """Forecast and outcome of one Poisson distribution each: whole numbers of very few kinds, and of many."""
    stream = np.random.default_rng(4)
    for rate in (0.05, 0.7, 3.0, 400.0):
        found = [covered(stream.poisson(rate, 60).astype(float), stream.poisson(rate)) for _ in range(4000)]
        assert np.mean(found) == pytest.approx(0.9, abs=3.3 * np.std(found) / 4000**0.5)


def test_a_band_that_is_too_narrow_and_one_that_lies_beside_are_seen():
    stream = np.random.default_rng(5)
    narrow = [covered(stream.normal(0, 0.5, 99), stream.normal()) for _ in range(2000)]
    beside = [covered(stream.normal(1, 1, 99), stream.normal()) for _ in range(2000)]
    assert np.mean(narrow) < 0.65
    assert np.mean(beside) < 0.8


def test_the_crps_is_that_of_its_definition():
    forecast, outcome = np.array([1.0, 4.0, 2.0]), 3.0
    pairs = [abs(a - b) for a in forecast for b in forecast]
    assert crps(forecast, outcome) == pytest.approx(np.mean(np.abs(forecast - outcome)) - sum(pairs) / (2 * 3 * 2))
    assert crps(np.array([5.0]), 3.0) == 2.0


def test_what_tags_tell_has_whole_seconds_and_the_age_since_the_last_failure_seen():
    log = list[float]()
    layout = Layout(ROW, Chance(2), 0.0, None)
    layout.begin(log)
    layout.advance(850.0)
    state = as_seen(layout, log)
    for start, station in zip(state.machines, layout.stations, strict=True):
        assert start.elapsed_s == int(start.elapsed_s)
        assert (start.worked_s, start.attended_s) == (0.0, None)
        if station.machine.reliability and start.state != MachineState.DOWN:
            assert start.age_s == pytest.approx(station.age(), abs=13.0)  # a cycle's time, which it is charged with at its start


def test_scores_come_by_the_shares_that_were_asked_for():
    rows, _, _ = scored(ROW, 1, range(4), Scoring((0.75, 0.25), 20), lambda _share: None)
    assert rows.shape == (8, len(COLUMNS))
    found = report(rows, (0.75, 0.25))
    assert {name: one["forecasts"] for name, one in found["at"].items()} == {"0.25": 4, "0.75": 4}
    again, _, _ = scored(ROW, 1, range(2, 4), Scoring((0.75, 0.25), 20), lambda _share: None)
    assert (again == rows[4:]).all()
