"""`edgetwin line experiment | compare | sweep`: tables for people, documents for programs, faults in words."""

import json

import numpy as np
import pytest

from cli.conftest import run
from gateway.settings.line import load_line, shipped
from gateway.simulation.line.figures import figures

BASE = ("--run", "baseline_8hr", "--config", str(shipped()), "--duration", "1h", "--seed", "5")


def document(*words):
    found = run("line", *words, "--json")
    assert found.code == 0, found.err
    return json.loads(found.out)


def test_an_experiment_gives_the_means_of_its_replications():
    report = document("experiment", *BASE, "-n", "6", "--bottleneck")
    line = load_line("baseline_8hr", shipped(), sets=["run.duration=1h", "run.seed=5"])
    own = figures(line, 5, range(6))
    for name in own.names:
        values = own.column(name)[np.isfinite(own.column(name))]
        assert (report["figures"][name] is None) == (not values.size)
        if values.size:
            assert report["figures"][name]["mean"] == pytest.approx(values.mean(), abs=1e-12)
    assert (report["method"], report["replications"]) == ("recursion", 6)
    assert {row["machine"] for row in report["sensitivity"]["machines"]} == {machine.name for machine in line.machines}


def test_a_comparison_pairs_scenarios_under_the_same_chance():
    report = document("compare", *BASE, "--scenario", "faster_filler", "-n", "6", "--figure", "production.tubes_produced")
    (row,) = report["differences"]
    assert (row["scenario"], row["figure"], row["significant"]) == ("faster_filler", "production.tubes_produced", True)
    assert row["difference"]["mean"] == pytest.approx(row["mean"] - row["base_mean"])
    assert row["difference"]["low"] > 0


def test_a_sweep_tries_every_set_and_says_so_in_a_table():
    found = run("line", "sweep", *BASE, "--vary", "Filler.uph=2000,3000", "-n", "3", "--figure", "production.tubes_produced")
    assert found.code == 0, found.err
    head, low, high, last = found.out.splitlines()
    assert head.split() == ["Filler.uph", "production.tubes_produced", "+-"]
    assert float(low.split()[1].replace(",", "")) < float(high.split()[1].replace(",", ""))
    assert last == "3 replications each under the same chance, 95% intervals, seed 5"


def test_a_warm_up_is_found_in_a_column_of_the_telemetry():
    """The palletizer makes nothing until it has 720 tubes: the line's start, of which nothing is steady yet."""
    report = document("experiment", "--run", "baseline_8hr", "--config", str(shipped()), "-n", "3", "--warm-up", "cases_produced")
    found = report["warm_up"]
    assert (found["found"], found["replications"], found["interval_s"]) == (True, 3, 300.0)
    assert len(found["welch"]["mean"]) == 96
    assert found["warm_up_s"] % 1500 == 0
    assert found["mser"][int(found["warm_up_s"]) // 1500] == min(found["mser"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("experiment", *BASE, "--figure", "oee.oe"), "there is no figure 'oee.oe'"),
        (("experiment", *BASE, "--target", "oee.oee=0"), "--target oee.oee=0: write FIGURE=WIDTH with a width above 0"),
        (("experiment", *BASE, "--confidence", "95"), "--confidence 95: it lies between 0 and 1"),
        (("experiment", *BASE, "-n", "2", "--warm-up", "x"), "there is no telemetry column 'x' of numbers: time, size_oz"),
        (("experiment", *BASE, "-n", "2", "--warm-up", "tubes_produced"), "12 intervals are too few to find a warm-up in: 20 at least"),
        (("compare", *BASE), "there is nothing to compare with"),
        (("sweep", *BASE, "--vary", "Filler.uph=5..1"), "a range goes from a number up to a greater one"),
        (("sweep", *BASE, "--vary", "Filler.uph=1..5"), "a grid needs values"),
        (("sweep", *BASE, "--vary", "Filler.uhp=1"), "uhp"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words, why):
    found = run("line", *words)
    assert found.code == 2
    assert why in found.err
