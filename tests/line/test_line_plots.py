"""What the pictures of a run show: states that fill the time, and losses that fill what OEE leaves."""

import numpy as np
import pytest

from gateway.line import execute
from gateway.line.plots import machine_shares
from gateway.settings.line import load_line, shipped
from gateway.simulation.line.oee import losses
from support.line_tree import planted


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A line with every loss: a slow machine with failures, jams and rejects, a break, a changeover."""
    folder = planted(tmp_path_factory.mktemp("tree"), {"products/cup.yaml": "name: cup\n"})
    sets = [
        "Mill.performance.speed=0.8",
        "Mill.quality.detection_prob=1",
        "Mill.changeover={duration: 2min}",
        "source={lots: [{product: jar, quantity: 100}, {product: cup, quantity: 50}]}",
        "run.calendar={stops: [{from: 10min, to: 20min}]}",
        "run.duration=4h",
    ]
    return execute(load_line("short", folder, sets=sets))


@pytest.mark.parametrize("columns", [1, 7, 1600])
def test_the_shares_of_a_machines_states_fill_each_column(result, columns):
    edges = np.linspace(0.0, result.line.duration_s, columns + 1)
    for name, machine in result.summary["machines"].items():
        shares = machine_shares(result.events, name, edges)
        assert np.allclose(sum(shares.values()), 1.0)
        for state, seconds in machine["time_in_state_s"].items():
            assert np.isclose((shares[state] * np.diff(edges)).sum(), seconds)


def test_oee_and_its_losses_fill_the_planned_busy_time(result):
    machines = result.summary["machines"]
    for machine in machines.values():
        found = losses(machine)
        assert found["good"] == machine["oee"]["oee"]
        assert sum(found.values()) == pytest.approx(1.0)
    mill = losses(machines["Mill"])
    assert {word for word, share in mill.items() if share > 0.001} >= {"good", "rejects", "speed", "jammed", "changeover", "down"}
    assert mill["speed"] == pytest.approx(
        0.2 * machines["Mill"]["time_in_state_s"]["EXECUTE"] / machines["Mill"]["oee"]["planned_busy_s"], rel=0.02
    )


def test_a_machine_that_made_nothing_has_no_losses_to_show():
    line = load_line("baseline_8hr", shipped(), sets=["run.duration=1min"])
    palletizer = execute(line).summary["machines"]["Palletizer"]
    assert losses(palletizer)["starved"] == pytest.approx(1.0)
