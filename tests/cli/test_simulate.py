"""simulate and scenario: golden tables, files, exit codes, without a daemon."""

import csv
import json
import math
import os

import pyarrow.parquet as pq
import pytest

from cli.conftest import run

SITE = """version: 1
gateway: {name: nobody, data_dir: data}
tags:
  - {name: line.t, unit: Cel, range: [0, 60]}
  - {name: line.sp, unit: Cel, range: [0, 60], writable: {min: 18, max: 30}}
  - {name: line.energy, unit: kW.h}
alarms: [{tag: line.t, lo: 18, hi: 25}]
models:
  hall: {kind: first_order_dead_time, output: line.t, inputs: {u: line.sp}, parameters: {tau: 100s, theta: 20s}}
  meter: {kind: energy_register, output: line.energy, inputs: {power: 80}}
scenarios:
  warm: {description: a warm hall, parameters: {line.sp: 26}, runs: 4}
"""
STATE = {"timestamp": "2026-11-20T08:00:00Z", "line": {"t": 22.5, "sp": 22.5, "energy": 120, "word": "x"}}
NOISE = "parameters: {tau: 100s, theta: 20s}"


@pytest.fixture
def site(tmp_path, folder):
    """A configuration and a state whose gateway does not run."""
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "state.json").write_text(json.dumps(STATE))
    return tmp_path / "site.yaml", tmp_path / "state.json"


def simulated(site, *args):
    return run("simulate", site[0], "--from", site[1], *args)


def test_a_state_that_is_no_file_or_no_number_is_refused_at_once(site, tmp_path):
    """A device that never ends, a pipe that nobody writes, a whole number too long for a float."""
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        said = run("simulate", site[0], "--from", path)
        assert (said.code, "not a regular file" in said.err) == (2, True), said.err
    site[1].write_text(json.dumps(STATE | {"line": STATE["line"] | {"t": 10**400}}))
    said = simulated(site)
    assert (said.code, "line.t is 1000" in said.err, "no finite number" in said.err) == (2, True, True), said.err


def test_a_table_of_bands_and_limits(site):
    """Step of the setpoint by 3.5 K: 22.5 + 3.5 (1 - exp(-(t - 20) / 100)) at 150, 300, 450 and 600 s."""
    said = simulated(site, "--set", "line.sp=26", "--runs", "4")
    assert said.code == 0
    assert said.out.splitlines() == [
        "tag          unit   0 s  2.5 min  5 min  7.5 min  10 min",
        "line.t       Cel   22.5    25.05  25.79    25.95   25.99",
        "line.energy  kW.h   120    123.3  126.7      130   133.3",
        "p50 (p05 to p95) of 4 runs of 600 steps, seed 0",
        "",
        "limit      at  reached             95 %  after, p50",
        "line.t HI  25   100.0%  51.0% to 100.0%    2.43 min",
        "line.t LO  18     0.0%    0.0% to 49.0%           -",
    ]


def test_as_many_states_as_steps_and_one_more(site, tmp_path):
    """A03: 5 steps give 6 states; CSV, Parquet and JSON say the same."""
    args = ("--horizon", "5s", "--runs", "2")
    for ending in ("csv", "parquet", "json"):
        assert simulated(site, *args, "--out", tmp_path / f"out.{ending}").code == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["time_s"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["tag"], float(row["mean"])) for row in rows] == [(row["tag"], row["mean"]) for row in table]
    assert [row["mean"] for row in table if row["tag"] == "line.t"] == report["outputs"]["line.t"]["mean"]


def test_the_same_seed_gives_the_same_bytes_in_two_processes(site):
    """And another seed something else."""
    site[0].write_text(SITE.replace(NOISE, NOISE + ", noise: {process: 0.05}"))
    first, second, third = (simulated(site, "--runs", "20", "--json", "--seed", seed).out for seed in (7, 7, 8))
    assert first == second
    assert json.loads(first)["outputs"] != json.loads(third)["outputs"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--set", "line.x=5"), "there is no tag or parameter in the models 'line.x' (did you mean line.t?)"),
        (("--set", "line.sp=31"), "line.sp = 31 is outside its range [18, 30]"),
        (("--set", "line.sp=nan"), "line.sp is nan"),
        (("--set", "hall.tau=0"), "parameter tau is 0.0 and must be positive"),
        (("--set", "line.sp"), "--set line.sp: write TAG=VALUE"),
        (("--set", "hall.tau=x"), "--set hall.tau: 'x' is no number (a time may be written as 500ms, 10s, 5min)"),
        (("--horizon", "0"), "a horizon of 0 s is none: it must be positive"),
        (("--horizon", "soon"), "--horizon: 'soon' is not a duration"),
        (("--step", "11min"), "the step of 660 s is longer than the horizon of 600 s"),
        (("--step", "1ms", "--horizon", "365d"), "steps are too many"),
        (("--runs", "0"), "0 runs cannot be: 1 to 100000"),
        (("--uncertainty", "2"), "an uncertainty of 2 is none: 0 to 1"),
        (("--set", "line.t=20@60s"), "line.t cannot change during a run: only inputs can, which are line.sp"),
        (("--set", "line.sp=31@60s"), "line.sp = 31 is outside its range [18, 30]"),
        (("--set", "line.sp=25@10min"), "the course of line.sp has a time outside the run"),
        (("--set", "line.sp=25@soon"), "--set line.sp: 'soon' is not a duration"),
        (("--vary", "hall.tau=uniform(1)"), "--vary hall.tau: 'uniform(1)' has 1 numbers: uniform(low, high)"),
        (("--vary", "hall.tau=uniform(-1, 1)"), "hall.tau: parameter tau is 0.0 and must be positive"),
        (("--vary", "hall.x=uniform(1, 2)"), "there is no tag or parameter in the models 'hall.x'"),
        (("--antithetic", "--runs", "5"), "5 runs are not pairs"),
        (("--until-half-width", "line.t=0"), "a half-width of 0 of line.t is never met"),
        (("--until-half-width", "line.x=1"), "there is no output 'line.x'"),
        (("--sensitivity",), "nothing varies: there is nothing to be sensitive to"),
        (("--at", "now-1h"), "--at begins from the history, --from from a file"),
        (("--out", "a.txt"), "a.txt: end the name in .csv or .json or .parquet"),
        (("--plot", "a.gif"), "a.gif: end the name in .png or .svg"),
    ],
)
def test_what_cannot_work_is_named_and_ends_with_2(site, args, words):
    said = simulated(site, *args)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_a_state_without_a_number_is_refused_and_a_missing_one_is_told(site):
    site[1].write_text('{"line": {"t": NaN, "sp": 22.5}}')
    assert "line.t is nan: no finite number" in simulated(site).err
    site[1].write_text("[")
    assert (simulated(site).code, "is not JSON" in simulated(site).err) == (2, True)
    site[1].write_text('{"line": {"sp": 22.5}}')
    said = simulated(site, "--runs", "2")
    assert (said.code, "nothing is known of line.t, line.energy: the models' own start is taken" in said.err) == (0, True)


def test_a_cold_start_is_in_the_middle_of_limits_and_ranges_and_a_meter_begins_at_0(site):
    said = run("simulate", site[0], "--runs", "2", "--json")
    assert (said.code, "line.sp = 24, line.t = 21.5" in said.err) == (0, True)
    outputs = said.json["outputs"]
    assert (outputs["line.t"]["p50"][0], outputs["line.energy"]["p50"][0]) == (21.5, 0.0)


def test_a_cold_start_of_which_nothing_is_known_is_refused_and_says_what_to_give(site):
    site[0].write_text(SITE.replace(", range: [0, 60], writable: {min: 18, max: 30}", ""))
    said = run("simulate", site[0])
    assert (said.code, said.out) == (2, "")
    assert "nothing is known of line.sp" in said.err
    assert "--set line.sp=VALUE" in said.err
    assert run("simulate", site[0], "--set", "line.sp=22", "--runs", "2").code == 0


def test_a_picture_without_matplotlib_says_what_to_install_before_any_work(site, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.cli.bands.find_spec", lambda _: None)
    said = simulated(site, "--plot", tmp_path / "a.png")
    assert (said.code, said.out) == (2, "")
    assert "pip install matplotlib" in said.err


def test_a_step_longer_than_the_fastest_time_constant_is_warned_of(site):
    said = simulated(site, "--set", "hall.tau=1min", "--step", "90s", "--runs", "2")
    assert said.code == 0
    assert "warning: the step of 90 s is longer than the fastest time constant, 60 s" in said.err


def test_a_picture_is_the_same_for_the_same_seed(site, tmp_path):
    for name in ("a.svg", "b.svg", "c.png"):
        assert simulated(site, "--runs", "3", "--plot", tmp_path / name).code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_site_without_models_has_nothing_to_simulate(site):
    site[0].write_text("version: 1\ntags: [{name: a}]\n")
    assert "has no section `models`" in simulated(site).err


def test_scenarios_are_kept_and_compared_without_a_daemon(site):
    """Saved in the data directory, with a record of each change in the audit."""
    where = ("--config", site[0])
    assert run("scenario", "save", "hot", "--set", "line.sp=28", "--description", "as hot as may be", "--runs", "4", *where).code == 0
    listed = run("scenario", "list", *where)
    assert [line.split()[:2] for line in listed.out.splitlines()] == [["scenario", "changes"], ["hot", "line.sp"], ["warm", "line.sp"]]
    assert run("scenario", "show", "hot", "--json", *where).json["parameters"] == {"line.sp": 28.0}
    said = run("scenario", "compare", "warm", "hot", "--seed", "1", "--from", site[1], *where)
    assert said.code == 0
    assert said.out.splitlines()[1].split() == ["hot", "line.t", "Cel", "+1.994", "0", "*"]
    done = run("scenario", "run", "warm", "--from", site[1], "--json", *where).json
    assert (done["state"], done["asked"]["runs"], done["asked"]["parameters"]) == ("done", 4, {"line.sp": 26.0})
    assert run("scenario", "delete", "hot", *where).code == 0
    refused = run("scenario", "delete", "warm", *where)
    assert (refused.code, "belongs to the configuration" in refused.err) == (1, True)
    assert run("scenario", "run", "hot", *where).code == 1
    records = run("audit", "list", "--json", *where).json["records"]
    assert [(one["command"], one["status"]) for one in records][-1] == ("scenario.save", "Good")


def test_a_setpoint_moves_on_the_way(site):
    """22.5 until 100 s, 26 from then on: after the dead time it rises as one step does, and falls again once it is 22.5 from 300 s on."""
    args = ("--set", "line.sp=26@100s", "--set", "line.sp=22.5@300s", "--runs", "2", "--horizon", "500s", "--step", "1s", "--json")
    found = simulated(site, *args).json
    path = dict(zip(found["time_s"], found["outputs"]["line.t"]["p50"], strict=True))
    top = 3.5 * (1 - math.exp(-2.0))
    at = {100.0: 22.5, 120.0: 22.5, 320.0: 22.5 + top, 420.0: 22.5 + top * math.exp(-1.0)}
    assert {time_s: path.get(time_s) for time_s in at if time_s in path} == pytest.approx({k: v for k, v in at.items() if k in path})
    assert path[500.0] == pytest.approx(22.5 + top * math.exp(-1.8))


def test_runs_end_once_the_mean_is_known_well_enough(site):
    """And say so where they were too few."""
    args = ("--vary", "hall.K=uniform(0.9, 1.1)", "--runs", "4000", "--step", "10s", "--json")
    found = simulated(site, *args, "--until-half-width", "line.t=0.05").json
    assert 500 < found["runs"] < 4000
    assert found["outputs"]["line.t"]["half_width"][-1] <= 0.05
    mirrored = simulated(site, *args, "--until-half-width", "line.t=0.05", "--antithetic").json
    assert (mirrored["runs"], mirrored["outputs"]["line.t"]["half_width"][-1] < 1e-9) == (100, True)
    assert "more runs" in simulated(site, *args[:2], "--runs", "100", "--until-half-width", "line.t=0.001").err


def test_a_table_of_what_the_spread_comes_from(site):
    """At rest the gain is all, the time constant nothing."""
    args = ("--vary", "hall.K=uniform(0.9, 1.1)", "--vary", "hall.tau=triangular(80s, 100s, 120s)", "--runs", "10", "--horizon", "1h")
    said = simulated(site, *args, "--step", "60s", "--sensitivity", "--json")
    found = said.json["sensitivity"]["line.t"]["parameters"]
    assert found["hall.K"]["first"] == pytest.approx(1.0, abs=3 * found["hall.K"]["first_half_width"])
    assert found["hall.tau"]["total"] < 0.01
    table = simulated(site, *args, "--step", "60s", "--sensitivity").out
    assert [line.split()[0] for line in table.splitlines() if "+-" in line] == ["hall.K", "hall.tau", "hall.K", "hall.tau"]


def test_the_configuration_has_courses_and_distributions(site):
    site[0].write_text(
        SITE.replace("tau: 100s", "tau: 'uniform(90s, 110s)'").replace("{line.sp: 26}", "{line.sp: [[1min, 26], [2min, 24]]}")
    )
    found = run("scenario", "run", "warm", "--config", site[0], "--from", site[1], "--seed", "1", "--json")
    assert (found.code, found.json["asked"]["parameters"]) == (0, {"line.sp": [[60.0, 26.0], [120.0, 24.0]]})
    spread = found.json["results"]["outputs"]["line.t"]["sd"]
    assert (spread[0], max(spread) > 0.01) == (0.0, True)
    shown = run("scenario", "show", "warm", "--config", site[0]).out
    assert "line.sp = 26 from 60 s, 24 from 2 min" in shown


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tau: 100s", "tau: 'uniform(90s, x)'", "has what is no number"),
        ("tau: 100s", "tau: 'gauss(1, 2)'", "is no distribution: write normal(mean, sd)"),
        ("tau: 100s", "tau: 'uniform(-1, 5)'", "must be positive"),
        ("tau: 100s", "tau: 'truncated(5, 1, 6, 7)'", "it takes mean, sd, low, high"),
        ("{line.sp: 26}", "{line.sp: [[1min, 61]]}", "61 is outside the range of line.sp"),
        ("{line.sp: 26}", "{line.sp: [[1min]]}", "write [[1min, 26]]"),
        ("{line.sp: 26}", "{line.sp: [[2min, 26], [1min, 24]]}", "times of a course rise from 0"),
        ("{line.sp: 26}", "{line.t: [[1min, 26]]}", "only inputs can: line.sp"),
    ],
)
def test_a_course_or_distribution_that_cannot_be_is_named_with_its_line(site, old, new, words):
    site[0].write_text(SITE.replace(old, new))
    said = run("check", site[0])
    assert (said.code != 0, words in said.err + said.out) == (True, True), said.err + said.out


def test_a_branch_of_a_stopped_gateway_begins_in_its_history(site, tmp_path):
    """From the disk: the measured setpoint drives the model unless it is changed, up to the last sample."""
    rows = [(f"2026-11-20T08:{minute:02d}:00Z", "line.t", 22.5) for minute in range(11)]
    rows += [("2026-11-20T08:00:00Z", "line.sp", 22.5), ("2026-11-20T08:05:00Z", "line.sp", 26), ("2026-11-20T08:00:00Z", "line.energy", 1)]
    (tmp_path / "past.csv").write_text("timestamp,tag,value\n" + "".join(f"{at},{tag},{value}\n" for at, tag, value in rows))
    assert run("import", tmp_path / "past.csv", "--config", site[0]).code == 0
    at = ("--at", "2026-11-20T08:01:00Z", "--step", "10s", "--runs", "4", "--seed", "1")
    found = run("simulate", site[0], *at, "--plot", tmp_path / "a.png", "--json").json["results"]
    assert found["time_s"][-1] == 540.0
    driven = found["outputs"]["line.t"]["p50"]
    assert (driven[24], driven[-1]) == (22.5, pytest.approx(22.5 + 3.5 * (1 - math.exp(-2.8))))
    assert found["measured"]["line.t"]["error"][-1] == pytest.approx(22.5 - driven[-1])
    changed = run("simulate", site[0], *at, "--set", "line.sp=22.5")
    assert "in band without change" in changed.out
    late = run("simulate", site[0], "--at", "2026-11-20T07:59:00Z")
    assert (late.code, "there is no history of line.t" in late.err, "known from 2026-11-20T08:00:00" in late.err) == (1, True, True)
