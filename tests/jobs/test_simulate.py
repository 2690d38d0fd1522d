"""The jobs themselves, through a worker: what two processes of one seed give, and the formulas behind it."""

import asyncio
import math

import orjson
import pytest

from gateway.jobs.workers import Workers
from gateway.model.process import ProcessModel
from gateway.operations.simulations import Foresight, job_args
from gateway.simulation.whatif import Ask, Limit, wilson
from gateway.work import Job, JobFailed

HALL = ProcessModel("hall", "first_order", {"y": "line.t"}, {"u": "line.sp"}, {"K": 1.0, "tau": 100.0, "process_noise": 0.05}, {"K": 0.05})
OVEN = ProcessModel("oven", "first_order", {"y": "oven.t"}, {"u": "line.t"}, {"K": 2.0, "tau": 30.0})
PRESENT = Foresight([HALL, OVEN], {}, [Limit("line.t", "HI", 25.0)], {}, {"line.t": 22.0, "line.sp": 22.0, "oven.t": 44.0})


@pytest.fixture
async def workers():
    made = Workers(1)
    yield made
    await made.close()


async def test_the_same_seed_gives_the_same_bytes_in_two_processes(workers):
    job = Job("simulate", job_args(PRESENT, [Ask({"line.sp": 26.0}, 120.0)]) | {"whole": True}, seed=9)
    other = Workers(1)
    try:
        first, second = await asyncio.gather(workers.run(job), other.run(job))
    finally:
        await other.close()
    assert orjson.dumps(dict(first.values)) == orjson.dumps(dict(second.values))
    assert first.arrays["y"].tobytes() == second.arrays["y"].tobytes()
    assert first.arrays["y"].shape == (200, 121, 2)


async def test_what_one_model_gives_another_takes(workers):
    """In rest the oven is at twice the hall; what is changed is a change of both."""
    args = job_args(PRESENT, [Ask(horizon_s=1500.0, runs=400), Ask({"line.sp": 26.0}, 1500.0, runs=400)], ["now", "warm"])
    found = (await workers.run(Job("compare", args, seed=1))).values
    changed = {tag: one["mean"][-1] for tag, one in found["differences"]["warm"]["outputs"].items()}
    assert changed == pytest.approx({"line.t": 4.0, "oven.t": 8.0}, rel=0.01)
    assert found["scenarios"]["now"]["outputs"]["oven.t"]["mean"][-1] == pytest.approx(44.0, rel=0.01)


async def test_whose_parameter_the_spread_comes_from(workers):
    """Of the hall at rest: K alone, since nothing else is uncertain."""
    args = job_args(PRESENT, [Ask(horizon_s=1000.0, step_s=10.0)]) | {"outputs": ["line.t"], "sensitivity_points": 64}
    found = (await workers.run(Job("sensitivity", args, seed=1))).values["outputs"]["line.t"]
    assert found["parameters"]["hall.K"]["total"] == pytest.approx(1.0, abs=0.15)
    assert found["variance"] == pytest.approx((22 * 0.05) ** 2, rel=0.1)


async def test_a_model_that_diverges_ends_early_and_says_so(workers):
    """dx/dt = x from 1 leaves all bounds after ln(1e15) s."""
    wild = ProcessModel("wild", "equations", {"x": "line.t"}, {}, {}, {}, {"states": {"x": "x"}})
    present = Foresight([wild], {}, [], {}, {"line.t": 1.0})
    found = (await workers.run(Job("simulate", job_args(present, [Ask(horizon_s=100.0, runs=3)])))).values
    assert "wild.x diverged in step" in found["partial"]
    assert found["steps"] < math.log(1e15) + 1


async def test_arguments_that_cannot_work_are_refused_by_name(workers):
    with pytest.raises(JobFailed, match=r"refused: there is no .*'line.x'"):
        await workers.run(Job("simulate", job_args(PRESENT, [Ask({"line.x": 1.0})])))


@pytest.mark.parametrize(("count", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)])
def test_the_interval_of_a_share_is_wilsons(count, n, low, high):
    """Values of Wilson's score interval at 95 %, as tables give them."""
    assert wilson(count, n) == pytest.approx((low, high), abs=1e-4)


async def test_a_comparison_that_ends_early_is_still_paired(workers):
    """All scenarios have as many runs as the first of them needed, under the same chance."""
    enough = {"runs": 2000, "half_width": {"line.t": 0.05}, "varied": {"hall.tau": "uniform(80, 120)"}}
    args = job_args(PRESENT, [Ask(horizon_s=200.0, step_s=5.0, **enough), Ask({"line.sp": 26.0}, 200.0, 5.0, **enough)], ["now", "warm"])
    found = (await workers.run(Job("compare", args, seed=2))).values
    runs = {name: one["runs"] for name, one in found["scenarios"].items()}
    assert (len(set(runs.values())), 100 <= runs["now"] < 2000) == (1, True)
    one = found["scenarios"]["warm"]["outputs"]["line.t"]
    assert found["differences"]["warm"]["outputs"]["line.t"]["half_width"][-1] < one["half_width"][-1]
