"""Ensembles: reproducible to the byte, paired by seed, stopped when enough is known or a run diverges, and strict about what goes in."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.distributions import Distribution, drawn, relative
from gateway.simulation.ensemble import Target, chance, merged, simulate, simulate_until
from gateway.simulation.process.linear import FirstOrder, FirstOrderDeadTime, OrnsteinUhlenbeck
from gateway.simulation.process.model import ModelError
from gateway.simulation.process.pv_line import START, pv_line

HEATER = FirstOrder({"K": 2, "tau": 100, "process_noise": 0.05, "measurement_noise": 0.1})

DIGEST = """
import hashlib
from gateway.simulation.distributions import Distribution
from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.process.pv_line import START, pv_line
runs = simulate(pv_line({"measurement_noise": 0.05}), START, {}, 5.0, 40, chance(7), 20,
                varied={"temperature.tau": Distribution("lognormal", 500.0, 0.2)}, antithetic=True)
print(hashlib.sha256(runs.y.tobytes()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_two_processes():
    digests = {subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_there_is_the_initial_state_and_one_after_each_step():
    """5 steps, 6 states; 0 steps are 0 steps; neither start nor inputs are changed."""
    start, inputs = {"y": 1.0}, {"u": np.ones(5)}
    runs = simulate(HEATER, start, inputs, 2.0, 5, chance(1), 3)
    assert runs.y.shape == (3, 6, 1)
    assert runs.time_s.tolist() == [0, 2, 4, 6, 8, 10]
    assert simulate(HEATER, start, {"u": 1.0}, 2.0, 0, chance(1)).y.shape == (1, 1, 1)
    assert start == {"y": 1.0}
    assert inputs["u"].tolist() == [1.0] * 5


def test_pairs_of_one_seed_differ_by_the_change_alone():
    """Common random numbers: the difference of two setpoints has no noise left in a linear model."""
    base = simulate(HEATER, {"y": 0}, {"u": 1}, 10, 30, chance(3), 50)
    changed = simulate(HEATER, {"y": 0}, {"u": 1.5}, 10, 30, chance(3), 50)
    mean, half = changed.difference(base)
    assert mean[-1, 0] == pytest.approx(1 - math.exp(-3), abs=1e-9)
    assert half[-1, 0] < 1e-9


def test_antithetic_runs_mirror_each_other():
    runs = simulate(HEATER, {"y": 0}, {}, 10, 30, chance(3), 50, antithetic=True)
    assert runs.of("y")[:25] == pytest.approx(-runs.of("y")[25:])
    assert runs.mean()[1].max() < 1e-12
    with pytest.raises(ModelError, match="7 runs are not pairs"):
        simulate(HEATER, {}, {}, 1, 1, chance(1), 7, antithetic=True)


def test_the_interval_of_the_mean_covers_as_often_as_it_says():
    """95 % of 400 ensembles of 20 runs, within three standard errors of that share."""
    model = OrnsteinUhlenbeck({"mean": 2, "theta": 0.1, "s": 1})
    hits = 0
    for seed in range(400):
        mean, half = simulate(model, {"y": 2}, {}, 20, 1, chance(seed), 20).mean(0.95)
        hits += abs(mean[-1, 0] - 2) <= half[-1, 0]
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400) <= hits / 400 <= 0.95 + 3 * math.sqrt(0.95 * 0.05 / 400)


def test_quantiles_are_those_of_the_process():
    runs = simulate(OrnsteinUhlenbeck({"theta": 0.1, "s": 0.1}), {}, {}, 50, 4, chance(5), 20_000)
    assert runs.quantiles((0.05, 0.5, 0.95))[:, -1, 0] == pytest.approx([-0.3678, 0, 0.3678], abs=0.012)


@pytest.mark.parametrize("antithetic", [False, True])
def test_blocks_are_run_until_the_mean_is_known(antithetic):
    model = OrnsteinUhlenbeck({"mean": 2, "theta": 0.1, "s": 0.1})
    made = []
    target = Target("y", 0.01)
    runs = simulate_until(
        [target], 5000, model, {"y": 2}, {}, 5, 10, chance(1), antithetic=antithetic, progress=lambda at, of: not made.append((at, of))
    )
    assert runs.mean()[1][-1, 0] <= 0.01
    assert runs.runs == (100 if antithetic else pytest.approx(1500, abs=700))
    assert made[-1][1] == 50_000
    assert [at for at, _ in made] == sorted(at for at, _ in made)
    assert simulate_until([Target("y", 1e-9)], 250, HEATER, {}, {}, 5, 2, chance(1)).runs == 250


def test_progress_may_end_an_ensemble():
    runs = simulate(HEATER, {"y": 0}, {}, 1, 200, chance(1), 4, progress=lambda at, _: at < 100)
    assert runs.steps == 100
    assert runs.partial == "ended after 100 of 200 steps"


def test_a_run_that_diverges_ends_the_ensemble_with_what_was_made():
    from gateway.simulation.process.arx import Arx

    runs = simulate(Arx([2.0], [], 1.0), {"y": 1.0}, {}, 1.0, 100, chance(1), 3)
    assert runs.diverged is not None
    assert (runs.diverged.step, runs.diverged.runs) == (50, 3)
    assert runs.steps == 49
    assert "y diverged in step 50" in runs.partial


def test_a_step_longer_than_the_fastest_time_constant_is_warned_of():
    assert simulate(HEATER, {}, {}, 100, 1, chance(1)).warnings == ()
    assert "longer than the fastest time constant, 100 s" in simulate(HEATER, {}, {}, 101, 1, chance(1)).warnings[0]


def test_overrides_go_to_parameters_inputs_and_states_by_dotted_name():
    line = pv_line()
    options = {"overrides": {"temperature.tau": 60.0, "production_line.temperature": 24.0, "production_line.setpoint": 20.0}}
    runs = simulate(line, {**START, "production_line.target": 20.0}, {}, 60, 1, chance(1), process_noise=False, **options)
    assert runs.of("production_line.temperature")[0] == pytest.approx([24.0, 20 + 4 * math.exp(-1)])
    with pytest.raises(ModelError, match=r"did you mean temperature\.tau"):
        simulate(line, START, {}, 60, 1, chance(1), overrides={"temperature.taw": 1.0})


def test_an_override_may_be_one_value_for_each_run():
    runs = simulate(
        HEATER, {}, {}, 100, 1, chance(1), 2, overrides={"u": np.array([1.0, 2.0]), "y": 0.0}, process_noise=False, measured=False
    )
    assert runs.of("y")[:, -1] == pytest.approx([2 * (1 - math.exp(-1)), 4 * (1 - math.exp(-1))])


def test_what_varies_has_its_distribution_and_is_told():
    varied = {"K": Distribution("normal", 2, 0.1), "tau": Distribution("triangular", 80, 100, 150), "y": Distribution("uniform", -1, 1)}
    runs = simulate(HEATER, {}, {"u": 1}, 10, 2, chance(1), 4000, varied=varied, antithetic=True)
    assert runs.draws["K"].mean() == pytest.approx(2, abs=1e-9)
    assert runs.draws["K"].std() == pytest.approx(0.1, rel=0.05)
    assert runs.draws["tau"].mean() == pytest.approx(110, rel=0.01)
    assert runs.draws["y"].min() >= -1


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["normal", "lognormal", "uniform", "triangular", "fixed"]), st.floats(0.1, 10), st.floats(0, 3), st.floats(0, 3))
def test_every_distribution_is_the_inverse_of_its_shares(kind, a, wide, more):
    """It rises with the share, has its median where it should, and its parameters bound it."""
    b = {"uniform": a + wide, "triangular": a + wide}.get(kind, wide)
    one = Distribution(kind, a, b, b + more if kind == "triangular" else 0.0)
    found = one.inverse(np.linspace(0.001, 0.999, 101))
    assert np.all(np.diff(found) >= -1e-12)
    if kind in {"normal", "lognormal", "fixed"}:
        assert found[50] == pytest.approx(a)
    if kind == "triangular":
        assert found[0] >= a
        assert found[-1] <= b + more


def test_one_relative_uncertainty_for_all_parameters():
    spread = relative({"K": 2.0, "bias": 0.0, "tau": 100.0}, 0.1)
    assert set(spread) == {"K", "tau"}
    assert drawn(spread, 20_000, chance(1))["tau"].std() == pytest.approx(10, rel=0.03)
    assert set(relative({"K": 2.0, "tau": 100.0}, 0.1, ("K",))) == {"K"}


def test_a_start_is_what_is_given_else_live_else_saved():
    saved, live = {"y": 1.0, "u": 5.0, "other.tag": math.nan}, {"y": 2.0}
    assert merged(HEATER, saved=saved, live=live, given={}) == {"y": 2.0, "u": 5.0}
    assert merged(HEATER, saved=saved, live=live, given={"y": 3.0}) == {"y": 3.0, "u": 5.0}
    with pytest.raises(ModelError, match="y is nan in the initial state"):
        merged(HEATER, live={"y": math.nan}, given={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x0": {"y": math.nan}}, "y is nan in the initial state"),
        ({"x0": np.array([[math.inf]])}, "y is inf in the initial state"),
        ({"x0": {"yy": 1.0}}, "no state 'yy'"),
        ({"inputs": {"v": 1.0}}, "no input 'v'"),
        ({"inputs": {"u": math.nan}}, "u is no finite number in the inputs"),
        ({"inputs": {"u": np.ones(7)}}, r"input u is \(7,\)"),
        ({"dt_s": 0.0}, "a step of 0.0 s is none"),
        ({"dt_s": math.nan}, "a step of nan s is none"),
        ({"steps": -1}, "no negative step"),
        ({"runs": 0}, "0 runs of 3 steps cannot be"),
        ({"runs": 10_000, "steps": 100_000}, "can be kept"),
        ({"overrides": {"u": math.nan}}, "u is nan in the overrides"),
        ({"overrides": {"tau": -1.0}}, "tau is -1.0 and must be positive"),
        ({"varied": {"tua": Distribution("fixed", 1.0)}}, "did you mean tau"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_name(change, message):
    asked = {"x0": {"y": 0.0}, "inputs": {"u": 1.0}, "dt_s": 1.0, "steps": 3, "generator": chance(1), "runs": 2} | change
    with pytest.raises(ModelError, match=message):
        simulate(HEATER, **asked)


def test_a_delay_starts_from_the_live_input():
    """The old setpoint goes on acting for the dead time."""
    model = FirstOrderDeadTime({"K": 1, "tau": 10, "theta": 5})
    runs = simulate(model, {"y": 20.0, "u": 30.0}, {"u": 0.0}, 1, 5, chance(1))
    assert runs.of("y")[0, -1] == pytest.approx(30 - 10 * math.exp(-0.5))
