"""The rest of a shift from a state: outputs, waits, buffers, bottlenecks; the job that works it out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gateway.jobs.table import Impossible, work
from gateway.jobs.workers import Workers
from gateway.model.line import Line, LineState, Machine, MachineStart, MachineState, Reliability, constant, exponential, serial
from gateway.model.line_document import document
from gateway.simulation.line.ahead import ahead, band
from gateway.simulation.line.ahead import document as told
from gateway.work import Job, JobFailed, silent
from support.lines import UNIT

TWO = Line("two", (Machine("a", constant(10.0)), Machine("b", constant(20.0))), serial("ab", (4,)), UNIT, duration_s=3600.0)
FAILING = replace(
    TWO,
    machines=(
        Machine("a", constant(10.0), reliability=Reliability(exponential(900.0), exponential(300.0))),
        Machine("b", exponential(12.0)),
    ),
)


def test_a_line_without_chance_is_forecast_to_the_part():
    """From 1800 s on, one part of b half done: 90 more at 20 s each, the first after 10 s."""
    state = LineState((MachineStart("b", MachineState.EXECUTE, 10.0),), (("a", "b", 4),), 1800.0)
    found = told(ahead(TWO, state, 1, replications=5))
    assert found["output"]["good"] == {"P05": 90, "P50": 90, "P95": 90, "mean": 90, "sd": 0}
    assert found["trajectory"]["at_s"][-1] == 3600.0
    assert found["trajectory"]["good"]["P50"][:2] == [2, 4]  # within 37.5 and 75 s
    assert found["buffers"]["a->b"] == {
        "empty": {"probability": 0.0, "early_min": None, "median_min": None, "late_min": None},
        "full": {"probability": 1.0, "early_min": 0.0, "median_min": 0.0, "late_min": 0.0},
    }
    assert found["bottleneck"]["now"] == {"b": 1.0}
    assert found["bottleneck"]["next"] == {}


def test_a_machine_that_is_down_starves_the_one_behind_it_when_the_buffer_is_used_up():
    """b needs 20 s for each of two parts and what is left of its own: at 50 s nothing is there."""
    failing = replace(TWO, machines=(replace(TWO.machines[0], reliability=Reliability(constant(9e9), constant(600.0))), TWO.machines[1]))
    state = LineState((MachineStart("a", MachineState.DOWN, 100.0), MachineStart("b", MachineState.EXECUTE, 10.0)), (("a", "b", 2),))
    found = told(ahead(failing, state, 1, replications=3))
    assert found["machines"]["b"]["starved"] == {
        "probability": 1.0,
        "early_min": pytest.approx(50 / 60),
        "median_min": pytest.approx(50 / 60),
        "late_min": pytest.approx(50 / 60),
    }
    assert found["buffers"]["a->b"]["empty"]["median_min"] == pytest.approx(30 / 60)
    assert found["bottleneck"]["now"] == {"a": 1.0}
    assert found["bottleneck"]["next"] == {"b": 1.0}


def test_a_wait_that_lasts_already_is_ahead_at_once():
    state = LineState((MachineStart("a", MachineState.BLOCKED, 55.0), MachineStart("b", MachineState.EXECUTE, 1.0)), (("a", "b", 4),))
    assert told(ahead(TWO, state, 1, replications=2))["machines"]["a"]["blocked"]["median_min"] == 0.0


def test_the_band_of_whole_numbers_holds_ninety_per_cent_at_least():
    for counts in (np.arange(200.0), np.repeat([3.0, 4.0, 5.0], [9, 180, 11]), np.full(7, 2.0), np.repeat([0.0, 9.0], [30, 170])):
        low, _, high = band(counts)
        assert np.mean((counts >= low) & (counts <= high)) >= 0.9
        assert np.mean(counts < low) <= 0.05
        assert np.mean(counts > high) <= 0.05


async def test_the_job_gives_the_same_values_in_a_worker_and_tells_how_far_it_is():
    state = LineState((MachineStart("a", MachineState.DOWN, 100.0),), (("a", "b", 2),), 600.0)
    args = json.loads(json.dumps({"line": document(FAILING), "state": document(state), "until_s": 3000.0, "replications": 20}))
    here, _ = work("line.forecast")(args, {}, np.random.Generator(np.random.PCG64(5)), silent)
    shares, workers = list[float](), Workers(1)
    try:
        there = await workers.run(Job("line.forecast", args, seed=5), shares.append)
    finally:
        await workers.close()
    assert there.values == here
    assert here["until_s"] == 3000.0
    assert here["output"]["good"]["P05"] < here["output"]["good"]["P95"]
    assert there.arrays["good"].shape == (20,)
    assert shares
    assert all(0 < share <= 1 for share in shares)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"until_s": 10.0}, "is not after 600 s"),
        ({"replications": 0}, "0 replications are none"),
        ({"replications": 2.5}, "is no whole number"),
        ({"until_s": "noon"}, "is no number of seconds"),
        ({"shift": 3}, "no 'shift'"),
        ({"state": {"machines": [{"name": "z"}]}}, "no machine of the line"),
        ({"state": {"buffers": [["a", "b", 9]]}}, "9 parts do not go into its 4 places"),
        ({"state": {"at": 3}}, "there is no 'at' here"),
        ({"line": {"name": "x"}}, "missing"),
    ],
)
def test_arguments_that_cannot_work_are_refused_in_words(wrong, why):
    args = {"line": document(TWO), "state": document(LineState(at_s=600.0))} | wrong
    if "state" in wrong:
        args["until_s"] = 3600.0
    with pytest.raises(Impossible, match=why):
        work("line.forecast")(args, {}, np.random.Generator(np.random.PCG64(0)), silent)


async def test_a_forecast_that_takes_too_long_ends_at_its_deadline():
    args = {"line": document(replace(FAILING, duration_s=9e6)), "state": document(LineState()), "replications": 1000}
    workers = Workers(1)
    try:
        with pytest.raises(JobFailed, match="deadline"):
            await workers.run(Job("line.forecast", args, deadline_s=2.0))
    finally:
        await workers.close()
