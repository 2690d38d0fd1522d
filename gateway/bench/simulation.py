"""What simulations cost: CPU time of one core, best of several runs; sizes are named by the keys."""

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from gateway.bench import forecasts, foreseeing
from gateway.simulation.distributions import Distribution
from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.passage import of_runs, ou
from gateway.simulation.process.equations import Equations
from gateway.simulation.process.linear import FirstOrderDeadTime, Linear
from gateway.simulation.process.pv_line import START, pv_line
from gateway.simulation.sensitivity import sensitivity
from gateway.simulation.trajectories import Trajectories

RUNS: Final = 1000
STEPS: Final = 600
VARIABLES: Final = 20
BUDGET_S: Final = 0.15
"""Of the ensemble of RUNS x STEPS x VARIABLES."""
FASTER: Final = 1000
"""Times real time, that the demo line runs at 1 s steps at least."""


def run() -> dict[str, Any]:
    """Ensembles, the demo line as fast as it goes, text models, passages and sensitivities."""
    model = coupled()
    start = dict.fromkeys(model.states, 0.0)
    plain = _cpu_s(lambda: simulate(model, start, {"u": 1.0}, 1.0, STEPS, chance(1), RUNS))
    mirrored = _cpu_s(lambda: simulate(model, start, {"u": 1.0}, 1.0, STEPS, chance(1), RUNS, antithetic=True))
    runs = simulate(model, start, {"u": 1.0}, 1.0, STEPS, chance(1), RUNS)
    return {
        "ensemble_runs_x_steps_x_variables": f"{RUNS} x {STEPS} x {VARIABLES}",
        "ensemble_s": round(plain, 3),
        "ensemble_antithetic_s": round(mirrored, 3),
        "ensemble_budget_s": BUDGET_S,
        "ensemble_normals_alone_s": round(_normals_s(), 3),
        "quantiles_of_one_variable_ms": round(_cpu_s(lambda: np.quantile(runs.of("v0"), (0.05, 0.5, 0.95), axis=0)) * 1e3, 1),
        "passage_of_runs_ms": round(_cpu_s(lambda: of_runs(runs, "v0", 1.0)) * 1e3, 1),
        "passage_ou_integral_equation_ms": round(_cpu_s(lambda: ou(0.0, 0.0, 0.1, 0.1, 0.3, 600.0)) * 1e3, 1),
        **_line(),
        "dead_time_1000_runs_x_600_steps_s": round(_dead_time_s(), 3),
        "equations_1000_runs_x_600_steps_s": round(_equations_s(), 3),
        "sobol_2_parameters_256_points_600_steps_s": round(_sobol_s(), 3),
        **forecasts.figures(),
        **foreseeing.figures(),
    }


def coupled() -> Linear:
    """VARIABLES coupled first orders with time constants of 20 to 200 s, one input and noise on each."""
    rng = np.random.default_rng(0)
    a = rng.normal(0.0, 1e-4, (VARIABLES, VARIABLES)) - np.diag(1 / rng.uniform(20.0, 200.0, VARIABLES))
    return Linear([f"v{k}" for k in range(VARIABLES)], a, inputs=["u"], b=np.full((VARIABLES, 1), 0.01), noise=0.05)


def _line() -> dict[str, Any]:
    """The demo line at 1 s steps: one run, and a hundred at once."""
    line, steps, many = pv_line(), 3600, 100

    def go(runs: int, count: int) -> Callable[[], Trajectories]:
        return lambda: simulate(line, START, {}, 1.0, count, chance(1), runs)

    one, all_s = _cpu_s(go(1, steps), 3), _cpu_s(go(many, STEPS), 3)
    return {
        "line_size": f"{len(line.parts)} models, {len(line.states)} states, {len(line.outputs)} outputs, {line.noises} noises",
        "line_times_real_time": round(steps / one),
        "line_times_real_time_at_least": FASTER,
        "line_100_runs_times_real_time_summed": round(many * STEPS / all_s),
    }


def _dead_time_s() -> float:
    model = FirstOrderDeadTime({"K": 2, "tau": 100, "theta": 20, "process_noise": 0.05})
    return _cpu_s(lambda: simulate(model, {"y": 0.0}, {"u": 1.0}, 1.0, STEPS, chance(1), RUNS), 3)


def _equations_s() -> float:
    model = Equations({"level": "(inflow - k * sqrt(max(level, 0))) / area"}, parameters={"k": 1.0, "area": 50.0})
    return _cpu_s(lambda: simulate(model, {"level": 4.0}, {"inflow": 1.0}, 1.0, STEPS, chance(1), RUNS), 3)


def _sobol_s() -> float:
    model = FirstOrderDeadTime({"theta": 20})
    varied = {"K": Distribution("uniform", 1.9, 2.1), "tau": Distribution("uniform", 80, 120)}
    return _cpu_s(lambda: sensitivity(model, {"y": 0.0}, {"u": 1.0}, 1.0, STEPS, varied, "y", chance(1)), 3)


def _normals_s() -> float:
    """The share of the ensemble that is chance."""
    generator, out = chance(1), np.empty((RUNS, VARIABLES))

    def draw() -> None:
        for _ in range(STEPS):
            generator.standard_normal(out=out)

    return _cpu_s(draw)


def _cpu_s(work: Callable[[], object], rounds: int = 8) -> float:
    best = np.inf
    for _ in range(rounds):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return float(best)
