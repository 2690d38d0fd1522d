"""`edgetwin calibrate` on an exported file; what it says in a gateway is pinned with the daemon."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli.calibrate import told
from gateway.model.instant import iso
from gateway.simulation.ensemble import simulate
from gateway.simulation.process.linear import FirstOrderDeadTime

N = 1500


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """D4's plant under a square wave, every second, with 20 dB of noise, in long form."""
    g = np.random.default_rng(3)
    u = np.repeat(g.choice([0.0, 1.0], N // 50 + 1), 50)[:N]
    y = simulate(FirstOrderDeadTime({"K": 2.0, "tau": 100.0, "theta": 20.0}), {"y": 0.0}, {"u": u}, 1.0, N, g).y[0, :N, 0]
    y += np.std(y) / 10 * g.standard_normal(N)
    lines = ["timestamp,tag,value"]
    for k in range(N):
        at = iso(1_700_000_000_000_000_000 + k * 1_000_000_000)
        lines += [f"{at},line.t,{float(y[k])!r}", f"{at},line.sp,{float(u[k])!r}"]
    path = tmp_path_factory.mktemp("exported") / "plant.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*words):
    return CliRunner().invoke(app, ["calibrate", *map(str, words)])


def test_a_file_gives_parameters_with_intervals_and_a_picture(exported, tmp_path):
    """Also as a table, with the controller's settings."""
    picture = tmp_path / "fit.svg"
    result = run("line.t", "--file", exported, "--input", "line.sp", "--json", "--plot", picture)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    found = {one["name"]: one for one in report["parameters"]}
    for name, true in (("K", 2.0), ("tau", 100.0), ("theta", 20.0)):
        assert found[name]["low"] - 0.01 * true <= true <= found[name]["high"] + 0.01 * true
    assert (report["whiteness"]["white"], report["held_out"]["fit"] > 80, picture.stat().st_size > 1000) == (True, True, True)
    table = run("line.t", "--file", exported, "--input", "line.sp", "--parameter", "K", "--parameter", "tau")
    assert table.exit_code == 0
    assert "95 % from" in table.output
    assert "SIMC" in table.output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["line.t", "--file", "FILE"], 2, "what drives line.t?"),
        (["line.t", "--file", "FILE", "--input", "line.none"], 2, "has no samples of line.none"),
        (["line.t", "--file", "FILE", "--input", "line.sp", "--window", "20s"], 2, "line.t has 20 Good samples"),
        (["line.t", "--file", "FILE", "--input", "line.sp", "--window", "soon"], 2, "--window"),
        (["line.t", "--file", "FILE", "--kind", "magic", "--input", "line.sp"], 2, "--kind magic: there are first_order"),
        (["line.t", "--file", "FILE", "--input", "line.sp", "--parameter", "Q"], 2, "has no parameter 'Q'"),
        (["line.t", "--file", "no.csv", "--input", "line.sp"], 2, "No such file"),
        (["line.t", "--file", "FILE", "--input", "line.sp", "--apply"], 2, "--apply goes with a running gateway"),
        (["line.t", "--kind", "first_order"], 2, "go with --file"),
        (["line.t", "--url", "http://127.0.0.1:1"], 3, "cannot reach"),
    ],
)
def test_what_cannot_be_is_said_with_its_exit_code(exported, words, code, said):
    result = run(*(str(exported) if word == "FILE" else word for word in words))
    assert (result.exit_code, said in result.output) == (code, True), result.output


@pytest.mark.parametrize(
    ("applied", "why", "said"), [(False, "", "--apply"), (False, "it is worse", "it is worse"), (True, "", "is in force")]
)
def test_a_version_that_is_not_in_force_says_why_or_how(capsys, applied, why, said):
    report = {
        "model": "m",
        "kind": "arx",
        "method": "least squares",
        "samples": 9,
        "step_s": 1.0,
        "fit": 90.0,
        "warnings": [],
        "tuning": {},
    }
    report |= {"parameters": [], "held_out": {"fit": 90.0}, "before": {"fit": 80.0}, "whiteness": {"white": True, "p": 0.5, "lags": 20}}
    told(report | {"version": 3, "applied": applied, "why": why})
    last = capsys.readouterr().out.splitlines()[-1]
    assert "version 3" in last
    assert said in last
    assert ("--apply" in last) == (said == "--apply")
